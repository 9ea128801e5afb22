//! Starts and stops of single estimators that waited for a run on another CPU.
//!
//! Both take `est_lock`, which a run holds for its whole walk. A start or stop that overlaps a run on
//! its *own* CPU did not wait for it: that run came inside its `spin_unlock_bh`.

use std::collections::HashMap;

use probe_ebpf::{Event, EventKind};

use super::Operation;

/// Runs remembered from one tick for the next, for each namespace.
const RUNS_KEPT: usize = 4;

/// Operations kept for the next tick. More than the ring buffer holds, so that none is dropped
/// before its time.
const OPERATIONS_KEPT: usize = 10_000;

/// A run older than this is forgotten: no operation of its time is still to come.
const FORGET_NS: u64 = 30_000_000_000;

/// Part of a call's time on a CPU.
#[derive(Debug, Clone, Copy)]
struct Span {
    start_ns: u64,
    end_ns: u64,
    cpu: u32,
}

impl Span {
    fn of(event: &Event) -> Self {
        Self {
            start_ns: event.start_ns,
            end_ns: event.start_ns.saturating_add(event.duration_ns),
            cpu: event.cpu,
        }
    }
}

/// A start or stop that overlapped a run on another CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// The start or stop.
    pub event: Event,
    /// Which of the two it is.
    pub operation: Operation,
    /// When the overlap began, in nanoseconds of `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// How long it was, in nanoseconds.
    pub duration_ns: u64,
}

/// Runs and operations that may yet meet their counterpart: a record is written when its call ends, and
/// the one that waited can end first.
#[derive(Debug, Default)]
pub struct LockWaits {
    runs: HashMap<u64, Vec<Span>>,
    waiting: Vec<(Event, Operation)>,
    fresh: Vec<(Event, Operation)>,
}

impl LockWaits {
    /// Takes the next record.
    pub fn push(&mut self, event: &Event, kind: EventKind) {
        let operation = match kind {
            EventKind::Run => {
                self.runs
                    .entry(event.ipvs)
                    .or_default()
                    .push(Span::of(event));
                return;
            }
            EventKind::Start => Operation::Start,
            EventKind::Stop => Operation::Stop,
        };
        if self.fresh.len() < OPERATIONS_KEPT {
            self.fresh.push((*event, operation));
        }
    }

    /// The waits among all operations of this tick and the last. An operation that has met no run by the
    /// next tick did not wait for one.
    pub fn settle(&mut self, now_ns: u64) -> Vec<Wait> {
        let mut waits = Vec::new();
        let last_chance = std::mem::take(&mut self.waiting);
        waits.extend(
            last_chance
                .iter()
                .filter_map(|operation| self.wait(*operation)),
        );
        for operation in std::mem::take(&mut self.fresh) {
            match self.wait(operation) {
                Some(wait) => waits.push(wait),
                None => self.waiting.push(operation),
            }
        }
        self.forget(now_ns);
        waits
    }

    fn wait(&self, (event, operation): (Event, Operation)) -> Option<Wait> {
        let own = Span::of(&event);
        let overlaps = self
            .runs
            .get(&event.ipvs)?
            .iter()
            .filter(|run| run.cpu != own.cpu)
            .map(|run| (run.start_ns.max(own.start_ns), run.end_ns.min(own.end_ns)))
            .filter(|(start_ns, end_ns)| start_ns < end_ns);
        overlaps.fold(None, |wait, (start_ns, end_ns)| {
            let overlap_ns = end_ns - start_ns;
            Some(Wait {
                event,
                operation,
                start_ns: wait.map_or(start_ns, |wait: Wait| wait.start_ns.min(start_ns)),
                duration_ns: wait.map_or(0, |wait| wait.duration_ns) + overlap_ns,
            })
        })
    }

    fn forget(&mut self, now_ns: u64) {
        let too_old_ns = now_ns.saturating_sub(FORGET_NS);
        self.runs.retain(|_ipvs, runs| {
            runs.drain(..runs.len().saturating_sub(RUNS_KEPT));
            runs.last().is_some_and(|run| run.end_ns >= too_old_ns)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn event(kind: EventKind, cpu: u32, start_ns: u64, duration_ns: u64) -> Event {
        Event {
            kind: kind as u32,
            cpu,
            start_ns,
            duration_ns,
            ipvs: 0xffff_8880,
            netns: 1,
            estimators: -1,
            pid: 812,
            reserved: 0,
        }
    }

    fn run() -> Event {
        event(EventKind::Run, 0, 10 * MS, 4 * MS)
    }

    fn start(cpu: u32, start_ns: u64, duration_ns: u64) -> Event {
        event(EventKind::Start, cpu, start_ns, duration_ns)
    }

    fn push_all(waits: &mut LockWaits, events: &[Event]) {
        for event in events {
            let kind = EventKind::from_number(event.kind).expect("a known kind");
            waits.push(event, kind);
        }
    }

    fn told(waits: &[Wait]) -> Vec<(u64, u64)> {
        waits
            .iter()
            .map(|wait| (wait.start_ns, wait.duration_ns))
            .collect()
    }

    #[test]
    fn a_wait_is_the_time_that_both_ran() {
        for (start_ns, duration_ns, overlap) in [
            (9 * MS, 2 * MS, Some((10 * MS, MS))),
            (11 * MS, MS, Some((11 * MS, MS))),
            (13 * MS, 5 * MS, Some((13 * MS, MS))),
            (9 * MS, 9 * MS, Some((10 * MS, 4 * MS))),
            (8 * MS, 2 * MS, None),
            (14 * MS, 2 * MS, None),
        ] {
            let mut waits = LockWaits::default();
            push_all(&mut waits, &[run(), start(1, start_ns, duration_ns)]);
            let expected: Vec<_> = overlap.into_iter().collect();
            assert_eq!(
                told(&waits.settle(20 * MS)),
                expected,
                "from {start_ns} for {duration_ns}"
            );
        }
    }

    #[test]
    fn the_records_may_come_in_either_order_and_a_tick_apart() {
        let operation = start(1, 11 * MS, 3 * MS);
        for records in [[run(), operation], [operation, run()]] {
            let mut waits = LockWaits::default();
            push_all(&mut waits, &records);
            assert_eq!(told(&waits.settle(20 * MS)), [(11 * MS, 3 * MS)]);
            assert_eq!(waits.settle(30 * MS), [], "told once");

            let mut waits = LockWaits::default();
            push_all(&mut waits, &records[..1]);
            waits.settle(20 * MS);
            push_all(&mut waits, &records[1..]);
            assert_eq!(told(&waits.settle(30 * MS)), [(11 * MS, 3 * MS)]);
        }
    }

    #[test]
    fn a_run_on_the_same_cpu_or_of_another_namespace_is_no_wait() {
        let mut waits = LockWaits::default();
        let elsewhere = Event {
            ipvs: 0xffff_9990,
            ..start(1, 11 * MS, MS)
        };
        push_all(&mut waits, &[run(), start(0, 11 * MS, MS), elsewhere]);
        assert_eq!(waits.settle(20 * MS), []);
        assert_eq!(waits.settle(30 * MS), []);
    }

    #[test]
    fn an_operation_without_a_run_is_forgotten_after_the_next_tick_and_runs_after_a_while() {
        let mut waits = LockWaits::default();
        push_all(&mut waits, &[start(1, 11 * MS, MS)]);
        waits.settle(20 * MS);
        waits.settle(30 * MS);
        assert!(waits.waiting.is_empty());
        push_all(&mut waits, &[run(); 100]);
        waits.settle(40 * MS);
        assert_eq!(waits.runs[&run().ipvs].len(), RUNS_KEPT);
        waits.settle(40 * MS + FORGET_NS);
        assert!(waits.runs.is_empty());
    }
}
