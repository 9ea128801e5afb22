//! `watch` where kernel threads estimate (Linux 6.2 on): the probes, and where what they say goes.

mod json;
#[cfg(test)]
pub mod made;
mod period;
mod sink;
mod text;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use self::sink::ThreadSink;
pub use self::{
    period::ThreadPeriod,
    text::{STATEMENT, chain, sentences},
};
use super::{
    beginning::Beginning,
    display::{CANNOT_WRITE, wants_screen},
    shown::{Ended, Shown},
    tui::{Look, Request, SLOW_NS, ThreadScreen, WatchedNode},
};
use crate::{
    cli::{ColorWhen, WatchArgs},
    kernel_threads,
    width::for_stderr,
};
use host::netns_owners::NetnsOwners;
use model::{
    Options, Topic,
    threads::{ThreadOutput, ThreadSums},
};
use monitor::{ThreadWatcher, mechanism::Mechanism, threads::Threads};

/// Kernel threads, watched.
pub struct WatchedThreads {
    watcher: ThreadWatcher,
    form: Form,
    root: PathBuf,
}

enum Form {
    Stream(ThreadSink),
    Screen(Box<ThreadScreen>),
}

impl WatchedThreads {
    /// Attaches the probes, opens the form that was asked for, and shows the first look.
    ///
    /// # Errors
    ///
    /// When this host cannot be measured, the terminal cannot be set up, or standard output cannot be written.
    pub fn open(
        args: &WatchArgs,
        color: ColorWhen,
        root: &Path,
        options: Options,
    ) -> anyhow::Result<Self> {
        let (watcher, outputs) = ThreadWatcher::start(root, options)?;
        let beginning = Beginning::new(
            root,
            watcher.started_ns(),
            &watcher.clock()?,
            watcher.root_netns(),
            Mechanism::Bpf,
        );
        if args.max.is_some() {
            warn(
                "--max has no effect here: kernel threads estimate, and no softirq waits for them",
            );
        }
        if args.via.is_some() {
            warn("--via has no effect here: kernel threads estimate, and eBPF alone measures them");
        }
        if let Some(hidden) = watcher.owners().told_hidden() {
            warn(&hidden);
        }
        let form = if wants_screen(args) {
            let node = WatchedNode {
                release: beginning.release.clone(),
                hostname: beginning.hostname.clone(),
                possible_cpus: beginning.possible_cpus,
                root_netns: beginning.root_netns,
            };
            let look = Look::from_environment(args.ascii, color);
            let slow_ns = args.slow_ns().unwrap_or(SLOW_NS);
            let screen = ThreadScreen::open(node, look, slow_ns);
            Form::Screen(Box::new(screen.context("the terminal cannot be used")?))
        } else {
            let mut sink = ThreadSink::new(args, color, beginning.root_netns);
            sink.start(&beginning).context(CANNOT_WRITE)?;
            sink.name(watcher.owners());
            Form::Stream(sink)
        };
        let mut shown = Self {
            watcher,
            form,
            root: root.to_owned(),
        };
        shown.outputs(&outputs)?;
        shown.show_sums()?;
        Ok(shown)
    }

    fn outputs(&mut self, outputs: &[ThreadOutput]) -> anyhow::Result<()> {
        match &mut self.form {
            Form::Stream(sink) => sink.outputs(outputs).context(CANNOT_WRITE),
            Form::Screen(screen) => {
                screen.feed(outputs);
                Ok(())
            }
        }
    }

    fn period(&self, sums: ThreadSums, read: Threads, owners: &NetnsOwners) -> ThreadPeriod {
        let seen = kernel_threads::told(&self.root, &read, owners);
        ThreadPeriod { sums, read, seen }
    }

    fn show_sums(&mut self) -> anyhow::Result<()> {
        if !self.has_screen() {
            return Ok(());
        }
        let owners = self.watcher.owners();
        let period = self.period(self.watcher.sums()?, self.watcher.threads(), owners);
        if let Form::Screen(screen) = &mut self.form {
            screen.show(period);
        }
        Ok(())
    }

    /// Looks up again who lives where, if it is time to and anyone is shown it.
    fn name(&mut self) {
        match &mut self.form {
            Form::Stream(sink) if sink.wants_names() => {
                if let Some(owners) = self.watcher.new_names() {
                    sink.name(owners);
                }
            }
            Form::Stream(_) => {}
            Form::Screen(_) => {
                self.watcher.new_names();
            }
        }
    }
}

impl Shown for WatchedThreads {
    fn has_screen(&self) -> bool {
        matches!(self.form, Form::Screen(_))
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        let outputs = self.watcher.tick()?;
        self.outputs(&outputs)?;
        self.name();
        self.show_sums()
    }

    fn interval(&mut self) -> anyhow::Result<()> {
        if !matches!(&self.form, Form::Stream(sink) if sink.wants_intervals()) {
            return Ok(());
        }
        let (outputs, sums, read) = self.watcher.interval()?;
        self.outputs(&outputs)?;
        let period = self.period(sums, read, self.watcher.owners());
        match &mut self.form {
            Form::Stream(sink) => sink.interval(&period).context(CANNOT_WRITE),
            Form::Screen(_) => Ok(()),
        }
    }

    async fn input(&mut self) -> anyhow::Result<Option<Request>> {
        match &mut self.form {
            Form::Stream(_) => std::future::pending().await,
            Form::Screen(screen) => screen.input().await.context("the terminal cannot be read"),
        }
    }

    fn answer(&mut self, request: Request) -> anyhow::Result<()> {
        match request {
            Request::Quit { .. } => {}
            Request::Suspend => {
                if let Form::Screen(screen) = &mut self.form {
                    screen.suspend().context(CANNOT_WRITE)?;
                }
            }
            Request::Reset => {
                let outputs = self.watcher.reset()?;
                self.outputs(&outputs)?;
                self.show_sums()?;
            }
            Request::Mark => {
                let mark = self.watcher.notice(Topic::Mark, "marked".into())?;
                self.outputs(&[mark])?;
            }
        }
        Ok(())
    }

    fn resume(&mut self) -> anyhow::Result<()> {
        match &mut self.form {
            Form::Stream(_) => Ok(()),
            Form::Screen(screen) => screen.resume().context(CANNOT_WRITE),
        }
    }

    fn draw(&mut self, now_ns: u64) -> anyhow::Result<()> {
        match &mut self.form {
            Form::Stream(_) => Ok(()),
            Form::Screen(screen) => screen.draw(now_ns).context(CANNOT_WRITE),
        }
    }

    fn end(mut self, ended: Ended) -> anyhow::Result<()> {
        if !self.has_screen() {
            let outputs = self.watcher.tick()?;
            self.outputs(&outputs)?;
            self.interval()?;
        }
        let mut sink = match self.form {
            Form::Stream(sink) => sink,
            Form::Screen(screen) => {
                return screen
                    .close(ended == Ended::KeepScreen)
                    .context(CANNOT_WRITE);
            }
        };
        let (sums, read) = self.watcher.summary()?;
        let seen = kernel_threads::told(&self.root, &read, self.watcher.owners());
        let period = ThreadPeriod { sums, read, seen };
        sink.summary(&period).context(CANNOT_WRITE)
    }
}

fn warn(clause: &str) {
    eprintln!("{}", for_stderr(&format!("warning: {clause}")));
}

#[cfg(test)]
mod tests;
