use probe_ebpf::{Event, EventKind, Snapshot, SnapshotKind, snapshot::LENGTH_UNKNOWN};

use super::*;
use model::{Blackout, Clock, Options, Session, State, Topic, WallTime};

const ROOT: u32 = 4_026_531_840;
const POD: u32 = 4_026_532_200;
const SECOND: u64 = 1_000_000_000;
/// 2023-11-14T22:13:20Z.
const WALL_NS: u64 = 1_700_000_000_000_000_000;

const PLAIN: Lines = Lines {
    colour: Colour(false),
    root_netns: ROOT,
};

fn call() -> Call {
    Call {
        start_ns: 5_123_000_000,
        at: WallTime(WALL_NS + 5_123_000_000),
        duration_ns: 345_402,
        cpu: 1,
        netns: ROOT,
        estimators: Some(30_001),
        interrupted_pid: 0,
        interrupted_comm: None,
        blackout: Some(Blackout {
            duration_ns: 345_402,
            calls: 1,
            ..Blackout::default()
        }),
    }
}

fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("memory takes all");
    String::from_utf8(out).expect("text")
}

fn line(lines: Lines, output: &Output) -> String {
    text(|out| lines.output(out, output))
}

fn run(netns: u32, start_ns: u64, duration_ns: u64) -> Event {
    Event {
        kind: EventKind::Run as u32,
        cpu: 0,
        start_ns,
        duration_ns,
        ipvs: u64::from(netns),
        netns,
        estimators: 1,
        pid: 0,
        reserved: 0,
    }
}

fn waiting(netns: u32, expires_ns: u64) -> Snapshot {
    Snapshot {
        kind: SnapshotKind::Estimator as u32,
        netns,
        ipvs: u64::from(netns),
        pending: 1,
        cpu: 0,
        generation: 0,
        level: 1,
        expires: expires_ns,
        function: 0,
        run_estimation: 1,
        seeded: 1,
        walked: LENGTH_UNKNOWN,
        counted: 1,
        runs: 0,
        lost: 0,
        now_ns: 0,
        jiffies: 0,
    }
}

fn end(now_ns: u64) -> Snapshot {
    Snapshot {
        kind: SnapshotKind::End as u32,
        now_ns,
        jiffies: now_ns,
        ..waiting(0, 0)
    }
}

/// What a session of 20 s came to that these ticks made: a snapshot and the records after it.
fn report(ticks: &[(&[Snapshot], &[Event])]) -> Report {
    let clock = Clock {
        jiffy_ns: 1,
        wall_offset_ns: WALL_NS,
    };
    let mut session = Session::new(Options::default(), 0, clock);
    for (snapshot, events) in ticks {
        let clocks = snapshot
            .last()
            .map_or((0, 0), |end| (end.now_ns, end.jiffies));
        let at = |found: &Snapshot| Snapshot {
            now_ns: clocks.0,
            jiffies: clocks.1,
            ..*found
        };
        let snapshot: Vec<_> = snapshot.iter().map(at).collect();
        session.take(events, &snapshot, 20 * SECOND);
    }
    session.summary(20 * SECOND)
}

fn summary(report: &Report) -> String {
    text(|out| PLAIN.summary(out, report))
}

#[test]
fn a_call_is_one_line_under_its_titles() {
    let lone = Output::Call(call());
    let last_of_many = Output::Call(Call {
        duration_ns: 912,
        cpu: 12,
        netns: POD,
        estimators: Some(1),
        interrupted_pid: 4711,
        interrupted_comm: None,
        blackout: Some(Blackout {
            duration_ns: 12_345_678,
            calls: 75,
            ..Blackout::default()
        }),
        ..call()
    });
    let unknown = Output::Call(Call {
        duration_ns: 1_234_567_890,
        estimators: None,
        blackout: None,
        ..call()
    });
    let lines = text(header)
        + &[lone, last_of_many, unknown]
            .iter()
            .map(|output| line(PLAIN, output))
            .collect::<String>();
    insta::assert_snapshot!(lines, @r"
      DURATION       |  TIME (UTC)    CPU      NETWORK NAMESPACE        LENGTH OF EST_LIST  INTERRUPTED
    ! 345.402 us     |  22:13:25.123  cpu   1  netns 4026531840 (root)    30001 estimators  over idle
      0.912 us       |  22:13:25.123  cpu  12  netns 4026532200               1 estimator   over pid 4711  blackout 12.3 ms in 75 runs
    $ 1234567.890 us |  22:13:25.123  cpu   1  netns 4026531840 (root)        ? estimators  over idle
    ");
}

#[test]
fn colour_is_for_the_mark_only() {
    let coloured = Lines {
        colour: Colour(true),
        ..PLAIN
    };
    let output = Output::Call(call());
    let expected =
        line(PLAIN, &output).replacen("! 345.402 us    ", "\x1b[33m! 345.402 us    \x1b[0m", 1);
    assert_eq!(line(coloured, &output), expected);
}

#[test]
fn a_lock_wait_and_changes_of_state_are_told_in_words() {
    let at = call().at;
    let wait = |operation| {
        Output::LockWait(LockWait {
            start_ns: 0,
            at,
            duration_ns: 3_870_000,
            cpu: 1,
            netns: ROOT,
            operation,
            pid: 812,
        })
    };
    let change = |from, to| {
        Output::StateChange(StateChange {
            start_ns: 0,
            at,
            netns: ROOT,
            from,
            to,
            why: "its timer expires in 298.0 s".into(),
        })
    };
    let outputs = [
        wait(Operation::Start),
        wait(Operation::Stop),
        change(None, State::Skipping),
        change(Some(State::Active), State::Slowed),
        Output::Notice(Notice {
            start_ns: 0,
            at,
            topic: Topic::Livepatch,
            text: "livepatch fix is in force".into(),
        }),
    ];
    let lines: String = outputs.iter().map(|output| line(PLAIN, output)).collect();
    insta::assert_snapshot!(lines, @r"
    lock wait        |  22:13:25.123  cpu   1  netns 4026531840 (root)  ip_vs_start_estimator of pid 812 waited 3.87 ms for a run on another CPU
    lock wait        |  22:13:25.123  cpu   1  netns 4026531840 (root)  ip_vs_stop_estimator of pid 812 waited 3.87 ms for a run on another CPU
    state            |  22:13:25.123           netns 4026531840 (root)  SKIPPING: its timer expires in 298.0 s
    state            |  22:13:25.123           netns 4026531840 (root)  SLOWED (was ACTIVE): its timer expires in 298.0 s
    livepatch        |  22:13:25.123           livepatch fix is in force
    ");
}

#[test]
fn an_interval_is_one_line() {
    let busy = report(&[(
        &[],
        &[run(ROOT, 0, 3_870_000), run(ROOT, 2 * SECOND, 3_950_000)],
    )]);
    let lines = text(|out| interval(out, &busy)) + &text(|out| interval(out, &report(&[])));
    insta::assert_snapshot!(lines, @r"
    interval         |  22:13:40.000  2 runs in 20.0 s, the longest 3.95 ms, 391 us of every second, lost 0, missed 0
    interval         |  22:13:40.000  0 runs in 20.0 s, lost 0, missed 0
    ");
}

#[test]
fn a_summary_has_a_histogram_its_findings_and_a_table() {
    let mut events: Vec<_> = (0..10)
        .map(|call| run(ROOT, call * 2 * SECOND, 3_840_000 + call * 12_000))
        .collect();
    // Right behind it, on the same CPU.
    events.extend((0..10).map(|call| run(POD, call * 2 * SECOND + 3_950_000, 1_900 + call)));
    events.sort_by_key(|event| event.start_ns);
    insta::assert_snapshot!(summary(&report(&[(&[], &events)])), @r"
        1.9 us to 2 us       |########################################|       10   50.0 %
           ...
        3.8 ms to 3.9 ms     |####################                    |        5   25.0 %
        3.9 ms to 4 ms       |####################                    |        5   25.0 %

    20 runs of estimation_timer in 20.0 s, which took 1.95 ms of every second
    min 1.90 us   p50 1.91 us   max 3.95 ms at 2023-11-14T22:13:38.000Z
    longest blackout of a CPU 3.95 ms, in 2 runs on each other's heels
    p90 needs 29 calls, p99 needs 299 calls: max of 20 is 3.95 ms
    lost 0, missed 0

    netns              state    estimators  calls  expected      min      p50      max  stall/s  lost  missed
    4026531840 (root)  unknown           1     10        10  3.84 ms  3.90 ms  3.95 ms  1.95 ms     0       0
    4026532200         unknown           1     10        10  1.90 us  1.91 us  1.91 us   952 ns     0       0
    all                                        20        20  1.90 us  1.91 us  3.95 ms  1.95 ms     0       0
    ");
}

#[test]
fn runs_without_a_record_are_told_in_words() {
    let before = [waiting(ROOT, 2 * SECOND), end(0)];
    let after = [
        Snapshot {
            runs: 5,
            lost: 3,
            ..waiting(ROOT, 11 * SECOND)
        },
        end(10 * SECOND),
    ];
    let events = [run(ROOT, 2 * SECOND, 40_000)];
    let ticks: [(&[Snapshot], &[Event]); 3] = [(&before, &[]), (&after, &events), (&after, &[])];
    insta::assert_snapshot!(summary(&report(&ticks)), @r"
         40 us to 50 us      |########################################|        1  100.0 %

    4 runs of estimation_timer in 20.0 s, which took at least 2.00 us of every second
    min 40.0 us   max 40.0 us at 2023-11-14T22:13:22.000Z
    p50 needs 6 calls, p90 needs 29 calls, p99 needs 299 calls: max of 1 is 40.0 us
    lost 3: the ring buffer was full; percentiles are of the 1 recorded of 4
    missed 1 of 5 expected: the timer expired and the probes saw no run, or no end of it

    netns              state   estimators  calls  expected      min  p50      max  stall/s  lost  missed
    4026531840 (root)  ACTIVE           1      4         5  40.0 us    -  40.0 us  2.00 us     3       1
    all                                        4         5  40.0 us    -  40.0 us  2.00 us     3       1
    ");
}

#[test]
fn a_histogram_of_one_value_is_one_row() {
    insta::assert_snapshot!(summary(&report(&[(&[], &[run(ROOT, 0, 345_402)])])), @r"
        300 us to 400 us     |########################################|        1  100.0 %

    1 run of estimation_timer in 20.0 s, which took 17.3 us of every second
    min 345 us   max 345 us at 2023-11-14T22:13:20.000Z
    p50 needs 6 calls, p90 needs 29 calls, p99 needs 299 calls: max of 1 is 345 us
    lost 0, missed 0

    netns              state    estimators  calls  expected     min  p50     max  stall/s  lost  missed
    4026531840 (root)  unknown           1      1         1  345 us    -  345 us  17.3 us     0       0
    all                                         1         1  345 us    -  345 us  17.3 us     0       0
    ");
}

#[test]
fn a_histogram_of_six_decades_fits_a_screen() {
    let events: Vec<_> = (0..6)
        .flat_map(|power| (1..10).map(move |digit| digit * 150 * 10_u64.pow(power)))
        .zip(1..)
        .map(|(duration_ns, second)| run(ROOT, second * SECOND, duration_ns))
        .collect();
    insta::assert_snapshot!(summary(&report(&[(&[], &events)])), @r"
        100 ns to 200 ns     |##########                              |        1    1.9 %
        200 ns to 500 ns     |####################                    |        2    3.7 %
        500 ns to 1 us       |##############################          |        3    5.6 %
          1 us to 2 us       |########################################|        4    7.4 %
          2 us to 5 us       |####################                    |        2    3.7 %
          5 us to 10 us      |##############################          |        3    5.6 %
         10 us to 20 us      |########################################|        4    7.4 %
         20 us to 50 us      |####################                    |        2    3.7 %
         50 us to 100 us     |##############################          |        3    5.6 %
        100 us to 200 us     |########################################|        4    7.4 %
        200 us to 500 us     |####################                    |        2    3.7 %
        500 us to 1 ms       |##############################          |        3    5.6 %
          1 ms to 2 ms       |########################################|        4    7.4 %
          2 ms to 5 ms       |####################                    |        2    3.7 %
          5 ms to 10 ms      |##############################          |        3    5.6 %
         10 ms to 20 ms      |########################################|        4    7.4 %
         20 ms to 50 ms      |####################                    |        2    3.7 %
         50 ms to 100 ms     |##############################          |        3    5.6 %
        100 ms to 200 ms     |##############################          |        3    5.6 %

    54 runs of estimation_timer in 20.0 s, which took 37.5 ms of every second
    min 150 ns   p50 135 us   p90 60.0 ms   max 135 ms at 2023-11-14T22:14:14.000Z
    p99 needs 299 calls: max of 54 is 135 ms
    lost 0, missed 0

    netns              state    estimators  calls  expected     min     p50     max  stall/s  lost  missed
    4026531840 (root)  unknown           1     54        54  150 ns  135 us  135 ms  37.5 ms     0       0
    all                                        54        54  150 ns  135 us  135 ms  37.5 ms     0       0
    ");
}

#[test]
fn of_many_namespaces_the_first_twenty_have_rows_and_the_sums_are_right() {
    let events: Vec<_> = (0..200)
        .map(|number| run(POD + number, 0, 10_000 - u64::from(number)))
        .collect();
    let lines = summary(&report(&[(&[], &events)]));
    let end = lines.lines().count() - 5;
    let tail: Vec<&str> = lines.lines().skip(end).collect();
    insta::assert_snapshot!(tail.join("\n"), @r"
    4026532217    unknown           1      1         1  9.98 us        -  9.98 us   499 ns     0       0
    4026532218    unknown           1      1         1  9.98 us        -  9.98 us   499 ns     0       0
    4026532219    unknown           1      1         1  9.98 us        -  9.98 us   499 ns     0       0
    and 180 more                         180       180  9.80 us        -  9.98 us  88.9 us     0       0
    all                                  200       200  9.80 us  9.90 us  10.0 us  99.0 us     0       0
    ");
    assert_eq!(
        lines
            .lines()
            .filter(|line| line.starts_with("40265"))
            .count(),
        20
    );
}

/// The sentence that a session without a recorded run ends with.
fn finding(ticks: &[(&[Snapshot], &[Event])]) -> String {
    let lines = summary(&report(ticks));
    assert!(
        !lines.contains("0 us") && !lines.contains("0 ns"),
        "{lines}"
    );
    lines.lines().nth(1).unwrap_or_default().to_owned()
}

#[test]
fn no_run_is_a_finding_with_its_reason() {
    let dead = [
        Snapshot {
            pending: 0,
            ..waiting(ROOT, 0)
        },
        end(SECOND),
    ];
    let far = [
        waiting(ROOT, 300 * SECOND),
        waiting(POD, 2 * SECOND),
        end(SECOND),
    ];
    let near = [waiting(ROOT, 2 * SECOND), end(SECOND)];
    let later = [waiting(ROOT, 4 * SECOND), end(3 * SECOND)];
    let full = [
        Snapshot {
            runs: 2,
            lost: 2,
            ..waiting(ROOT, 4 * SECOND)
        },
        end(3 * SECOND),
    ];
    let findings = [
        ("nothing there", finding(&[])),
        ("dead", finding(&[(&dead[..], &[][..]); 4])),
        ("slowed", finding(&[(&far, &[])])),
        ("pending", finding(&[(&near, &[])])),
        ("missed", finding(&[(&near, &[]), (&later, &[])])),
        ("lost", finding(&[(&near, &[]), (&full, &[])])),
    ];
    let findings = findings.map(|(case, finding)| format!("{case}: {finding}"));
    insta::assert_snapshot!(findings.join("\n"), @r"
    nothing there: No run of estimation_timer in 20.0 s: there is no IPVS estimator in the network namespaces watched.
    dead: No run of estimation_timer in 20.0 s: DEAD in the one namespace watched: the timer is not pending and will not come back by itself.
    slowed: No run of estimation_timer in 20.0 s: SLOWED in 1 of 2 namespaces watched: the next one is far ahead.
    pending: No run of estimation_timer in 20.0 s: the timers are pending, and yet none expired.
    missed: No run of estimation_timer in 20.0 s: 1 expected by the timers' expiry, and the probes saw none of them.
    lost: 2 runs of estimation_timer in 20.0 s, and none was recorded: the ring buffer was full, so that nothing is known of how long they took.
    ");
}
