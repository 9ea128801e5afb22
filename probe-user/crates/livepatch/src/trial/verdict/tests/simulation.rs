//! What a verdict gets wrong, and what it finds, over noise of many sizes and shapes. `--nocapture` shows it.

use std::f64::consts::TAU;

use super::{
    super::{Evidence, Verdict},
    *,
};
use model::statistics::{RankSum, Shift, median, real};

/// A side.
const RUNS: usize = 6;

/// As shares of a run.
const NOISES: [f64; 6] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3];

const TRIALS: u32 = 20_000;
const TRIALS_OF_MANY: u32 = 5_000;
const TRIALS_OF_POWER: u32 = 400;

/// So many verdicts in a hundred may be `regressed` by mistake.
const MOST_PERCENT: f64 = 2.5;

/// So many may be `improved` by mistake, for those stay in force.
const MOST_TO_STAY_PERCENT: f64 = 0.7;

/// How runs scatter.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// By many small causes that multiply.
    LogNormal,
    /// Two runs in five have cold caches.
    TwoModes,
    /// One run in twenty is interrupted and takes three times as long.
    Outliers,
    /// One run in ten takes ten times as long.
    HeavyTail,
}

impl Shape {
    const ALL: [Self; 4] = [
        Self::LogNormal,
        Self::TwoModes,
        Self::Outliers,
        Self::HeavyTail,
    ];

    /// Returns whether no single run hides a change.
    fn is_plain(self) -> bool {
        matches!(self, Self::LogNormal | Self::TwoModes)
    }
}

impl Shape {
    fn run_us(self, random: &mut fastrand::Rng, noise: f64) -> f64 {
        let scatter = |random: &mut fastrand::Rng, noise: f64| (noise * normal(random)).exp();
        3_871.0
            * match self {
                Self::LogNormal => scatter(random, noise),
                Self::TwoModes => {
                    let cold = if random.f64() < 0.4 { 2.0 * noise } else { 0.0 };
                    scatter(random, noise / 3.0) * (1.0 + cold)
                }
                Self::Outliers => {
                    let interrupted = if random.f64() < 0.05 { 3.0 } else { 1.0 };
                    scatter(random, noise) * interrupted
                }
                Self::HeavyTail => {
                    let interrupted = if random.f64() < 0.1 { 10.0 } else { 1.0 };
                    scatter(random, noise) * interrupted
                }
            }
    }

    fn phase(self, random: &mut fastrand::Rng, noise: f64, factor: f64) -> EstimatorPhase {
        self.phase_every(random, noise, factor, PERIOD_NS)
    }

    fn phase_every(
        self,
        random: &mut fastrand::Rng,
        noise: f64,
        factor: f64,
        period_ns: u64,
    ) -> EstimatorPhase {
        let runs: Vec<f64> = (0..RUNS)
            .map(|_| factor * self.run_us(random, noise))
            .collect();
        let mut phase = phase(&runs, period_ns);
        // The timer wheel has steps: now and then a run comes one later.
        let mut late_ns = 0;
        for run in &mut phase.runs {
            late_ns += u64::from(random.f64() < 0.1) * 32_000_000;
            run.start_ns += late_ns;
        }
        phase
    }
}

/// Of mean 0 and deviation 1 (Box, Muller).
fn normal(random: &mut fastrand::Rng) -> f64 {
    (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (TAU * random.f64()).cos()
}

/// How many of a hundred trials were called improved, and how many regressed.
fn shares(trials: u32, mut trial: impl FnMut() -> Vec<ComparedNamespace>) -> [f64; 2] {
    let mut counts = [0, 0];
    for _ in 0..trials {
        let evidence = Evidence {
            namespaces: &trial(),
            changed: None,
            root_netns: None,
            runs: RUNS,
            min_effect_percent: 5.0,
        };
        match evidence.judge().verdict {
            Verdict::Improved => counts[0] += 1,
            Verdict::Regressed => counts[1] += 1,
            _ => {}
        }
    }
    counts.map(|count| 100.0 * f64::from(count) / f64::from(trials))
}

fn alone(
    random: &mut fastrand::Rng,
    shape: Shape,
    noise: f64,
    factor: f64,
) -> Vec<ComparedNamespace> {
    vec![ComparedNamespace {
        netns: 1,
        before: shape.phase(random, noise, 1.0),
        after: shape.phase(random, noise, factor),
    }]
}

#[track_caller]
fn assert_few(told: [f64; 2], what: &str) {
    let [improved, regressed] = told;
    println!("{what}: improved {improved:.2} %, regressed {regressed:.2} %, by mistake");
    assert!(
        improved < MOST_TO_STAY_PERCENT,
        "{what}: improved {improved} %"
    );
    assert!(regressed < MOST_PERCENT, "{what}: regressed {regressed} %");
}

fn nothing_changed(shape: Shape) {
    for noise in NOISES {
        let mut random = fastrand::Rng::with_seed(1);
        let told = shares(TRIALS, || alone(&mut random, shape, noise, 1.0));
        assert_few(told, &format!("{shape:?}, noise {:.0} %", 100.0 * noise));
    }
}

#[test]
fn a_change_that_changes_nothing_is_rarely_called_one() {
    nothing_changed(Shape::LogNormal);
}

#[test]
fn nor_where_runs_have_two_modes() {
    nothing_changed(Shape::TwoModes);
}

#[test]
fn nor_where_some_runs_are_far_out() {
    nothing_changed(Shape::Outliers);
}

#[test]
fn nor_where_one_run_in_ten_is_ten_times_as_long() {
    nothing_changed(Shape::HeavyTail);
}

/// One busy namespace and others, each so large a share of it, under a change that changes nothing.
fn nothing_changed_beside(others: u32, share: f64, trials: u32) {
    let mut random = fastrand::Rng::with_seed(2);
    let noise = 0.3;
    let told = shares(trials, || {
        let mut all = alone(&mut random, Shape::LogNormal, noise, 1.0);
        all.extend((0..others).map(|other| ComparedNamespace {
            netns: 2 + other,
            before: Shape::LogNormal.phase(&mut random, noise, share),
            after: Shape::LogNormal.phase(&mut random, noise, share),
        }));
        all
    });
    assert_few(
        told,
        &format!("beside {others} that take {share} times as long"),
    );
}

#[test]
fn two_hundred_idle_namespaces_are_not_two_hundred_chances_to_be_wrong() {
    nothing_changed_beside(200, 0.001, TRIALS_OF_MANY / 5);
}

#[test]
fn nor_are_some_that_are_heard() {
    nothing_changed_beside(1, 0.3, TRIALS_OF_MANY);
    nothing_changed_beside(4, 0.3, TRIALS_OF_MANY);
}

#[test]
fn of_many_alike_none_is_judged_for_having_been_slow_before() {
    nothing_changed_beside(3, 1.0, TRIALS_OF_MANY);
    nothing_changed_beside(50, 1.0, TRIALS_OF_MANY / 10);
}

/// A busy namespace beside 600 idle ones whose runs are cheap, but for one in five, which is interrupted for longer than
/// the busy one runs.
#[test]
fn a_verdict_rests_on_the_busy_one_of_six_hundred_whatever_interrupts_the_idle_ones() {
    let mut random = fastrand::Rng::with_seed(6);
    for _ in 0..50 {
        let mut side = |estimators: u32, usual_us: f64| {
            let us: Vec<f64> = (0..4)
                .map(|_| {
                    let interrupted = random.f64() < 0.2;
                    let extra_us = if interrupted {
                        5_000.0 * random.f64()
                    } else {
                        0.0
                    };
                    usual_us * (0.3 * normal(&mut random)).exp() + extra_us
                })
                .collect();
            let mut side = phase(&us, PERIOD_NS);
            for run in &mut side.runs {
                run.estimators = Some(estimators);
            }
            side
        };
        let mut all: Vec<ComparedNamespace> = (0..600)
            .map(|index| ComparedNamespace {
                netns: 1_000 + index,
                before: side(1, 3.0),
                after: side(1, 3.0),
            })
            .collect();
        all.insert(
            300,
            ComparedNamespace {
                netns: 1,
                before: side(601, 300.0),
                after: side(601, 3.0),
            },
        );
        let judgement = Evidence {
            namespaces: &all,
            changed: None,
            root_netns: None,
            runs: 4,
            min_effect_percent: 5.0,
        }
        .judge();
        assert_eq!(judgement.netns, Some(1), "{}", judgement.why);
        let [low, _] = judgement.tests.shift_interval_percent.unwrap();
        assert!(low > -100.0, "{}", judgement.why);
    }
}

/// Returns how often the durations alone say so, of a hundred trials: by ratios, and by differences as a share of the
/// median before, which is how the shift was taken formerly.
fn found_by_durations(shape: Shape, noise: f64, factor: f64) -> [f64; 2] {
    let mut random = fastrand::Rng::with_seed(3);
    let mut found = [0, 0];
    for _ in 0..TRIALS_OF_POWER {
        let all = alone(&mut random, shape, noise, factor);
        let [before, after] = [&all[0].before, &all[0].after].map(EstimatorPhase::durations_ns);
        if RankSum::of(&before, &after).is_none_or(|ranks| ranks.p_value >= 0.01) {
            continue;
        }
        let beyond = |low: f64, high: f64| low > 0.05 || high < -0.05;
        let ratios = Shift::of(&before, &after).unwrap().interval.unwrap();
        found[0] += u32::from(beyond(ratios.low - 1.0, ratios.high - 1.0));
        let mut differences: Vec<f64> = after
            .iter()
            .flat_map(|after| before.iter().map(|before| real(*after) - real(*before)))
            .collect();
        differences.sort_unstable_by(f64::total_cmp);
        let middle = median(&before).unwrap();
        found[1] += u32::from(beyond(differences[5] / middle, differences[30] / middle));
    }
    found.map(|count| 100.0 * f64::from(count) / f64::from(TRIALS_OF_POWER))
}

#[test]
fn ratios_find_about_as_much_as_differences_did() {
    let (mut by_ratios, mut by_differences) = (0.0, 0.0);
    for shape in Shape::ALL {
        println!("{shape:?}: percent found by durations at p < 0.01, ratios | differences");
        for noise in NOISES {
            let row = [0.5, 0.8, 1.2, 1.5].map(|factor| {
                let [ratios, differences] = found_by_durations(shape, noise, factor);
                by_ratios += ratios;
                by_differences += differences;
                let change = 100.0 * (factor - 1.0);
                format!("{change:+3.0} %: {ratios:5.1} | {differences:5.1}")
            });
            println!("noise {:4.1} %   {}", 100.0 * noise, row.join("   "));
        }
    }
    assert!(
        by_ratios > 0.95 * by_differences,
        "{by_ratios} against {by_differences}"
    );
}

#[test]
fn what_did_change_is_found_where_the_noise_is_smaller() {
    for shape in Shape::ALL {
        println!(
            "{shape:?}: percent of trials called improved and regressed, of {RUNS} runs a side"
        );
        for noise in [0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3] {
            let found = [0.5, 0.9, 1.1, 1.2, 1.5].map(|factor| {
                let mut random = fastrand::Rng::with_seed(3);
                let told = shares(TRIALS_OF_POWER, || alone(&mut random, shape, noise, factor));
                (factor, told)
            });
            let row = found.map(|(factor, [improved, regressed])| {
                format!(
                    "{:+3.0} %: {improved:5.1} {regressed:5.1}",
                    100.0 * (factor - 1.0)
                )
            });
            println!("noise {:4.1} %   {}", 100.0 * noise, row.join("   "));
            for (factor, [improved, regressed]) in found {
                let (right, wrong) = if factor < 1.0 {
                    (improved, regressed)
                } else {
                    (regressed, improved)
                };
                assert!(
                    wrong < MOST_PERCENT,
                    "{shape:?}, {noise}, {factor}: {wrong} %"
                );
                // An outlier can hide a change; nothing else may, where it is ten times the noise beyond 5 %.
                if shape.is_plain() && (factor - 1.0_f64).abs() > 0.05 + 5.0 * noise {
                    assert!(right > 99.0, "{shape:?}, {noise}, {factor}: {right} %");
                }
            }
        }
    }
}

/// As a hotfix makes them that arms the timer for 5 s, and changes nothing else.
#[test]
fn runs_that_are_rarer_are_found_where_the_noise_is_smaller() {
    for shape in Shape::ALL {
        for noise in [0.01, 0.1, 0.2, 0.3] {
            let mut random = fastrand::Rng::with_seed(4);
            let [improved, regressed] = shares(TRIALS_OF_POWER, || {
                vec![ComparedNamespace {
                    netns: 1,
                    before: shape.phase(&mut random, noise, 1.0),
                    after: shape.phase_every(&mut random, noise, 1.0, 5_152_000_000),
                }]
            });
            let noise = 100.0 * noise;
            println!(
                "{shape:?}, noise {noise:.0} %, every 5 s: improved {improved:.1} %, regressed {regressed:.1} %"
            );
            assert!(
                regressed < MOST_PERCENT,
                "{shape:?}, {noise} %: {regressed} %"
            );
            if shape.is_plain() && noise < 15.0 {
                assert!(improved > 95.0, "{shape:?}, {noise} %: {improved} %");
            }
        }
    }
}
