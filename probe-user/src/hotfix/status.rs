//! `hotfix status` and `hotfix list`.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;
use serde::Serialize;

use super::{
    module::ESTIMATOR,
    period,
    reason::Reasons,
    stalled::{self, Stalled, Towards},
    timers::{self, Timer},
    unfinished::{self, Unfinished},
};
use crate::{
    kernel::livepatch::{self, Livepatch},
    model::State,
};

/// Something is on its way, left behind, or without effect.
const FOUND: u8 = 1;

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

/// One livepatch.
#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    state: &'static str,
    objects: Vec<livepatch::Object>,
}

/// Whether a module's folder in sysfs is that of a livepatch: its taint has a K (`TAINT_LIVEPATCH`,
/// `Documentation/admin-guide/tainted-kernels.rst`).
pub fn is_livepatch(module: &Path) -> bool {
    fs::read_to_string(module.join("taint")).is_ok_and(|taint| taint.contains('K'))
}

/// Tells how far each livepatch is, and which tasks keep it.
///
/// # Errors
///
/// When this kernel has no livepatching, or what was found cannot be written.
pub fn status(json: bool, root: &Path, state_dir: &Path) -> anyhow::Result<ExitCode> {
    let (entries, patches) = read(root)?;
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
    Ok(ExitCode::from(if status.is_clean() { 0 } else { FOUND }))
}

impl Status {
    fn is_clean(&self) -> bool {
        self.livepatches.iter().all(Entry::is_settled)
            && self.unfinished.as_ref().is_none_or(Vec::is_empty)
            && self.troubled().is_empty()
    }

    /// Estimators that are dead, or are late without a livepatch in force that would explain it.
    fn troubled(&self) -> Vec<&Timer> {
        let is_replaced = self.livepatches.iter().any(|entry| {
            let mut functions = entry.objects.iter().flat_map(|object| &object.functions);
            functions.any(|function| function == ESTIMATOR)
        });
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

/// Lists the livepatches, with their states.
///
/// # Errors
///
/// When this kernel has no livepatching, or what was found cannot be written.
pub fn list(json: bool, root: &Path) -> anyhow::Result<ExitCode> {
    let (livepatches, _) = read(root)?;
    let mut out = io::stdout().lock();
    let written = if json {
        #[derive(Serialize)]
        struct List<'a> {
            schema: u32,
            livepatches: &'a [Entry],
        }
        let list = List {
            schema: 1,
            livepatches: &livepatches,
        };
        serde_json::to_writer_pretty(&mut out, &list)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out))
    } else {
        let mut lines = livepatches.iter();
        lines.try_for_each(|entry| writeln!(out, "{} [{}]", entry.name, entry.state))
    };
    written.context("what was found cannot be written")?;
    Ok(ExitCode::SUCCESS)
}

fn read(root: &Path) -> anyhow::Result<(Vec<Entry>, Vec<Livepatch>)> {
    let patches = livepatch::read(root).context(
        "this kernel has no livepatching (/sys/kernel/livepatch is not there): boot one built with CONFIG_LIVEPATCH=y",
    )?;
    let mut entries: Vec<Entry> = patches.iter().map(Entry::of).collect();
    entries.extend(left_behind(root, &patches).map(|name| Entry {
        name,
        state: "out of force, module loaded",
        objects: Vec::new(),
    }));
    Ok((entries, patches))
}

/// Modules of livepatches that have no folder any more: taken out of force, or replaced, and not removed.
fn left_behind(root: &Path, patches: &[Livepatch]) -> impl Iterator<Item = String> {
    let modules = fs::read_dir(root.join("sys/module"))
        .into_iter()
        .flatten()
        .flatten();
    let livepatches = modules.filter(|module| is_livepatch(&module.path()));
    let mut names: Vec<String> = livepatches
        .map(|module| module.file_name().to_string_lossy().into_owned())
        .filter(|name| !patches.iter().any(|patch| patch.name == *name))
        .collect();
    names.sort_unstable();
    names.into_iter()
}

const IN_FORCE: &str = "in force";

impl Entry {
    fn of(patch: &Livepatch) -> Self {
        let state = match (patch.enabled, patch.transition) {
            (Some(true), Some(false))
                if patch.objects.iter().any(|one| one.patched == Some(false)) =>
            {
                "in force, an object is not loaded"
            }
            (Some(true), Some(false)) => IN_FORCE,
            (Some(true), Some(true)) => "coming into force",
            (Some(false), Some(true)) => "going out of force",
            (Some(false), Some(false)) => "out of force",
            _ => "unknown",
        };
        Self {
            name: patch.name.clone(),
            state,
            objects: patch.objects.clone(),
        }
    }

    fn is_settled(&self) -> bool {
        self.state == IN_FORCE
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
    if troubled.len() > SHOWN {
        writeln!(out, "and {} more", troubled.len() - SHOWN)?;
    }
    let next = estimators.iter().filter_map(|timer| timer.next_run_in_ns);
    match next.max() {
        Some(latest_ns) if troubled.is_empty() => writeln!(
            out,
            "{} estimators, all due within {}",
            estimators.len(),
            period::shown(latest_ns)
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_livepatch_is_told_with_its_state_and_one_left_behind_too() {
        let root = tempfile::tempdir().unwrap();
        let write_file = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert!(read(root.path()).is_err(), "no livepatching");
        for (name, enabled, transition, patched) in [
            ("a", "1", "0", "1"),
            ("b", "1", "0", "0"),
            ("c", "0", "1", "1"),
            ("d", "1", "1", "0"),
        ] {
            let folder = format!("sys/kernel/livepatch/{name}");
            write_file(&format!("{folder}/enabled"), enabled);
            write_file(&format!("{folder}/transition"), transition);
            write_file(&format!("{folder}/ip_vs/patched"), patched);
            write_file(&format!("sys/module/{name}/taint"), "OEK\n");
        }
        write_file("sys/module/e/taint", "OEK\n");
        write_file("sys/module/ip_vs/taint", "\n");
        let (entries, _) = read(root.path()).unwrap();
        let states: Vec<_> = entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.state))
            .collect();
        assert_eq!(
            states,
            [
                ("a", "in force"),
                ("b", "in force, an object is not loaded"),
                ("c", "going out of force"),
                ("d", "coming into force"),
                ("e", "out of force, module loaded"),
            ]
        );
        let settled: Vec<bool> = entries.iter().map(Entry::is_settled).collect();
        assert_eq!(settled, [true, false, false, false, false]);
    }
}
