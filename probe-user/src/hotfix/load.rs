//! `hotfix load`.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use super::{
    all,
    change::Change,
    digest::Digest,
    drive::{Drive, Ended, say},
    ending::Ending,
    file,
    findings::{Finding, Findings},
    lock::Lock,
    module::Module,
    node::Node,
    proof::{self, Ran, Witness},
    refusal,
    report::Report,
    stalled::Towards,
    unload::{self, Removed},
};
use crate::{
    cli::{LoadArgs, StepKind},
    kernel::{prerequisites, time},
};

/// What is to be loaded, and how.
pub struct Asked<'a> {
    /// The file.
    pub file: &'a Path,
    /// What it was when it was installed; `None` for one that is not.
    pub recorded: Option<&'a Digest>,
    /// The warnings that are accepted, by name.
    pub accept: &'a [String],
    /// How long each wait may take.
    pub timeout: Duration,
}

/// Loads a hotfix, or all that are installed.
///
/// # Errors
///
/// When it is refused: nothing was changed.
pub fn run(args: &LoadArgs, root: &Path, state_dir: &Path) -> anyhow::Result<ExitCode> {
    let Some(file) = &args.file else {
        return all::load(args, root, state_dir);
    };
    let asked = Asked {
        file,
        recorded: None,
        accept: &args.accept,
        timeout: args.timeout,
    };
    one(&asked, root, state_dir).alone(args.json)
}

/// Loads one.
pub fn one(asked: &Asked, root: &Path, state_dir: &Path) -> Report {
    let mut report = Report::new("load");
    let ending = carry_out(asked, root, state_dir, &mut report);
    report.ended(ending)
}

fn carry_out(
    asked: &Asked,
    root: &Path,
    state_dir: &Path,
    report: &mut Report,
) -> anyhow::Result<Ending> {
    let shown = asked.file.display();
    let refused = || format!("{shown} is not loaded");
    let bytes = file::read(asked.file).map_err(|error| anyhow::anyhow!("{shown} {error}"))?;
    let module = Module::parse(&bytes).map_err(|error| anyhow::anyhow!("{shown} {error}"))?;
    report.name.clone_from(&module.name);
    let sha256 = Digest::of(&bytes);
    if asked.recorded.is_some_and(|recorded| *recorded != sha256) {
        bail!(
            "{shown} is not loaded: it is another file than was installed (its SHA-256 is {sha256} now): uninstall the \
             hotfix, and install it again"
        );
    }
    let lock = Lock::take(state_dir).with_context(refused)?;
    let node = Node::read(root, state_dir, &module, &sha256);
    let findings = Findings::of(&module, &node);
    accepted(&findings, asked.accept).with_context(refused)?;
    let name = named(&module, &shown.to_string())?;
    if module.replaces_estimator() {
        let able = prerequisites::examine(root);
        able.with_context(|| {
            format!("{shown} is not loaded, as nothing could prove that it took")
        })?;
    }
    for Finding { name, text } in &findings.notes {
        say(&format!("note {name}: {text}."));
    }
    let file = (&sha256, asked.file);
    let change = Change::of_file(root, state_dir, lock, file, &name).with_context(refused)?;
    let mut drive = Drive::new(root.to_owned(), name, asked.timeout, change.guard())?;
    // From here on the node is changed.
    let ended = drive
        .ask(StepKind::Insert, &bytes)
        .map_err(Into::into)
        .and_then(|()| changed(&mut drive, &module));
    let ending = Ending::of(ended, &drive.name);
    change.end(&ending);
    ending.tell(&mut drive);
    report.take_log(&mut drive);
    Ok(ending)
}

/// The name by which it can be taken back.
///
/// # Errors
///
/// When it has none.
pub fn named(module: &Module, shown: &str) -> anyhow::Result<String> {
    module.name.clone().with_context(|| {
        format!("{shown} has no name, so it could not be taken back: build it again")
    })
}

/// Refuses what must not, or may not yet, be loaded.
///
/// # Errors
///
/// For a blocker, or a warning that is not accepted.
pub fn accepted(findings: &Findings, accepted: &[String]) -> anyhow::Result<()> {
    let told = |kind: &str, findings: &[&Finding]| {
        let each = findings
            .iter()
            .map(|Finding { name, text }| format!("{kind} {name}: {text}"));
        each.collect::<Vec<_>>().join("; ")
    };
    let blockers: Vec<&Finding> = findings.blockers.iter().collect();
    if !blockers.is_empty() {
        bail!("{}", told("blocker", &blockers));
    }
    let open = |warning: &&Finding| !accepted.iter().any(|name| name == warning.name);
    let warnings: Vec<&Finding> = findings.warnings.iter().filter(open).collect();
    if !warnings.is_empty() {
        let flags: Vec<String> = warnings
            .iter()
            .map(|one| format!("--accept {}", one.name))
            .collect();
        bail!(
            "{}. To load it all the same: {}",
            told("warning", &warnings),
            flags.join(" ")
        );
    }
    Ok(())
}

/// What follows the request to load.
fn changed(drive: &mut Drive, module: &Module) -> anyhow::Result<Ending> {
    let name = drive.name.clone();
    match drive.through(Towards::Patched, true)? {
        Ended::Arrived => proven(drive, module),
        Ended::Refused(errno) => Ok(Ending::Refused(format!(
            "the kernel refused {name} ({errno}): {}",
            refusal::cause(errno, drive.log.lines(), module)
        ))),
        Ended::BackAgain => {
            let removed = unload::remove(drive)?;
            let kept_by = drive.kept_by();
            Ok(match removed {
                Removed::Yes => Ending::GivenBack(format!(
                    "{name} was taken back before it was in force, and its module removed: every task runs the old \
                     code. What kept it: {kept_by}"
                )),
                Removed::NotYet(why) | Removed::Kept(why) => Ending::HalfDone(format!(
                    "{name} was taken back before it was in force, but {why}"
                )),
            })
        }
        Ended::Stuck(waiting) => Ok(Ending::LeftToGuard(unload::stuck(drive, &waiting))),
    }
}

/// Looks for the proof that it took: what the kernel says, and a run of the estimator.
fn proven(drive: &mut Drive, module: &Module) -> anyhow::Result<Ending> {
    let name = drive.name.clone();
    let Some(patch) = drive.patch() else {
        return Ok(Ending::HalfDone(format!(
            "{name} was in force, and somebody else has taken it back"
        )));
    };
    let doubts = proof::doubts(&drive.root, module, &patch);
    if !doubts.is_empty() {
        return Ok(Ending::HalfDone(format!(
            "{name} is loaded, but {}: take it back with `ipvs-latency hotfix unload {name}`",
            doubts.join(", and ")
        )));
    }
    if module.replaces_estimator() {
        drive.witness = Some(Witness::start(&drive.root)?);
    }
    let since_ns = time::monotonic_ns()?;
    let deadline = Instant::now() + drive.timeout;
    while let Some(witness) = &drive.witness {
        let estimators = witness.since(since_ns);
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
