//! Batches: runs that follow each other on one CPU so closely that nothing else got a chance between
//! them. The timer wheel makes them, one run a namespace.

use std::collections::BTreeMap;

use super::{Blackout, Call};

/// A run that begins sooner than this after the end of the one before it, on the same CPU, belongs to
/// the same batch.
const BATCH_GAP_NS: u64 = 20_000;

/// A batch that may go on.
#[derive(Debug)]
struct Batch {
    begin_ns: u64,
    end_ns: u64,
    /// What the batch comes to so far. Its duration is set at its end.
    sum: Blackout,
    /// The last call that is to be shown; it waits for the batch to end.
    last: Option<Call>,
}

/// What the batch kept from its CPU, from the beginning of its first run to the end of its last. A packet
/// waits for the timer wheel's steps between the runs as well, and for the probes: of 19 runs over one
/// estimator each, measured on Linux 6.1, the runs themselves are a sixth.
fn blackout_ns(batch: &Batch) -> u64 {
    batch.end_ns - batch.begin_ns
}

impl Batch {
    fn new(call: &Call) -> Self {
        Self {
            begin_ns: call.start_ns,
            end_ns: call.start_ns,
            sum: Blackout {
                cpu: call.cpu,
                ..Blackout::default()
            },
            last: None,
        }
    }

    fn goes_on_with(&self, call: &Call) -> bool {
        call.start_ns < self.end_ns.saturating_add(BATCH_GAP_NS)
    }

    /// Takes the next call, and gives back the one that thereby is not the last.
    fn push(&mut self, call: Call, shown: bool) -> Option<Call> {
        self.end_ns = self
            .end_ns
            .max(call.start_ns.saturating_add(call.duration_ns));
        self.sum.calls += 1;
        if call.duration_ns >= self.sum.longest_ns {
            self.sum.longest_ns = call.duration_ns;
            self.sum.netns = call.netns;
            self.sum.estimators = call.estimators;
        }
        if shown { self.last.replace(call) } else { None }
    }

    /// Ends it: its last call carries the blackout.
    fn end(self) -> Option<Call> {
        let blackout = Blackout {
            duration_ns: blackout_ns(&self),
            ..self.sum
        };
        self.last.map(|call| Call {
            blackout: Some(blackout),
            ..call
        })
    }
}

/// How long a blackout counts as one of the latest, at least.
const LATEST_NS: u64 = 6_000_000_000;

/// The longest blackout of the last seconds: of six to twelve, for a whole period and a half at least.
#[derive(Debug, Default)]
pub struct LatestBlackouts {
    since_ns: u64,
    now: Option<Blackout>,
    before: Option<Blackout>,
}

impl LatestBlackouts {
    /// Adds a blackout whose last run began at `start_ns`.
    pub fn push(&mut self, start_ns: u64, blackout: Blackout) {
        self.settle(start_ns);
        self.now = longer(self.now, Some(blackout));
    }

    /// Drops what is too old at `now_ns`.
    pub fn settle(&mut self, now_ns: u64) {
        let age_ns = now_ns.saturating_sub(self.since_ns);
        if age_ns >= LATEST_NS {
            self.before = self.now.take().filter(|_| age_ns < 2 * LATEST_NS);
            self.since_ns = now_ns;
        }
    }

    /// Returns the longest.
    #[must_use]
    pub fn longest(&self) -> Option<Blackout> {
        longer(self.now, self.before)
    }
}

fn longer(one: Option<Blackout>, other: Option<Blackout>) -> Option<Blackout> {
    one.into_iter()
        .chain(other)
        .max_by_key(|blackout| blackout.duration_ns)
}

/// The batches that may go on: at most one a CPU.
#[derive(Debug, Default)]
pub struct Batches {
    open: BTreeMap<u32, Batch>,
}

impl Batches {
    /// Takes the next call of its CPU. A call that is not to be shown (of a namespace not watched) only
    /// adds to its batch. Calls whose place in their batch is now known go to `ready`.
    pub fn push(&mut self, call: Call, shown: bool, ready: &mut Vec<Call>) {
        if let Some(batch) = self.open.get_mut(&call.cpu)
            && batch.goes_on_with(&call)
        {
            ready.extend(batch.push(call, shown));
            return;
        }
        let cpu = call.cpu;
        let mut batch = Batch::new(&call);
        batch.push(call, shown);
        let before = self.open.insert(cpu, batch);
        ready.extend(before.and_then(Batch::end));
    }

    /// Ends the batches that no further call can belong to at `now_ns`. On `busy` CPUs a run is under
    /// way that may have begun in time.
    pub fn settle(&mut self, now_ns: u64, busy: &[u32], ready: &mut Vec<Call>) {
        let over = self
            .open
            .extract_if(.., |cpu, batch| {
                now_ns.saturating_sub(batch.end_ns) >= BATCH_GAP_NS && !busy.contains(cpu)
            })
            .filter_map(|(_cpu, batch)| batch.end());
        ready.extend(over);
    }

    /// Ends all batches.
    pub fn flush(&mut self, ready: &mut Vec<Call>) {
        let all = std::mem::take(&mut self.open);
        ready.extend(all.into_values().filter_map(Batch::end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blackout_is_among_the_latest_for_no_longer_than_twice_their_time() {
        for (now_ns, is_kept) in [(2 * LATEST_NS - 1, true), (2 * LATEST_NS, false)] {
            let mut latest = LatestBlackouts::default();
            latest.push(0, Blackout::default());
            latest.settle(now_ns);
            assert_eq!(latest.longest().is_some(), is_kept, "{now_ns}");
        }
    }

    use crate::WallTime;

    fn call(cpu: u32, start_ns: u64, duration_ns: u64) -> Call {
        Call {
            start_ns,
            at: WallTime(start_ns),
            duration_ns,
            cpu,
            netns: 1,
            estimators: None,
            interrupted_pid: 0,
            interrupted_comm: None,
            blackout: None,
        }
    }

    /// Start and blackout of every call that is ready.
    fn told(ready: &[Call]) -> Vec<(u64, Option<(u64, u64)>)> {
        ready
            .iter()
            .map(|call| {
                (
                    call.start_ns,
                    call.blackout.map(|b| (b.duration_ns, b.calls)),
                )
            })
            .collect()
    }

    #[test]
    fn the_last_call_of_a_batch_carries_the_blackout_and_the_others_nothing() {
        let (mut batches, mut ready) = (Batches::default(), Vec::new());
        batches.push(call(0, 0, 1_000), true, &mut ready);
        batches.push(call(0, 20_999, 2_000), true, &mut ready);
        batches.push(call(0, 23_000, 3_000), true, &mut ready);
        batches.flush(&mut ready);
        assert_eq!(
            told(&ready),
            [(0, None), (20_999, None), (23_000, Some((26_000, 3)))]
        );
    }

    #[test]
    fn a_blackout_names_the_longest_run_of_its_batch_at_any_place() {
        for (netns, durations_ns) in [
            (1, [5_000, 2_000, 3_000]),
            (2, [2_000, 5_000, 3_000]),
            (3, [2_000, 3_000, 5_000]),
        ] {
            let (mut batches, mut ready) = (Batches::default(), Vec::new());
            for (place, duration_ns) in (1..).zip(durations_ns) {
                let run = Call {
                    netns: place,
                    estimators: Some(100 * place),
                    ..call(0, u64::from(place) * 6_000, duration_ns)
                };
                batches.push(run, true, &mut ready);
            }
            batches.flush(&mut ready);
            let blackout = ready[2].blackout.unwrap();
            assert_eq!(
                (blackout.longest_ns, blackout.netns, blackout.estimators),
                (5_000, netns, Some(100 * netns)),
                "{durations_ns:?}"
            );
        }
    }

    #[test]
    fn a_gap_of_20_us_ends_a_batch_and_a_call_alone_carries_its_own_duration() {
        let (mut batches, mut ready) = (Batches::default(), Vec::new());
        batches.push(call(0, 0, 1_000), true, &mut ready);
        batches.push(call(0, 21_000, 2_000), true, &mut ready);
        assert_eq!(told(&ready), [(0, Some((1_000, 1)))]);
        batches.flush(&mut ready);
        assert_eq!(told(&ready)[1..], [(21_000, Some((2_000, 1)))]);
    }

    #[test]
    fn every_cpu_has_batches_of_its_own() {
        let (mut batches, mut ready) = (Batches::default(), Vec::new());
        batches.push(call(0, 0, 1_000), true, &mut ready);
        batches.push(call(1, 1_001, 2_000), true, &mut ready);
        batches.flush(&mut ready);
        assert_eq!(
            told(&ready),
            [(0, Some((1_000, 1))), (1_001, Some((2_000, 1)))]
        );
    }

    #[test]
    fn a_call_waits_until_nothing_can_follow_it() {
        let (mut batches, mut ready) = (Batches::default(), Vec::new());
        batches.push(call(3, 0, 1_000), true, &mut ready);
        batches.settle(20_999, &[], &mut ready);
        assert!(ready.is_empty(), "20 us have not passed");
        batches.settle(21_000, &[3], &mut ready);
        assert!(ready.is_empty(), "a run is under way on this CPU");
        batches.settle(21_000, &[2], &mut ready);
        assert_eq!(told(&ready), [(0, Some((1_000, 1)))]);
    }

    #[test]
    fn calls_that_are_not_shown_add_to_the_blackout_of_the_last_that_is() {
        let (mut batches, mut ready) = (Batches::default(), Vec::new());
        batches.push(call(0, 0, 1_000), true, &mut ready);
        batches.push(call(0, 1_500, 5_000), false, &mut ready);
        batches.flush(&mut ready);
        assert_eq!(told(&ready), [(0, Some((6_500, 2)))]);
    }
}
