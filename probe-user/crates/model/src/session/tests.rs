mod limits;
mod overview;
mod pages;
mod states;
mod unrecorded;

use probe_ebpf::{
    SnapshotKind,
    snapshot::{LENGTH_UNKNOWN, NO_SWITCH},
};

use super::*;
use crate::WallTime;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const JIFFY: u64 = 4 * MS;
/// The period that a two-second timer has with 250 jiffies a second.
const PERIOD: u64 = 2_016 * MS;

const ROOT: u32 = 4_026_531_840;
const POD: u32 = 4_026_532_200;

fn session(options: Options) -> Session {
    let clock = Clock {
        jiffy_ns: JIFFY,
        wall_offset_ns: 0,
    };
    Session::new(options, 0, clock)
}

fn watching_all() -> Session {
    session(Options::default())
}

/// The `struct netns_ipvs` of a namespace: any address, but its own.
fn ipvs(netns: u32) -> u64 {
    0xffff_8880_0000_0000 + u64::from(netns)
}

fn run_at(netns: u32, start_ns: u64) -> Event {
    Event {
        kind: EventKind::Run as u32,
        cpu: 0,
        start_ns,
        duration_ns: 4 * MS,
        ipvs: ipvs(netns),
        netns,
        estimators: 30_001,
        pid: 0,
        reserved: 0,
    }
}

/// A namespace that the programs have counted `runs` of, with its next run at `expires_ns`.
fn waiting(netns: u32, runs: u64, expires_ns: u64) -> Snapshot {
    Snapshot {
        kind: SnapshotKind::Estimator as u32,
        netns,
        ipvs: ipvs(netns),
        pending: 1,
        cpu: 0,
        generation: 0,
        level: 1,
        expires: expires_ns / JIFFY,
        function: 0,
        run_estimation: 1,
        seeded: 1,
        walked: LENGTH_UNKNOWN,
        counted: 30_001,
        runs,
        lost: 0,
        now_ns: 0,
        jiffies: 0,
    }
}

/// The same while its timer is not pending: it runs, or it is dead.
fn not_pending(netns: u32, runs: u64, expires_ns: u64) -> Snapshot {
    Snapshot {
        pending: 0,
        ..waiting(netns, runs, expires_ns)
    }
}

/// One tick: a snapshot of these estimators at `now_ns`, then these records.
fn tick(
    session: &mut Session,
    now_ns: u64,
    estimators: &[Snapshot],
    events: &[Event],
) -> Vec<Output> {
    let end = Snapshot {
        kind: SnapshotKind::End as u32,
        netns: 0,
        ipvs: 0,
        now_ns,
        jiffies: now_ns / JIFFY,
        runs: 0,
        ..waiting(0, 0, 0)
    };
    let at = |found: &Snapshot| Snapshot {
        now_ns,
        jiffies: now_ns / JIFFY,
        ..*found
    };
    let snapshot: Vec<_> = estimators.iter().map(at).chain([end]).collect();
    session.take(events, &snapshot, now_ns + MS)
}

/// Calls, expected, lost and missed of all namespaces together.
fn counts(session: &Session) -> [u64; 4] {
    let all = session.summary(10 * SECOND).all;
    [all.calls, all.expected, all.lost, all.missed]
}

/// The states told of, as `from -> to`.
fn changes(outputs: &[Output]) -> Vec<String> {
    let changes = outputs.iter().filter_map(|output| match output {
        Output::StateChange(change) => Some(change),
        _ => None,
    });
    changes
        .map(|change| match change.from {
            Some(from) => format!("{from} -> {}", change.to),
            None => format!("-> {}", change.to),
        })
        .collect()
}

/// Start and blackout of the calls told of.
fn calls(outputs: &[Output]) -> Vec<(u64, Option<u64>)> {
    let calls = outputs.iter().filter_map(|output| match output {
        Output::Call(call) => Some(call),
        _ => None,
    });
    calls
        .map(|call| {
            (
                call.start_ns,
                call.blackout.map(|b: Blackout| b.duration_ns),
            )
        })
        .collect()
}

#[test]
fn a_run_with_its_record_is_a_call_and_nothing_is_missed() {
    let mut session = watching_all();
    let told = tick(
        &mut session,
        SECOND,
        &[waiting(ROOT, 1, PERIOD)],
        &[run_at(ROOT, MS)],
    );
    assert_eq!(calls(&told), [(MS, Some(4 * MS))]);
    assert_eq!(changes(&told), [""; 0]);
    tick(&mut session, 2 * SECOND, &[waiting(ROOT, 1, PERIOD)], &[]);
    let next = run_at(ROOT, PERIOD);
    tick(
        &mut session,
        3 * SECOND,
        &[waiting(ROOT, 2, 2 * PERIOD)],
        &[next],
    );
    tick(
        &mut session,
        4 * SECOND,
        &[waiting(ROOT, 2, 2 * PERIOD)],
        &[],
    );
    assert_eq!(counts(&session), [2, 2, 0, 0]);
}

#[test]
fn a_namespace_that_vanished_is_absent_but_keeps_its_sums() {
    let mut session = watching_all();
    let both = [waiting(ROOT, 0, PERIOD), waiting(POD, 1, PERIOD)];
    tick(&mut session, SECOND, &both, &[run_at(POD, MS)]);
    let told = tick(&mut session, 2 * SECOND, &both[..1], &[]);
    assert_eq!(changes(&told), ["ACTIVE -> ABSENT"]);
    assert_eq!(counts(&session), [1, 1, 0, 0]);
    assert_eq!(session.estimators.len(), 1);
}

#[test]
fn a_snapshot_that_was_cut_short_makes_nothing_vanish() {
    let mut session = watching_all();
    tick(
        &mut session,
        SECOND,
        &[waiting(ROOT, 0, PERIOD), waiting(POD, 0, PERIOD)],
        &[],
    );
    let told = session.take(&[], &[waiting(ROOT, 0, PERIOD)], 2 * SECOND);
    assert_eq!(told, []);
    assert_eq!(session.take(&[], &[], 3 * SECOND), []);
}

#[test]
fn calls_are_told_in_the_order_in_which_they_began() {
    let mut session = watching_all();
    let on_cpu = |cpu, start_ns| Event {
        cpu,
        ..run_at(ROOT, start_ns)
    };
    let records = [on_cpu(1, 30 * MS), on_cpu(0, 20 * MS), on_cpu(2, 10 * MS)];
    let told = session.take(&records, &[], SECOND);
    let starts: Vec<u64> = told.iter().map(Output::start_ns).collect();
    assert_eq!(starts, [10 * MS, 20 * MS, 30 * MS]);
}

#[test]
fn the_last_call_of_a_batch_waits_for_the_run_that_is_under_way() {
    let mut session = watching_all();
    let both = |pod| [waiting(ROOT, 1, PERIOD), pod];
    let told = tick(
        &mut session,
        10 * MS,
        &both(not_pending(POD, 1, 0)),
        &[run_at(ROOT, 0)],
    );
    assert_eq!(calls(&told), []);
    let next = run_at(POD, 4 * MS + 500);
    let told = tick(
        &mut session,
        SECOND,
        &both(waiting(POD, 1, PERIOD)),
        &[next],
    );
    assert_eq!(
        calls(&told),
        [(0, None), (4 * MS + 500, Some(8 * MS + 500))]
    );
    let longest = session.summary(SECOND).max_blackout;
    assert_eq!(
        longest.map(|blackout| (blackout.duration_ns, blackout.calls)),
        Some((8 * MS + 500, 2))
    );
}

#[test]
fn the_longest_blackout_stays_the_longest_whichever_comes_first() {
    for durations_ns in [[3 * MS, 5 * MS], [5 * MS, 3 * MS]] {
        let mut session = watching_all();
        let runs = [0, 100 * MS].into_iter().zip(durations_ns);
        let runs: Vec<Event> = runs
            .map(|(start_ns, duration_ns)| Event {
                duration_ns,
                ..run_at(ROOT, start_ns)
            })
            .collect();
        session.take(&runs, &[], SECOND);
        let reports = [session.summary(SECOND), session.interval(SECOND)];
        for report in reports {
            let longest = report.max_blackout.unwrap();
            assert_eq!(longest.duration_ns, 5 * MS, "{durations_ns:?}");
        }
    }
}

#[test]
fn a_call_held_back_is_told_at_the_end() {
    let mut session = watching_all();
    assert_eq!(session.take(&[run_at(ROOT, 0)], &[], 4 * MS + 10_000), []);
    assert_eq!(calls(&session.flush()), [(0, Some(4 * MS))]);
    assert_eq!(session.flush(), []);
}

#[test]
fn namespaces_not_watched_count_in_blackouts_only() {
    let only = BTreeSet::from([ROOT]);
    let mut session = session(Options {
        netns: Some(only),
        slow_ns: None,
    });
    let estimators = [waiting(ROOT, 1, PERIOD), not_pending(POD, 1, 0)];
    let records = [run_at(ROOT, 0), run_at(POD, 4 * MS + 500)];
    tick(&mut session, 0, &[], &[]);
    let mut told = tick(&mut session, SECOND, &estimators, &records);
    told.extend(tick(&mut session, 2 * SECOND, &estimators, &[]));
    assert_eq!(calls(&told), [(0, Some(8 * MS + 500))]);
    assert_eq!(
        changes(&told),
        [""; 0],
        "that the other is dead is not told"
    );
    assert_eq!(counts(&session), [1, 1, 0, 0]);
    let report = session.summary(2 * SECOND);
    assert_eq!(report.namespaces.len(), 1);
}

#[test]
fn only_slow_calls_and_slow_blackouts_are_told_but_all_are_counted() {
    let mut session = session(Options {
        netns: None,
        slow_ns: Some(5 * MS),
    });
    let lasting = |start_ns, duration_ns| Event {
        duration_ns,
        ..run_at(ROOT, start_ns)
    };
    let records = [
        lasting(0, 5 * MS),
        lasting(100 * MS, 5 * MS - 1),
        // Two that are slow together.
        lasting(200 * MS, 3 * MS),
        lasting(203 * MS, 2 * MS),
    ];
    let told = session.take(&records, &[], SECOND);
    assert_eq!(calls(&told), [(0, Some(5 * MS)), (203 * MS, Some(5 * MS))]);
    assert_eq!(session.summary(SECOND).all.calls, 4);
}

#[test]
fn a_start_that_waited_for_a_run_on_another_cpu_is_told() {
    let start = Event {
        kind: EventKind::Start as u32,
        cpu: 1,
        start_ns: 2 * MS,
        duration_ns: 3 * MS,
        pid: 812,
        ..run_at(ROOT, 0)
    };
    let told = watching_all().take(&[start, run_at(ROOT, 0)], &[], SECOND);
    let [Output::Call(_), Output::LockWait(wait)] = told.as_slice() else {
        panic!("a call and a wait: {told:?}");
    };
    assert_eq!((wait.start_ns, wait.duration_ns), (2 * MS, 2 * MS));
    assert_eq!((wait.cpu, wait.netns, wait.pid), (1, ROOT, 812));

    let other_only = Options {
        netns: Some(BTreeSet::from([POD])),
        slow_ns: None,
    };
    assert_eq!(
        session(other_only).take(&[start, run_at(ROOT, 0)], &[], SECOND),
        []
    );
}

#[test]
fn an_interval_begins_anew_and_the_session_goes_on() {
    let mut session = watching_all();
    let idle = [waiting(ROOT, 0, PERIOD), waiting(POD, 0, PERIOD)];
    tick(&mut session, SECOND, &idle, &[]);
    session.take(&[run_at(POD, PERIOD)], &[], 4 * SECOND);
    let report = session.interval(4 * SECOND);
    assert_eq!((report.observed_ns, report.all.calls), (4 * SECOND, 1));
    assert_eq!(report.all.stall_ns_per_s, Some(MS));
    let netns: Vec<u32> = report.namespaces.iter().map(|one| one.netns).collect();
    assert_eq!(
        netns,
        [POD],
        "where nothing happened there is nothing to tell"
    );

    let report = session.interval(6 * SECOND);
    assert_eq!((report.observed_ns, report.all.calls), (2 * SECOND, 0));
    assert_eq!(report.all.max_ns, None);

    let report = session.summary(8 * SECOND);
    assert_eq!((report.observed_ns, report.all.calls), (8 * SECOND, 1));
    let netns: Vec<u32> = report.namespaces.iter().map(|one| one.netns).collect();
    assert_eq!(netns, [POD, ROOT], "the one that stalls most comes first");
}

#[test]
fn an_unknown_length_is_not_a_number() {
    let mut session = watching_all();
    let unknown = Event {
        estimators: -1,
        ..run_at(ROOT, 0)
    };
    let told = session.take(&[unknown], &[], SECOND);
    let [Output::Call(call)] = told.as_slice() else {
        panic!("one call: {told:?}");
    };
    assert_eq!(call.estimators, None);
    assert_eq!(session.summary(SECOND).namespaces[0].estimators, None);
}

#[test]
fn a_step_of_the_clock_is_a_notice_and_leaves_the_time_of_the_longest_run_as_its_line_had_it() {
    let mut session = watching_all();
    let clock = |wall_offset_ns| Clock {
        jiffy_ns: JIFFY,
        wall_offset_ns,
    };
    assert_eq!(session.set_clock(clock(3 * MS), SECOND), None);
    let outputs = session.take(&[run_at(ROOT, SECOND)], &[], 2 * SECOND);
    let [Output::Call(call)] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    let said = call.at;
    let step = session.set_clock(clock(3_600 * SECOND), 3 * SECOND);
    let Some(Output::Notice(notice)) = step else {
        panic!("{step:?}");
    };
    assert_eq!(notice.topic, Topic::Clock);
    assert_eq!(notice.start_ns, 3 * SECOND);
    let summary = session.summary(4 * SECOND);
    assert_eq!(summary.all.max_at, Some(said));
    assert_eq!(summary.namespaces[0].summary.max_at, Some(said));
    assert_eq!(session.interval(4 * SECOND).all.max_at, Some(said));
    assert_eq!(summary.at, WallTime(3_604 * SECOND));
}
