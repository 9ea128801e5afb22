use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Longest, Pace, RankSum, Shift, Tails, median, real};

/// One made-up pair of samples, and what `SciPy` says of it.
#[derive(Deserialize)]
struct Case {
    before: Side,
    after: Side,
    p_value: f64,
    cliffs_delta: f64,
    shift_ratio: f64,
    interval_ratio: Option<[f64; 2]>,
    stall_ratio: Option<f64>,
    /// By factor: the chances of `Tails`.
    stall_tails: Option<BTreeMap<String, [f64; 2]>>,
}

#[derive(Deserialize)]
struct Side {
    durations: Vec<u64>,
    /// Where a stall is told.
    #[serde(default)]
    starts: Vec<u64>,
}

impl Side {
    fn pace(&self) -> Pace {
        let starts = self.starts.iter().copied();
        Pace::of(starts.zip(self.durations.iter().copied()))
    }
}

fn cases() -> Vec<Case> {
    let text = include_str!("tests/against_scipy.json");
    serde_json::from_str(text).expect("against_scipy.py writes what is read here")
}

#[track_caller]
fn assert_close(told: f64, expected: f64, what: &str) {
    let off = (told - expected).abs();
    assert!(
        off <= 1e-9 * expected.abs().max(1.0),
        "{what}: {told}, not {expected}"
    );
}

#[test]
fn two_hundred_cases_with_ties_are_as_scipy_has_them() {
    let cases = cases();
    assert_eq!(cases.len(), 200);
    for (index, case) in cases.iter().enumerate() {
        let (before, after) = (&case.before.durations, &case.after.durations);
        let ranks = RankSum::of(before, after).unwrap();
        let shift = Shift::of(before, after).unwrap();
        assert_close(ranks.p_value, case.p_value, &format!("p of case {index}"));
        assert_close(ranks.cliffs_delta, case.cliffs_delta, "Cliff's delta");
        assert_close(shift.ratio, case.shift_ratio, "the shift");
        let interval = shift.interval.map(|interval| [interval.low, interval.high]);
        assert_eq!(
            interval.is_some(),
            case.interval_ratio.is_some(),
            "interval of case {index}"
        );
        let pairs = interval.into_iter().flatten();
        for (bound, expected) in pairs.zip(case.interval_ratio.into_iter().flatten()) {
            assert_close(bound, expected, &format!("interval of case {index}"));
        }
    }
}

#[test]
fn stalls_and_their_chances_are_as_enumeration_has_them() {
    let mut seen = 0;
    for (index, case) in cases().iter().enumerate() {
        let (Some(ratio), Some(expected)) = (case.stall_ratio, &case.stall_tails) else {
            continue;
        };
        let (before, after) = (case.before.pace(), case.after.pace());
        seen += 1;
        let told = after.stall().unwrap() / before.stall().unwrap();
        assert_close(told, ratio, &format!("stall ratio of case {index}"));
        for (factor, [at_least, at_most]) in expected {
            let tails = Tails::of(&before, &after, factor.parse().unwrap()).unwrap();
            let what = format!("stall against {factor} times, case {index}");
            assert_close(tails.at_least, *at_least, &what);
            assert_close(tails.at_most, *at_most, &what);
        }
    }
    assert!(seen > 50, "{seen} cases have a stall");
}

/// Every way to choose `after` of `pooled`: the chosen, and the others.
fn splits(pooled: &[u64], after: usize) -> Vec<(Vec<u64>, Vec<u64>)> {
    (0_u32..1 << pooled.len())
        .filter(|chosen| chosen.count_ones() as usize == after)
        .map(|chosen| {
            let all = pooled.iter().copied().enumerate();
            let (one, other): (Vec<_>, Vec<_>) = all.partition(|(bit, _)| chosen >> bit & 1 == 1);
            let durations = |side: Vec<(usize, u64)>| side.into_iter().map(|(_, ns)| ns).collect();
            (durations(one), durations(other))
        })
        .collect()
}

/// Pairs in which the run after is longer, twice, and ties once.
fn double_u(before: &[u64], after: &[u64]) -> usize {
    let pairs = after
        .iter()
        .flat_map(|after| before.iter().map(move |before| (after, before)));
    pairs
        .map(|(after, before)| match after.cmp(before) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => 1,
            std::cmp::Ordering::Greater => 2,
        })
        .sum()
}

#[test]
fn the_p_value_counts_every_split() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..60 {
        let sizes = (random.usize(1..=5), random.usize(1..=6));
        let kinds = random.u64(2..=20);
        let mut runs = |count| (0..count).map(|_| random.u64(0..kinds)).collect::<Vec<_>>();
        let (before, after) = (runs(sizes.0), runs(sizes.1));
        let seen = double_u(&before, &after);
        let splits = splits(&[after.as_slice(), &before].concat(), after.len());
        let count = |meets: &dyn Fn(usize) -> bool| {
            let met = splits
                .iter()
                .filter(|(after, before)| meets(double_u(before, after)));
            real(met.count())
        };
        let smaller = count(&|u| u <= seen).min(count(&|u| u >= seen));
        let expected = (2.0 * smaller / real(splits.len())).min(1.0);
        let told = RankSum::of(&before, &after).unwrap();
        assert_close(
            told.p_value,
            expected,
            &format!("{before:?} against {after:?}"),
        );
    }
}

#[test]
fn six_against_six_give_the_sixth_and_the_thirty_first_ratio() {
    let before: Vec<u64> = (0..6).map(|index| 1 << index).collect();
    let after: Vec<u64> = (0..6).map(|index| 1 << (10 + 6 * index)).collect();
    let shift = Shift::of(&before, &after).unwrap();
    // All 36 ratios are different: 2 to the power of 5 to 40.
    let interval = shift.interval.unwrap();
    let power = |exponent: f64| exponent.exp2();
    assert_close(interval.low, power(10.0), "the 6th");
    assert_close(interval.high, power(35.0), "the 31st");
    assert_close(shift.ratio, power(22.5), "the median of 36");
    assert_close(interval.confidence, 1.0 - 2.0 * 19.0 / 924.0, "95.9 %");
}

#[test]
fn too_few_runs_for_an_interval_have_none() {
    assert_eq!(Shift::of(&[1, 2, 3], &[4, 5, 6]).unwrap().interval, None);
    assert!(
        Shift::of(&[1, 2, 3, 4], &[4, 5, 6, 7])
            .unwrap()
            .interval
            .is_some()
    );
    assert_eq!(Shift::of(&[], &[1]), None);
    assert_eq!(RankSum::of(&[1], &[]), None);
    assert_eq!(Longest::of(&[], &[1]), None);
    assert_eq!(median(&[]), None);
}

#[test]
fn one_run_against_hundreds_is_ranked_exactly() {
    let many: Vec<u64> = (1..=300).collect();
    let ranks = RankSum::of(&many, &[0]).unwrap();
    assert_close(ranks.p_value, 2.0 / 301.0, "below 300");
    // Of 301 places, the seven lowest are 2.3 %. A duration of 0 is one below the clock's resolution of 1 ns.
    let interval = Shift::of(&many, &[0]).unwrap().interval.unwrap();
    assert_close(interval.low, 1.0 / 294.0, "the 7th");
    assert_close(interval.high, 1.0 / 7.0, "the 294th");
    assert_close(interval.confidence, 1.0 - 14.0 / 301.0, "95.3 %");
}

#[test]
fn runs_that_are_all_alike_say_nothing() {
    for count in [6, 200] {
        let runs = vec![3_871_777; count];
        let ranks = RankSum::of(&runs, &runs).unwrap();
        assert_close(ranks.p_value, 1.0, "p");
        assert_close(ranks.cliffs_delta, 0.0, "Cliff's delta");
        let interval = Shift::of(&runs, &runs).unwrap().interval.unwrap();
        assert_close(interval.low, 1.0, "the least ratio");
        assert_close(interval.high, 1.0, "the largest ratio");
        assert!(interval.confidence >= 0.95);
    }
}

const PERIOD_NS: u64 = 2_016_000_000;

fn pace(durations_ns: &[u64], period_ns: u64) -> Pace {
    let starts = (0..).map(|run| 1 + run * period_ns);
    Pace::of(starts.zip(durations_ns.iter().copied()))
}

#[test]
fn a_stall_needs_a_gap() {
    assert_eq!(pace(&[], PERIOD_NS).stall(), None);
    assert_eq!(pace(&[4_000_000], PERIOD_NS).stall(), None);
    let two = pace(&[4_000_000, 6_000_000], PERIOD_NS);
    assert_close(two.stall().unwrap(), 5.0 / 2016.0, "5 ms every 2.016 s");
    assert_eq!(Tails::of(&two, &pace(&[1], PERIOD_NS), 1.0), None);
}

#[test]
fn runs_come_in_any_order_and_may_take_no_time() {
    let runs = [(30, 3), (10, 0), (20, 2)];
    let pace = Pace::of(runs);
    assert_eq!(pace, Pace::of([(10, 1), (20, 2), (30, 3)]));
    assert_close(pace.stall().unwrap(), 0.2, "2 ns every 10 ns");
}

#[test]
fn a_longer_period_is_seen_though_every_run_is_as_long_as_before() {
    let durations = [
        3_871_000, 3_872_000, 3_871_500, 3_870_900, 3_871_200, 3_871_700,
    ];
    let (before, after) = (pace(&durations, PERIOD_NS), pace(&durations, 5_120_000_000));
    let tails = Tails::of(&before, &after, 1.0).unwrap();
    assert!(
        tails.at_most < 0.005 && tails.two_sided() < 0.01,
        "{tails:?}"
    );
    let back = Tails::of(&after, &before, 1.0).unwrap();
    assert!(back.at_least < 0.005, "{back:?}");
}

#[test]
fn hundreds_of_runs_against_a_few_are_no_burden() {
    let many: Vec<u64> = (0..600).map(|index| 4_000_000 + index % 37).collect();
    for few in [&many[18..20], &many[16..22], &many[..]] {
        for (before, after) in [(few, many.as_slice()), (&many, few)] {
            let tails = Tails::of(&pace(before, 100), &pace(after, 100), 1.0).unwrap();
            assert!(tails.two_sided() > 0.05, "{tails:?}");
            assert!(RankSum::of(before, after).unwrap().p_value > 0.05);
        }
    }
}

/// Of six runs a side every split is looked at, of eleven some are drawn.
#[test]
fn where_every_run_is_alike_every_split_is_as_far_off() {
    for count in [6, 11] {
        let alike = pace(&vec![4_000_000; count], PERIOD_NS);
        let tails = Tails::of(&alike, &alike, 1.0).unwrap();
        assert_close(tails.at_least, 1.0, "as large");
        assert_close(tails.at_most, 1.0, "as small");
    }
}

#[test]
fn the_longest_after_count_from_the_longest_before_on() {
    let before = [10, 11, 12, 13, 14, 15];
    for (after, above, chance) in [
        ([9, 9, 9, 9, 9, 9], 0, 1.0),
        ([10, 11, 12, 13, 14, 15], 0, 1.0),
        ([9, 9, 9, 9, 9, 30], 1, 0.5),
        ([9, 9, 30, 31, 32, 33], 4, 28.0 / 924.0),
        ([9, 16, 30, 31, 32, 33], 5, 7.0 / 924.0),
        ([16, 17, 30, 31, 32, 33], 6, 1.0 / 924.0),
    ] {
        let longest = Longest::of(&before, &after).unwrap();
        assert_eq!(longest.above, above, "{after:?}");
        assert_close(longest.chance, chance, &format!("{after:?}"));
    }
    let longest = Longest::of(&before, &[9, 30]).unwrap();
    assert_close(longest.ratio().unwrap(), 2.0, "30 to 15");
    assert_eq!(Longest::of(&[0], &[1]).unwrap().ratio(), None);
}

#[test]
fn a_median_of_an_even_number_is_the_middle_of_two() {
    assert_eq!(median(&[4, 1, 2]), Some(2.0));
    assert_eq!(median(&[4, 1, 2, 9]), Some(3.0));
}
