use super::{super::document::CpuTime, *};
use crate::{
    hotfix::trial::verdict::{Tests, Verdict},
    model::State,
    watch::Sums,
};

fn sums(calls: u64, duration_ns: u64, period_ns: u64) -> Sums {
    Sums {
        calls,
        recorded: calls,
        expected: calls,
        min_ns: Some(duration_ns),
        p50_ns: (calls >= 6).then_some(duration_ns),
        p90_ns: None,
        p99_ns: None,
        max_ns: Some(duration_ns + 1_000),
        max_at: None,
        stall_ns_per_s: (duration_ns * 1_000_000_000).checked_div(period_ns),
        lost: 0,
        missed: 0,
    }
}

fn side(state: State, calls: u64, duration_ns: u64) -> SideDocument {
    let period_ns = 2_016_000_000;
    let namespace = |netns, estimators| NamespaceDocument {
        netns,
        state: Some(state),
        period_ns: Some(period_ns),
        estimators: Some(estimators),
        run_estimation: Some(1),
        statistics: Some(Statistics::Frozen).filter(|_| state == State::Skipping),
        sums: sums(calls, duration_ns, period_ns),
    };
    let mut namespaces = vec![namespace(4_026_531_840, 30_001)];
    namespaces.extend((0..5).map(|number| namespace(4_026_532_141 + number, 1)));
    SideDocument {
        start_ns: 0,
        end_ns: calls * period_ns,
        all: sums(calls * 6, duration_ns, period_ns),
        namespaces,
        timer_softirq: Some(vec![
            CpuTime {
                cpu: 0,
                ns_per_s: 21_000,
            },
            CpuTime {
                cpu: 3,
                ns_per_s: duration_ns / 2,
            },
        ]),
        cut_short: false,
        durations_ns: vec![duration_ns; usize::try_from(calls).unwrap()],
    }
}

fn document() -> Document {
    Document {
        schema: 1,
        name: Some("est_skip".into()),
        verdict: Verdict::Improved,
        why: "In netns 4026531840 (root), runs are 100.0 % shorter (p 0.0022; 6 runs before, 6 after).".into(),
        netns: Some(4_026_531_840),
        before: Some(side(State::Active, 6, 3_870_943)),
        after: Some(side(State::Skipping, 6, 787)),
        rolled_back: Some(side(State::Active, 6, 3_870_944)),
        tests: Tests {
            stall_ratio: Some(0.0002),
            stall_p: Some(0.0022),
            longest_ratio: Some(0.0004),
            shift_percent: Some(-99.98),
            shift_interval_percent: Some([-99.98, -99.97]),
            p_value: Some(0.0022),
            cliffs_delta: Some(-1.0),
        },
        warnings: vec!["Traffic moved meanwhile: 10 connections and packets a second before, 90 after.".into()],
        side_effects: vec!["The kernel is tainted until the node boots again, whether the livepatch is there or not.".into()],
        host: Host::GivenBack,
        state_after: Some(State::Skipping),
        back: Some("est_skip is gone, and every estimator ran since (6 network namespaces)".into()),
        kernel_log: Vec::new(),
    }
}

fn told(document: &Document) -> String {
    let mut out = Vec::new();
    write(document, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_trial_is_told_as_a_change_board_reads_it() {
    insta::assert_snapshot!(told(&document()));
}

#[test]
fn what_was_ended_early_has_what_was_measured_and_nothing_else() {
    let told = told(&Document {
        verdict: Verdict::Aborted,
        why: "A signal asked to end.".into(),
        netns: None,
        after: None,
        rolled_back: None,
        warnings: Vec::new(),
        side_effects: Vec::new(),
        host: Host::Unchanged,
        back: None,
        ..document()
    });
    insta::assert_snapshot!(told);
}

#[test]
fn the_exit_code_tells_the_verdict_and_the_host() {
    for (verdict, host, code) in [
        (Verdict::Improved, Host::Patched, 0),
        (Verdict::Improved, Host::GivenBack, 0),
        (Verdict::Improved, Host::NeedsPerson, 3),
        (Verdict::Regressed, Host::GivenBack, 1),
        (Verdict::Unchanged, Host::Patched, 1),
        (Verdict::Disabled, Host::NeedsPerson, 3),
        (Verdict::Aborted, Host::Unchanged, 1),
        (Verdict::Refused, Host::Unchanged, 2),
    ] {
        let document = Document {
            verdict,
            host,
            ..document()
        };
        assert_eq!(document.code(), code, "{verdict} {host:?}");
    }
}
