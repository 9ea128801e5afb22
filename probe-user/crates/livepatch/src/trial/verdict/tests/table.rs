//! Every row of the table of verdicts, with six runs a side.

use super::{
    super::{Evidence, Judgement, Tests, Verdict},
    *,
};

const ROOT: u32 = 4_026_531_840;

/// What runs over 30,001 estimators take here, in microseconds.
const BEFORE: [f64; 6] = [3871.0, 3875.2, 3870.4, 3868.9, 3873.3, 3872.1];

fn judged(namespaces: &[ComparedNamespace]) -> Judgement {
    let evidence = Evidence {
        namespaces,
        changed: None,
        root_netns: Some(ROOT),
        runs: 6,
        min_effect_percent: 5.0,
    };
    evidence.judge()
}

fn scaled(factor: f64) -> [f64; 6] {
    // In another order: the same noise, not the same runs.
    let mut after = BEFORE.map(|us| us * factor + 0.7);
    after.reverse();
    after
}

fn against(after_us: &[f64]) -> Judgement {
    judged(&[namespace(ROOT, &BEFORE, after_us)])
}

#[track_caller]
fn assert_says(judgement: &Judgement, verdict: Verdict, parts: &[&str]) {
    assert_eq!(judgement.verdict, verdict, "{}", judgement.why);
    for part in parts {
        assert!(judgement.why.contains(part), "{part:?}: {}", judgement.why);
    }
    assert!(judgement.why.ends_with('.'), "{}", judgement.why);
    assert!(!judgement.why.contains("  "), "{}", judgement.why);
}

#[test]
fn what_was_refused_has_no_numbers() {
    let refused = Judgement::refused("x.ko was built for another kernel.");
    assert_eq!(refused.verdict, Verdict::Refused);
    let json = serde_json::to_value(&refused).unwrap();
    assert_eq!(json["verdict"], "refused");
    assert!(json["tests"]["stall_ratio"].is_null());
}

#[test]
fn what_was_aborted_says_why_and_nothing_else() {
    let judgement = Judgement::aborted("Ctrl-C was pressed in the phase after the change.");
    assert_says(&judgement, Verdict::Aborted, &["Ctrl-C"]);
    assert_eq!(judgement.tests, Tests::default());
}

#[test]
fn an_estimator_that_runs_no_more_is_disabled_and_not_improved() {
    let mut dead = namespace(ROOT, &BEFORE, &[3871.0]);
    dead.after.dead = true;
    assert_says(
        &judged(&[dead]),
        Verdict::Disabled,
        &["netns 4026531840 (root)", "timer is not pending"],
    );
    // Nothing is known but that it does not run.
    let mut silent = namespace(ROOT, &BEFORE, &[]);
    silent.after.period_ns = None;
    silent.after.length_ns = 30_000_000_000;
    assert_says(&judged(&[silent]), Verdict::Disabled, &["in 30.0 s"]);
}

#[test]
fn one_idle_namespace_whose_estimator_stops_is_enough() {
    let mut idle = namespace(7, &[9.0; 6], &[]);
    idle.after.dead = true;
    let busy = namespace(ROOT, &BEFORE, &scaled(0.5));
    let judgement = judged(&[busy.clone(), idle.clone()]);
    assert_says(&judgement, Verdict::Disabled, &["estimator of netns 7 "]);
    assert_eq!(judgement.netns, Some(ROOT));
    let two = [
        idle.clone(),
        busy.clone(),
        ComparedNamespace {
            netns: 8,
            ..idle.clone()
        },
    ];
    let judgement = judged(&two);
    assert_says(&judgement, Verdict::Disabled, &["of 2 network namespaces"]);
    assert_eq!(judgement.stopped, [7, 8]);
    // One that was dead before is nothing that the change did.
    idle.before.dead = true;
    assert_eq!(judged(&[busy, idle]).verdict, Verdict::Improved);
}

#[test]
fn lists_that_moved_by_more_than_the_minimum_effect_cannot_be_compared() {
    for (estimators, verdict) in [
        (31_000, Verdict::Regressed),
        (31_502, Verdict::Inconclusive),
        (28_400, Verdict::Inconclusive),
    ] {
        let mut moved = namespace(ROOT, &BEFORE, &scaled(1.5));
        for run in &mut moved.after.runs {
            run.estimators = Some(estimators);
        }
        assert_eq!(judged(&[moved]).verdict, verdict, "{estimators}");
    }
    let mut moved = namespace(ROOT, &BEFORE, &scaled(1.5));
    for run in &mut moved.after.runs {
        run.estimators = Some(33_001);
    }
    let parts = [
        "from 30001 to 33001 estimators",
        "(+10.0 %)",
        "the 5 % that",
    ];
    assert_says(&judged(&[moved]), Verdict::Inconclusive, &parts);
}

#[test]
fn longer_runs_are_regressed() {
    let judgement = against(&scaled(1.5));
    assert_says(
        &judgement,
        Verdict::Regressed,
        &[
            "In netns 4026531840 (root), runs are 50.0 % longer",
            "p 0.0022; 6 runs before, 6 after",
            "95.9 % confidence",
            "2.88 ms of every second instead of 1.92 ms (1.50 times, p 0.0022)",
        ],
    );
    let tests = judgement.tests;
    assert!((tests.shift_percent.unwrap() - 50.0).abs() < 0.2);
    assert_eq!(tests.cliffs_delta, Some(1.0));
    assert_eq!(tests.p_value, Some(2.0 / 924.0));
    let [low, high] = tests.shift_interval_percent.unwrap();
    assert!(49.0 < low && low < 50.0 && 50.0 < high && high < 51.0);
}

#[test]
fn ten_percent_more_are_always_seen_and_four_never_count() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut noisy = |factor: f64| -> Vec<f64> {
        let runs = (0..6).map(|_| 3871.0 * factor * (1.0 + 0.001 * (random.f64() - 0.5)));
        runs.collect()
    };
    for _ in 0..200 {
        let slower = judged(&[namespace(ROOT, &noisy(1.0), &noisy(1.1))]);
        assert_eq!(slower.verdict, Verdict::Regressed, "{}", slower.why);
        let faster = judged(&[namespace(ROOT, &noisy(1.0), &noisy(0.9))]);
        assert_eq!(faster.verdict, Verdict::Improved, "{}", faster.why);
        for factor in [1.0, 1.04, 0.96] {
            let same = judged(&[namespace(ROOT, &noisy(1.0), &noisy(factor))]);
            assert_eq!(same.verdict, Verdict::Unchanged, "{}", same.why);
        }
    }
}

#[test]
fn a_shorter_period_alone_is_regressed() {
    let mut often = namespace(ROOT, &BEFORE, &[]);
    often.after = phase(&scaled(1.0), PERIOD_NS / 2);
    let judgement = judged(&[often]);
    assert_says(
        &judgement,
        Verdict::Regressed,
        &["3.84 ms of every second instead of 1.92 ms (2.00 times"],
    );
    assert!(!judgement.why.contains("longer"), "{}", judgement.why);
}

#[test]
fn five_of_the_longest_runs_after_are_regressed_and_four_are_chance() {
    // Most are as before, so that neither durations nor the stall tell.
    let five = [3200.0, 4100.0, 4101.0, 4102.0, 4103.0, 4104.0];
    let judgement = against(&five);
    let parts = ["longest run took 4.10 ms, and 5 took longer than the longest before, 3.88 ms"];
    assert_says(&judgement, Verdict::Regressed, &parts);
    assert!(
        !judgement.why.contains("of every second"),
        "{}",
        judgement.why
    );
    let four = [3000.0, 3200.0, 4101.0, 4102.0, 4103.0, 4104.0];
    assert_eq!(against(&four).verdict, Verdict::Inconclusive);
    // By less than the minimum effect.
    let close = [3200.0, 3880.0, 3881.0, 3882.0, 3883.0, 3884.0];
    assert_eq!(against(&close).verdict, Verdict::Inconclusive);
}

#[test]
fn another_namespace_that_costs_more_is_regressed() {
    let busy = namespace(ROOT, &BEFORE, &scaled(0.5));
    let other = namespace(9, &BEFORE.map(|us| us / 10.0), &scaled(0.2));
    let judgement = judged(&[other, busy]);
    assert_says(&judgement, Verdict::Regressed, &["In netns 9, runs are"]);
    assert_eq!(judgement.netns, Some(9), "the numbers are of that one");
    assert!(judgement.tests.shift_percent.unwrap() > 99.0);
}

#[test]
fn one_that_takes_next_to_nothing_is_not_heard_nor_is_one_whose_list_moved() {
    let busy = namespace(ROOT, &BEFORE, &scaled(0.5));
    let idle = namespace(9, &[9.0, 9.1, 9.2, 9.3, 9.4, 9.5], &[15.0; 6]);
    assert_eq!(judged(&[busy.clone(), idle]).verdict, Verdict::Improved);
    let mut moved = namespace(9, &BEFORE.map(|us| us / 10.0), &scaled(0.2));
    for run in &mut moved.after.runs {
        run.estimators = Some(60_000);
    }
    assert_eq!(judged(&[busy, moved]).verdict, Verdict::Improved);
}

#[test]
fn the_verdict_rests_on_the_largest_stall_before() {
    let busy = namespace(ROOT, &BEFORE, &scaled(1.0));
    let quiet = namespace(9, &BEFORE.map(|us| us / 20.0), &scaled(0.01));
    let judgement = judged(&[quiet, busy]);
    assert_says(&judgement, Verdict::Unchanged, &["(root)"]);
    // However much another one's runs take afterwards.
    let busy = namespace(ROOT, &BEFORE, &scaled(1.0));
    let grown = namespace(9, &BEFORE.map(|us| us / 20.0), &scaled(30.0));
    let judgement = judged(&[grown, busy]);
    assert_says(&judgement, Verdict::Regressed, &["In netns 9,"]);
}

#[test]
fn shorter_runs_are_improved() {
    let judgement = against(&[1.8, 1.9, 1.8, 1.8, 1.7, 1.8]);
    assert_says(
        &judgement,
        Verdict::Improved,
        &[
            "runs are 99.95 % shorter (-99.96 % to -99.95 %",
            "893 ns of every second instead of 1.92 ms (0.0005 times",
        ],
    );
    assert_eq!(judgement.tests.cliffs_delta, Some(-1.0));
}

#[test]
fn what_is_sure_enough_to_be_given_back_by_is_not_for_what_stays() {
    // All but one of the runs half as long, and that one longer than all but three: p 0.0152 of 924 orders.
    let mut mostly = scaled(0.5);
    mostly[2] = 3_872.05;
    let judgement = against(&mostly);
    assert_eq!(judgement.tests.p_value, Some(14.0 / 924.0));
    let parts = ["(0.58 times", "not sure enough", "more --runs"];
    assert_says(&judgement, Verdict::Inconclusive, &parts);
    // Longer by as much, it is given back.
    let mut mostly = scaled(1.5);
    mostly[2] = 3_871.5;
    assert_says(&against(&mostly), Verdict::Regressed, &["p 0.0"]);
}

#[test]
fn few_runs_are_improved_where_all_are_shorter() {
    for runs in 4..6 {
        let shorter = namespace(ROOT, &BEFORE[..runs], &scaled(0.5)[..runs]);
        let judgement = judged(&[shorter]);
        assert_says(&judgement, Verdict::Improved, &["50.0 % shorter"]);
    }
}

#[test]
fn a_longer_period_is_rarer_and_not_shorter() {
    let mut rarer = namespace(ROOT, &BEFORE, &[]);
    rarer.after = phase(&scaled(1.0), 5_120_000_000);
    assert_says(
        &judged(&[rarer]),
        Verdict::Improved,
        &[
            "rarer, not shorter: every 5.12 s instead of every 2.02 s",
            "0.39 times",
        ],
    );
}

#[test]
fn a_phase_with_fewer_runs_than_asked_for_is_improved_by_its_period() {
    let mut rarer = namespace(ROOT, &BEFORE, &[]);
    for runs in 1..6 {
        rarer.after = phase(&scaled(1.0)[..runs], 300_000_000_000);
        let judgement = judged(&[rarer.clone()]);
        let parts = ["rarer, not shorter: every 300 s", "6 runs before"];
        assert_says(&judgement, Verdict::Improved, &parts);
        assert!(judgement.tests.stall_ratio.unwrap() < 0.01);
        assert_eq!(judgement.tests.stall_p.is_some(), runs > 1);
        let first = judgement.why.split(". ").next().unwrap();
        let is_said = first.contains("by one run alone under the change, runs are rarer");
        assert_eq!(is_said, runs == 1, "{}", judgement.why);
    }
    // Fewer, but no further apart: the records of some were lost.
    rarer.after = phase(&scaled(1.0)[..4], PERIOD_NS);
    assert_ne!(judged(&[rarer.clone()]).verdict, Verdict::Improved);
    // They stall less, by one short run, and are further apart by less than the minimum effect.
    rarer.after = phase(&[2000.0, 3872.0, 3880.0], PERIOD_NS / 100 * 102);
    let judgement = judged(&[rarer]);
    assert!(judgement.tests.stall_ratio.unwrap() < 0.9);
    assert_says(&judgement, Verdict::Inconclusive, &[]);
}

#[test]
fn a_side_that_is_one_run_alone_is_told_of() {
    for (before, after, told) in [
        (
            1,
            1,
            "by one run alone before the change and one under it, ",
        ),
        (1, 2, "by one run alone before the change, "),
        (2, 1, "by one run alone under the change, "),
        (2, 2, ""),
    ] {
        let few = namespace(9, &BEFORE[..before], &BEFORE[..after]);
        let judgement = judged(&[few]);
        let parts = [&*format!("In netns 9, {told}there were too few runs")];
        assert_says(&judgement, Verdict::Inconclusive, &parts);
    }
}

#[test]
fn a_change_by_just_the_minimum_effect_is_too_little_to_matter() {
    let runs = |us: f64, count: usize, estimators, period_ns| {
        let mut phase = phase(&vec![us; count], period_ns);
        for run in &mut phase.runs {
            run.estimators = Some(estimators);
        }
        phase
    };
    let before = runs(4000.0, 6, 30_000, PERIOD_NS);
    for (says, after, verdict) in [
        (
            "runs are longer",
            runs(6000.0, 6, 30_000, PERIOD_NS),
            Verdict::Unchanged,
        ),
        (
            "runs are shorter",
            runs(2000.0, 6, 30_000, PERIOD_NS),
            Verdict::Unchanged,
        ),
        (
            "the list is longer",
            runs(4000.0, 6, 45_000, PERIOD_NS),
            Verdict::Unchanged,
        ),
        (
            "runs are shorter, fewer and further apart",
            runs(2000.0, 4, 30_000, PERIOD_NS / 2 * 3),
            Verdict::Unchanged,
        ),
        (
            "fewer runs stall less",
            runs(4000.0, 4, 30_000, 2 * PERIOD_NS),
            Verdict::Inconclusive,
        ),
    ] {
        let evidence = Evidence {
            namespaces: &[ComparedNamespace {
                netns: ROOT,
                before: before.clone(),
                after,
            }],
            changed: None,
            root_netns: None,
            runs: 6,
            min_effect_percent: 50.0,
        };
        let judgement = evidence.judge();
        assert_eq!(judgement.verdict, verdict, "{says}: {}", judgement.why);
    }
}

#[test]
fn rare_runs_that_are_longer_or_not_seen_at_all_are_not_improved() {
    let mut rare = namespace(ROOT, &BEFORE, &[]);
    rare.after = phase(&[40_000.0], 300_000_000_000);
    let parts = ["of 1 run the longest took 40.0 ms", "--max-wait"];
    assert_says(&judged(&[rare.clone()]), Verdict::Inconclusive, &parts);
    // As much longer as they are rarer: they stall as long as before.
    rare.after = phase(&[2.0 * BEFORE[0]], 2 * PERIOD_NS);
    let judgement = judged(&[rare.clone()]);
    assert_says(&judgement, Verdict::Inconclusive, &[]);
    assert!(
        !judgement.why.contains("the longest took"),
        "{}",
        judgement.why
    );
    rare.after = phase(&[], 300_000_000_000);
    rare.after.length_ns = 290_000_000_000;
    let judgement = judged(&[rare]);
    assert_says(
        &judgement,
        Verdict::Inconclusive,
        &["no run was seen in 290 s"],
    );
    assert_eq!(judgement.tests, Tests::default());
}

#[test]
fn a_faithful_copy_is_unchanged() {
    for after in [scaled(1.0), BEFORE, scaled(1.02), scaled(0.98)] {
        let judgement = against(&after);
        let parts = ["as long as before", "within the 5 %"];
        assert_says(&judgement, Verdict::Unchanged, &parts);
    }
    // Where time counts instructions, every run is alike.
    let alike = judged(&[namespace(ROOT, &[3871.8; 6], &[3871.9; 6])]);
    assert_eq!(alike.verdict, Verdict::Unchanged);
}

#[test]
fn the_minimum_effect_is_told_as_it_was_given() {
    for (min_effect_percent, told) in [(7.0, "within the 7 % "), (2.5, "within the 2.5 % ")] {
        let evidence = Evidence {
            namespaces: &[namespace(ROOT, &BEFORE, &scaled(1.0))],
            changed: None,
            root_netns: None,
            runs: 6,
            min_effect_percent,
        };
        assert_says(&evidence.judge(), Verdict::Unchanged, &[told]);
    }
}

#[test]
fn four_runs_as_long_as_before_but_rarer_are_not_unchanged() {
    let mut rarer = namespace(ROOT, &BEFORE[..4], &[]);
    rarer.after = phase(&BEFORE[..4], 5_120_000_000);
    let evidence = Evidence {
        namespaces: &[rarer],
        changed: None,
        root_netns: None,
        runs: 4,
        min_effect_percent: 5.0,
    };
    // Three gaps against three prove nothing.
    assert_eq!(evidence.judge().verdict, Verdict::Inconclusive);
}

#[test]
fn noise_that_hides_the_minimum_effect_is_inconclusive() {
    let judgement = judged(&[namespace(
        ROOT,
        &[3000.0, 3500.0, 3900.0, 4200.0, 4600.0, 5200.0],
        &[3100.0, 3300.0, 4000.0, 4400.0, 4700.0, 5300.0],
    )]);
    let parts = [
        "neither a change of runs by more than 5 % nor its absence",
        "--runs",
    ];
    assert_says(&judgement, Verdict::Inconclusive, &parts);
}

#[test]
fn without_runs_before_there_is_nothing_to_compare_with() {
    for namespaces in [vec![], vec![namespace(ROOT, &[], &BEFORE)]] {
        let judgement = judged(&namespaces);
        assert_says(&judgement, Verdict::Inconclusive, &["nothing to compare"]);
        assert_eq!(judgement.netns, None);
    }
}

#[test]
fn the_names_in_json_are_those_of_the_contract() {
    let json = serde_json::to_value(against(&scaled(1.5))).unwrap();
    assert_eq!(json["verdict"], "regressed");
    let names: Vec<&String> = json["tests"].as_object().unwrap().keys().collect();
    let mut expected = [
        "stall_ratio",
        "stall_p",
        "longest_ratio",
        "longest_above",
        "shift_percent",
        "shift_interval_percent",
        "shift_confidence_percent",
        "p_value",
        "cliffs_delta",
        "estimators_change_percent",
    ];
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(
        json["tests"]["shift_interval_percent"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn all_but_what_is_improved_is_given_back_unless_asked_otherwise() {
    use Verdict::*;
    for (verdict, alone, with_keep) in [
        (Refused, false, false),
        (Aborted, false, false),
        (Disabled, false, false),
        (Regressed, false, false),
        (Inconclusive, false, true),
        (Unchanged, false, true),
        (Improved, true, true),
    ] {
        assert_eq!(verdict.is_kept(false, false), alone, "{verdict:?}");
        assert_eq!(
            verdict.is_kept(true, false),
            with_keep,
            "{verdict:?} --keep"
        );
        assert!(!verdict.is_kept(true, true), "{verdict:?} --trial");
    }
}
