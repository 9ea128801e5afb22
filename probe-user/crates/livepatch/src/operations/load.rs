//! `hotfix load`.

use std::{collections::BTreeSet, path::Path, time::Duration};

use anyhow::Context as _;

use crate::{
    preflight::{admission::File, findings::Finding},
    site::Site,
    transaction::{
        change::Change,
        loaded,
        outcome::Outcome,
        report::Report,
        settle,
        undo::{self, Undo},
    },
    transition::{
        drive::Drive,
        rollback, rollout,
        run_observer::{Ran, RunObserver},
    },
};
use host::module;
use livepatch_image::{Digest, Module, Name};
use model::{dead_estimators, printable::printable};

/// What is to be loaded, and how.
pub struct Asked<'a> {
    /// The file.
    pub file: &'a Path,
    /// What is in it, and what was when it was installed; `None` for one that is not.
    pub kept: Option<(Vec<u8>, &'a Digest)>,
    /// The warnings that are accepted, by name.
    pub accept: &'a [String],
    /// How long each wait may take.
    pub timeout: Duration,
}

/// Loads one.
#[must_use]
pub fn one(asked: Asked, site: &Site) -> Report {
    let mut report = Report::new("load");
    let path = std::path::absolute(asked.file).unwrap_or_else(|_| asked.file.to_owned());
    report.file = Some(printable(&path.to_string_lossy()));
    let outcome = carry_out(asked, site, &mut report);
    report.undo = way_back(outcome.as_ref().ok(), report.name.as_deref(), site);
    report.ended(outcome)
}

/// Returns how to take back what stays: nothing where the module is gone, or where the guard takes it back.
fn way_back(outcome: Option<&Outcome>, name: Option<&str>, site: &Site) -> Option<Undo> {
    let name = Name::from(name?);
    match outcome? {
        Outcome::Done(_) => {}
        // What cannot be seen may be there.
        Outcome::HalfDone(_) | Outcome::LeftAlone(_)
            if !matches!(module::look(&site.root, &name), Ok(None)) => {}
        _ => return None,
    }
    Some(Undo::Command(undo::unload(&name, site)))
}

fn carry_out(asked: Asked, site: &Site, report: &mut Report) -> anyhow::Result<Outcome> {
    let (file, recorded) = match asked.kept {
        Some((bytes, recorded)) => (File::of(asked.file, bytes)?, Some(recorded)),
        None => (File::read(asked.file)?, None),
    };
    report.name.clone_from(&file.module.name);
    report.sha256 = Some(file.sha256.clone());
    if let Some(recorded) = recorded {
        file.is_still(recorded)?;
    }
    if let Some(done) = enabled_already(&file, site) {
        settle::note_proven(site, &file.sha256);
        return Ok(done);
    }
    let (hotfix, lock) = file.admit(asked.accept, site)?;
    for Finding { name, text } in &hotfix.notes {
        site.say(&format!("note {name}: {text}."));
    }
    // Before the kernel's log is followed: a look may leave lines there that have nothing to do with the load.
    let dead_before = dead_before(&hotfix.module, site)
        .with_context(|| format!("{} is not loaded", asked.file.display()))?;
    let mut drive = Drive::new(site, hotfix.name.as_str(), asked.timeout)?;
    drive.dead_before = dead_before;
    let change = Change::of_file(site, lock, &hotfix)
        .and_then(|change| change.guarding(&mut drive))
        .with_context(|| format!("{} is not loaded", asked.file.display()))?;
    drive.may_replace = hotfix.may_replace;
    // From here on the node is changed.
    let ended = match rollout::insert(&mut drive, &change, &hotfix.bytes) {
        Ok(None) => changed(&mut drive, &hotfix.module),
        Ok(Some(outcome)) => Ok(outcome),
        Err(error) => Err(error),
    };
    let outcome = drive.ended(ended);
    change.end(&outcome);
    drive.tell(&outcome);
    report.kernel_log = drive.kernel_lines();
    if outcome.is_left() {
        drive.leave_probes_behind();
    }
    Ok(outcome)
}

/// Returns the namespaces whose estimator is dead before the change.
///
/// # Errors
///
/// When the timers cannot be seen, though the module replaces the estimator: what the probes need later, this needs too.
pub fn dead_before(module: &Module, site: &Site) -> anyhow::Result<BTreeSet<u32>> {
    match site.estimators().timers() {
        Ok(timers) => Ok(dead_estimators(&timers)),
        Err(error) if module.replaces_estimator() => {
            Err(error.context("no run could be confirmed under it"))
        }
        Err(_) => Ok(BTreeSet::new()),
    }
}

/// Returns the result of a load that has nothing to do, because this very file is enabled.
fn enabled_already(file: &File, site: &Site) -> Option<Outcome> {
    let name = Name::from(file.module.name.as_deref()?);
    loaded::is_enabled(site, &file.module, &file.sha256).then(|| {
        Outcome::Done(format!(
            "{name} is enabled already, from this very file: every task is through, and the kernel redirects what it \
             replaces"
        ))
    })
}

/// What follows the request to load.
fn changed(drive: &mut Drive, module: &Module) -> anyhow::Result<Outcome> {
    match rollout::in_force(drive, module)? {
        Some(outcome) => Ok(outcome),
        None => proven(drive, module),
    }
}

/// Returns how the load ended if a run under it tells; an estimator that is dead tells more than one that ran.
fn confirmed(name: &Name, estimators: &[(u32, Ran)]) -> Option<Outcome> {
    let first = |wanted: Ran| estimators.iter().find(|(_, ran)| *ran == wanted);
    if let Some((netns, _)) = first(Ran::Dead) {
        return Some(Outcome::HalfDone(format!(
            "{name} is in force, and the estimator of netns {netns} is DEAD: its timer is not pending, and taking the \
             hotfix back does not revive it; only loading ip_vs anew does"
        )));
    }
    let (netns, _) = first(Ran::Yes)?;
    Some(Outcome::Done(format!(
        "{name} is in force: every task is through, the kernel redirects what it replaces, and the estimator of netns \
         {netns} ran under it and set its timer again"
    )))
}

/// Looks for a run of the estimator under it.
fn proven(drive: &mut Drive, module: &Module) -> anyhow::Result<Outcome> {
    let name = drive.name.clone();
    if module.replaces_estimator() {
        drive.observer = Some(RunObserver::start(&drive.site)?);
    }
    let since_ns = drive.site.now_ns();
    let deadline = drive.site.now() + drive.timeout;
    while let Some(estimators) = drive.ran_since(since_ns) {
        match confirmed(&name, &estimators) {
            // Another process may have disabled it while the run was waited for.
            Some(done @ Outcome::Done(_)) => {
                return Ok(rollout::doubted(drive, module).unwrap_or(done));
            }
            Some(dead) => return Ok(dead),
            None => {}
        }
        if drive.is_stopped() {
            drive
                .site
                .say(&format!("{name}: a signal asked to end; taking it back"));
            return rollback::take_back(drive, false);
        }
        if drive.site.now() >= deadline {
            let waits = rollback::waits(&estimators, drive.site.now_ns());
            let unseen = Outcome::HalfDone(format!(
                "{name} is in force for every task, and no run of the estimator was seen under it: {waits}"
            ));
            return Ok(rollout::doubted(drive, module).unwrap_or(unseen));
        }
        drive.pause()?;
    }
    Ok(Outcome::Done(format!(
        "{name} is in force: every task is through, and the kernel redirects what it replaces. It does not replace the \
         estimator, so no run was waited for"
    )))
}
