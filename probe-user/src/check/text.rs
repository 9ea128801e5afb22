//! The page for people: the message first, then the facts, the namespaces, and what can be done.

mod table;
mod threads;

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use super::{
    mitigations::CALM_NS,
    page::{Kernel, Measured, Mitigation, Namespace, Page, Verdict},
};
use crate::{
    headline::seconds,
    kernel_threads, mechanism,
    record::WorstStall,
    watch::{netns_name, netns_named},
    width,
};
use host::{estimation::Kind, livepatch::Livepatch};
use model::durations::readable;
use model::{NETNS_UNKNOWN, State};

/// Columns of a fact's name.
const NAMES: usize = 12;

/// Writes the page.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn write(out: &mut impl Write, page: &Page) -> io::Result<()> {
    writeln!(out, "{}", page.message)?;
    writeln!(out)?;
    facts(out, page)?;
    if page.kernel.estimator != Some(Kind::Absent) && !page.namespaces.is_empty() {
        writeln!(out)?;
        table::write(out, &page.namespaces, page.root_netns)?;
    }
    if let Some(threads) = &page.threads {
        threads::write(out, &threads.threads, page.root_netns)?;
    }
    dead(out, page)?;
    missing(out, &page.missing)?;
    mitigations(out, page)
}

fn facts(out: &mut impl Write, page: &Page) -> io::Result<()> {
    fact(out, "kernel", &kernel(&page.kernel))?;
    fact(out, "CPUs", &cpus(&page.kernel))?;
    if let Some(worst) = &page.worst {
        fact(out, "worst", &worst_text(worst, page.root_netns))?;
    }
    if let Some(measured) = &page.measured {
        fact(out, "measured", &runs(measured))?;
    }
    if let Some(by) = page.mechanism {
        fact(out, "mechanism", &mechanism::told(by, &page.unavailable))?;
    }
    if let Some(threads) = &page.threads {
        fact(out, "threads", &threads::sum(threads))?;
        for remark in kernel_threads::remarks(threads) {
            fact(out, "", &remark)?;
        }
    }
    for line in statistics(&page.namespaces) {
        fact(out, "statistics", &line)?;
    }
    let patches = &page.livepatch.patches;
    if page.livepatch.unseen {
        return fact(out, "livepatches", "unknown");
    }
    if !page.livepatch.supported {
        return fact(out, "livepatches", "not possible on this kernel");
    }
    if patches.is_empty() {
        return fact(out, "livepatches", "none in force");
    }
    for (index, patch) in patches.iter().enumerate() {
        let name = if index == 0 { "livepatches" } else { "" };
        fact(out, name, &livepatch(patch))?;
    }
    Ok(())
}

/// Why an estimator does not update the statistics of its namespace; `None` where it does, or that is not known.
fn frozen(namespace: &Namespace) -> Option<&'static str> {
    match (namespace.state, namespace.run_estimation) {
        (Some(State::Absent), _) => None,
        (Some(State::Dead), _) => Some("the estimator is DEAD"),
        (_, Some(0)) => Some("run_estimation is 0"),
        (Some(State::Skipping), _) => Some("the runs skip the estimators"),
        _ => None,
    }
}

/// Returns a line for each reason why statistics are not updated.
fn statistics(namespaces: &[Namespace]) -> Vec<String> {
    let mut by_cause: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for namespace in namespaces {
        if let Some(cause) = frozen(namespace) {
            by_cause.entry(cause).or_default().push(namespace.netns);
        }
    }
    let lines = by_cause.into_iter().filter_map(|(cause, netns)| {
        let named = netns_named(netns.into_iter())?;
        Some(format!("stand still in {named}: {cause} there"))
    });
    lines.collect()
}

fn fact(out: &mut impl Write, name: &str, text: &str) -> io::Result<()> {
    let begin = format!("{name:<NAMES$}");
    paragraph(out, &begin, &" ".repeat(NAMES), text)
}

fn paragraph(out: &mut impl Write, begin: &str, indent: &str, text: &str) -> io::Result<()> {
    // Commands are not folded: they are there to be copied.
    writeln!(out, "{}", width::folded(begin, indent, text))
}

fn kernel(kernel: &Kernel) -> String {
    let estimator = match kernel.estimator {
        Some(Kind::Timer) => "the timer estimation_timer estimates, in softirq context",
        Some(Kind::Kthread) => "kernel threads (ipvs-e:*) estimate, and do not block softirqs",
        Some(Kind::Vendor) => "a delayed work of this vendor's own estimates (estimation_work)",
        Some(Kind::Absent) => "ip_vs is not loaded, so that nothing estimates",
        None => "what estimates cannot be told",
    };
    format!("{}: {estimator}", kernel.release)
}

fn cpus(kernel: &Kernel) -> String {
    let number = |count: Option<u32>| count.map_or("?".into(), |count| count.to_string());
    let visits = if kernel.estimator == Some(Kind::Timer) {
        ": a run visits the counters of every possible one"
    } else {
        ""
    };
    format!(
        "{} online, {} possible{visits}",
        number(kernel.online_cpus),
        number(kernel.possible_cpus)
    )
}

/// What the first line rests on, and what it comes to.
fn worst_text(worst: &WorstStall, root_netns: Option<u32>) -> String {
    let name = name(worst.netns, root_netns);
    let is_root = worst.netns.is_some() && worst.netns == root_netns;
    let who = worst.named.who.as_ref().filter(|_| !is_root);
    let who = who.map_or(String::new(), |who| format!(" ({who})"));
    let share = worst.share.map_or(String::new(), |share| {
        format!(", {:.2} % of the time of CPU {}", share * 100.0, worst.cpu)
    });
    format!(
        "netns {name}{who}: a run takes {} typically{share}; the longest took {}",
        readable(worst.typical_ns),
        readable(worst.duration_ns),
    )
}

fn name(netns: Option<u32>, root_netns: Option<u32>) -> String {
    let number = |netns: Option<u32>| netns.unwrap_or(NETNS_UNKNOWN);
    netns_name(number(netns), number(root_netns))
}

fn runs(measured: &Measured) -> String {
    let took = seconds(measured.observed_ns);
    let plural = if measured.runs == 1 { "" } else { "s" };
    let mut parts = vec![format!("{} run{plural} in {took}", measured.runs)];
    parts.extend(measured.longest_run.as_ref().map(|run| {
        let over = run.estimators.map_or(String::new(), |length| {
            let plural = if length == 1 { "" } else { "s" };
            format!(" over {length} estimator{plural}")
        });
        let (took, netns, cpu) = (readable(run.duration_ns), name(run.netns, None), run.cpu);
        format!("longest {took}{over}, netns {netns} on CPU {cpu}")
    }));
    parts.extend(measured.longest_blackout.as_ref().map(|blackout| {
        let (took, cpu) = (readable(blackout.duration_ns), blackout.cpu);
        let runs = match blackout.calls {
            1 => "1 run".to_owned(),
            runs => format!("{runs} runs on end"),
        };
        format!("longest blackout {took}, {runs} on CPU {cpu}")
    }));
    parts.push(format!(
        "lost {}, missed {}",
        measured.lost, measured.missed
    ));
    parts.join("; ")
}

fn livepatch(patch: &Livepatch) -> String {
    let objects = patch.objects.iter().map(|object| {
        let patched = match object.patched {
            Some(false) => " (not patched: it is not loaded)",
            _ => "",
        };
        format!("{}: {}{patched}", object.name, object.functions.join(", "))
    });
    let objects: Vec<String> = objects.collect();
    let state = match (patch.enabled, patch.transition) {
        (_, Some(true)) => "in transition",
        (Some(true), _) => "enabled",
        (Some(false), _) => "disabled",
        (None, _) => "in an unknown state",
    };
    format!("{} is {state}, replaces {}", patch.name, objects.join("; "))
}

fn dead(out: &mut impl Write, page: &Page) -> io::Result<()> {
    if !page
        .namespaces
        .iter()
        .any(|one| one.state == Some(State::Dead))
    {
        return Ok(());
    }
    let text = "DEAD: the timer is not pending and no run is under way. It will not come back by itself, and the \
                counters and rates of that namespace stand still.";
    writeln!(out)?;
    paragraph(out, "", "", text)
}

fn missing(out: &mut impl Write, missing: &[String]) -> io::Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nMissing:")?;
    for sentence in missing {
        paragraph(out, "- ", "  ", sentence)?;
    }
    Ok(())
}

fn mitigations(out: &mut impl Write, page: &Page) -> io::Result<()> {
    if page.mitigations.is_empty() {
        return nothing_to_do(out, page);
    }
    writeln!(out, "\nWhat can be done on this node:")?;
    page.mitigations
        .iter()
        .try_for_each(|open| mitigation(out, open))
}

fn mitigation(out: &mut impl Write, open: &Mitigation) -> io::Result<()> {
    writeln!(out)?;
    paragraph(out, &format!("- {}: ", open.name), "  ", &open.does)?;
    if let Some(trial) = &open.trial {
        writeln!(
            out,
            "  Try it first, measured and rolled back:\n    {trial}"
        )?;
        writeln!(out, "  Then:")?;
    }
    writeln!(out, "    {}", open.command)?;
    paragraph(out, "  Breaks: ", "  ", &open.breaks)?;
    writeln!(out, "  Undo:\n    {}", open.undo)
}

fn nothing_to_do(out: &mut impl Write, page: &Page) -> io::Result<()> {
    if page.threads.is_some() && page.verdict == Verdict::Ok {
        return writeln!(
            out,
            "\nNothing needs doing: no packet waits for an estimator on this kernel."
        );
    }
    let (Some(measured), Some(Kind::Timer)) = (&page.measured, page.kernel.estimator) else {
        return Ok(());
    };
    if measured.runs > 0 && page.verdict != Verdict::Ok {
        return Ok(());
    }
    if measured.runs == 0 {
        let next = page
            .namespaces
            .iter()
            .filter_map(|one| Some((one.next_run_in_ns?, one.netns)));
        let next = next.min().map_or(String::new(), |(left_ns, netns)| {
            let left = seconds(left_ns);
            format!(
                " The next one is due in {left}, in netns {netns}: measure longer with --duration."
            )
        });
        let text = format!("No run was seen: what to do is unknown.{next}");
        writeln!(out)?;
        return paragraph(out, "", "", &text);
    }
    writeln!(
        out,
        "\nNothing needs doing: no packet waited for a run longer than {}, and up to {} is calm.",
        readable(measured.worst_ns()),
        readable(measured.max_ns.min(CALM_NS))
    )
}

#[cfg(test)]
mod tests;
