//! One namespace's estimator between two snapshots: which of its runs have no record, and the signs
//! that its state is told by.

use probe_ebpf::{
    Event, Snapshot,
    snapshot::{PENDING, PENDING_UNKNOWN},
};

use super::{
    NextRun,
    clock::Clock,
    state::{SLOW_PERIOD_NS, Signs},
    wheel,
};

/// A timer that is not pending may be running: but for no longer than this, under half of what the
/// kernel's own detector of soft lockups takes.
const LONGEST_RUN_NS: u64 = 10_000_000_000;

/// A run is counted first and stamped with its start afterwards, by a CPU that may be interrupted, or
/// a virtual one that is not scheduled, in between. A run stamped no later than this after a snapshot is
/// taken as counted in it: at worst that hides a missed one until the next tick.
const STAMPED_WITHIN_NS: u64 = 10_000_000;

/// No run can visit an estimator in less: on Linux 6.1 and one CPU it takes 129 instructions, and more with every
/// possible CPU.
const VISIT_MIN_NS: u64 = 5;

/// From this length on, a run that visits all of its list takes longer than any that visits none.
const SKIM_MIN_ESTIMATORS: u32 = 1_000;

/// One that was never seen to wait or run may be in a run that began before the probes were there: so many looks
/// without a sign of life are asked for.
const IDLE_LOOKS_UNSEEN: u32 = 3;

/// Runs found to have no record since the snapshot before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unrecorded {
    /// The ring buffer was full.
    pub lost: u64,
    /// The probes did not see them, or saw them begin and not end.
    pub missed: u64,
}

/// What an estimator looked like in a snapshot.
#[derive(Debug, Clone, Copy)]
struct Look {
    now_ns: u64,
    jiffies: u64,
    pending: bool,
    /// Whether it is pending is known.
    is_known: bool,
    expires: u64,
    runs: u64,
    generation: u32,
}

impl Look {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            now_ns: snapshot.now_ns,
            jiffies: snapshot.jiffies,
            pending: snapshot.pending == PENDING,
            is_known: snapshot.pending != PENDING_UNKNOWN,
            expires: snapshot.expires,
            runs: snapshot.runs,
            generation: snapshot.generation,
        }
    }
}

/// An expiry that was once found more than [`SLOW_PERIOD_NS`] ahead.
#[derive(Debug, Clone, Copy)]
struct FarExpiry {
    expires: u64,
    ahead_ns: u64,
}

/// What is known of the estimator at one `struct netns_ipvs`.
///
/// In a tick the snapshot is taken before the records are read, but the records are fed first: so every
/// run that the snapshot counted has its record here, unless it is still under way or has none.
#[derive(Debug)]
pub struct Estimator {
    netns: u32,
    /// The session's own note: the number of the last snapshot that it was in.
    pub seen_in: u64,
    /// Runs and lost runs that the programs had counted before this was begun.
    runs_before: u64,
    lost_before: u64,
    /// Records of runs; of them, those begun after the last snapshot, and after the one to come.
    records: u64,
    records_since_look: u64,
    records_since_next: u64,
    records_in_tick: u64,
    /// When the look to come was taken: it comes before the records, and is looked at after them.
    next_look_ns: Option<u64>,
    lost: u64,
    /// Missed runs that were seen to begin.
    missed_midway: u64,
    look: Option<Look>,
    /// The last look that found it waiting, and the records since.
    waiting: Option<Look>,
    records_since_waiting: u64,
    /// It was seen to wait or to run.
    alive: bool,
    /// How many looks in a row found it neither waiting nor running.
    idle_looks: u32,
    /// When the count of runs was last found higher than before.
    grew_ns: u64,
    running_on: Option<u32>,
    last_start_ns: Option<u64>,
    far_expiry: Option<FarExpiry>,
    period_ns: Option<u64>,
    next_run: Option<NextRun>,
    signs: Signs,
    /// The length of the list, if the last run was too short to visit it.
    skimmed_last: Option<u32>,
}

impl Estimator {
    /// One that nothing is known of yet.
    #[must_use]
    pub fn new(netns: u32) -> Self {
        Self {
            netns,
            seen_in: 0,
            runs_before: 0,
            lost_before: 0,
            records: 0,
            records_since_look: 0,
            records_since_next: 0,
            records_in_tick: 0,
            next_look_ns: None,
            lost: 0,
            missed_midway: 0,
            look: None,
            waiting: None,
            records_since_waiting: 0,
            alive: false,
            idle_looks: 0,
            grew_ns: 0,
            running_on: None,
            last_start_ns: None,
            far_expiry: None,
            period_ns: None,
            next_run: None,
            signs: Signs::default(),
            skimmed_last: None,
        }
    }

    /// Inode number of its network namespace.
    #[must_use]
    pub fn netns(&self) -> u32 {
        self.netns
    }

    /// What its state is told by, as of the last snapshot. `None` while it was never seen to wait or
    /// run, and not yet seen to do neither.
    #[must_use]
    pub fn signs(&self) -> Option<Signs> {
        (self.alive || self.signs.gone).then_some(self.signs)
    }

    /// The CPU that a run of it was under way on at the last snapshot, and has not ended since.
    #[must_use]
    pub fn running_on(&self) -> Option<u32> {
        self.running_on
    }

    /// Whether its last two runs visited the estimators, as far as can be told.
    #[must_use]
    pub fn visits(&self) -> bool {
        !self.signs.switched_off && self.signs.skimmed.is_none()
    }

    /// Time between the last two times that the timer was set, in nanoseconds: the period of its runs.
    #[must_use]
    pub fn period_ns(&self) -> Option<u64> {
        self.period_ns
    }

    /// The run that was due next at the last snapshot.
    #[must_use]
    pub fn next_run(&self) -> Option<NextRun> {
        self.next_run
    }

    /// Notes when the look was taken that will follow the next records.
    pub fn expect_look(&mut self, now_ns: u64) {
        self.next_look_ns = Some(now_ns);
    }

    /// Takes the record of a run.
    pub fn record(&mut self, run: &Event) {
        let begun_since = |now_ns: u64| u64::from(run.start_ns >= now_ns + STAMPED_WITHIN_NS);
        self.alive = true;
        self.running_on = None;
        self.records += 1;
        self.records_in_tick += 1;
        self.records_since_look += self.look.map_or(0, |look| begun_since(look.now_ns));
        self.records_since_next += self.next_look_ns.map_or(0, begun_since);
        if let Some(last_start_ns) = self.last_start_ns {
            self.signs.gap_ns = Some(run.start_ns.saturating_sub(last_start_ns));
        }
        self.last_start_ns = Some(run.start_ns);
        // Nothing makes a run shorter, but much makes one longer: a single long one proves no visit.
        let skimmed = skimmed(run);
        self.signs.skimmed = skimmed.or(self.skimmed_last);
        self.skimmed_last = skimmed;
    }

    /// Whether a snapshot shows another namespace's estimator, at the address that this one had.
    #[must_use]
    pub fn is_another(&self, found: &Snapshot) -> bool {
        self.look.is_some_and(|before| {
            found.runs < before.runs
                || found.generation != before.generation
                || found.netns != self.netns
        })
    }

    /// Looks at its part of a snapshot. `first` says that it is the session's first snapshot: then the
    /// programs have counted nothing but what belongs to the session.
    pub fn look(&mut self, snapshot: &Snapshot, first: bool, clock: &Clock) -> Unrecorded {
        if self.is_another(snapshot) {
            self.start_afresh(snapshot.netns);
        }
        self.netns = snapshot.netns;
        if self.look.is_none() && !first {
            self.take_as_before_our_time(snapshot);
        }
        let look = Look::of(snapshot);
        let before = self.look.replace(look);
        self.alive |= look.pending;
        if before.is_none_or(|before| look.runs > before.runs) {
            self.grew_ns = look.now_ns;
        }
        let unrecorded = self.unrecorded(before, look, snapshot.lost);
        if unrecorded != Unrecorded::default() {
            // The gap to the next recorded run spans more than one period.
            self.last_start_ns = None;
            self.signs.gap_ns = None;
        }
        let running = self.may_be_running(look) && self.without_record(look.runs, self.records) > 0;
        self.running_on = running.then_some(snapshot.cpu);
        let idle = !running && before.is_some_and(|before| self.idle_between(before, look));
        self.idle_looks = if idle { self.idle_looks + 1 } else { 0 };
        let enough = if self.alive { 1 } else { IDLE_LOOKS_UNSEEN };
        self.signs.gone = self.idle_looks >= enough;
        self.signs.switched_off = snapshot.run_estimation == 0;
        if self.signs.switched_off {
            // That run was short because of the switch, and says nothing of the time after it.
            self.skimmed_last = None;
        }
        self.signs.far_expiry_ns = self.far_expiry_ns(look, clock);
        self.period_ns = before
            .and_then(|before| period_ns(before, look, clock))
            .or(self.period_ns);
        self.next_run = Self::due(snapshot, clock);
        self.records_since_look = std::mem::take(&mut self.records_since_next);
        self.records_in_tick = 0;
        self.next_look_ns = None;
        unrecorded
    }

    fn due(found: &Snapshot, clock: &Clock) -> Option<NextRun> {
        let left = wheel::turn(found.expires, found.level).saturating_sub(found.jiffies);
        (found.pending == PENDING).then(|| NextRun {
            due_ns: found.now_ns.saturating_add(clock.jiffies_ns(left)),
            cpu: found.cpu,
            netns: found.netns,
        })
    }

    /// Begins with another namespace that was given the address of one that is gone.
    fn start_afresh(&mut self, netns: u32) {
        *self = Self {
            records: self.records_since_next,
            records_since_next: self.records_since_next,
            ..Self::new(netns)
        };
    }

    /// Whatever the programs have counted and no record tells of was there before us.
    fn take_as_before_our_time(&mut self, snapshot: &Snapshot) {
        let recorded = self.records - self.records_since_next;
        self.runs_before = snapshot.runs.saturating_sub(recorded);
        self.lost_before = snapshot.lost;
    }

    fn unrecorded(&mut self, before: Option<Look>, look: Look, lost: u64) -> Unrecorded {
        let lost = lost.saturating_sub(self.lost_before);
        let found = lost.saturating_sub(self.lost);
        self.lost = lost;
        let skipped = u64::from(self.skipped(look));
        let midway = before.map_or(0, |before| self.missed_midway(before, look));
        Unrecorded {
            lost: found,
            missed: midway + skipped,
        }
    }

    /// Whether the timer was set anew without a run that the programs saw begin. A look in the middle of such a run
    /// finds the timer not pending and not yet set: it tells nothing, and the next one is held against the last that
    /// found it waiting.
    fn skipped(&mut self, look: Look) -> bool {
        self.records_since_waiting += self.records_in_tick;
        let skipped = self.waiting.is_some_and(|waiting| {
            // A run between the two reads that make one snapshot is not in its count, but its record is here.
            look.expires != waiting.expires
                && look.runs == waiting.runs
                && self.records_since_waiting == 0
        });
        if look.pending || skipped {
            self.waiting = Some(look);
            self.records_since_waiting = 0;
        }
        skipped
    }

    /// Runs newly found to have begun by the snapshot before and to have no record yet.
    fn missed_midway(&mut self, before: Look, look: Look) -> u64 {
        let recorded = self.records - self.records_since_look;
        let under_way = u64::from(self.may_be_running(look));
        let missed = self
            .without_record(before.runs, recorded)
            .saturating_sub(under_way);
        self.missed_midway += missed;
        missed
    }

    /// Of the `runs` that the programs have counted: those with none of the `records`, and not known to
    /// be lost or missed.
    fn without_record(&self, runs: u64, records: u64) -> u64 {
        let accounted_for = self.runs_before + records + self.lost + self.missed_midway;
        runs.saturating_sub(accounted_for)
    }

    fn idle_between(&self, before: Look, look: Look) -> bool {
        let ran = look.runs != before.runs || self.records_in_tick > 0;
        look.is_known && before.is_known && !before.pending && !look.pending && !ran
    }

    fn may_be_running(&self, look: Look) -> bool {
        !look.pending && look.now_ns.saturating_sub(self.grew_ns) < LONGEST_RUN_NS
    }

    /// Once far, an expiry stays far while it draws near: it is the period that is slow.
    fn far_expiry_ns(&mut self, look: Look, clock: &Clock) -> Option<u64> {
        if let Some(far) = self.far_expiry.filter(|far| far.expires == look.expires) {
            return Some(far.ahead_ns);
        }
        let ahead = look.expires.saturating_sub(look.jiffies);
        let ahead_ns = clock.jiffies_ns(ahead);
        let far = look.pending && ahead_ns > SLOW_PERIOD_NS;
        self.far_expiry = far.then_some(FarExpiry {
            expires: look.expires,
            ahead_ns,
        });
        far.then_some(ahead_ns)
    }
}

/// The timer is set at the end of a run, each time as far ahead: from one setting to the next is a period. A
/// snapshot a second misses none of them, if there was a run or none between two.
fn period_ns(before: Look, look: Look, clock: &Clock) -> Option<u64> {
    let once = before.pending && look.pending && look.runs == before.runs + 1;
    let moved = look.expires.checked_sub(before.expires)?;
    (once && moved > 0).then(|| clock.jiffies_ns(moved))
}

/// The length of the list that a run was too short to have visited.
fn skimmed(run: &Event) -> Option<u32> {
    let estimators = u32::try_from(run.estimators).ok()?;
    is_too_short(run.duration_ns, estimators).then_some(estimators)
}

/// Returns whether a run was too short to have visited a list of `estimators`.
#[must_use]
pub fn is_too_short(duration_ns: u64, estimators: u32) -> bool {
    estimators >= SKIM_MIN_ESTIMATORS && duration_ns < u64::from(estimators) * VISIT_MIN_NS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_too_short_for_a_list_that_takes_longer_to_visit() {
        let visit_ns = u64::from(SKIM_MIN_ESTIMATORS) * VISIT_MIN_NS;
        for (duration_ns, estimators, is_short) in [
            (visit_ns - 1, SKIM_MIN_ESTIMATORS, true),
            (visit_ns, SKIM_MIN_ESTIMATORS, false),
            (0, SKIM_MIN_ESTIMATORS - 1, false),
        ] {
            assert_eq!(is_too_short(duration_ns, estimators), is_short);
        }
    }
}
