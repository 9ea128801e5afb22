//! One livepatch unloaded.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, bail};

use crate::{
    site::Site,
    transaction::{
        change::Change,
        loaded,
        outcome::Outcome,
        report::Report,
        undo::{self, Undo},
    },
    transition::{drive::Drive, rollback::take_back},
};
use host::{livepatch, module};
use livepatch_image::Name;

/// Takes one back.
#[must_use]
pub fn one(name: &Name, timeout: Duration, site: &Site) -> Report {
    let mut report = Report::of("unload", &name.to_string());
    // Before it is gone: afterwards the journal tells less.
    let entry = loaded::entry(site, name).ok().flatten();
    // One in transition is not enabled for every task: to load it again would not restore what was before.
    let was_enabled = matches!(livepatch::look(&site.root, name),
        Ok(Some(patch)) if patch.enabled == Some(true) && patch.transition != Some(true));
    let outcome = carry_out(name, timeout, site, &mut report);
    if matches!(outcome, Ok(Outcome::Done(_))) {
        report.undo = Some(if was_enabled {
            undo::load(entry.as_ref(), site)
        } else {
            Undo::NoCommand(format!("{name} was not enabled before"))
        });
    }
    report.ended(outcome)
}

fn carry_out(
    name: &Name,
    timeout: Duration,
    site: &Site,
    report: &mut Report,
) -> anyhow::Result<Outcome> {
    check(&site.root, name)?;
    let mut drive = Drive::new(site, name.clone(), timeout)?;
    let change = Change::of_loaded(site, name)?
        .guarding(&mut drive)
        .with_context(|| format!("{name} is not unloaded"))?;
    let ended = take_back(&mut drive, true);
    let outcome = drive.ended(ended);
    change.end(&outcome);
    drive.tell(&outcome);
    report.kernel_log = drive.kernel_lines();
    if outcome.is_left() {
        drive.leave_probes_behind();
    }
    Ok(outcome)
}

/// Refuses what is no livepatch, or not to be touched now, and what cannot be seen.
fn check(root: &Path, name: &Name) -> anyhow::Result<()> {
    let unseen = |place: &str| format!("{name} is not unloaded: cannot read {place}");
    if module::look(root, name)
        .with_context(|| unseen("/sys/module"))?
        .is_none()
    {
        bail!(
            "no module {name} is loaded: `ipvs-latency hotfix list` names the livepatches that are"
        );
    }
    let patches = livepatch::read(root).with_context(|| unseen("/sys/kernel/livepatch"))?;
    let patches = patches.unwrap_or_default();
    let is_patch = patches.iter().any(|patch| patch.name == *name);
    let has_taint = || module::is_livepatch(root, name).with_context(|| unseen("its taint"));
    if !is_patch && !has_taint()? {
        bail!(
            "{name} is loaded and is no livepatch: remove it with `rmmod {}` if it must go",
            name.typed()
        );
    }
    let other = patches
        .iter()
        .find(|other| other.transition == Some(true) && other.name != *name);
    if let Some(other) = other {
        bail!(
            "the livepatch {} is in transition, and there is one at a time: wait until it is through",
            other.name
        );
    }
    Ok(())
}
