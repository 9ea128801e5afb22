//! What a screen is told, and sessions that outlive `ip_vs`.

use super::*;

fn overview_of(session: &Session, netns: u32) -> crate::model::NamespaceView {
    let views = session.overview(10 * SECOND).namespaces.into_iter();
    views
        .into_iter()
        .find(|view| view.netns == netns)
        .expect("it was seen")
}

/// A run of `duration_ns` on `cpu`.
fn run_on(cpu: u32, netns: u32, start_ns: u64, duration_ns: u64) -> Event {
    Event {
        cpu,
        duration_ns,
        ..run_at(netns, start_ns)
    }
}

#[test]
fn the_next_run_is_told_when_the_timer_wheel_lets_it_come() {
    let mut session = watching_all();
    let on_cpu_3 = Snapshot {
        cpu: 3,
        ..waiting(ROOT, 1, 3 * SECOND)
    };
    tick(
        &mut session,
        SECOND,
        &[on_cpu_3, waiting(POD, 1, 4 * SECOND)],
        &[],
    );
    let next = session.overview(SECOND).next_run.unwrap();
    // 750 jiffies, in steps of 8: its turn is at 752.
    assert_eq!((next.netns, next.cpu, next.due_ns), (ROOT, 3, 752 * JIFFY));
    let not_pending = not_pending(ROOT, 1, 3 * SECOND);
    tick(
        &mut session,
        2 * SECOND,
        &[not_pending, waiting(POD, 1, 4 * SECOND)],
        &[],
    );
    assert_eq!(overview_of(&session, ROOT).next_run, None);
    assert_eq!(session.overview(SECOND).next_run.unwrap().netns, POD);
}

#[test]
fn the_period_is_the_time_between_two_settings_of_the_timer() {
    let mut session = watching_all();
    tick(&mut session, SECOND, &[waiting(ROOT, 0, 2 * SECOND)], &[]);
    assert_eq!(overview_of(&session, ROOT).period_ns, None);
    let set_again = waiting(ROOT, 1, 2 * SECOND + PERIOD);
    tick(
        &mut session,
        3 * SECOND,
        &[set_again],
        &[run_at(ROOT, 2 * SECOND)],
    );
    assert_eq!(overview_of(&session, ROOT).period_ns, Some(PERIOD));
    tick(&mut session, 4 * SECOND, &[set_again], &[]);
    assert_eq!(
        overview_of(&session, ROOT).period_ns,
        Some(PERIOD),
        "it stays known"
    );
}

#[test]
fn every_cpu_has_its_share_and_its_longest_blackout() {
    let mut session = watching_all();
    let runs = [
        run_on(0, ROOT, MS, 4 * MS),
        run_on(2, POD, MS, MS),
        // On the heels of the one before: one blackout.
        run_on(2, ROOT, 2 * MS + 10_000, MS),
    ];
    tick(
        &mut session,
        SECOND,
        &[waiting(ROOT, 2, PERIOD), waiting(POD, 1, PERIOD)],
        &runs,
    );
    tick(
        &mut session,
        2 * SECOND,
        &[waiting(ROOT, 2, PERIOD), waiting(POD, 1, PERIOD)],
        &[],
    );
    let cpus = session.overview(2 * SECOND).cpus;
    let told: Vec<_> = cpus
        .iter()
        .map(|cpu| {
            (
                cpu.cpu,
                cpu.calls,
                cpu.stall_ns_per_s,
                cpu.longest_blackout.map(|b| b.calls),
            )
        })
        .collect();
    assert_eq!(
        told,
        [(0, 1, Some(2 * MS), Some(1)), (2, 2, Some(MS), Some(2))]
    );
    assert_eq!(
        cpus[1].longest_blackout.unwrap().duration_ns,
        2 * MS + 10_000
    );
}

#[test]
fn the_cost_of_an_estimator_is_not_told_from_runs_that_skip_them() {
    let mut session = watching_all();
    let skimming = Event {
        duration_ns: 1_360,
        ..run_at(ROOT, MS)
    };
    let told = tick(
        &mut session,
        SECOND,
        &[waiting(ROOT, 1, PERIOD)],
        &[skimming],
    );
    assert_eq!(changes(&told), ["-> SKIPPING"]);
    assert_eq!(session.overview(SECOND).cost, None);
    let whole = run_at(ROOT, PERIOD);
    let told = tick(
        &mut session,
        3 * SECOND,
        &[waiting(ROOT, 2, 2 * PERIOD)],
        &[whole],
    );
    assert_eq!(changes(&told), ["SKIPPING -> ACTIVE"]);
    assert_eq!(session.overview(SECOND).cost.unwrap().estimators, 30_001);
}

#[test]
fn a_reset_begins_the_sums_anew_and_keeps_what_is_known() {
    let mut session = watching_all();
    tick(
        &mut session,
        SECOND,
        &[waiting(ROOT, 1, PERIOD)],
        &[run_at(ROOT, MS)],
    );
    session.reset(2 * SECOND);
    let overview = session.overview(3 * SECOND);
    assert_eq!((overview.all.calls, overview.observed_ns), (0, SECOND));
    assert_eq!(overview.cpus, []);
    let root = overview_of(&session, ROOT);
    assert_eq!(
        (root.calls, root.max_ns, root.estimators),
        (0, None, Some(30_001))
    );
    assert_eq!(root.state, Some(State::Active));
    tick(
        &mut session,
        3 * SECOND,
        &[waiting(ROOT, 2, 2 * PERIOD)],
        &[run_at(ROOT, PERIOD)],
    );
    assert_eq!(counts(&session), [1, 1, 0, 0], "nothing is missed over it");
}

#[test]
fn when_ip_vs_goes_its_last_runs_count_and_nothing_is_missed() {
    let mut session = watching_all();
    tick(&mut session, SECOND, &[waiting(ROOT, 0, 2 * SECOND)], &[]);
    // So late that another might follow on its heels.
    let now_ns = 2 * SECOND + 4 * MS;
    let mut told = session.take(&[run_at(ROOT, 2 * SECOND)], &[], now_ns);
    told.extend(session.detached(now_ns));
    assert_eq!(changes(&told), ["ACTIVE -> ABSENT"]);
    assert_eq!(calls(&told), [(2 * SECOND, Some(4 * MS))]);
    assert!(!session.overview(3 * SECOND).attached);
    // Loaded anew at the same address, and counted by new probes from the start.
    session.attached_again();
    let told = tick(
        &mut session,
        5 * SECOND,
        &[waiting(ROOT, 0, 6 * SECOND)],
        &[],
    );
    assert_eq!(changes(&told), ["ABSENT -> ACTIVE"]);
    tick(
        &mut session,
        7 * SECOND,
        &[waiting(ROOT, 1, 8 * SECOND)],
        &[run_at(ROOT, 6 * SECOND)],
    );
    tick(
        &mut session,
        8 * SECOND,
        &[waiting(ROOT, 1, 8 * SECOND)],
        &[],
    );
    assert_eq!(counts(&session), [2, 2, 0, 0]);
    assert!(session.overview(8 * SECOND).attached);
}

#[test]
fn a_namespace_that_takes_the_place_and_the_number_of_another_is_no_missed_run() {
    let mut session = watching_all();
    tick(&mut session, SECOND, &[waiting(POD, 0, 2 * SECOND)], &[]);
    let successor = Snapshot {
        generation: 1,
        ..waiting(POD, 0, 4 * SECOND)
    };
    tick(&mut session, 2 * SECOND, &[successor], &[]);
    tick(&mut session, 3 * SECOND, &[successor], &[]);
    assert_eq!(counts(&session), [0, 0, 0, 0]);
}

#[test]
fn lock_waits_are_summed_even_when_they_are_not_told() {
    let mut session = session(Options {
        slow_ns: Some(SECOND),
        ..Options::default()
    });
    let waiting_start = Event {
        kind: EventKind::Start as u32,
        cpu: 1,
        ..run_at(ROOT, 2 * MS)
    };
    let told = tick(
        &mut session,
        SECOND,
        &[],
        &[run_at(ROOT, MS), waiting_start],
    );
    assert!(told.is_empty());
    let sums = session.overview(SECOND).lock_waits;
    assert_eq!(
        (sums.count, sums.longest_ns, sums.total_ns),
        (1, 3 * MS, 3 * MS)
    );
}

#[test]
fn starts_and_stops_without_a_record_are_counted_from_snapshot_to_snapshot() {
    let mut session = watching_all();
    for (second, lost) in [(1, 3), (2, 3), (3, 5)] {
        let end = Snapshot {
            kind: SnapshotKind::End as u32,
            now_ns: second * SECOND,
            jiffies: second * SECOND / JIFFY,
            lost,
            ..waiting(0, 0, 0)
        };
        session.take(&[], &[end], second * SECOND);
    }
    assert_eq!(session.overview(3 * SECOND).lock_waits.unrecorded, 5);
    assert_eq!(session.interval(3 * SECOND).lock_waits.unrecorded, 5);
    assert_eq!(session.interval(4 * SECOND).lock_waits.unrecorded, 0);
}
