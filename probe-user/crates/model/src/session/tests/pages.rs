//! Snapshots whose pages lie apart: each record has its own clock.

use super::*;

/// Returns a record made at `now_ns`.
fn made(now_ns: u64, found: Snapshot) -> Snapshot {
    Snapshot {
        now_ns,
        jiffies: now_ns / JIFFY,
        ..found
    }
}

fn end(now_ns: u64) -> Snapshot {
    Snapshot {
        kind: SnapshotKind::End as u32,
        runs: 0,
        ..made(now_ns, waiting(0, 0, 0))
    }
}

/// This process was stopped for five seconds between the page with the first namespace and the page with the second:
/// the runs of that time are counted in the second alone.
#[test]
fn a_run_between_two_pages_is_neither_missed_nor_counted_twice() {
    let mut session = watching_all();
    tick(
        &mut session,
        SECOND,
        &[waiting(ROOT, 0, PERIOD), waiting(POD, 0, PERIOD)],
        &[],
    );
    let runs = |netns| [run_at(netns, PERIOD), run_at(netns, 2 * PERIOD)];
    let apart = [
        made(2 * SECOND, waiting(ROOT, 0, PERIOD)),
        made(7 * SECOND, waiting(POD, 2, 4 * PERIOD)),
        end(7 * SECOND),
    ];
    let between: Vec<_> = [runs(ROOT), runs(POD)].concat();
    session.take(&between, &apart, 7 * SECOND + MS);
    assert_eq!(counts(&session), [4, 4, 0, 0]);
    let late = [
        made(8 * SECOND, waiting(ROOT, 2, 4 * PERIOD)),
        made(8 * SECOND, waiting(POD, 2, 4 * PERIOD)),
        end(8 * SECOND),
    ];
    session.take(&[], &late, 8 * SECOND + MS);
    session.take(&[], &late, 9 * SECOND + MS);
    assert_eq!(counts(&session), [4, 4, 0, 0]);
}

/// One that came between two snapshots, and ran after the page that it is in.
#[test]
fn a_run_after_the_page_of_a_new_namespace_is_not_taken_for_counted() {
    let mut session = watching_all();
    tick(&mut session, SECOND, &[waiting(ROOT, 0, PERIOD)], &[]);
    let apart = [
        made(2 * SECOND, waiting(POD, 0, PERIOD)),
        made(7 * SECOND, waiting(ROOT, 0, 4 * PERIOD)),
        end(7 * SECOND),
    ];
    session.take(&[run_at(POD, PERIOD)], &apart, 7 * SECOND + MS);
    for second in [8, 9, 10] {
        let late = [
            made(second * SECOND, waiting(POD, 1, 5 * PERIOD)),
            made(second * SECOND, waiting(ROOT, 0, 5 * PERIOD)),
            end(second * SECOND),
        ];
        session.take(&[], &late, second * SECOND + MS);
    }
    let pod = session.summary(10 * SECOND).namespaces;
    let pod = pod.iter().find(|namespace| namespace.netns == POD).unwrap();
    assert_eq!((pod.summary.calls, pod.summary.missed), (1, 0));
}

#[test]
fn the_next_run_is_held_against_the_clock_of_its_own_page() {
    let mut session = watching_all();
    let apart = [made(SECOND, waiting(ROOT, 0, 3 * SECOND)), end(6 * SECOND)];
    session.take(&[], &apart, 6 * SECOND);
    let next = session.overview(6 * SECOND).next_run.unwrap();
    assert!(
        (3 * SECOND..3 * SECOND + 8 * JIFFY).contains(&next.due_ns),
        "{next:?}"
    );
}

#[test]
fn only_a_look_that_is_whole_has_seen_all() {
    let mut session = watching_all();
    assert!(!session.has_seen_all(), "there was no look");
    tick(&mut session, SECOND, &[waiting(ROOT, 0, PERIOD)], &[]);
    assert!(session.has_seen_all());
    session.take(&[], &[waiting(ROOT, 0, PERIOD)], 2 * SECOND);
    assert!(!session.has_seen_all());
}
