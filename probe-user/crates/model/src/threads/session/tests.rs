use super::*;

const SECOND: u64 = 1_000_000_000;
const CLOCK: Clock = Clock {
    jiffy_ns: 4_000_000,
    wall_offset_ns: 0,
};

fn session(options: Options) -> ThreadSession {
    let mut session = ThreadSession::new(options, 0, CLOCK);
    assert_eq!(session.attached(0), None, "the first time is no news");
    session
}

/// A run of which nothing else is known; tests that count set its number.
fn run(netns: u32, thread: u16, tick: u16, duration_ns: u64) -> ChainRun {
    ChainRun {
        start_ns: SECOND,
        duration_ns,
        number: 0,
        netns,
        tid: 130 + u32::from(thread),
        estimators: 600,
        lost: 0,
        cpu: 1,
        thread,
        tick,
        disturbed: 0,
        generation: netns,
        reserved: 0,
    }
}

fn texts(outputs: &[ThreadOutput]) -> Vec<&str> {
    let notices = outputs.iter().filter_map(|output| match output {
        ThreadOutput::Notice(notice) => Some(notice.text.as_str()),
        ThreadOutput::Run(_) => None,
    });
    notices.collect()
}

#[test]
fn runs_are_summed_by_thread_and_the_busiest_thread_comes_first() {
    let mut session = session(Options::default());
    let outputs = session.take(
        &[
            run(7, 0, 0, 100),
            run(7, 1, 3, 5_000),
            run(7, 1, 3, 7_000),
            run(7, 1, 49, 6_000),
        ],
        SECOND,
    );
    assert_eq!(outputs.len(), 4);
    let sums = session.summary(2 * SECOND);
    assert_eq!((sums.observed_ns, sums.is_attached), (2 * SECOND, true));
    assert_eq!((sums.all.calls, sums.all.max_ns), (4, Some(7_000)));
    let [busy, idle] = &sums.threads[..] else {
        panic!("{:?}", sums.threads)
    };
    assert_eq!((busy.thread, busy.tid, busy.ticks), (1, 131, 2));
    assert_eq!(busy.summary.stall_ns_per_s, Some(9_000));
    let longest = busy.longest.unwrap();
    assert_eq!((longest.duration_ns, longest.tick), (7_000, 3));
    assert_eq!((idle.thread, idle.summary.calls), (0, 1));
}

#[test]
fn a_thread_that_the_kernel_starts_again_is_the_same_thread_under_another_id() {
    let mut session = session(Options::default());
    session.take(&[run(7, 0, 0, 100)], SECOND);
    session.take(
        &[ChainRun {
            tid: 999,
            ..run(7, 0, 1, 100)
        }],
        SECOND,
    );
    let sums = session.summary(SECOND);
    assert_eq!(sums.threads.len(), 1);
    assert_eq!((sums.threads[0].tid, sums.threads[0].ticks), (999, 2));
}

#[test]
fn only_what_was_asked_for_is_watched_and_told() {
    let mut session = session(Options {
        netns: Some([7].into()),
        slow_ns: Some(1_000),
    });
    let outputs = session.take(
        &[run(7, 0, 0, 999), run(7, 0, 0, 1_000), run(8, 0, 0, 5_000)],
        SECOND,
    );
    assert_eq!(outputs.len(), 1);
    assert_eq!(session.summary(SECOND).all.calls, 2);
    let other = ChainRun {
        netns: 8,
        ..numbered(9, 3, 12)
    };
    assert_eq!(session.take(&[other], SECOND), []);
    assert_eq!(session.summary(SECOND).all.lost, 0);
}

#[test]
fn the_time_without_probes_is_not_observed_and_its_end_says_how_long_it_was() {
    let mut session = session(Options::default());
    let removed = session.removed(2 * SECOND);
    assert!(texts(removed.as_slice())[0].contains("no run is measured"));
    assert_eq!(session.summary(5 * SECOND).observed_ns, 2 * SECOND);
    assert!(!session.interval(5 * SECOND).is_attached);
    let again = session.attached(6 * SECOND);
    assert!(texts(again.as_slice())[0].contains("they were not for 4.00 s"));
    assert_eq!(session.summary(7 * SECOND).observed_ns, 3 * SECOND);
    assert_eq!(session.interval(7 * SECOND).observed_ns, SECOND);
}

#[test]
fn a_session_that_begins_amid_a_calibration_has_observed_nothing_until_it_is_over() {
    let mut session = ThreadSession::new(Options::default(), 0, CLOCK);
    assert!(!session.is_attached());
    assert_eq!(session.summary(3 * SECOND).observed_ns, 0);
    session.removed(3 * SECOND);
    assert_eq!(session.summary(3 * SECOND).observed_ns, 0);
    session.attached(4 * SECOND);
    assert_eq!(session.summary(5 * SECOND).observed_ns, SECOND);
}

/// A record of one thread with its counts.
fn numbered(number: u64, lost: u32, disturbed: u16) -> ChainRun {
    ChainRun {
        number,
        lost,
        disturbed,
        ..run(7, 0, 0, 100)
    }
}

#[test]
fn what_has_no_record_is_told_by_the_numbers_of_those_that_have_one() {
    let mut session = session(Options::default());
    // Of these ten, two found the ring buffer full, and one was not seen to end; seven have records.
    let lost = |number| if number < 9 { 0 } else { 2 };
    let known = [2, 3, 4, 5, 9, 10, 11].map(|number| numbered(number, lost(number), 0));
    session.take(&known, SECOND);
    let sums = session.summary(SECOND);
    assert_eq!(
        (sums.all.recorded, sums.all.lost, sums.all.missed),
        (7, 2, 1)
    );
    assert_eq!(sums.threads[0].summary.lost, 2);
    assert_eq!(sums.all.expected, 10);
    // Another thread with the same id, whose numbers begin with 1, and a thread that was not followed before.
    session.take(&[numbered(2, 1, 0), numbered(4, 2, 0)], SECOND);
    let sums = session.summary(SECOND);
    assert_eq!((sums.all.lost, sums.all.missed), (3, 1));
    session.detached(SECOND);
    session.attached(SECOND);
    session.take(&[numbered(5_000, 7, 0)], SECOND);
    session.keep(&BTreeSet::new(), &BTreeSet::new());
    session.take(&[numbered(6_000, 9, 0)], SECOND);
    let sums = session.interval(SECOND);
    assert_eq!((sums.all.lost, sums.all.missed), (3, 1));
}

#[test]
fn a_run_that_was_in_progress_when_the_probes_came_or_went_is_not_measured() {
    let mut session = session(Options::default());
    let at = |start_ns, duration_ns| ChainRun {
        start_ns,
        ..run(7, 0, 0, duration_ns)
    };
    session.removed(2 * SECOND);
    session.attached(6 * SECOND);
    let runs = [
        at(SECOND, SECOND),
        at(SECOND, SECOND + 1),
        // As if it had gone on for as long as no probe was there.
        at(SECOND, 6 * SECOND),
        at(6 * SECOND - 1, 100),
        at(6 * SECOND, 200),
    ];
    session.take(&runs, 7 * SECOND);
    let sums = session.summary(7 * SECOND);
    assert_eq!(
        (sums.all.calls, sums.all.max_ns, sums.all.missed),
        (2, Some(SECOND), 0)
    );
    assert_eq!(sums.all.min_ns, Some(200));
}

#[test]
fn a_namespace_with_the_number_of_another_that_is_gone_has_sums_of_its_own() {
    let mut session = session(Options::default());
    session.take(&[run(7, 0, 0, 900)], SECOND);
    let other = ChainRun {
        generation: 8,
        ..run(7, 0, 0, 100)
    };
    session.take(&[other], SECOND);
    let sums = session.summary(SECOND);
    let told = sums.threads.iter().map(|one| (one.netns, one.generation));
    assert_eq!(told.collect::<Vec<_>>(), [(7, 7), (7, 8)]);
}

#[test]
fn a_removal_that_took_longer_than_a_thread_waits_before_the_last_tests_is_said() {
    let session = session(Options::default());
    assert_eq!(session.removal_took(SECOND, 60_000_000), None);
    let said = session.removal_took(SECOND, 60_000_001);
    assert!(texts(said.as_slice())[0].contains("60.0 ms after a kernel thread began"));
}

#[test]
fn runs_of_threads_without_room_are_missed_and_said_once() {
    let mut session = session(Options::default());
    let said = session.count_unfollowed(3, SECOND);
    assert!(texts(said.as_slice())[0].contains("no room for all threads"));
    assert_eq!(session.count_unfollowed(5, SECOND), None);
    assert_eq!(session.summary(SECOND).all.missed, 5);
}

#[test]
fn a_calibration_that_was_disturbed_to_its_end_is_said_once() {
    let mut session = session(Options::default());
    for (number, disturbed, said) in [(1, 40, false), (2, 41, true), (3, 41, false)] {
        let outputs = session.take(&[numbered(number, 0, disturbed)], SECOND);
        let texts = texts(&outputs);
        assert_eq!(!texts.is_empty(), said, "{disturbed}");
        assert!(texts.iter().all(|text| text.contains("est_cpulist")));
    }
}

#[test]
fn a_calibration_of_a_thread_that_has_the_id_and_the_number_of_another_is_said_too() {
    let mut session = session(Options::default());
    for _ in 0..2 {
        let outputs = session.take(&[numbered(1, 0, 41)], SECOND);
        assert_eq!(texts(&outputs).len(), 1);
    }
}

#[test]
fn sums_of_namespaces_that_are_gone_stay_while_half_of_the_room_is_free() {
    for (more, kept) in [(0, KEPT_APART / 2), (1, 0)] {
        let mut session = session(Options::default());
        let count = u16::try_from(KEPT_APART / 2).unwrap() + more;
        let runs: Vec<ChainRun> = (0..count).map(|thread| run(7, thread, 0, 100)).collect();
        session.take(&runs, SECOND);
        session.keep(&BTreeSet::new(), &BTreeSet::new());
        assert_eq!(session.summary(SECOND).threads.len(), kept);
    }
}

#[test]
fn a_reset_forgets_the_runs_and_the_time_before_it() {
    let mut session = session(Options::default());
    session.take(&[run(7, 0, 0, 100)], SECOND);
    session.reset(2 * SECOND);
    let sums = session.summary(3 * SECOND);
    assert_eq!((sums.all.calls, sums.observed_ns), (0, SECOND));
    assert_eq!(session.interval(3 * SECOND).all.calls, 1);
    session.removed(4 * SECOND);
    session.reset(5 * SECOND);
    assert_eq!(session.summary(6 * SECOND).observed_ns, 0);
}

#[test]
fn no_more_threads_are_kept_apart_than_there_is_room_for() {
    let mut session = session(Options::default());
    let most = u16::try_from(KEPT_APART).unwrap();
    let runs: Vec<ChainRun> = (0..most + 2).map(|thread| run(7, thread, 0, 100)).collect();
    session.take(&runs, SECOND);
    session.take(&[run(7, 0, 0, 100)], SECOND);
    let sums = session.summary(SECOND);
    assert_eq!(sums.threads.len(), KEPT_APART);
    assert_eq!(sums.all.calls, u64::from(most) + 3);
    let first = sums.threads.iter().find(|one| one.thread == 0).unwrap();
    assert_eq!(first.summary.calls, 2);
    session.keep(&BTreeSet::new(), &BTreeSet::from([7]));
    assert_eq!(session.summary(SECOND).threads.len(), KEPT_APART);
    session.keep(&BTreeSet::new(), &BTreeSet::new());
    assert_eq!(session.summary(SECOND).threads.len(), 0);
    assert_eq!(session.summary(SECOND).all.calls, u64::from(most) + 3);
}
