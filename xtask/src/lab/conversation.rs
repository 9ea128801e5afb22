//! One guest from its boot to its end: what it says, and everything that can cut it short.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::console::{self, Console};
use super::event::{Event, Stage};
use super::machine::Machine;
use super::snapshot::Wanted;
use super::traffic::{self, Talk};
use super::{KERNEL_PANIC, TIME_LIMIT};
use crate::wire::{Fill, Run, ToGuest};

/// How long a command may take to obey a signal before the guest is stopped.
const GRACE: Duration = Duration::from_secs(10);

/// How long a guest may take until its command starts: several times what the slowest kind takes. One that hangs is
/// told from one whose command is slow.
const START_LIMIT: Duration = Duration::from_mins(4);

/// How much longer for each network namespace that the guest makes before: the kernel makes them one after the other.
const START_LIMIT_EACH_NAMESPACE: Duration = Duration::from_millis(200);

/// How a session ended.
pub struct Ended {
    /// The exit code to give.
    pub code: u8,
    /// What to tell the user about it, if anything.
    pub notice: Option<String>,
    /// Whether the command was cut off, with the guest that it ran in.
    pub is_cut_off: bool,
    /// Where the run was then.
    pub stage: Stage,
    /// Guest time it took to make services and destinations.
    pub filled_in: Duration,
    /// What the kernel wrote.
    pub console: String,
}

impl Ended {
    /// Whether the time limit was reached before the command could start.
    pub fn has_hung_early(&self) -> bool {
        self.code == TIME_LIMIT && self.is_cut_off && self.stage != Stage::Command
    }
}

/// The side of the user: what is shown there, and what changes there as the run goes on.
pub trait Listener {
    /// Shows in a few words what the run is at; an empty text takes that away.
    fn say(&mut self, text: &str);
    /// Called just before the command starts: from now on the streams are its own.
    ///
    /// # Errors
    /// When they cannot be handed over; the run then ends.
    fn hand_over(&mut self) -> Result<()>;
}

/// What becomes standard input when the command starts.
pub struct Feed {
    /// Where it comes from; without one it is empty.
    pub input: Option<Box<dyn Read + Send>>,
    /// The line it goes into.
    pub line: UnixStream,
    /// Where to tell that it has ended.
    pub events: Sender<Event>,
}

/// A guest that has been started.
pub struct Conversation {
    /// Its machine.
    pub machine: Machine,
    /// Where it is.
    pub stage: Stage,
    /// The snapshots to make of it on the way.
    pub snapshots: Wanted,
    /// Its console.
    pub console: Console,
    /// The way to tell it something.
    pub talk: Talk,
    /// Its standard input, until the command starts.
    pub feed: Option<Feed>,
    /// What IPVS is to hold.
    pub fill: Fill,
    /// What it is to do, until it has been told.
    pub run: Option<Box<Run>>,
    /// When it was started.
    pub started: Instant,
    /// How long all of it may take.
    pub time_limit: Duration,
    /// Whether the command may have the machine shut down or start again.
    pub shuts_down: bool,
}

/// Why the waiting is over.
enum End {
    /// The command ended.
    Exit { code: u8, filled_in: Duration },
    /// The machine stopped before.
    Gone,
    /// The time limit.
    TimeLimit { whereabouts: String },
    /// A signal to this process.
    Signal(i32),
    /// PID 1, or what feeds it, gave up.
    Failed(String),
}

impl Conversation {
    /// Goes on until the run is over, one way or another; the machine has stopped then.
    pub fn hold(mut self, events: &Receiver<Event>, host: &mut dyn Listener) -> Result<Ended> {
        let end = self.wait(events, host);
        host.say("");
        let limit = self.time_limit();
        let status = self.machine.stop();
        let said = self.machine.complaints();
        let console = self.console.text();
        let tail = console::tail(&console);
        let mut filled = Duration::ZERO;
        let end = end?;
        let is_cut_off = !matches!(end, End::Exit { .. });
        let (code, notice) = match end {
            End::Exit { code, filled_in } => {
                filled = filled_in;
                (code, None)
            }
            End::Signal(number) => (128 + u8::try_from(number)?, None),
            End::TimeLimit { whereabouts } => (
                TIME_LIMIT,
                Some(format!(
                    "the time limit of {} s was reached {}; the guest was stopped\n{whereabouts}\n{tail}",
                    limit.as_secs(),
                    self.stage.words(),
                )),
            ),
            End::Gone if console::has_panicked(&console) => (
                KERNEL_PANIC,
                Some(format!("the guest's kernel panicked\n{tail}")),
            ),
            End::Gone if self.shuts_down && console::has_shut_down(&console) => (0, None),
            End::Gone => bail!(
                "the guest stopped before its command did ({})\n{said}\n{tail}",
                status?
            ),
            End::Failed(why) => bail!("{why}"),
        };
        Ok(Ended {
            code,
            notice: notice.map(|notice| notice.trim_end().to_owned()),
            is_cut_off,
            stage: self.stage,
            console,
            filled_in: filled,
        })
    }

    fn wait(&mut self, events: &Receiver<Event>, host: &mut dyn Listener) -> Result<End> {
        let mut lines = Vec::new();
        let mut last_signal = None;
        self.enter(self.stage, host)?;
        loop {
            let left = self.deadline().saturating_duration_since(Instant::now());
            let event = match events.recv_timeout(left) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => {
                    return Ok(last_signal.map_or_else(|| self.too_late(), End::Signal));
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(End::Gone),
            };
            match event {
                Event::Booted => {
                    self.keep(Stage::Fill);
                    self.enter(Stage::Fill, host)?;
                }
                Event::Filled => {
                    self.keep(Stage::Ready);
                    self.enter(Stage::Ready, host)?;
                }
                Event::Starting => self.enter(Stage::Command, host)?,
                Event::Exit { code, filled_in } => return Ok(End::Exit { code, filled_in }),
                Event::Failed(why) => return Ok(End::Failed(why)),
                Event::Gone => return Ok(End::Gone),
                Event::Sent(line) => lines.push(line),
                Event::Resize(size) => self.talk.say(&ToGuest::Resize(size)),
                Event::Signal(number) if self.stage != Stage::Command || last_signal.is_some() => {
                    return Ok(End::Signal(number));
                }
                Event::Signal(number) => {
                    last_signal = Some(number);
                    let grace = self.started.elapsed() + GRACE;
                    self.time_limit = self.time_limit.min(grace);
                    self.talk.say(&ToGuest::Signal(number));
                }
            }
        }
    }

    fn time_limit(&self) -> Duration {
        match self.stage {
            Stage::Command => self.time_limit,
            _ => self.time_limit.min(start_limit(self.fill)),
        }
    }

    fn deadline(&self) -> Instant {
        self.started + self.time_limit()
    }

    fn too_late(&mut self) -> End {
        End::TimeLimit {
            whereabouts: self.machine.whereabouts(),
        }
    }

    /// Makes the snapshot of a guest that is about to enter `stage`, if that is wanted.
    fn keep(&mut self, stage: Stage) {
        if let Some(snapshot) = self.snapshots.take(stage) {
            // Without it the next guest takes longer to start, and that is all.
            let _ = snapshot.make(|file| self.machine.save(file));
        }
    }

    fn enter(&mut self, stage: Stage, host: &mut dyn Listener) -> Result<()> {
        self.stage = stage;
        match stage {
            Stage::Boot => {}
            Stage::Fill => {
                let estimators =
                    u64::from(self.fill.services) * (1 + u64::from(self.fill.destinations));
                if estimators > 0 {
                    host.say(&format!("filling {estimators} estimators ..."));
                }
                self.talk.say(&ToGuest::Fill(self.fill));
            }
            Stage::Ready => {
                if let Some(run) = self.run.take() {
                    self.talk.say(&ToGuest::Run(run));
                }
            }
            Stage::Command => {
                host.say("");
                host.hand_over()?;
                if let Some(feed) = self.feed.take() {
                    traffic::feed(feed.input, feed.line, feed.events);
                }
            }
        }
        Ok(())
    }
}

/// Returns how long a guest may take until its command starts.
fn start_limit(fill: Fill) -> Duration {
    START_LIMIT + START_LIMIT_EACH_NAMESPACE * fill.namespaces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_makes_more_namespaces_may_take_longer_to_start() {
        let limit = |namespaces| {
            start_limit(Fill {
                services: 10,
                destinations: 0,
                namespaces,
            })
        };
        assert_eq!(limit(0), START_LIMIT);
        assert!(limit(1_000) > limit(0));
        assert_eq!(
            limit(12_000) + limit(1_000),
            limit(11_000) + limit(2_000),
            "each takes as long"
        );
    }
}
