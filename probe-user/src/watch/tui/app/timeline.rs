//! The longest run of every second of the last hour, and what happened in it, in constant memory.

use std::ops::Range;

use model::{Output, State, Topic};

/// Seconds that are kept.
pub const SECONDS: u64 = 3_600;

const SECOND_NS: u64 = 1_000_000_000;

/// What a column of the timeline can point at. Where several meet, the one that stands first here is
/// shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// An estimator was found dead.
    Dead,
    /// `ip_vs` was unloaded or loaded.
    IpVs,
    /// A livepatch came or went.
    Livepatch,
    /// Another change of state.
    State,
    /// A moment marked by the user.
    Mark,
    /// The counts were reset.
    Reset,
    /// CPUs came or went.
    Cpus,
    /// This process was stopped for a while.
    Stopped,
    /// The wall clock stepped.
    Clock,
    /// Another `ipvs-latency` began or ended.
    Instance,
    /// A start or stop waited for a run.
    LockWait,
}

impl Moment {
    /// All, the first first.
    pub const ALL: [Self; 11] = [
        Self::Dead,
        Self::IpVs,
        Self::Livepatch,
        Self::State,
        Self::Mark,
        Self::Reset,
        Self::Cpus,
        Self::Stopped,
        Self::Clock,
        Self::Instance,
        Self::LockWait,
    ];

    /// What stands below the column, and what it means.
    #[must_use]
    pub fn letter(self) -> (&'static str, &'static str) {
        match self {
            Self::Dead => ("D", "DEAD"),
            Self::IpVs => ("I", "ip_vs"),
            Self::Livepatch => ("L", "livepatch"),
            Self::State => ("S", "state"),
            Self::Mark => ("M", "mark"),
            Self::Reset => ("R", "reset"),
            Self::Cpus => ("C", "CPUs"),
            Self::Stopped => ("Z", "stopped"),
            Self::Clock => ("T", "clock"),
            Self::Instance => ("O", "other instance"),
            Self::LockWait => ("W", "lock wait"),
        }
    }

    fn of(output: &Output) -> Option<Self> {
        Some(match output {
            Output::Call(_) => return None,
            Output::LockWait(_) => Self::LockWait,
            Output::StateChange(change) if change.to == State::Dead => Self::Dead,
            Output::StateChange(_) => Self::State,
            Output::Notice(notice) => match notice.topic {
                Topic::IpVs => Self::IpVs,
                Topic::Livepatch => Self::Livepatch,
                Topic::Cpus => Self::Cpus,
                Topic::Instance => Self::Instance,
                Topic::Stopped => Self::Stopped,
                Topic::Clock => Self::Clock,
                Topic::Mark => Self::Mark,
                Topic::Access
                | Topic::Calibration
                | Topic::Kprobes
                | Topic::Length
                | Topic::Limit => return None,
            },
        })
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Some moments, each once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moments(u16);

impl Moments {
    /// Those in here, the first first.
    pub fn iter(self) -> impl Iterator<Item = Moment> {
        let all = Moment::ALL.into_iter();
        all.filter(move |moment| self.0 & moment.bit() != 0)
    }

    /// These and those.
    #[must_use]
    pub fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }
}

/// What some seconds came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Column {
    /// The longest run that began in them, in nanoseconds; 0: none.
    pub max_ns: u64,
    /// What happened in them.
    pub moments: Moments,
    /// Runs would have been seen, in one of them at least.
    pub observed: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Second {
    number: u64,
    column: Column,
}

/// A ring of seconds, numbered as `CLOCK_MONOTONIC` counts them.
#[derive(Debug, Clone)]
pub struct Timeline {
    ring: Box<[Second]>,
    newest: u64,
}

impl Default for Timeline {
    fn default() -> Self {
        let seconds = usize::try_from(SECONDS).expect("an hour's seconds fit any usize");
        Self {
            ring: vec![Second::default(); seconds].into(),
            newest: 0,
        }
    }
}

impl Timeline {
    /// Adds what came.
    pub fn push(&mut self, output: &Output) {
        let start_ns = output.start_ns();
        if let Output::Call(call) = output
            && let Some(column) = self.at(start_ns)
        {
            column.max_ns = column.max_ns.max(call.duration_ns);
            column.observed = true;
        }
        if let Some(moment) = Moment::of(output) {
            self.note(start_ns, moment);
        }
    }

    /// Notes that something happened.
    pub fn note(&mut self, at_ns: u64, moment: Moment) {
        if let Some(column) = self.at(at_ns) {
            column.moments.0 |= moment.bit();
        }
    }

    /// From `from_ns` to `to_ns` every run was seen.
    pub fn observed(&mut self, from_ns: u64, to_ns: u64) {
        let last = to_ns / SECOND_NS;
        let first = (from_ns / SECOND_NS).max(last.saturating_sub(SECONDS - 1));
        for second in first..=last {
            if let Some(column) = self.at(second * SECOND_NS) {
                column.observed = true;
            }
        }
    }

    /// The second of a moment, cleared of what stood there an hour ago; `None`: it is older than what is kept,
    /// and a newer second has its place.
    fn at(&mut self, at_ns: u64) -> Option<&mut Column> {
        let number = at_ns / SECOND_NS;
        if number < self.oldest() {
            return None;
        }
        self.newest = self.newest.max(number);
        let second = &mut self.ring[place(number)];
        if number > second.number {
            *second = Second {
                number,
                column: Column::default(),
            };
        }
        Some(&mut second.column)
    }

    /// The number of the first second that is kept.
    fn oldest(&self) -> u64 {
        (self.newest + 1).saturating_sub(SECONDS)
    }

    /// What the seconds of `numbers` came to.
    #[must_use]
    pub fn column(&self, numbers: Range<u64>) -> Column {
        let mut sum = Column::default();
        // What no later second has overwritten yet is older than what is kept.
        for number in numbers.start.max(self.oldest())..numbers.end {
            let second = &self.ring[place(number)];
            if second.number == number {
                sum.max_ns = sum.max_ns.max(second.column.max_ns);
                sum.moments = sum.moments.and(second.column.moments);
                sum.observed |= second.column.observed;
            }
        }
        sum
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number % SECONDS).unwrap_or(0)
}
