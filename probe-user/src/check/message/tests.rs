use super::*;
use crate::{
    check::page::{Blackout, Run},
    headline::{DEFAULT_MAX_NS, WIDTH},
    kernel_threads::Thread,
};
use host::netns_owners::Named;

const ROOT: u32 = 4_026_531_840;
const MS: u64 = 1_000_000;

fn active(netns: u32, estimators: u32) -> Namespace {
    Namespace {
        netns,
        estimators: Some(estimators),
        state: Some(State::Active),
        run_estimation: Some(1),
        period_ns: Some(2_016 * MS),
        next_run_in_ns: Some(440 * MS),
        next_cpu: Some(3),
        runs: 1,
        ..Namespace::default()
    }
}

fn in_state(netns: u32, state: State) -> Namespace {
    Namespace {
        state: Some(state),
        ..active(netns, 1)
    }
}

fn seen(run_ns: u64) -> Measured {
    Measured {
        observed_ns: 2_601 * MS,
        max_ns: DEFAULT_MAX_NS,
        runs: 402,
        lost: 0,
        missed: 0,
        longest_run: Some(Run {
            duration_ns: run_ns,
            cpu: 3,
            netns: Some(ROOT),
            named: Named::default(),
            estimators: Some(30_001),
        }),
        longest_blackout: Some(Blackout {
            duration_ns: run_ns,
            calls: 19,
            cpu: 0,
            netns: Some(4_026_532_141),
            named: Named::default(),
        }),
        half_ns: None,
    }
}

fn worst(run_ns: u64) -> Worst {
    Worst {
        netns: ROOT,
        estimators: Some(30_001),
        typical_ns: run_ns,
        duration_ns: run_ns,
        cpu: 3,
        blackout: None,
        period_ns: Some(2_016 * MS),
    }
}

/// The line for a node whose longest run took that long.
fn line(run_ns: u64, namespaces: &[Namespace], hotfix: Option<&str>) -> (Verdict, String) {
    let replaced = hotfix.map_or(Replaced::ByNone, |name| Replaced::By(name.into()));
    Evidence {
        namespaces,
        measured: Some(&seen(run_ns)),
        worst: Some(&worst(run_ns)),
        threads: None,
        obstacle: None,
        root_netns: Some(ROOT),
        replaced: &replaced,
        is_cut_short: false,
    }
    .judge()
}

#[test]
fn a_stall_is_a_problem_without_being_asked_for() {
    let namespaces = [active(ROOT, 30_001), active(2, 1)];
    assert_eq!(
        line(63_900_000, &namespaces, None),
        (
            Verdict::Problem,
            "STALL 63.9 ms every 2.0 s on CPU 3, netns root (30,001 estimators)".into()
        )
    );
    assert_eq!(
        line(3_870_000, &namespaces, None),
        (
            Verdict::Ok,
            "SLOW 3.87 ms every 2.0 s on CPU 3, netns root (30,001 estimators)".into()
        )
    );
    assert_eq!(
        line(900_000, &namespaces, None),
        (
            Verdict::Ok,
            "OK 900 us every 2.0 s on CPU 3, netns root (30,001 estimators)".into()
        )
    );
}

#[test]
fn what_livepatches_explain_is_not_claimed_where_they_cannot_be_seen() {
    let slowed = Namespace {
        period_ns: Some(5_120 * MS),
        ..in_state(ROOT, State::Slowed)
    };
    let evidence = Evidence {
        namespaces: &[slowed, active(2, 1)],
        measured: Some(&seen(900)),
        worst: Some(&worst(900)),
        threads: None,
        obstacle: None,
        root_netns: Some(ROOT),
        replaced: &Replaced::Unknown,
        is_cut_short: false,
    };
    assert_eq!(
        evidence.judge(),
        (
            Verdict::Problem,
            "SLOWED every 5.1 s in netns root (1 estimator), livepatches cannot be seen".into()
        )
    );
}

#[test]
fn a_dead_estimator_is_a_problem_however_short_the_runs_are() {
    let dead = Namespace {
        next_run_in_ns: None,
        estimators: Some(30_001),
        ..in_state(ROOT, State::Dead)
    };
    let another = in_state(2, State::Dead);
    for run_ns in [1, u64::MAX] {
        assert_eq!(
            line(run_ns, &[dead.clone(), active(3, 1)], None),
            (
                Verdict::Problem,
                "DEAD estimator in netns root (30,001 estimators): its statistics are frozen"
                    .into()
            )
        );
        let (_, message) = line(run_ns, &[dead.clone(), another.clone()], None);
        assert_eq!(
            message,
            "DEAD estimators in 2 namespaces, first netns root (30,001 estimators)"
        );
    }
}

#[test]
fn where_no_estimator_is_active_it_is_never_ok_unless_the_switch_explains_it() {
    let slowed = Namespace {
        period_ns: Some(5_120 * MS),
        ..in_state(ROOT, State::Slowed)
    };
    assert_eq!(
        line(900, &[slowed.clone(), active(2, 1)], None),
        (
            Verdict::Problem,
            "SLOWED every 5.1 s in netns root (1 estimator), and no livepatch explains it".into()
        )
    );
    let others = [slowed.clone(), in_state(2, State::Slowed)];
    assert_eq!(
        line(900, &others, Some("est_five")),
        (
            Verdict::Problem,
            "SLOWED every 5.1 s in netns root (1 estimator), by livepatch est_five".into()
        )
    );
    let explained = line(900, &[slowed, active(2, 1)], Some("est_five"));
    assert_eq!(explained.0, Verdict::Ok);
    let skipping = in_state(ROOT, State::Skipping);
    assert_eq!(
        line(900, std::slice::from_ref(&skipping), Some("est_skip")),
        (
            Verdict::Problem,
            "SKIPPING in netns root (1 estimator), by livepatch est_skip: statistics are frozen"
                .chars()
                .take_while(|letter| *letter != ':')
                .collect()
        )
    );
    let off = Namespace {
        run_estimation: Some(0),
        ..skipping
    };
    assert_eq!(
        line(900, &[off], None),
        (
            Verdict::Ok,
            "OK run_estimation is 0: runs leave the lists out, the longest took 900 ns".into()
        )
    );
    let unseen = Namespace {
        state: None,
        ..active(ROOT, 1)
    };
    assert_eq!(line(900, &[unseen], None).0, Verdict::Unknown);
}

#[test]
fn what_was_not_seen_is_not_judged_to_be_short() {
    let namespaces = [active(ROOT, 30_001)];
    let lost = Measured {
        lost: 1,
        ..seen(900)
    };
    let missed = Measured {
        missed: 2,
        lost: 0,
        ..lost.clone()
    };
    let none = Measured {
        runs: 0,
        longest_run: None,
        longest_blackout: None,
        ..seen(0)
    };
    let slowed = [
        Namespace {
            runs: 0,
            next_run_in_ns: Some(250_040 * MS),
            ..in_state(ROOT, State::Slowed)
        },
        active(2, 1),
    ];
    for (namespaces, measured, expected) in [
        (&namespaces[..], &lost, "unknown: 1 run could not be timed"),
        (&namespaces, &missed, "unknown: 2 runs could not be timed"),
        (&namespaces, &none, "unknown: no run was seen"),
        (
            &slowed,
            &seen(900),
            "unknown: no run was seen in netns root, due in 250 s",
        ),
    ] {
        let evidence = Evidence {
            namespaces,
            measured: Some(measured),
            worst: None,
            threads: None,
            obstacle: None,
            root_netns: Some(ROOT),
            replaced: &Replaced::By("est_v3".into()),
            is_cut_short: false,
        };
        let (verdict, message) = evidence.judge();
        assert_eq!(verdict, Verdict::Unknown);
        assert!(message.starts_with(expected), "{message}");
        // What was seen to be too long is, whatever else was not seen.
        let long = worst(30 * MS);
        let long = Evidence {
            worst: Some(&long),
            ..evidence
        };
        assert_eq!(long.judge().0, Verdict::Problem);
        let cut_short = Evidence {
            is_cut_short: true,
            ..evidence
        };
        let line = cut_short.judge().1;
        assert_eq!(line, "unknown: a signal ended the measurement");
    }
}

#[test]
fn where_nothing_could_be_measured_it_says_why() {
    let evidence = Evidence {
        namespaces: &[],
        measured: None,
        worst: None,
        threads: None,
        obstacle: Some("this kernel carries no BTF for ip_vs"),
        root_netns: None,
        replaced: &Replaced::ByNone,
        is_cut_short: false,
    };
    let expected = "unknown: this kernel carries no BTF for ip_vs";
    assert_eq!(evidence.judge(), (Verdict::Unknown, expected.into()));
    assert_eq!(
        line(1, &[], None),
        (
            Verdict::Unknown,
            "unknown: ip_vs was unloaded meanwhile".into()
        )
    );
}

#[test]
fn no_message_is_longer_than_80_characters() {
    let numbers = [0, 1, 999, 1_000_000, u64::MAX / 2, u64::MAX];
    let small = [0, 1, 12_345, u32::MAX];
    let states = [
        State::Active,
        State::Skipping,
        State::Slowed,
        State::Dead,
        State::Absent,
    ];
    let long_name = "x".repeat(60);
    for (number, small, state) in numbers
        .into_iter()
        .flat_map(|number| small.map(|small| (number, small)))
        .flat_map(|(number, small)| states.map(|state| (number, small, state)))
    {
        for hotfix in [None, Some(long_name.as_str())] {
            let namespace = Namespace {
                netns: small,
                estimators: Some(small),
                period_ns: Some(number),
                next_run_in_ns: Some(number),
                runs: number % 2,
                ..in_state(small, state)
            };
            for namespaces in [vec![namespace.clone()], vec![namespace; 1_000]] {
                let (_, message) = line(number, &namespaces, hotfix);
                assert!(message.chars().count() <= WIDTH, "{message}");
                assert!(!message.ends_with([',', ' ']), "{message}");
            }
        }
    }
    let long = "x".repeat(200);
    assert_eq!(unknown(&long, None).1.chars().count(), WIDTH);
}

#[test]
fn kernel_threads_are_no_problem_unless_the_look_was_cut_short() {
    let thread = |tid, estimators| Thread {
        netns: ROOT,
        generation: 0,
        number: 0,
        named: Named::default(),
        tid,
        name: None,
        estimators,
        estimators_max: 9_600,
        share: None,
        nice: None,
        cpus: None,
        isolated_cpus: None,
        last_cpu: None,
    };
    let threads = SeenThreads {
        observed_ns: 2_600_000_000,
        calibrating: 0,
        stopped: 0,
        abandoned: 0,
        // One that has no task estimates nothing.
        threads: vec![
            thread(Some(1), 9_600),
            thread(Some(2), 401),
            thread(None, 7),
        ],
    };
    let evidence = Evidence {
        namespaces: &[],
        measured: None,
        worst: None,
        threads: Some(&threads),
        obstacle: None,
        root_netns: Some(ROOT),
        replaced: &Replaced::ByNone,
        is_cut_short: false,
    };
    let line = "OK estimation does not block softirqs here: 2 kernel threads, 10,001 estimators";
    assert_eq!(evidence.judge(), (Verdict::Ok, line.into()));
    let cut_short = Evidence {
        is_cut_short: true,
        ..evidence
    };
    assert_eq!(cut_short.judge().0, Verdict::Unknown);
    let abandoned = SeenThreads {
        abandoned: 1,
        ..threads.clone()
    };
    let abandoned = Evidence {
        threads: Some(&abandoned),
        ..evidence
    };
    let line = "unknown: estimators without a kernel thread, their statistics are frozen";
    assert_eq!(abandoned.judge(), (Verdict::Unknown, line.into()));
}
