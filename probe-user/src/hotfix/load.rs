//! `hotfix load`.

use std::{
    collections::BTreeSet,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::{
    admission::File,
    change::Change,
    drive::{Drive, Ended},
    ending::Ending,
    findings::Finding,
    loaded,
    progress::say,
    proof, refusal,
    report::Report,
    settle,
    site::Site,
    stalled::Towards,
    undo::{self, Undo},
    unload::{self, Removed},
    witness::{Ran, Witness},
};
use crate::cli::{LoadArgs, StepKind};
use host::{module, time};
use livepatch_image::{Digest, Module, Name};
use model::printable::printable;
use monitor::timers;

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

/// Loads the hotfix in a file.
///
/// # Errors
///
/// When it is refused: nothing was changed.
pub fn run(file: &Path, args: &LoadArgs, site: &Site) -> anyhow::Result<ExitCode> {
    let asked = Asked {
        file,
        kept: None,
        accept: &args.accept,
        timeout: args.timeout,
    };
    one(asked, site).alone(args.json, &site.root)
}

/// Loads one.
pub fn one(asked: Asked, site: &Site) -> Report {
    let mut report = Report::new("load");
    let path = std::path::absolute(asked.file).unwrap_or_else(|_| asked.file.to_owned());
    report.file = Some(printable(&path.to_string_lossy()));
    let ending = carry_out(asked, site, &mut report);
    report.undo = way_back(ending.as_ref().ok(), report.name.as_deref(), site);
    report.ended(ending)
}

/// Returns how to take back what stays: nothing where the module is gone, or where the guard takes it back.
fn way_back(ending: Option<&Ending>, name: Option<&str>, site: &Site) -> Option<Undo> {
    let name = Name::from(name?);
    match ending? {
        Ending::Done(_) => {}
        // What cannot be seen may be there.
        Ending::HalfDone(_) | Ending::LeftAlone(_)
            if !matches!(module::look(&site.root, &name), Ok(None)) => {}
        _ => return None,
    }
    Some(Undo::Command(undo::unload(&name, site)))
}

fn carry_out(asked: Asked, site: &Site, report: &mut Report) -> anyhow::Result<Ending> {
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
        say(&format!("note {name}: {text}."));
    }
    // Before the kernel's log is followed: a look may leave lines there that have nothing to do with the load.
    let dead_before = dead_before(&hotfix.module, &site.root)
        .with_context(|| format!("{} is not loaded", asked.file.display()))?;
    let mut drive = Drive::new(site.root.clone(), hotfix.name.as_str(), asked.timeout)?;
    drive.dead_before = dead_before;
    let change = Change::of_file(site, lock, &hotfix)
        .and_then(|change| change.guarding(&mut drive))
        .with_context(|| format!("{} is not loaded", asked.file.display()))?;
    drive.may_replace = hotfix.may_replace;
    // From here on the node is changed.
    let ended = match insert(&mut drive, &change, &hotfix.bytes) {
        Ok(None) => changed(&mut drive, &hotfix.module),
        Ok(Some(ending)) => Ok(ending),
        Err(error) => Err(error),
    };
    let ending = drive.ended(ended);
    change.end(&ending);
    drive.tell(&ending);
    report.kernel_log = drive.kernel_lines();
    if ending.is_left() {
        drive.leave_probes_behind();
    }
    Ok(ending)
}

/// Returns the namespaces whose estimator is dead before the change.
///
/// # Errors
///
/// When the timers cannot be seen, though the module replaces the estimator: what the probes need later, this needs too.
pub fn dead_before(module: &Module, root: &Path) -> anyhow::Result<BTreeSet<u32>> {
    match timers::read(root) {
        Ok(timers) => Ok(timers::dead(&timers)),
        Err(error) if module.replaces_estimator() => {
            Err(error.context("no run could be confirmed under it"))
        }
        Err(_) => Ok(BTreeSet::new()),
    }
}

/// Returns the result of a load that has nothing to do, because this very file is enabled.
fn enabled_already(file: &File, site: &Site) -> Option<Ending> {
    let name = Name::from(file.module.name.as_deref()?);
    loaded::is_enabled(site, &file.module, &file.sha256).then(|| {
        Ending::Done(format!(
            "{name} is enabled already, from this very file: every task is through, and the kernel redirects what it \
             replaces"
        ))
    })
}

/// Asks the kernel to load the module. Returns `None` if it was asked, and otherwise how the load ended. Removes first
/// a disabled module of this name that a replacement or a rollback left behind, because the kernel takes no name twice.
///
/// # Errors
///
/// When the node is left half way.
pub fn insert(drive: &mut Drive, change: &Change, bytes: &[u8]) -> anyhow::Result<Option<Ending>> {
    let is_taken = drive.is_loaded().with_context(|| {
        let name = &drive.name;
        format!("cannot tell whether a module named {name} is loaded")
    })?;
    if is_taken {
        let removed = unload::remove(drive)?;
        if let Removed::NotYet(why) | Removed::Kept(why) = removed {
            let name = &drive.name;
            return Ok(Some(Ending::Refused(format!(
                "{name} is not loaded, because a disabled livepatch of that name is still there: {why}"
            ))));
        }
    }
    drive.ask(StepKind::Insert, bytes)?;
    change.has_asked();
    Ok(None)
}

/// What follows the request to load.
fn changed(drive: &mut Drive, module: &Module) -> anyhow::Result<Ending> {
    match in_force(drive, module)? {
        Some(ending) => Ok(ending),
        None => proven(drive, module),
    }
}

/// Waits until it is in force for every task, and asks the kernel whether it is: nothing when it is, and else that is
/// how it ended.
///
/// # Errors
///
/// When the node is left half way.
pub fn in_force(drive: &mut Drive, module: &Module) -> anyhow::Result<Option<Ending>> {
    let name = drive.name.clone();
    Ok(match drive.through(Towards::Patched, true)? {
        Ended::Arrived => doubted(drive, module),
        Ended::Refused(errno) => Some(Ending::Refused(format!(
            "the kernel refused {name} ({errno}): {}",
            refusal::cause(errno, drive.log.lines(), module)
        ))),
        Ended::BackAgain => {
            let removed = unload::remove(drive)?;
            let kept_by = drive.kept_by();
            let ending = match removed {
                Removed::Yes => {
                    let back = format!(
                        "{name} was taken back before it was in force, and its module removed: every task runs the old \
                         code. {kept_by}"
                    );
                    unload::watched(drive, module.replaces_estimator(), false, back)?
                }
                Removed::NotYet(why) | Removed::Kept(why) => Ending::HalfDone(format!(
                    "{name} was taken back before it was in force, but {why}"
                )),
            };
            Some(unload::without_others(drive, ending))
        }
        Ended::Stuck(waiting) => Some(unload::stuck(drive, &waiting)),
    })
}

/// What the kernel says against it being in force.
fn doubted(drive: &Drive, module: &Module) -> Option<Ending> {
    let name = &drive.name;
    let patch = match drive.patch() {
        Ok(Some(patch)) => patch,
        Ok(None) => {
            return Some(Ending::HalfDone(format!(
                "{name} was in force, and somebody else has taken it back"
            )));
        }
        Err(error) => {
            return Some(Ending::HalfDone(format!(
                "{name} is loaded, and whether it is enabled cannot be seen (/sys/kernel/livepatch: {error})"
            )));
        }
    };
    let doubts = proof::doubts(&drive.root, module, &patch);
    (!doubts.is_empty()).then(|| {
        Ending::HalfDone(format!(
            "{name} is loaded, but {}: roll it back with `ipvs-latency hotfix unload {}`",
            doubts.join(", and "),
            name.typed()
        ))
    })
}

/// Looks for a run of the estimator under it.
fn proven(drive: &mut Drive, module: &Module) -> anyhow::Result<Ending> {
    let name = drive.name.clone();
    if module.replaces_estimator() {
        drive.witness = Some(Witness::start(&drive.root)?);
    }
    let since_ns = time::monotonic_ns()?;
    let deadline = Instant::now() + drive.timeout;
    while let Some(estimators) = drive.ran_since(since_ns) {
        if let Some((netns, _)) = estimators.iter().find(|(_, ran)| *ran == Ran::Dead) {
            return Ok(Ending::HalfDone(format!(
                "{name} is in force, and the estimator of netns {netns} is DEAD: its timer is not pending, and taking \
                 the hotfix back does not revive it; only loading ip_vs anew does"
            )));
        }
        if let Some((netns, _)) = estimators.iter().find(|(_, ran)| *ran == Ran::Yes) {
            return Ok(Ending::Done(format!(
                "{name} is in force: every task is through, the kernel redirects what it replaces, and the estimator of \
                 netns {netns} ran under it and set its timer again"
            )));
        }
        if drive.is_stopped() {
            say(&format!("{name}: a signal asked to end; taking it back"));
            return unload::take_back(drive, false);
        }
        if Instant::now() >= deadline {
            let waits = unload::waits(&estimators, time::monotonic_ns()?);
            return Ok(Ending::HalfDone(format!(
                "{name} is in force for every task, and no run of the estimator was seen under it: {waits}"
            )));
        }
        drive.pause()?;
    }
    Ok(Ending::Done(format!(
        "{name} is in force: every task is through, and the kernel redirects what it replaces. It does not replace the \
         estimator, so no run was waited for"
    )))
}
