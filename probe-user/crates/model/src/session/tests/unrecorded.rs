//! Runs without a record: which are lost, which are missed, and which are neither.

use super::*;

#[test]
fn a_run_that_found_the_ring_buffer_full_is_a_call_and_lost() {
    let mut session = watching_all();
    tick(&mut session, SECOND, &[waiting(ROOT, 0, PERIOD)], &[]);
    let full = Snapshot {
        lost: 1,
        ..waiting(ROOT, 2, 3 * PERIOD)
    };
    tick(&mut session, 5 * SECOND, &[full], &[run_at(ROOT, PERIOD)]);
    tick(&mut session, 6 * SECOND, &[full], &[]);
    assert_eq!(counts(&session), [2, 2, 1, 0]);
}

#[test]
fn a_run_that_began_and_never_ended_is_missed_a_tick_later() {
    let mut session = watching_all();
    tick(&mut session, 2 * SECOND, &[waiting(ROOT, 0, PERIOD)], &[]);
    tick(
        &mut session,
        3 * SECOND,
        &[waiting(ROOT, 1, 2 * PERIOD)],
        &[],
    );
    assert_eq!(
        counts(&session),
        [0, 0, 0, 0],
        "its record may be on its way"
    );
    tick(
        &mut session,
        4 * SECOND,
        &[waiting(ROOT, 1, 2 * PERIOD)],
        &[],
    );
    assert_eq!(counts(&session), [0, 1, 0, 1]);
    tick(
        &mut session,
        5 * SECOND,
        &[waiting(ROOT, 1, 2 * PERIOD)],
        &[],
    );
    assert_eq!(counts(&session), [0, 1, 0, 1], "missed once");
}

#[test]
fn a_run_under_way_during_a_snapshot_is_not_missed() {
    let mut session = watching_all();
    tick(&mut session, SECOND, &[waiting(ROOT, 0, PERIOD)], &[]);
    tick(
        &mut session,
        PERIOD + MS,
        &[not_pending(ROOT, 1, PERIOD)],
        &[],
    );
    tick(
        &mut session,
        3 * SECOND,
        &[waiting(ROOT, 1, 2 * PERIOD)],
        &[run_at(ROOT, PERIOD)],
    );
    tick(
        &mut session,
        4 * SECOND,
        &[waiting(ROOT, 1, 2 * PERIOD)],
        &[],
    );
    assert_eq!(counts(&session), [1, 1, 0, 0]);
}

#[test]
fn a_run_longer_than_two_ticks_is_not_missed() {
    let mut session = watching_all();
    tick(&mut session, SECOND, &[waiting(ROOT, 0, PERIOD)], &[]);
    for second in 3..6 {
        let told = tick(
            &mut session,
            second * SECOND,
            &[not_pending(ROOT, 1, PERIOD)],
            &[],
        );
        assert_eq!(changes(&told), [""; 0], "it is not dead either");
    }
    let long = Event {
        duration_ns: 4 * SECOND,
        ..run_at(ROOT, PERIOD)
    };
    tick(
        &mut session,
        7 * SECOND,
        &[waiting(ROOT, 1, 8 * SECOND)],
        &[long],
    );
    tick(
        &mut session,
        8 * SECOND,
        &[waiting(ROOT, 1, 8 * SECOND)],
        &[],
    );
    assert_eq!(counts(&session), [1, 1, 0, 0]);
}

#[test]
fn runs_under_way_at_two_snapshots_a_period_apart_are_not_missed() {
    let mut session = watching_all();
    tick(&mut session, MS, &[not_pending(ROOT, 1, 0)], &[]);
    let first = run_at(ROOT, 0);
    tick(
        &mut session,
        PERIOD + MS,
        &[not_pending(ROOT, 2, PERIOD)],
        &[first],
    );
    let second = run_at(ROOT, PERIOD);
    tick(
        &mut session,
        3 * SECOND,
        &[waiting(ROOT, 2, 2 * PERIOD)],
        &[second],
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
fn a_timer_that_expired_without_a_run_seen_counts_as_missed() {
    let mut session = watching_all();
    tick(&mut session, 2 * SECOND, &[waiting(ROOT, 0, PERIOD)], &[]);
    tick(
        &mut session,
        3 * SECOND,
        &[waiting(ROOT, 0, 2 * PERIOD)],
        &[],
    );
    tick(
        &mut session,
        4 * SECOND,
        &[waiting(ROOT, 0, 2 * PERIOD)],
        &[],
    );
    assert_eq!(counts(&session), [0, 1, 0, 1]);
}

#[test]
fn a_run_that_no_probe_saw_is_missed_though_a_snapshot_fell_into_it() {
    let mut session = watching_all();
    tick(&mut session, SECOND, &[waiting(ROOT, 0, PERIOD)], &[]);
    let under_way = not_pending(ROOT, 0, PERIOD);
    tick(&mut session, PERIOD + MS, &[under_way], &[]);
    for second in 3..5 {
        let set_anew = waiting(ROOT, 0, 2 * PERIOD);
        tick(&mut session, second * SECOND, &[set_anew], &[]);
    }
    assert_eq!(counts(&session), [0, 1, 0, 1]);
}

#[test]
fn a_run_that_a_snapshot_fell_into_before_it_was_counted_is_not_missed() {
    let mut session = watching_all();
    tick(&mut session, SECOND, &[waiting(ROOT, 0, PERIOD)], &[]);
    let uncounted = not_pending(ROOT, 0, PERIOD);
    let run = run_at(ROOT, PERIOD);
    tick(&mut session, PERIOD + MS, &[uncounted], &[run]);
    for second in 3..5 {
        let set_anew = waiting(ROOT, 1, 2 * PERIOD);
        tick(&mut session, second * SECOND, &[set_anew], &[]);
    }
    assert_eq!(counts(&session), [1, 1, 0, 0]);
}

#[test]
fn a_run_between_the_reads_of_one_snapshot_is_not_missed() {
    let mut session = watching_all();
    tick(&mut session, SECOND, &[waiting(ROOT, 0, PERIOD)], &[]);
    // Its count was read before the run, its expiry after it.
    tick(
        &mut session,
        PERIOD + 5 * MS,
        &[waiting(ROOT, 0, 2 * PERIOD)],
        &[run_at(ROOT, PERIOD)],
    );
    tick(
        &mut session,
        3 * SECOND,
        &[waiting(ROOT, 1, 2 * PERIOD)],
        &[],
    );
    tick(
        &mut session,
        4 * SECOND,
        &[waiting(ROOT, 1, 2 * PERIOD)],
        &[],
    );
    assert_eq!(counts(&session), [1, 1, 0, 0]);
}

#[test]
fn a_run_counted_just_before_the_snapshot_and_stamped_just_after_is_not_missed() {
    let mut session = watching_all();
    let stamped = run_at(ROOT, 2 * SECOND + MS);
    tick(
        &mut session,
        2 * SECOND,
        &[not_pending(ROOT, 1, 2 * SECOND)],
        &[stamped],
    );
    for second in 3..6 {
        tick(
            &mut session,
            second * SECOND,
            &[waiting(ROOT, 1, 4 * SECOND)],
            &[],
        );
    }
    assert_eq!(counts(&session), [1, 1, 0, 0]);
}

#[test]
fn a_run_after_the_snapshot_hides_no_other_that_was_missed() {
    let mut session = watching_all();
    tick(&mut session, 2 * SECOND, &[waiting(ROOT, 1, PERIOD)], &[]);
    let after = run_at(ROOT, 3 * SECOND + 20 * MS);
    tick(
        &mut session,
        3 * SECOND,
        &[waiting(ROOT, 1, PERIOD)],
        &[after],
    );
    assert_eq!(counts(&session), [1, 2, 0, 1]);
    tick(
        &mut session,
        4 * SECOND,
        &[waiting(ROOT, 2, 5 * SECOND)],
        &[],
    );
    tick(
        &mut session,
        5 * SECOND,
        &[waiting(ROOT, 2, 5 * SECOND)],
        &[],
    );
    assert_eq!(counts(&session), [1, 2, 0, 1]);
}

#[test]
fn a_record_that_does_not_know_its_namespace_still_answers_for_its_run() {
    let mut session = watching_all();
    let nameless = Event {
        netns: 0,
        ..run_at(ROOT, MS)
    };
    for (second, events) in [(1, &[nameless][..]), (2, &[]), (3, &[])] {
        tick(
            &mut session,
            second * SECOND,
            &[waiting(ROOT, 1, 4 * SECOND - JIFFY)],
            events,
        );
    }
    assert_eq!(counts(&session), [1, 1, 0, 0]);
}

#[test]
fn an_address_given_to_another_namespace_starts_afresh() {
    let mut session = watching_all();
    tick(&mut session, SECOND, &[waiting(ROOT, 7, PERIOD)], &[]);
    let other = |runs| Snapshot {
        ipvs: ipvs(ROOT),
        ..waiting(POD, runs, 4 * SECOND)
    };
    let told = tick(&mut session, 2 * SECOND, &[other(9)], &[]);
    assert_eq!(changes(&told), [""; 0]);
    tick(&mut session, 3 * SECOND, &[other(9)], &[]);
    tick(&mut session, 4 * SECOND, &[other(9)], &[]);
    assert_eq!(counts(&session), [0, 0, 0, 0]);
}

#[test]
fn a_run_after_the_look_that_found_another_namespace_at_an_address_is_not_missed() {
    let mut session = watching_all();
    tick(&mut session, SECOND, &[waiting(ROOT, 7, PERIOD)], &[]);
    let other = |runs, expires_ns| Snapshot {
        ipvs: ipvs(ROOT),
        ..waiting(POD, runs, expires_ns)
    };
    // The program counts this run only after the look, and its record comes in the same tick.
    let after = Event {
        ipvs: ipvs(ROOT),
        ..run_at(POD, 2 * SECOND + 20 * MS)
    };
    tick(
        &mut session,
        2 * SECOND,
        &[other(9, 2 * SECOND + 20 * MS)],
        &[after],
    );
    for second in 3..5 {
        let look = other(10, 5 * SECOND);
        tick(&mut session, second * SECOND, &[look], &[]);
    }
    assert_eq!(counts(&session), [1, 1, 0, 0]);
}

#[test]
fn a_count_that_went_back_starts_afresh() {
    let mut session = watching_all();
    let first: Vec<_> = (0..3).map(|run| run_at(ROOT, run * MS)).collect();
    tick(&mut session, SECOND, &[waiting(ROOT, 3, PERIOD)], &first);
    let again = |runs, lost| Snapshot {
        lost,
        ..waiting(ROOT, runs, 5 * SECOND)
    };
    tick(&mut session, 2 * SECOND, &[again(1, 1)], &[]);
    tick(&mut session, 3 * SECOND, &[again(1, 1)], &[]);
    assert_eq!(counts(&session), [3, 3, 0, 0]);
    tick(&mut session, 4 * SECOND, &[again(2, 2)], &[]);
    assert_eq!(counts(&session), [4, 4, 1, 0]);
}
