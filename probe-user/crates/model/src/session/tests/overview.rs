//! What a screen is told, and sessions that outlive `ip_vs`.

use super::*;
use crate::State;

fn overview_of(session: &Session, netns: u32) -> crate::NamespaceView {
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
fn the_period_stays_where_a_look_counts_a_run_whose_expiry_the_look_before_had_already() {
    let mut session = watching_all();
    let expires_ns = |periods| 2 * SECOND + periods * PERIOD;
    let looks = [
        (SECOND, 0, 0, None),
        (3 * SECOND, 1, 1, Some(2 * SECOND)),
        // The run came between the reads of this look: after that of its count, before that of its expiry.
        (expires_ns(1) + 5 * MS, 1, 2, Some(expires_ns(1))),
        (5 * SECOND, 2, 2, None),
    ];
    for (now_ns, runs, periods, start_ns) in looks {
        let run = start_ns.map(|start_ns| run_at(ROOT, start_ns));
        let look = waiting(ROOT, runs, expires_ns(periods));
        tick(&mut session, now_ns, &[look], run.as_slice());
    }
    assert_eq!(overview_of(&session, ROOT).period_ns, Some(PERIOD));
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
    for (runs, changed) in [(2, &[][..]), (3, &["SKIPPING -> ACTIVE"])] {
        let whole = run_at(ROOT, (runs - 1) * PERIOD);
        let told = tick(
            &mut session,
            runs * PERIOD,
            &[waiting(ROOT, runs, runs * PERIOD)],
            &[whole],
        );
        assert_eq!(changes(&told), changed);
    }
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

#[test]
fn the_next_run_is_told_by_the_level_that_the_timer_is_on() {
    let mut session = watching_all();
    // 75,000 jiffies ahead, on level 4: in steps of 4,096.
    let far = Snapshot {
        level: 4,
        ..waiting(ROOT, 1, 75_000 * JIFFY)
    };
    tick(&mut session, SECOND, &[far], &[]);
    let next = session.overview(SECOND).next_run.unwrap();
    assert_eq!(next.due_ns, (75_000 / 4_096 + 1) * 4_096 * JIFFY);
}

#[test]
fn a_namespace_that_gets_the_number_of_one_that_is_gone_begins_with_nothing() {
    let mut session = watching_all();
    tick(
        &mut session,
        SECOND,
        &[waiting(POD, 1, PERIOD)],
        &[run_at(POD, MS)],
    );
    tick(&mut session, 2 * SECOND, &[], &[]);
    assert_eq!(overview_of(&session, POD).state, Some(State::Absent));
    tick(
        &mut session,
        3 * SECOND,
        &[waiting(POD, 0, 5 * SECOND)],
        &[],
    );
    let another = overview_of(&session, POD);
    assert_eq!(
        (another.state, another.calls, another.max_ns),
        (Some(State::Active), 0, None)
    );
    assert_eq!(counts(&session), [1, 1, 0, 0], "the sum of all has them");
}

#[test]
fn so_does_one_that_gets_it_within_a_tick() {
    let mut session = watching_all();
    tick(
        &mut session,
        SECOND,
        &[waiting(POD, 1, PERIOD)],
        &[run_at(POD, MS)],
    );
    let successor = Snapshot {
        generation: 7,
        ..waiting(POD, 0, 4 * SECOND)
    };
    tick(&mut session, 2 * SECOND, &[successor], &[]);
    assert_eq!(overview_of(&session, POD).calls, 0);
}

#[test]
fn a_namespace_that_only_lost_ip_vs_for_a_while_keeps_its_sums() {
    let mut session = watching_all();
    tick(
        &mut session,
        SECOND,
        &[waiting(ROOT, 1, PERIOD)],
        &[run_at(ROOT, MS)],
    );
    session.detached(2 * SECOND);
    session.attached_again();
    tick(
        &mut session,
        4 * SECOND,
        &[waiting(ROOT, 0, 6 * SECOND)],
        &[],
    );
    assert_eq!(overview_of(&session, ROOT).calls, 1);
}

#[test]
fn the_stall_of_a_young_namespace_is_told_over_its_own_life() {
    let mut session = watching_all();
    tick(
        &mut session,
        8 * SECOND,
        &[waiting(ROOT, 0, 9 * SECOND)],
        &[],
    );
    let both = [waiting(ROOT, 0, 11 * SECOND), waiting(POD, 1, 11 * SECOND)];
    tick(
        &mut session,
        9 * SECOND,
        &both,
        &[run_at(POD, 8 * SECOND + MS)],
    );
    let pod = session.overview(10 * SECOND).namespaces[1].clone();
    // 4 ms in the two seconds since the last look at which it was not there.
    assert_eq!((pod.netns, pod.stall_ns_per_s), (POD, Some(2 * MS)));
}

#[test]
fn a_reset_tells_what_was_held_back_and_counts_none_of_it() {
    let mut session = watching_all();
    let now_ns = PERIOD + 4 * MS;
    let run = run_at(ROOT, PERIOD);
    session.take(&[run], &[], now_ns);
    let told = session.reset(now_ns);
    assert_eq!(calls(&told), [(PERIOD, Some(4 * MS))]);
    let overview = session.overview(now_ns + SECOND);
    assert_eq!((overview.all.calls, overview.max_blackout), (0, None));
    assert_eq!(overview.cpus, []);
}

#[test]
fn one_that_was_never_seen_alive_is_dead_only_after_some_looks() {
    let mut session = watching_all();
    let idle = not_pending(ROOT, 0, SECOND);
    let told: Vec<_> = (1..=4)
        .flat_map(|second| tick(&mut session, second * SECOND, &[idle], &[]))
        .collect();
    assert_eq!(changes(&told), ["-> DEAD"]);
    let mut session = watching_all();
    for second in 1..=3 {
        // It may be in a run that began before the probes were there.
        assert_eq!(
            changes(&tick(&mut session, second * SECOND, &[idle], &[])),
            [""; 0]
        );
    }
}

#[test]
fn a_length_that_a_walk_corrects_is_told() {
    let mut session = watching_all();
    let corrected = Snapshot {
        walked: 30_007,
        ..waiting(ROOT, 0, PERIOD)
    };
    let told = tick(&mut session, SECOND, &[corrected], &[]);
    let [Output::Notice(notice)] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(notice.topic, Topic::Length);
    assert!(
        notice.text.contains("30001 long and is 30007"),
        "{}",
        notice.text
    );
    let right = Snapshot {
        walked: 30_001,
        ..waiting(ROOT, 0, PERIOD)
    };
    assert!(tick(&mut session, 2 * SECOND, &[right], &[]).is_empty());
}

#[test]
fn what_is_gone_is_no_measure_of_cost() {
    let mut session = watching_all();
    tick(
        &mut session,
        SECOND,
        &[waiting(ROOT, 1, PERIOD)],
        &[run_at(ROOT, MS)],
    );
    assert!(session.overview(SECOND).cost.is_some());
    tick(&mut session, 2 * SECOND, &[], &[]);
    assert_eq!(session.overview(2 * SECOND).cost, None);
}
