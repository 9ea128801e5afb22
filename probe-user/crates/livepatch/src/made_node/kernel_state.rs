//! What the kernel of a made node did, and is to do.

use std::{
    collections::{BTreeMap, VecDeque},
    os::fd::OwnedFd,
    time::Duration,
};

use nix::errno::Errno;

use crate::step::StepKind;

/// What becomes of a call into the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The kernel does what is asked for, after this time.
    Does(Duration),
    /// It refuses.
    Refuses(Errno),
    /// It never answers, and does nothing.
    Never,
    /// The process that makes the call dies.
    Dies,
    /// No process can be made for it.
    CannotBegin,
}

/// What the kernel did, and is to do.
pub(super) struct MadeKernel {
    /// For the next calls, each for one of its kind.
    pub(super) answers: VecDeque<(StepKind, Answer)>,
    /// How long a transition takes in each direction; `None`: it is never over.
    pub(super) patching: Option<Duration>,
    pub(super) unpatching: Option<Duration>,
    /// Whether a livepatch takes the place of all others.
    pub(super) replaces_others: bool,
    pub(super) calls: Vec<MadeCall>,
    /// How many transitions of each livepatch have begun: the last one alone comes to its end.
    pub(super) transitions: BTreeMap<String, u64>,
    pub(super) records: Vec<String>,
    pub(super) hides_log: bool,
    /// Where each module lies in memory.
    pub(super) places: BTreeMap<String, u64>,
    /// How often a process was left behind.
    pub(super) left_behind: usize,
    /// Why the node crashed, if it did.
    pub(super) crash: Option<String>,
}

impl Default for MadeKernel {
    fn default() -> Self {
        Self {
            answers: VecDeque::new(),
            patching: Some(Duration::from_secs(1)),
            unpatching: Some(Duration::from_secs(1)),
            replaces_others: false,
            calls: Vec::new(),
            transitions: BTreeMap::new(),
            records: Vec::new(),
            hides_log: false,
            places: BTreeMap::new(),
            left_behind: 0,
            crash: None,
        }
    }
}

/// A call that has begun.
pub(super) struct MadeCall {
    pub(super) kind: StepKind,
    pub(super) name: String,
    pub(super) will: Answer,
    pub(super) state: CallState,
}

/// How far a call is.
pub(super) enum CallState {
    /// The kernel has not answered. The pipe to the guard is held until it has.
    Open {
        /// Closed with this.
        _lifeline: Option<OwnedFd>,
    },
    /// It has.
    Answered(Result<(), Errno>),
    /// The process that made it is dead.
    Dead,
}
