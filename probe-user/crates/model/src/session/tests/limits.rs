//! More network namespaces than the probes, or our sums, have room for.

use super::*;
use crate::namespaces::KEPT_APART;

/// Returns the notices about limits.
fn limits(outputs: &[Output]) -> Vec<String> {
    let notices = outputs.iter().filter_map(|output| match output {
        Output::Notice(notice) if notice.topic == Topic::Limit => Some(notice.text.clone()),
        _ => None,
    });
    notices.collect()
}

/// Returns a snapshot at `now_ns` that found no room for some of these.
fn look(session: &mut Session, now_ns: u64, found: &[Snapshot], unfollowed: u64) -> Vec<Output> {
    let end = Snapshot {
        kind: SnapshotKind::End as u32,
        now_ns,
        runs: unfollowed,
        ..waiting(0, 0, 0)
    };
    let snapshot: Vec<_> = found.iter().copied().chain([end]).collect();
    session.take(&[], &snapshot, now_ns)
}

#[test]
fn a_limit_is_told_when_it_is_reached_and_when_it_is_reached_again() {
    let mut session = watching_all();
    let both = [waiting(ROOT, 0, PERIOD), waiting(POD, 0, PERIOD)];
    let mut told = Vec::new();
    for (second, unfollowed) in [(1, 0), (2, 1), (3, 1), (4, 0), (5, 1)] {
        let outputs = look(&mut session, second * SECOND, &both, unfollowed);
        told.push(limits(&outputs).len());
    }
    assert_eq!(told, [0, 1, 0, 0, 1]);
    let text = limits(&look(&mut watching_all(), SECOND, &both, 1)).remove(0);
    assert!(
        text.starts_with("the probes have no room for 1 of 2 network namespaces"),
        "{text}"
    );
}

#[test]
fn a_limit_of_our_sums_is_told_too() {
    let mut session = watching_all();
    let first = ROOT + 1;
    let many = first..=first + u32::try_from(KEPT_APART).unwrap();
    let many: Vec<_> = many.map(|netns| waiting(netns, 0, PERIOD)).collect();
    let told = limits(&look(&mut session, SECOND, &many, 0));
    assert!(
        told[0].starts_with("sums are kept for 65536 of 65537"),
        "{told:?}"
    );
}

/// Where the map of the probes is full, their records do not say whose run it was.
#[test]
fn a_run_without_a_namespace_belongs_to_the_one_that_the_snapshot_found_at_its_address() {
    let mut session = watching_all();
    let run = Event {
        netns: NETNS_UNKNOWN,
        estimators: -1,
        ..run_at(POD, MS)
    };
    let nowhere = Event { ipvs: 1, ..run };
    let told = tick(
        &mut session,
        SECOND,
        &[waiting(POD, 0, PERIOD)],
        &[run, nowhere],
    );
    let told: Vec<_> = told
        .iter()
        .filter_map(|output| match output {
            Output::Call(call) => Some((call.netns, call.estimators)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(POD, None), (NETNS_UNKNOWN, None)]);
    assert_eq!(counts(&session)[0], 2);
    let summary = session.summary(SECOND);
    let kept: Vec<_> = summary
        .namespaces
        .iter()
        .map(|namespace| (namespace.netns, namespace.summary.calls))
        .collect();
    assert_eq!(kept, [(POD, 1)], "none is called 0");
}
