//! Where what is told goes: lines or records on standard output, or a screen.

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;

use super::{
    beginning::Beginning,
    sink::Sink,
    tui::{Look, Request, SLOW_NS, TimerScreen, WatchedNode},
};
use crate::{
    cli::{ColorWhen, WatchArgs},
    width::for_stderr,
};
use model::{Output, Topic};
use monitor::Watcher;

/// What is said where standard output is.
pub const CANNOT_WRITE: &str = "standard output cannot be written";

/// One of the forms.
pub enum Display {
    /// Lines or records, as they come.
    Stream(Sink),
    /// A screen.
    Screen(Box<TimerScreen>),
}

/// Whether a screen is wanted, and there is a terminal for it.
#[must_use]
pub fn wants_screen(args: &WatchArgs) -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    !args.plain && !args.json && !dumb && io::stdin().is_terminal() && io::stdout().is_terminal()
}

impl Display {
    /// Opens the form that was asked for.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be set up, or standard output cannot be written.
    pub fn open(args: &WatchArgs, color: ColorWhen, beginning: &Beginning) -> anyhow::Result<Self> {
        if !wants_screen(args) {
            let mut sink = Sink::new(args, color, beginning.root_netns);
            sink.start(beginning).context(CANNOT_WRITE)?;
            return Ok(Self::Stream(sink));
        }
        let host = WatchedNode {
            release: beginning.release.clone(),
            hostname: beginning.hostname.clone(),
            possible_cpus: beginning.possible_cpus,
            root_netns: beginning.root_netns,
        };
        let slow_ns = args.slow_ns().unwrap_or(SLOW_NS);
        let look = Look::from_environment(args.ascii, color);
        let max_ns = args.max_ns();
        let screen = TimerScreen::open(host, look, slow_ns, max_ns)
            .context("the terminal cannot be used")?;
        Ok(Self::Screen(Box::new(screen)))
    }

    /// Tells what happened.
    ///
    /// # Errors
    ///
    /// When standard output cannot be written.
    pub fn outputs(&mut self, outputs: &[Output]) -> anyhow::Result<()> {
        match self {
            Self::Stream(sink) => sink.outputs(outputs).context(CANNOT_WRITE),
            Self::Screen(screen) => {
                screen.feed(outputs);
                Ok(())
            }
        }
    }

    /// Tells that something will be missing, beside what is told: on standard error, or in the screen's log.
    ///
    /// # Errors
    ///
    /// Where the clock cannot be read.
    pub fn warn(&mut self, watcher: &Watcher, clause: String) -> anyhow::Result<()> {
        match self {
            Self::Stream(_) => eprintln!("{}", for_stderr(&format!("warning: {clause}"))),
            Self::Screen(screen) => screen.feed(&[watcher.notice(Topic::Access, clause)?]),
        }
        Ok(())
    }

    /// Shows how things stand after a tick.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be written.
    pub fn ticked(&mut self, watcher: &mut Watcher) -> anyhow::Result<()> {
        match self {
            Self::Screen(screen) => {
                screen.show(watcher.overview()?);
                if let Some(owners) = watcher.new_names() {
                    screen.name(owners.clone());
                }
            }
            Self::Stream(sink) if sink.wants_names() => {
                if let Some(owners) = watcher.new_names() {
                    sink.name(owners);
                }
            }
            Self::Stream(_) => {}
        }
        Ok(())
    }

    /// Hands over who lives where.
    pub fn name(&mut self, watcher: &Watcher) {
        match self {
            Self::Screen(screen) => screen.name(watcher.owners().clone()),
            Self::Stream(sink) => sink.name(watcher.owners()),
        }
    }

    /// Sums up an interval, where that is wanted.
    ///
    /// # Errors
    ///
    /// When standard output cannot be written.
    pub fn interval(&mut self, watcher: &mut Watcher) -> anyhow::Result<()> {
        let report = watcher.interval()?;
        match self {
            Self::Stream(sink) => sink.interval(&report).context(CANNOT_WRITE),
            Self::Screen(_) => Ok(()),
        }
    }

    /// Leaves the screen, stops this process, and comes back to the screen when it goes on.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be written.
    pub fn suspend(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Stream(_) => Ok(()),
            Self::Screen(screen) => screen.suspend().context(CANNOT_WRITE),
        }
    }

    /// Sets up the screen again, which others may have used.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be written.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Stream(_) => Ok(()),
            Self::Screen(screen) => screen.resume().context(CANNOT_WRITE),
        }
    }

    /// Draws the screen, if it is one.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be written.
    pub fn draw(&mut self, now_ns: u64) -> anyhow::Result<()> {
        match self {
            Self::Stream(_) => Ok(()),
            Self::Screen(screen) => screen.draw(now_ns).context(CANNOT_WRITE),
        }
    }

    /// Waits for a key that asks for something, which only a screen has.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be read.
    pub async fn input(&mut self) -> anyhow::Result<Option<Request>> {
        match self {
            Self::Stream(_) => std::future::pending().await,
            Self::Screen(screen) => screen.input().await.context("the terminal cannot be read"),
        }
    }
}
