//! What happens around the estimators and to this process, looked at every tick.

use std::path::{Path, PathBuf};

use crate::surroundings::Surroundings;
use host::instances;
use model::{Topic, durations::readable};

/// A tick this late means that we were stopped, or got no CPU.
const STOPPED_NS: u64 = 3_000_000_000;

/// One thing that happened: what it is about, and a clause.
pub type News = (Topic, String);

/// What was seen last.
pub struct Lookout {
    root: PathBuf,
    surroundings: Surroundings,
    last_ns: u64,
}

impl Lookout {
    /// Looks for the first time, at `now_ns` of `CLOCK_MONOTONIC`. Returns what else there is: other instances.
    pub fn start(root: &Path, now_ns: u64) -> (Self, Vec<News>) {
        let mut lookout = Self {
            root: root.to_owned(),
            surroundings: Surroundings::read(root, &Surroundings::default()),
            last_ns: now_ns,
        };
        let news = lookout.look_at_instances();
        (lookout, news)
    }

    /// When it looked last, in nanoseconds of `CLOCK_MONOTONIC`.
    pub fn last_ns(&self) -> u64 {
        self.last_ns
    }

    /// Returns what happened since the last look.
    pub fn look(&mut self, now_ns: u64) -> Vec<News> {
        let late_ns = now_ns.saturating_sub(self.last_ns);
        self.last_ns = now_ns;
        let mut news = Vec::new();
        if late_ns >= STOPPED_NS {
            let text = format!(
                "this ipvs-latency did not run for {}: it was stopped, or got no CPU",
                readable(late_ns)
            );
            news.push((Topic::Stopped, text));
        }
        let now = Surroundings::read(&self.root, &self.surroundings);
        news.extend(self.become_known(now));
        news
    }

    /// Returns which other instances of this tool began or ended since the last call.
    pub fn look_at_instances(&mut self) -> Vec<News> {
        let mut now = self.surroundings.clone();
        now.set_instances(&instances::others(&self.root));
        self.become_known(now)
    }

    fn become_known(&mut self, now: Surroundings) -> Vec<News> {
        let news = now.news(&self.surroundings);
        self.surroundings = now;
        news
    }
}
