//! States of an estimator, told from snapshots and runs.

use super::*;

#[test]
fn a_timer_not_pending_in_two_looks_is_dead_and_one_that_comes_back_is_active() {
    let mut session = watching_all();
    tick(&mut session, SECOND, &[waiting(ROOT, 0, PERIOD)], &[]);
    let last = not_pending(ROOT, 1, PERIOD);
    let told = tick(&mut session, 3 * SECOND, &[last], &[run_at(ROOT, PERIOD)]);
    assert_eq!(changes(&told), [""; 0], "it may have begun to run just now");
    let told = tick(&mut session, 4 * SECOND, &[last], &[]);
    assert_eq!(changes(&told), ["ACTIVE -> DEAD"]);
    assert_eq!(
        changes(&tick(&mut session, 5 * SECOND, &[last], &[])),
        [""; 0],
        "told once"
    );
    let told = tick(
        &mut session,
        6 * SECOND,
        &[waiting(ROOT, 1, 8 * SECOND)],
        &[],
    );
    assert_eq!(changes(&told), ["DEAD -> ACTIVE"]);
    assert_eq!(counts(&session), [1, 1, 0, 0]);
}

#[test]
fn an_estimator_whose_run_ended_between_two_looks_that_fell_into_runs_is_not_dead() {
    let mut session = watching_all();
    tick(&mut session, SECOND, &[waiting(ROOT, 0, PERIOD)], &[]);
    let under_way = not_pending(ROOT, 1, PERIOD);
    tick(&mut session, PERIOD + MS, &[under_way], &[]);
    // The next run has begun and is not counted yet: the record of the one before is the only sign of life.
    let uncounted = not_pending(ROOT, 1, 2 * PERIOD);
    let first = run_at(ROOT, PERIOD);
    let told = tick(&mut session, 2 * PERIOD + MS, &[uncounted], &[first]);
    assert_eq!(changes(&told), [""; 0]);
    let second = run_at(ROOT, 2 * PERIOD);
    let set_again = waiting(ROOT, 2, 3 * PERIOD);
    let told = tick(&mut session, 5 * SECOND, &[set_again], &[second]);
    assert_eq!(changes(&told), [""; 0]);
    assert_eq!(counts(&session), [2, 2, 0, 0]);
}

#[test]
fn a_run_found_dead_with_its_end_missed_is_dead_after_a_while() {
    let mut session = watching_all();
    let mut told = Vec::new();
    for second in 1..14 {
        told.extend(tick(
            &mut session,
            second * SECOND,
            &[not_pending(ROOT, 1, 0)],
            &[],
        ));
    }
    assert_eq!(changes(&told), ["-> DEAD"]);
    assert_eq!(counts(&session), [0, 1, 0, 1]);
}

#[test]
fn an_expiry_over_two_and_a_half_seconds_ahead_is_slowed_until_it_is_replaced() {
    let mut session = watching_all();
    let far = SECOND + 2_504 * MS;
    let told = tick(&mut session, SECOND, &[waiting(ROOT, 0, far - JIFFY)], &[]);
    assert_eq!(changes(&told), [""; 0]);
    let told = tick(&mut session, SECOND, &[waiting(ROOT, 0, far)], &[]);
    assert_eq!(changes(&told), ["ACTIVE -> SLOWED"]);
    let told = tick(&mut session, 3 * SECOND, &[waiting(ROOT, 0, far)], &[]);
    assert_eq!(
        changes(&told),
        [""; 0],
        "it draws near, and is slow all the same"
    );
    let near = waiting(ROOT, 1, far + PERIOD);
    let told = tick(&mut session, 4 * SECOND, &[near], &[run_at(ROOT, far)]);
    assert_eq!(changes(&told), ["SLOWED -> ACTIVE"]);
}

#[test]
fn runs_over_two_and_a_half_seconds_apart_are_slowed() {
    let mut session = watching_all();
    tick(
        &mut session,
        SECOND,
        &[waiting(ROOT, 1, 3 * SECOND)],
        &[run_at(ROOT, 0)],
    );
    let second = run_at(ROOT, 3 * SECOND);
    let told = tick(
        &mut session,
        4 * SECOND,
        &[waiting(ROOT, 2, 6 * SECOND)],
        &[second],
    );
    assert_eq!(changes(&told), ["ACTIVE -> SLOWED"]);
    let third = run_at(ROOT, 5 * SECOND);
    let told = tick(
        &mut session,
        6 * SECOND,
        &[waiting(ROOT, 3, 7 * SECOND)],
        &[third],
    );
    assert_eq!(changes(&told), ["SLOWED -> ACTIVE"]);
}

#[test]
fn a_run_without_a_record_does_not_make_the_estimator_slow() {
    for (lost, runs) in [(1, 3), (0, 2)] {
        let mut session = watching_all();
        tick(
            &mut session,
            SECOND,
            &[waiting(ROOT, 1, PERIOD)],
            &[run_at(ROOT, 0)],
        );
        let without = Snapshot {
            lost,
            ..waiting(ROOT, runs - 1, 2 * PERIOD)
        };
        tick(&mut session, 3 * SECOND, &[without], &[]);
        let next = Snapshot {
            lost,
            ..waiting(ROOT, runs, 3 * PERIOD)
        };
        let told = tick(
            &mut session,
            5 * SECOND,
            &[next],
            &[run_at(ROOT, 2 * PERIOD)],
        );
        assert_eq!(changes(&told), [""; 0], "{lost} lost");
    }
}

#[test]
fn a_switch_at_zero_is_skipping_and_no_switch_is_not() {
    let mut session = watching_all();
    let switched = |run_estimation| Snapshot {
        run_estimation,
        ..waiting(ROOT, 0, PERIOD)
    };
    let told = tick(&mut session, SECOND, &[switched(0)], &[]);
    assert_eq!(changes(&told), ["-> SKIPPING"]);
    assert_eq!(
        session.summary(SECOND).namespaces[0].run_estimation,
        Some(0)
    );
    let told = tick(&mut session, SECOND, &[switched(NO_SWITCH)], &[]);
    assert_eq!(changes(&told), ["SKIPPING -> ACTIVE"]);
    assert_eq!(session.summary(SECOND).namespaces[0].run_estimation, None);
}

#[test]
fn one_long_run_among_those_that_leave_the_walk_out_is_an_outlier() {
    let mut session = watching_all();
    let mut run = 0;
    let mut tick_with = |duration_ns| {
        let event = Event {
            duration_ns,
            ..run_at(ROOT, run * PERIOD)
        };
        run += 1;
        let look = waiting(ROOT, run, (run + 1) * PERIOD);
        changes(&tick(&mut session, run * PERIOD, &[look], &[event]))
    };
    assert_eq!(tick_with(1_700), ["-> SKIPPING"]);
    assert_eq!(tick_with(2 * MS), [""; 0]);
    assert_eq!(tick_with(1_800), [""; 0]);
    assert_eq!(tick_with(4 * MS), [""; 0]);
    assert_eq!(tick_with(4 * MS), ["SKIPPING -> ACTIVE"]);
    assert_eq!(tick_with(1_700), ["ACTIVE -> SKIPPING"]);
}
