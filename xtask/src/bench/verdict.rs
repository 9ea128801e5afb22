//! What the numbers must be.

use super::{Bench, REPEATS_WITHIN, Row, What};

/// Judges the numbers: a sentence for every promise that is broken, none when all hold.
///
/// The first run after attaching may exceed the median of the ten that follow by as much as the empty pair's runs
/// are apart, its own first one included: that much any probe has.
#[must_use]
pub fn verdict(bench: &Bench) -> Vec<String> {
    let mut broken = Vec::new();
    for estimators in bench.sizes() {
        let row = |what| bench.row(what, estimators);
        let (Some(empty), Some(bpftrace), Some(ours)) =
            (row(What::EmptyPair), row(What::BpftraceHist), row(What::Watch))
        else {
            broken.push(format!("at {estimators} estimators something was not measured"));
            continue;
        };
        let sentences = [added(empty, bpftrace, ours), first(empty, ours), start(bpftrace, ours)];
        broken.extend(sentences.into_iter().flatten().map(|sentence| format!("at {estimators} estimators {sentence}")));
    }
    broken.extend(constant(bench));
    broken
}

fn added(empty: &Row, bpftrace: &Row, ours: &Row) -> Option<String> {
    let added = ours.added_instructions;
    if added > 2 * empty.added_instructions {
        return Some(format!("ours adds {added} instructions, over twice the empty pair's {}", empty.added_instructions));
    }
    (added >= bpftrace.added_instructions)
        .then(|| format!("ours adds {added} instructions, no fewer than bpftrace's {}", bpftrace.added_instructions))
}

fn first(empty: &Row, ours: &Row) -> Option<String> {
    let spread = empty.max_instructions.max(empty.first_instructions) - empty.min_instructions.min(empty.first_instructions);
    let dearer = ours.first_instructions.saturating_sub(ours.run_instructions);
    (dearer > spread).then(|| {
        format!("the first run after attaching ours is {dearer} instructions dearer than the rest; {spread} are allowed")
    })
}

fn start(bpftrace: &Row, ours: &Row) -> Option<String> {
    let (Some(bpftrace), Some(ours)) = (bpftrace.start_to_attached_instructions, ours.start_to_attached_instructions)
    else {
        return Some("no start was seen of bpftrace or of ours".into());
    };
    (3 * ours > bpftrace)
        .then(|| format!("ours is attached after {ours} instructions, over a third of bpftrace's {bpftrace}"))
}

/// What is added depends on nothing that grows with the number of estimators.
fn constant(bench: &Bench) -> Option<String> {
    let added = bench.rows.iter().filter(|row| row.attached == What::Watch).map(|row| row.added_instructions);
    let (least, most) = (added.clone().min()?, added.max()?);
    (most - least > REPEATS_WITHIN.cast_signed()).then(|| {
        format!("ours adds between {least} and {most} instructions by the number of estimators; they may be {REPEATS_WITHIN} apart")
    })
}
