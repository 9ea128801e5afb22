use super::*;
use crate::trial::{
    judge,
    made_phase::{Made, plan, side},
    verdict::Verdict,
};

fn state_of(made: &Made) -> Option<State> {
    side(std::slice::from_ref(made)).compared(6)[&made.netns].state
}

#[test]
fn the_state_is_by_all_runs_and_not_by_the_last() {
    // The last look found the last run long, and took the estimator for active.
    let mut runs = vec![786; 6];
    runs[5] = 2_150_000;
    let made = Made::active(7, 30_001, &runs);
    assert_eq!(state_of(&made), Some(State::Skipping));
    let walks = Made::active(7, 30_001, &[3_870_000; 6]);
    assert_eq!(state_of(&walks), Some(State::Active));
    // A gap that was long once does not make it slow, nor one that was short make it quick.
    let late = Made {
        state: State::Slowed,
        ..walks.clone()
    };
    assert_eq!(state_of(&late), Some(State::Active));
    let slow = Made {
        period_ns: 5_120_000_000,
        ..walks.clone()
    };
    assert_eq!(state_of(&slow), Some(State::Slowed));
    let dead = Made {
        state: State::Dead,
        ..walks.clone()
    };
    assert_eq!(state_of(&dead), Some(State::Dead));
    let rare = Made {
        durations_ns: vec![786],
        state: State::Slowed,
        ..walks
    };
    assert_eq!(state_of(&rare), Some(State::Slowed));
}

#[test]
fn where_nothing_tells_whether_statistics_move_that_is_a_warning() {
    let frozen = |before: &[Made], after: &[Made]| {
        let (before, after) = (side(before), side(after));
        let judged = judge::judge(&before, &after, &plan(6), None, None);
        assert_eq!(judged.verdict, Verdict::Improved, "{}", judged.why);
        let warnings = judge::warnings(&before, &after, &judged, &plan(6));
        let frozen =
            |warning: &String| warning.contains("Statistics may be frozen: no traffic to tell by");
        warnings.iter().any(frozen)
    };
    // Too few estimators for a run that is short to prove anything.
    let before = [Made::active(
        7,
        90,
        &[50_000, 50_100, 50_200, 50_300, 50_400, 50_500],
    )];
    let short = [Made::active(
        7,
        90,
        &[3_000, 3_100, 3_200, 3_300, 3_400, 3_500],
    )];
    assert!(frozen(&before, &short));
    let less = [Made::active(
        7,
        90,
        &[40_000, 40_100, 40_200, 40_300, 40_400, 40_500],
    )];
    assert!(!frozen(&before, &less), "it still walks");
    // Here it is known that they stand still, which is a side effect.
    let long = [Made::active(7, 30_001, &[3_870_000; 6])];
    let skipping = [Made::active(
        7,
        30_001,
        &[786, 2_150_000, 787, 788, 789, 790],
    )];
    assert!(!frozen(&long, &skipping));
}
