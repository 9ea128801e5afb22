//! The screen of `watch` for those who do something else meanwhile, and wait in between: a trial of a hotfix.

use std::{
    io::{self, IsTerminal as _},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{
    runtime::Runtime,
    time::{Instant as Deadline, timeout_at},
};

use super::{
    beginning::Beginning,
    tui::{Look, Request, SLOW_NS, TimerScreen, WatchedNode},
};
use crate::{cli::ColorWhen, headline::DEFAULT_MAX_NS};
use host::{netns_owners::NetnsOwners, time};
use model::{Course, Output, Overview};

/// The screen, and what drives it while somebody waits.
pub struct Stage {
    runtime: Runtime,
    screen: TimerScreen,
    /// The terminal cannot be used any more.
    is_gone: bool,
}

/// Whether this process stands at a terminal that has room for a screen.
#[must_use]
pub fn is_at_terminal() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    !dumb && io::stdin().is_terminal() && io::stdout().is_terminal()
}

impl Stage {
    /// Takes the terminal.
    ///
    /// # Errors
    ///
    /// When it cannot be set up.
    pub fn open(beginning: &Beginning, color: ColorWhen) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let host = WatchedNode {
            release: beginning.release.clone(),
            hostname: beginning.hostname.clone(),
            possible_cpus: beginning.possible_cpus,
            root_netns: beginning.root_netns,
        };
        let screen = {
            let _inside = runtime.enter();
            let look = Look::from_environment(false, color);
            TimerScreen::open(host, look, SLOW_NS, DEFAULT_MAX_NS)
                .context("the terminal cannot be used")?
        };
        Ok(Self {
            runtime,
            screen,
            is_gone: false,
        })
    }

    /// Takes what happened.
    pub fn feed(&mut self, outputs: &[Output]) {
        self.screen.feed(outputs);
    }

    /// Takes the sums.
    pub fn show(&mut self, overview: Overview) {
        self.screen.show(overview);
    }

    /// Takes who lives where.
    pub fn name(&mut self, owners: &NetnsOwners) {
        self.screen.name(owners.clone());
    }

    /// Takes what is being done, and how far it is.
    pub fn set_course(&mut self, course: Course) {
        self.screen.set_course(course);
    }

    /// Lets time pass, draws, and does what keys ask for; `true`: one asked to end, or the terminal is gone.
    pub fn wait(&mut self, duration: Duration) -> bool {
        if self.is_gone {
            sleep(duration);
            return true;
        }
        let Ok(is_to_end) = self.show_until(Instant::now() + duration) else {
            self.is_gone = true;
            return true;
        };
        is_to_end
    }

    fn show_until(&mut self, deadline: Instant) -> io::Result<bool> {
        loop {
            self.screen.draw(time::monotonic_ns()?)?;
            let input = self.runtime.block_on(async {
                timeout_at(Deadline::from_std(deadline), self.screen.input()).await
            });
            match input {
                // The time is over.
                Err(_) => return Ok(false),
                Ok(input) => {
                    if let Some(Request::Quit { .. }) = input? {
                        return Ok(true);
                    }
                    // Neither is a trial stopped half way, nor are its sums begun anew.
                }
            }
        }
    }

    /// Gives the terminal back.
    pub fn close(self) {
        // It is gone if it cannot be: there is nobody to tell.
        let _ = self.screen.close(false);
    }
}
