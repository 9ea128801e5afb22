//! What measuring costs where kernel threads estimate: instructions of a run over a chain.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{REPEATS_WITHIN, What, median};

/// What `cargo xtask bench` runs in the guest.
pub const SCRIPT: &str = include_str!("threads.sh");

/// The time between two ticks of a thread, and ticks in its round (`IPVS_EST_TICK`, `IPVS_EST_NTICKS` in
/// `include/net/ip_vs.h` of Linux 6.2 to 7.3).
const TICK_NS: u64 = 40_000_000;
const TICKS: u64 = 50;

/// A tick with a chain takes so many times as long as one without, at least.
const WITH_A_CHAIN: u64 = 4;

/// What one thing costs a run over a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainRow {
    /// What is attached.
    pub attached: What,
    /// Chains that were measured.
    pub chains: usize,
    /// Of each chain the median of its runs, and of these the mean. The thread's own work around the run is part of it.
    pub run_instructions: u64,
    /// What that is more than with nothing attached.
    pub added_instructions: i64,
}

/// The times on the CPU of one thing.
struct Measured {
    what: What,
    /// The median of each tick of the round.
    ticks: BTreeMap<u64, u64>,
}

/// Turns what the guest said into the kernel's release and rows.
///
/// # Errors
/// When something is missing, or a run does not get back to what it was once everything is detached.
pub fn rows(text: &str) -> Result<(String, Vec<ChainRow>)> {
    let mut parts = text.split("attaching ");
    let head = parts.next().unwrap_or_default().trim();
    let kernel = head.strip_prefix("kernel ").context("no kernel is named")?;
    let measured = parts.map(measured).collect::<Result<Vec<Measured>>>()?;
    let (first, last) = measured
        .first()
        .zip(measured.last())
        .context("nothing was measured")?;
    let chains = chains(first)?;
    let nothing = first.mean(&chains)?;
    let again = last.mean(&chains)?;
    ensure!(
        first.what == What::Nothing && last.what == What::Nothing,
        "the guest did not measure `nothing` first and last"
    );
    ensure!(
        again.abs_diff(nothing) <= REPEATS_WITHIN,
        "a run over a chain took {again} instructions after all was detached, and {nothing} before"
    );
    let rows = measured.iter().take(measured.len() - 1).map(|one| {
        let run_instructions = one.mean(&chains)?;
        Ok(ChainRow {
            attached: one.what,
            chains: chains.len(),
            run_instructions,
            added_instructions: run_instructions.cast_signed() - nothing.cast_signed(),
        })
    });
    Ok((kernel.to_owned(), rows.collect::<Result<_>>()?))
}

fn measured(part: &str) -> Result<Measured> {
    let (what, lines) = part.split_once('\n').unwrap_or((part, ""));
    let what = serde_json::from_value(what.trim().into())
        .with_context(|| format!("unknown measurement {what:?}"))?;
    let mut runs: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for line in lines.lines() {
        let mut numbers = line.strip_prefix("run ").unwrap_or_default().split(' ');
        let mut number = || numbers.next()?.parse::<u64>().ok();
        let (begin, lasted) = number()
            .zip(number())
            .with_context(|| format!("no run: {line:?}"))?;
        let tick = (begin + TICK_NS / 2) / TICK_NS % TICKS;
        runs.entry(tick).or_default().push(lasted);
    }
    let ticks = runs.iter().map(|(tick, runs)| (*tick, median(runs)));
    Ok(Measured {
        what,
        ticks: ticks.collect(),
    })
}

/// Returns the ticks with a chain.
fn chains(nothing: &Measured) -> Result<Vec<u64>> {
    let shortest = nothing.ticks.values().min().context("no tick was seen")?;
    let long = nothing
        .ticks
        .iter()
        .filter(|(_, median)| **median >= WITH_A_CHAIN * shortest);
    let chains: Vec<u64> = long.map(|(tick, _)| *tick).collect();
    ensure!(!chains.is_empty(), "no tick has a chain");
    Ok(chains)
}

impl Measured {
    fn mean(&self, chains: &[u64]) -> Result<u64> {
        let mut sum = 0;
        for chain in chains {
            let median = self.ticks.get(chain);
            sum +=
                median.with_context(|| format!("no run in tick {chain} under {:?}", self.what))?;
        }
        Ok(sum / chains.len() as u64)
    }
}

/// Of what an empty pair adds, so much may ours add.
const PERCENT_OF_EMPTY: i64 = 200;

/// Judges the rows: a sentence for every promise that is broken.
pub fn verdict(rows: &[ChainRow]) -> Option<String> {
    let of = |what| rows.iter().find(|row| row.attached == what);
    let (Some(empty), Some(ours)) = (of(What::EmptyPair), of(What::Watch)) else {
        return Some("not everything was measured on kernel threads".into());
    };
    let (empty, ours) = (empty.added_instructions, ours.added_instructions);
    let allowed = PERCENT_OF_EMPTY * empty / 100 + REPEATS_WITHIN.cast_signed();
    (ours > allowed).then(|| {
        format!("watch adds {ours} instructions to a run over a chain: over {PERCENT_OF_EMPTY} % of the {empty} that the empty pair adds")
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// What a guest says: ticks 0 and 3 have a chain, and of each an interrupt falls into one run.
    fn said(added: [u64; 4]) -> String {
        let mut text = "kernel 6.12.1\n".to_owned();
        let whats = ["nothing", "empty_pair", "watch", "nothing"];
        for (what, added) in whats.into_iter().zip(added) {
            let _ = writeln!(text, "attaching {what}");
            for round in 0..3 {
                for (tick, chain) in (0..).zip([200_000 + added, 0, 0, 100_000 + added, 0]) {
                    let begin = (round * TICKS + tick) * TICK_NS + 3_000;
                    let interrupt = if round == 1 { 7_000 } else { 0 };
                    let _ = writeln!(text, "run {begin} {}", 4_000 + chain + interrupt);
                }
            }
        }
        text
    }

    #[test]
    fn what_is_added_to_the_chains_is_told_and_judged() {
        let (kernel, rows) = rows(&said([0, 900, 1_700, 2])).unwrap();
        assert_eq!(kernel, "6.12.1");
        let told: Vec<_> = rows
            .iter()
            .map(|row| (row.attached, row.chains, row.added_instructions))
            .collect();
        let expected = [
            (What::Nothing, 0),
            (What::EmptyPair, 900),
            (What::Watch, 1_700),
        ];
        assert_eq!(told, expected.map(|(what, added)| (what, 2, added)));
        assert_eq!(rows[0].run_instructions, 154_000);
        assert_eq!(verdict(&rows), None);
        assert!(verdict(&rows[..2]).is_some());
    }

    #[test]
    fn a_dearer_run_breaks_the_promise_and_what_is_left_behind_is_an_error() {
        let (_, dear) = rows(&said([0, 900, 1_841, 0])).unwrap();
        assert!(verdict(&dear).unwrap().contains("1841"));
        let left = rows(&said([0, 900, 1_700, 41])).unwrap_err().to_string();
        assert!(left.contains("after all was detached"), "{left}");
        assert!(rows("kernel 6.12.1\nattaching nothing\n").is_err());
        assert!(rows("attaching nothing\nrun x\n").is_err());
    }
}
