//! The estimators' timers as they are now, looked at without any probe attached.

use std::{collections::BTreeSet, path::Path, thread::sleep, time::Duration};

use anyhow::Context as _;
use probe_ebpf::{Snapshot, SnapshotKind, snapshot::NO_SWITCH};

use crate::probe::Glance;
use host::{prerequisites, time};
use model::{SLOW_PERIOD_NS, State, Timer, wheel};

/// A timer is not pending while it runs, too: dead is one that is not for this long.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// All of them, in the kernel's order; none without `ip_vs`.
///
/// # Errors
///
/// When they cannot be seen on this host, or by this user.
pub fn read(root: &Path) -> anyhow::Result<Vec<Timer>> {
    let module = root.join("sys/module/ip_vs");
    let is_there = module.try_exists();
    if !is_there.with_context(|| format!("cannot look for {}", module.display()))? {
        return Ok(Vec::new());
    }
    let ready = prerequisites::examine_to_look(root)?;
    let jiffy_ns = time::jiffy_ns()?;
    let mut glance = Glance::load(&ready)?;
    let mut timers = look(&glance.take()?, jiffy_ns);
    for _ in 0..LOOKS {
        if timers.iter().all(|timer| timer.state != State::Dead) {
            break;
        }
        sleep(BETWEEN_LOOKS);
        let again = look(&glance.take()?, jiffy_ns);
        // One that was pending in between is alive.
        timers.retain(|timer| timer.state != State::Dead);
        let known: BTreeSet<u32> = timers.iter().map(|timer| timer.netns).collect();
        timers.extend(
            again
                .into_iter()
                .filter(|timer| !known.contains(&timer.netns)),
        );
    }
    Ok(timers)
}

fn look(snapshot: &[Snapshot], jiffy_ns: u64) -> Vec<Timer> {
    let timer = |record: &Snapshot| {
        let left = wheel::turn(record.expires, record.level).saturating_sub(record.jiffies);
        let next_run_in_ns = (record.pending != 0).then(|| left.saturating_mul(jiffy_ns));
        Timer {
            netns: record.netns,
            state: match next_run_in_ns {
                None => State::Dead,
                Some(left_ns) if left_ns > SLOW_PERIOD_NS => State::Slowed,
                Some(_) => State::Active,
            },
            run_estimation: Some(record.run_estimation).filter(|value| *value != NO_SWITCH),
            next_run_in_ns,
            function: record.function,
        }
    };
    let estimators = snapshot
        .iter()
        .filter(|record| record.kind == SnapshotKind::Estimator as u32);
    estimators.map(timer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytemuck::Zeroable as _;

    #[test]
    fn a_timer_is_told_by_whether_and_when_it_is_pending() {
        let record = |netns, pending, expires, level| Snapshot {
            kind: SnapshotKind::Estimator as u32,
            run_estimation: NO_SWITCH,
            netns,
            pending,
            expires,
            level,
            function: 7,
            jiffies: 1_000,
            ..Snapshot::zeroed()
        };
        let end = Snapshot {
            kind: SnapshotKind::End as u32,
            jiffies: 1_000,
            ..Snapshot::zeroed()
        };
        let snapshot = [
            record(1, 1, 1_400, 1),
            record(2, 0, 900, 1),
            record(3, 1, 76_000, 4),
            Snapshot {
                run_estimation: 0,
                ..record(4, 1, 1_400, 1)
            },
            end,
        ];
        let told: Vec<_> = look(&snapshot, 4_000_000)
            .iter()
            .map(|timer| {
                let Timer {
                    netns,
                    state,
                    run_estimation,
                    next_run_in_ns,
                    ..
                } = *timer;
                (netns, state, run_estimation, next_run_in_ns)
            })
            .collect();
        let jiffies = |count: u64| Some(count * 4_000_000);
        assert_eq!(
            told,
            [
                (1, State::Active, None, jiffies(408)),
                (2, State::Dead, None, None),
                (3, State::Slowed, None, jiffies(76_824)),
                (4, State::Active, Some(0), jiffies(408)),
            ]
        );
        assert_eq!(look(&[], 1), []);
    }

    #[test]
    fn without_ip_vs_there_is_none() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(read(root.path()).unwrap(), []);
    }
}
