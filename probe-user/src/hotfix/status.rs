//! `hotfix status`.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;
use serde::Serialize;

use super::{
    list::{self, Entry},
    module::ESTIMATOR,
    period,
    reason::Reasons,
    stalled::{self, Stalled, Towards},
    timers::{self, Timer},
    unfinished::{self, Unfinished},
};
use crate::{kernel::livepatch, model::State};

/// Something is on its way, left behind, or without effect.
const FOUND: u8 = 1;

/// Nothing was found, and not all could be looked at.
const UNKNOWN: u8 = 2;

/// Estimators that are told of one by one.
const SHOWN: usize = 8;

/// The document of `status --json`.
#[derive(Debug, Serialize)]
struct Status {
    schema: u32,
    livepatches: Vec<Entry>,
    /// The tasks that keep the transition that runs, if one does.
    stalled: Vec<Stalled>,
    /// Changes that are not over; `None` where the journal cannot be read.
    unfinished: Option<Vec<Unfinished>>,
    /// Every estimator's timer; `None` where they cannot be seen.
    estimators: Option<Vec<Timer>>,
    /// Why something above is `None`.
    unknown: Vec<String>,
}

/// Tells how far each livepatch is, and which tasks keep it.
///
/// # Errors
///
/// When this kernel has no livepatching, or what was found cannot be written.
pub fn status(json: bool, root: &Path, state_dir: &Path) -> anyhow::Result<ExitCode> {
    let entries = list::entries(root)?;
    let patches = livepatch::read(root).unwrap_or_default();
    let moving = patches.iter().find(|patch| patch.transition == Some(true));
    let stalled = moving.map_or_else(Vec::new, |patch| {
        let towards = match patch.enabled {
            Some(false) => Towards::Unpatched,
            _ => Towards::Patched,
        };
        stalled::tasks(root, towards, &Reasons::default())
    });
    let mut unknown = Vec::new();
    let unfinished = unfinished::read(root, state_dir)
        .map_err(|error| unknown.push(error.to_string()))
        .ok();
    let estimators = timers::read(root)
        .map_err(|error| unknown.push(format!("the estimators cannot be seen: {error:#}")))
        .ok();
    let status = Status {
        schema: 1,
        livepatches: entries,
        stalled,
        unfinished,
        estimators,
        unknown,
    };
    let out = io::stdout().lock();
    write(&status, json, out).context("what was found cannot be written")?;
    Ok(ExitCode::from(status.code()))
}

impl Status {
    fn code(&self) -> u8 {
        match (self.is_clean(), self.unknown.is_empty()) {
            (false, _) => FOUND,
            (true, false) => UNKNOWN,
            (true, true) => 0,
        }
    }

    /// As far as it could be seen.
    fn is_clean(&self) -> bool {
        self.livepatches.iter().all(Entry::is_in_force)
            && self.unfinished.as_ref().is_none_or(Vec::is_empty)
            && self.troubled().is_empty()
    }

    /// Estimators that are dead, or are late without a livepatch in force that would explain it.
    fn troubled(&self) -> Vec<&Timer> {
        let mut objects = self.livepatches.iter().flat_map(|entry| &entry.objects);
        let is_replaced = objects.any(|object| object.has(ESTIMATOR));
        let estimators = self.estimators.iter().flatten();
        estimators
            .filter(|timer| match timer.state {
                State::Dead => true,
                State::Slowed => !is_replaced,
                _ => false,
            })
            .collect()
    }
}

fn write(status: &Status, json: bool, mut out: impl Write) -> io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut out, status)?;
        return writeln!(out);
    }
    if status.livepatches.is_empty() {
        writeln!(out, "no livepatch is loaded")?;
    }
    for entry in &status.livepatches {
        writeln!(out, "{}: {}", entry.name, entry.state)?;
        for object in &entry.objects {
            let patched = match object.patched {
                Some(true) => "patched",
                Some(false) => "not patched, for it is not loaded",
                None => "whether it is patched this kernel does not say",
            };
            writeln!(
                out,
                "  {} of {}: {patched}",
                object.functions.join(", "),
                object.name
            )?;
        }
    }
    for task in &status.stalled {
        writeln!(out, "  not through: {task}")?;
    }
    for change in status.unfinished.iter().flatten() {
        writeln!(out, "{change}")?;
    }
    write_estimators(status, &mut out)?;
    let mut unknown = status.unknown.iter();
    unknown.try_for_each(|why| writeln!(out, "unknown: {why}"))
}

fn write_estimators(status: &Status, mut out: impl Write) -> io::Result<()> {
    let Some(estimators) = &status.estimators else {
        return Ok(());
    };
    let troubled = status.troubled();
    for timer in troubled.iter().take(SHOWN) {
        let netns = timer.netns;
        match timer.next_run_in_ns {
            None => writeln!(
                out,
                "the estimator of netns {netns} is DEAD: its timer is not pending, and only loading ip_vs anew revives it"
            )?,
            Some(left_ns) => writeln!(
                out,
                "the estimator of netns {netns} is due in {}, by its own timer",
                period::shown(left_ns)
            )?,
        }
    }
    write_rest(troubled.len(), &mut out)?;
    write_switched_off(estimators, &mut out)?;
    let next = estimators.iter().filter_map(|timer| timer.next_run_in_ns);
    match (next.max(), estimators.len()) {
        (Some(latest_ns), 1) if troubled.is_empty() => {
            let latest = period::shown(latest_ns);
            writeln!(out, "the estimator is due within {latest}")
        }
        (Some(latest_ns), count) if troubled.is_empty() => {
            let latest = period::shown(latest_ns);
            writeln!(out, "{count} estimators, all due within {latest}")
        }
        _ => Ok(()),
    }
}

/// Nobody remembers who switched it off: an administrator, or a trial that was killed together with its guard.
fn write_switched_off(estimators: &[Timer], mut out: impl Write) -> io::Result<()> {
    let is_off = |timer: &&Timer| timer.run_estimation == Some(0);
    for timer in estimators.iter().filter(is_off).take(SHOWN) {
        writeln!(
            out,
            "run_estimation of netns {} is 0: its statistics stand still until it is set to 1 there",
            timer.netns
        )?;
    }
    write_rest(estimators.iter().filter(is_off).count(), out)
}

fn write_rest(count: usize, mut out: impl Write) -> io::Result<()> {
    match count.saturating_sub(SHOWN) {
        0 => Ok(()),
        more => writeln!(out, "and {more} more"),
    }
}
