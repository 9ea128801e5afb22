use super::*;
use crate::check::page::{Blackout, Kernel, Livepatches, Namespace, Run};
use host::netns_owners::Named;

const LIMITS: Thresholds = Thresholds {
    warning_ns: 1_000_000,
    critical_ns: 10_000_000,
};

fn page(verdict: Verdict, worst_ns: Option<u64>, state: State) -> Page {
    let measured = worst_ns.map(|duration_ns| Measured {
        observed_ns: 2_600_000_000,
        max_ns: LIMITS.critical_ns,
        runs: 4,
        lost: 0,
        missed: 1,
        longest_run: Some(Run {
            duration_ns,
            cpu: 0,
            netns: Some(1),
            named: Named::default(),
            estimators: None,
        }),
        longest_blackout: Some(Blackout {
            duration_ns,
            calls: 1,
            cpu: 0,
            netns: Some(1),
            named: Named::default(),
        }),
        half_ns: None,
    });
    Page {
        record: "check",
        schema: 1,
        source: crate::record::Source::of("node"),
        at: String::new(),
        now_ns: 0,
        verdict,
        message: "what | was found".into(),
        kernel: Kernel {
            release: String::new(),
            estimator: None,
            possible_cpus: None,
            online_cpus: None,
        },
        root_netns: None,
        worst: None,
        measured,
        threads: None,
        namespaces: vec![Namespace {
            state: Some(state),
            ..Namespace::default()
        }],
        missing: Vec::new(),
        mechanism: None,
        cannot: &[],
        unavailable: Vec::new(),
        livepatch: Livepatches {
            supported: true,
            patches: Vec::new(),
            unseen: false,
        },
        mitigations: Vec::new(),
    }
}

#[test]
fn four_states_with_the_exit_codes_of_monitoring_plugins() {
    use State::{Active, Dead, Slowed};
    use Verdict::{Ok, Problem, Unknown};
    for (verdict, worst_ns, state, expected) in [
        (Ok, Some(1_000_000), Active, (Status::Ok, 0)),
        (Ok, Some(1_000_001), Active, (Status::Warning, 1)),
        (Problem, Some(10_000_001), Active, (Status::Critical, 2)),
        (Problem, Some(0), Slowed, (Status::Warning, 1)),
        (Problem, Some(0), Dead, (Status::Critical, 2)),
        (Unknown, Some(0), Active, (Status::Unknown, 3)),
        (Unknown, None, Active, (Status::Unknown, 3)),
        // What was seen is not made better by what was not.
        (Unknown, Some(1_000_001), Active, (Status::Warning, 1)),
    ] {
        let page = page(verdict, worst_ns, state);
        let found = status(&page, LIMITS);
        assert_eq!((found, found.code()), expected);
    }
}

#[test]
fn the_line_has_one_bar_and_its_numbers_are_seconds() {
    let text = line(&page(Verdict::Ok, Some(2_500_000), State::Active), LIMITS);
    assert_eq!(
        text,
        "IPVS WARNING - what / was found | longest_run=0.0025s;0.001;0.01;0 \
         longest_blackout=0.0025s;0.001;0.01;0 runs=4;;;0 lost=0;;;0 missed=1;;;0"
    );
    let text = line(&page(Verdict::Unknown, None, State::Active), LIMITS);
    assert_eq!(text, "IPVS UNKNOWN - what / was found");
}

#[test]
fn seconds_lose_nothing() {
    for (duration_ns, text) in [
        (0, "0"),
        (1, "0.000000001"),
        (63_900_000, "0.0639"),
        (2_000_000_000, "2"),
    ] {
        assert_eq!(seconds(duration_ns), text);
    }
}
