//! What the estimators of a made node did, and are to do.

use std::{ops::Range, time::Duration};

use probe_ebpf::Event;

use model::Topic;

/// Linux 6.1 sets the timer for two seconds, and at 250 Hz its wheel rounds up by 16 ms.
pub(super) const PERIOD: Duration = Duration::from_millis(2_016);

/// What the estimator does while a livepatch of it is enabled and its transition is over.
#[derive(Debug, Clone, Copy)]
pub struct Under {
    /// How long a run takes, over a list of 30,000 entries.
    pub takes: Duration,
    /// How far ahead it sets its timer; `None`: it does not.
    pub period: Option<Duration>,
    /// Whether the timer calls code of the livepatch's module from then on.
    pub keeps_timer: bool,
}

impl Default for Under {
    fn default() -> Self {
        Self {
            takes: Duration::from_micros(2),
            period: Some(PERIOD),
            keeps_timer: false,
        }
    }
}

/// What cannot be had.
#[derive(Debug, Default, Clone, Copy)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is one thing that a test takes away"
)]
pub(super) struct Refusals {
    /// The probes cannot be attached.
    pub(super) attach: bool,
    /// They cannot be read.
    pub(super) read: bool,
    /// The timers cannot be seen.
    pub(super) timers: bool,
    /// A look at the estimators is cut short.
    pub(super) whole: bool,
}

/// One of them.
pub(super) struct MadeEstimator {
    pub(super) netns: u32,
    /// When its timer expires; `None`: it is not pending.
    pub(super) due: Option<Duration>,
    /// The function that it calls.
    pub(super) function: u64,
    /// `None` where the kernel has no such switch.
    pub(super) run_estimation: Option<i32>,
    /// Since the probes were attached.
    pub(super) runs: u64,
    pub(super) length: i32,
}

/// All of them, and the probes on them.
pub(super) struct MadeEstimators {
    pub(super) all: Vec<MadeEstimator>,
    pub(super) under: Under,
    pub(super) takes: Duration,
    pub(super) events: Vec<Event>,
    pub(super) are_probed: bool,
    pub(super) notices: Vec<(Topic, &'static str)>,
    pub(super) softirq_ns: u64,
    pub(super) refusals: Refusals,
    /// So many requests to set a switch are refused.
    pub(super) refused_switches: u32,
}

impl Default for MadeEstimators {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            under: Under::default(),
            takes: Duration::from_millis(4),
            events: Vec::new(),
            are_probed: false,
            notices: Vec::new(),
            softirq_ns: 0,
            refusals: Refusals::default(),
            refused_switches: 0,
        }
    }
}

impl MadeEstimators {
    /// Returns whether a timer is set that calls code there.
    pub(super) fn call(&self, code: &Range<u64>) -> bool {
        let mut set = self.all.iter().filter(|one| one.due.is_some());
        set.any(|one| code.contains(&one.function))
    }

    pub(super) fn of(&self, netns: u32) -> Option<&MadeEstimator> {
        self.all.iter().find(|one| one.netns == netns)
    }

    pub(super) fn of_mut(&mut self, netns: u32) -> Option<&mut MadeEstimator> {
        self.all.iter_mut().find(|one| one.netns == netns)
    }
}
