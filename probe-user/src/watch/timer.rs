//! `watch` where the timer estimates: the probes, and where what they say goes.

use std::path::Path;

use anyhow::Context as _;

use super::{
    beginning::Beginning,
    display::{self, Display},
    shown::{Ended, Shown},
    tui::Request,
};
use crate::{
    cli::{ColorWhen, WatchArgs},
    mechanism::instead_of_better,
};
use model::{Output, Span, Topic};
use monitor::Watcher;

/// The timer, watched.
pub struct WatchedTimer {
    watcher: Watcher,
    display: Display,
    /// A wait longer than so many nanoseconds is a stall.
    max_ns: u64,
}

impl WatchedTimer {
    /// Opens the form that was asked for, and shows the first look.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be set up, or standard output cannot be written.
    pub fn open(
        args: &WatchArgs,
        color: ColorWhen,
        root: &Path,
        (mut watcher, outputs): (Watcher, Vec<Output>),
    ) -> anyhow::Result<Self> {
        let beginning = Beginning::new(
            root,
            watcher.started_ns(),
            &watcher.clock()?,
            watcher.root_netns(),
            watcher.chosen().mechanism,
        );
        let mut display = Display::open(args, color, &beginning)?;
        display.name(&watcher);
        display.outputs(&outputs)?;
        if let Some(hidden) = watcher.owners().told_hidden() {
            display.warn(&watcher, hidden)?;
        }
        if let Some(instead) = instead_of_better(watcher.chosen()) {
            display.warn(&watcher, instead)?;
        }
        display.ticked(&mut watcher)?;
        Ok(Self {
            watcher,
            display,
            max_ns: args.max_ns(),
        })
    }
}

impl Shown for WatchedTimer {
    fn has_screen(&self) -> bool {
        matches!(self.display, Display::Screen(_))
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        self.display.outputs(&self.watcher.tick()?)?;
        self.display.ticked(&mut self.watcher)
    }

    fn interval(&mut self) -> anyhow::Result<()> {
        self.display.interval(&mut self.watcher)
    }

    async fn input(&mut self) -> anyhow::Result<Option<Request>> {
        self.display.input().await
    }

    fn answer(&mut self, request: Request) -> anyhow::Result<()> {
        match request {
            Request::Quit { .. } => {}
            Request::Suspend => self.display.suspend()?,
            Request::Reset => {
                self.display.outputs(&self.watcher.reset()?)?;
                self.display.ticked(&mut self.watcher)?;
            }
            Request::Mark => {
                let mark = self.watcher.notice(Topic::Mark, "marked".into())?;
                self.display.outputs(&[mark])?;
            }
        }
        Ok(())
    }

    fn resume(&mut self) -> anyhow::Result<()> {
        self.display.resume()
    }

    fn draw(&mut self, now_ns: u64) -> anyhow::Result<()> {
        self.display.draw(now_ns)
    }

    fn end(self, ended: Ended) -> anyhow::Result<()> {
        let mut watcher = self.watcher;
        match self.display {
            Display::Screen(screen) => screen
                .close(ended == Ended::KeepScreen)
                .context(display::CANNOT_WRITE),
            Display::Stream(mut sink) => {
                let mut last = watcher.tick()?;
                last.extend(watcher.flush());
                last.sort_by_key(Output::start_ns);
                sink.outputs(&last).context(display::CANNOT_WRITE)?;
                drop(last);
                // One after the other: of many namespaces each is large.
                let interval = watcher.interval()?;
                sink.interval(&interval).context(display::CANNOT_WRITE)?;
                drop(interval);
                let worst = watcher.overview()?.worst(Span::All, self.max_ns);
                let summary = watcher.summary()?;
                sink.summary(&summary, worst).context(display::CANNOT_WRITE)
            }
        }
    }
}
