//! What the numbers must be.

use super::table::estimators;
use super::{Bench, REPEATS_WITHIN, Row, What, threads};

/// Judges the numbers: a sentence for every promise that is broken, none when all hold.
///
/// The first run after attaching is *dearer than the rest* when it exceeds the median of the ten behind it by more
/// than the empty pair's runs, its first one included, are apart: so much lies between the runs of any probe. One
/// number of estimators alone breaks nothing: now and then an interrupt of the guest's own falls into a run, but
/// not into the first ones of two guests.
#[must_use]
pub fn verdict(bench: &Bench) -> Vec<String> {
    let (mut broken, mut dearer) = (Vec::new(), Vec::new());
    for size in bench.sizes() {
        let at = |sentence| format!("at {} {sentence}", estimators(size));
        let row = |what| bench.row(what, size);
        let (Some(empty), Some(bpftrace), Some(ours)) = (
            row(What::EmptyPair),
            row(What::BpftraceHist),
            row(What::Watch),
        ) else {
            broken.push(at("not everything was measured".into()));
            continue;
        };
        broken.extend(
            added(empty, bpftrace, ours)
                .into_iter()
                .chain(start(bpftrace, ours))
                .map(at),
        );
        if Some(size) == bench.sizes().into_iter().max() {
            let others = OTHER_WAYS.map(|other| like(ours, row(other)));
            broken.extend(others.into_iter().flatten().map(at));
        }
        dearer.extend(first(empty, ours).map(at));
    }
    if dearer.len() > 1 {
        broken.append(&mut dearer);
    }
    broken.extend(constant(bench));
    if bench.threads_kernel.is_some() {
        broken.extend(threads::verdict(&bench.chains));
    }
    if bench.sizes().is_empty() {
        broken.push("nothing was measured".into());
    }
    broken
}

/// What ours may add to a run: of what an empty pair adds, so much. `docs/decisions.md` has its parts.
const PERCENT_OF_EMPTY: i64 = 161;

fn added(empty: &Row, bpftrace: &Row, ours: &Row) -> Option<String> {
    let added = ours.added_instructions;
    let allowed = PERCENT_OF_EMPTY * empty.added_instructions / 100;
    if added > allowed + REPEATS_WITHIN.cast_signed() {
        return Some(format!(
            "ours adds {added} instructions, over {PERCENT_OF_EMPTY} % of the empty pair's {}",
            empty.added_instructions
        ));
    }
    (added >= bpftrace.added_instructions).then(|| {
        format!(
            "ours adds {added} instructions, no fewer than bpftrace's {}",
            bpftrace.added_instructions
        )
    })
}

/// How our program measures on kernels that lack a feature. A run costs no more there.
const OTHER_WAYS: [What; 2] = [What::WatchWithoutLoop, What::WatchWithoutModuleBtf];

fn like(ours: &Row, other: Option<&Row>) -> Option<String> {
    let Some(other) = other else {
        return Some("not every way was measured".into());
    };
    let (one, another) = (ours.run_instructions, other.run_instructions);
    if one.abs_diff(another) > REPEATS_WITHIN {
        return Some(format!(
            "a run takes {another} instructions under {}, and {one} under ours",
            other.attached.label()
        ));
    }
    let one = ours.start_to_attached_instructions?;
    let Some(another) = other.start_to_attached_instructions else {
        return Some(format!("no start was seen of {}", other.attached.label()));
    };
    (5 * another > 6 * one).then(|| {
        format!(
            "{} is attached after {another} instructions, over 1.2 times ours, {one}",
            other.attached.label()
        )
    })
}

fn first(empty: &Row, ours: &Row) -> Option<String> {
    let (shortest, longest) = (empty.min_instructions, empty.max_instructions);
    let allowed = empty.first_instructions.max(longest) - empty.first_instructions.min(shortest);
    let dearer = ours
        .first_instructions
        .saturating_sub(ours.run_instructions);
    (dearer > allowed).then(|| {
        format!("the first run after attaching ours is {dearer} instructions dearer than the rest; {allowed} are allowed")
    })
}

fn start(bpftrace: &Row, ours: &Row) -> Option<String> {
    let (Some(bpftrace), Some(ours)) = (
        bpftrace.start_to_attached_instructions,
        ours.start_to_attached_instructions,
    ) else {
        return Some("no start was seen of bpftrace or of ours".into());
    };
    (3 * ours > bpftrace).then(|| {
        format!("ours is attached after {ours} instructions, over a third of bpftrace's {bpftrace}")
    })
}

/// What is added depends on nothing that grows with the number of estimators.
fn constant(bench: &Bench) -> Option<String> {
    let added = bench
        .rows
        .iter()
        .filter(|row| row.attached == What::Watch)
        .map(|row| row.added_instructions);
    let (least, most) = (added.clone().min()?, added.max()?);
    (most - least > REPEATS_WITHIN.cast_signed()).then(|| {
        format!("ours adds between {least} and {most} instructions by the number of estimators; they may be {REPEATS_WITHIN} apart")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers like those first measured, changed by `change`.
    fn bench(change: impl Fn(&mut Row)) -> Bench {
        let mut rows = Vec::new();
        for (estimators, nothing) in [(1, 1_773), (3_001, 388_773), (30_001, 3_871_777)] {
            for (attached, added, start) in [
                (What::Nothing, 0, None),
                (What::EmptyPair, 824, Some(15_000_000)),
                (What::BpftraceHist, 2_543, Some(570_000_000)),
                (What::Watch, 1_322, Some(110_000_000)),
                (What::WatchWithoutLoop, 1_322, Some(120_000_000)),
                (What::WatchWithoutModuleBtf, 1_322, Some(130_000_000)),
            ] {
                let run = nothing + added;
                let mut row = Row {
                    attached,
                    estimators,
                    run_instructions: run,
                    added_instructions: added.cast_signed(),
                    min_instructions: run - 36,
                    max_instructions: run,
                    first_instructions: run,
                    start_to_attached_instructions: start,
                    start_to_attached_ns: start,
                    softirq_instructions: 0,
                    other_softirq_instructions: 0,
                };
                change(&mut row);
                rows.push(row);
            }
        }
        Bench {
            schema: 1,
            kind: "bench",
            kernel: "6.1.0".into(),
            rows,
            threads_kernel: None,
            chains: Vec::new(),
        }
    }

    /// Numbers of which only ours are changed.
    fn ours(change: impl Fn(&mut Row)) -> Vec<String> {
        verdict(&bench(|row| {
            if row.attached == What::Watch {
                change(row);
            }
        }))
    }

    #[test]
    fn good_numbers_break_no_promise() {
        assert_eq!(verdict(&bench(|_| ())), [""; 0]);
    }

    #[test]
    fn what_is_added_is_held_against_the_empty_pair_and_bpftrace() {
        assert_eq!(ours(|row| row.added_instructions = 1_366), [""; 0]);
        let broken = ours(|row| row.added_instructions = 1_367);
        assert_eq!(broken.len(), 3);
        assert_eq!(
            broken[0],
            "at 1 estimator ours adds 1367 instructions, over 161 % of the empty pair's 824"
        );
        let broken = verdict(&bench(|row| {
            if row.attached == What::BpftraceHist {
                row.added_instructions = 1_322;
            }
        }));
        assert_eq!(broken.len(), 3);
        assert_eq!(
            broken[2],
            "at 30,001 estimators ours adds 1322 instructions, no fewer than bpftrace's 1322"
        );
    }

    #[test]
    fn what_is_added_does_not_grow_with_the_estimators() {
        let grown = |by| {
            ours(move |row| {
                if row.estimators == 30_001 {
                    row.added_instructions += by;
                }
            })
        };
        assert_eq!(grown(40), [""; 0]);
        assert_eq!(grown(-40), [""; 0]);
        assert_eq!(
            grown(41),
            [
                "ours adds between 1322 and 1363 instructions by the number of estimators; they may be 40 apart"
            ]
        );
    }

    #[test]
    fn the_first_run_may_be_as_much_dearer_as_the_empty_pairs_runs_are_apart() {
        assert_eq!(ours(|row| row.first_instructions += 36), [""; 0]);
        let broken = ours(|row| row.first_instructions += 37);
        assert_eq!(broken.len(), 3);
        assert_eq!(
            broken[1],
            "at 3,001 estimators the first run after attaching ours is 37 instructions dearer than the rest; 36 are \
             allowed"
        );
        assert_eq!(ours(|row| row.first_instructions -= 500), [""; 0]);
    }

    #[test]
    fn an_interrupt_in_one_first_run_breaks_nothing() {
        let interrupted = ours(|row| {
            if row.estimators == 30_001 {
                row.first_instructions += 2_000;
            }
        });
        assert_eq!(interrupted, [""; 0]);
    }

    #[test]
    fn a_start_may_take_a_third_of_bpftraces() {
        assert_eq!(
            ours(|row| row.start_to_attached_instructions = Some(190_000_000)),
            [""; 0]
        );
        assert_eq!(
            ours(|row| row.start_to_attached_instructions = Some(190_000_001)).len(),
            3
        );
        assert_eq!(
            ours(|row| row.start_to_attached_instructions = None).len(),
            3
        );
    }

    #[test]
    fn other_ways_cost_a_run_no_more_and_start_in_a_fifth_more() {
        let others = |change: fn(&mut Row)| {
            verdict(&bench(move |row| {
                if row.attached == What::WatchWithoutLoop {
                    change(row);
                }
            }))
        };
        assert_eq!(others(|row| row.run_instructions += 40), [""; 0]);
        assert_eq!(others(|row| row.run_instructions += 41).len(), 1);
        let slow = others(|row| row.start_to_attached_instructions = Some(132_000_000));
        assert_eq!(slow, [""; 0]);
        let slower = others(|row| row.start_to_attached_instructions = Some(132_000_001));
        assert_eq!(slower.len(), 1);
        let unseen = others(|row| row.start_to_attached_instructions = None);
        assert_eq!(unseen.len(), 1);
        let mut half = bench(|_| ());
        half.rows
            .retain(|row| row.attached != What::WatchWithoutModuleBtf);
        assert_eq!(verdict(&half).len(), 1);
    }

    #[test]
    fn what_was_not_measured_is_not_promised() {
        let mut half = bench(|_| ());
        half.rows
            .retain(|row| row.attached != What::EmptyPair || row.estimators != 1);
        assert_eq!(
            verdict(&half),
            ["at 1 estimator not everything was measured"]
        );
        half.rows.clear();
        assert_eq!(verdict(&half), ["nothing was measured"]);
    }
}
