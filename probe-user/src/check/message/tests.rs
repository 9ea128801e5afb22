use super::*;
use crate::check::page::{Blackout, Run};

const ROOT: u32 = 4_026_531_840;

fn active(netns: u32, estimators: u32) -> Namespace {
    Namespace {
        netns,
        estimators: Some(estimators),
        state: Some(State::Active),
        next_run_in_ns: Some(440_000_000),
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

fn seen(max_ns: Option<u64>, run_ns: u64, blackout_ns: u64) -> Measured {
    Measured {
        observed_ns: 5_001_000_000,
        max_ns,
        runs: 402,
        lost: 0,
        missed: 0,
        longest_run: Some(Run {
            duration_ns: run_ns,
            cpu: 3,
            netns: ROOT,
            estimators: Some(30_001),
        }),
        longest_blackout: Some(Blackout {
            duration_ns: blackout_ns,
            calls: 19,
            cpu: 0,
            netns: 4_026_532_141,
        }),
        half_ns: None,
    }
}

fn judge(namespaces: &[Namespace], measured: &Measured) -> (Verdict, String) {
    Evidence {
        namespaces,
        measured: Some(measured),
        obstacle: None,
        root_netns: Some(ROOT),
    }
    .judge()
}

#[test]
fn without_a_maximum_the_states_are_told() {
    let measured = seen(None, 3_870_000, 3_870_000);
    let one = [active(ROOT, 1)];
    let busy = [active(ROOT, 30_001), active(2, 1)];
    let mixed = [
        in_state(2, State::Slowed),
        active(ROOT, 30_001),
        in_state(3, State::Skipping),
    ];
    for (namespaces, expected) in [
        (
            &one[..],
            "ok: 1 estimator timer ACTIVE, longest list 1, next run in 0.4 s on CPU 3",
        ),
        (
            &busy,
            "ok: 2 estimator timers ACTIVE, longest list 30001, next run in 0.4 s on CPU 3",
        ),
        (
            &mixed,
            "ok: 1 of 3 estimator timers ACTIVE, 1 SLOWED, 1 SKIPPING, longest list 30001",
        ),
    ] {
        assert_eq!(judge(namespaces, &measured), (Verdict::Ok, expected.into()));
    }
}

#[test]
fn a_dead_estimator_is_a_problem_whatever_was_asked_for() {
    let dead = Namespace {
        next_run_in_ns: None,
        estimators: Some(30_001),
        ..in_state(ROOT, State::Dead)
    };
    let another = in_state(2, State::Dead);
    for max_ns in [None, Some(1), Some(u64::MAX)] {
        let measured = seen(max_ns, 3_870_000, 3_870_000);
        let (verdict, message) = judge(&[dead.clone(), active(3, 1)], &measured);
        assert_eq!(verdict, Verdict::Problem);
        assert_eq!(
            message,
            "problem: estimator DEAD in netns 4026531840 (root), 30001 estimators"
        );
        let (_, message) = judge(&[dead.clone(), another.clone()], &measured);
        assert_eq!(
            message,
            "problem: 2 estimators DEAD, first netns 4026531840 (root), 30001 estimators"
        );
    }
}

#[test]
fn runs_and_blackouts_are_held_against_the_maximum() {
    let namespaces = [active(ROOT, 30_001)];
    for (run_ns, blackout_ns, expected) in [
        (
            3_870_000,
            3_900_000,
            "problem: run of 3.87 ms, max 1 ms, netns 4026531840 (root) on CPU 3",
        ),
        (
            900_000,
            1_000_001,
            "problem: blackout of 1.00 ms, max 1 ms, netns 4026532141 on CPU 0, 19 runs",
        ),
        (
            900_000,
            1_000_000,
            "ok: longest run 900 us, max 1 ms, longest blackout 1.00 ms, 402 runs in 5 s",
        ),
    ] {
        let measured = seen(Some(1_000_000), run_ns, blackout_ns);
        let (verdict, message) = judge(&namespaces, &measured);
        assert!(message.starts_with(expected), "{message}");
        assert!(expected.starts_with(&verdict.to_string()));
    }
}

#[test]
fn what_was_not_seen_is_not_judged_to_be_short() {
    let namespaces = [active(ROOT, 30_001)];
    let lost = Measured {
        lost: 1,
        ..seen(Some(1_000_000), 900, 900)
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
        ..seen(Some(1_000_000), 0, 0)
    };
    let slowed = [Namespace {
        runs: 0,
        next_run_in_ns: Some(250_040_000_000),
        ..in_state(ROOT, State::Slowed)
    }];
    for (namespaces, measured, expected) in [
        (&namespaces, &lost, "unknown: 1 run could not be timed"),
        (&namespaces, &missed, "unknown: 2 runs could not be timed"),
        (&namespaces, &none, "unknown: no run was seen"),
        (
            &slowed,
            &seen(Some(1_000_000), 900, 900),
            "unknown: no run was seen in netns 4026531840 (root), due in 250.0 s",
        ),
    ] {
        let (verdict, message) = judge(namespaces, measured);
        assert_eq!(verdict, Verdict::Unknown);
        assert!(message.starts_with(expected), "{message}");
    }
    // What was seen to be too long is, whatever else was not seen.
    let long = Measured {
        lost: 1,
        ..seen(Some(1_000_000), 3_000_000, 0)
    };
    assert_eq!(judge(&namespaces, &long).0, Verdict::Problem);
}

#[test]
fn where_nothing_could_be_measured_it_says_why() {
    let evidence = Evidence {
        namespaces: &[],
        measured: None,
        obstacle: Some("this kernel carries no BTF for ip_vs"),
        root_netns: None,
    };
    let told = "unknown: this kernel carries no BTF for ip_vs";
    assert_eq!(evidence.judge(), (Verdict::Unknown, told.into()));
    let gone = judge(&[], &seen(None, 1, 1));
    assert_eq!(
        gone,
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
    for (number, small, state) in numbers
        .into_iter()
        .flat_map(|number| small.map(|small| (number, small)))
        .flat_map(|(number, small)| states.map(|state| (number, small, state)))
    {
        for (max_ns, unseen, many) in [
            (None, 0, 1),
            (Some(number), 0, 1_000),
            (Some(1), 0, 3),
            (Some(u64::MAX), number, 2),
            (Some(u64::MAX), 0, 1_000),
        ] {
            let namespace = Namespace {
                netns: small,
                estimators: Some(small),
                state: Some(state),
                next_run_in_ns: Some(number),
                next_cpu: Some(small),
                runs: u64::from(many % 2 == 0),
                ..Namespace::default()
            };
            let mut namespaces = vec![namespace.clone(); many];
            namespaces.push(active(ROOT, u32::MAX));
            namespaces.push(in_state(2, State::Slowed));
            namespaces.push(in_state(3, State::Skipping));
            let measured = Measured {
                runs: number,
                lost: unseen / 2,
                longest_run: Some(Run {
                    duration_ns: number,
                    cpu: small,
                    netns: small,
                    estimators: Some(small),
                }),
                longest_blackout: Some(Blackout {
                    duration_ns: number,
                    calls: number,
                    cpu: small,
                    netns: small,
                }),
                observed_ns: number,
                max_ns,
                ..seen(max_ns, number, number)
            };
            let evidence = Evidence {
                namespaces: &namespaces,
                measured: Some(&measured),
                obstacle: None,
                root_netns: Some(small),
            };
            let (_, message) = evidence.judge();
            assert!(message.chars().count() <= 80, "{message}");
            // Never cut in the middle of a part.
            assert!(!message.ends_with([',', ' ']), "{message}");
        }
    }
    let long = "x".repeat(200);
    assert_eq!(line(Verdict::Unknown, &[long]).chars().count(), 80);
}
