//! `hotfix unload`, and the way back of `load`.

use std::{path::Path, process::ExitCode, time::Instant};

use anyhow::bail;
use nix::errno::Errno;

use super::{
    drive::{Drive, Ended},
    ending::Ending,
    module::ESTIMATOR,
    period,
    proof::{Ran, Witness},
    stalled::Towards,
};
use crate::{
    cli::{StepKind, UnloadArgs},
    kernel::{livepatch, time},
};

/// Takes a hotfix back.
///
/// # Errors
///
/// When it is refused: nothing was changed.
pub fn run(args: &UnloadArgs, root: &Path) -> anyhow::Result<ExitCode> {
    let name = args.name.replace('-', "_");
    let patches = livepatch::read(root).unwrap_or_default();
    let patch = patches.iter().find(|patch| patch.name == name);
    let module = root.join("sys/module").join(&name);
    if name.contains('/') || !module.exists() {
        bail!(
            "no module {name} is loaded: `ipvs-latency hotfix list` names the livepatches that are"
        );
    }
    if patch.is_none() && !super::status::is_livepatch(&module) {
        bail!("{name} is loaded and is no livepatch: remove it with `rmmod {name}` if it must go");
    }
    let other = patches
        .iter()
        .find(|other| other.transition == Some(true) && other.name != name);
    if let Some(other) = other {
        bail!(
            "the livepatch {} is in transition, and there is one at a time: wait until it is through",
            other.name
        );
    }
    let mut drive = Drive::new(root.to_owned(), name, args.timeout)?;
    let ended = take_back(&mut drive, true);
    Ok(Ending::told(ended, &mut drive).code())
}

/// Takes the hotfix out of force, removes its module and waits for every estimator to run again.
///
/// # Errors
///
/// When the node is left half way.
pub fn take_back(drive: &mut Drive, asked_for: bool) -> anyhow::Result<Ending> {
    let name = drive.name.clone();
    let patch = drive.patch();
    let is_estimators = patch.as_ref().is_some_and(|patch| {
        let mut functions = patch.objects.iter().flat_map(|object| &object.functions);
        functions.any(|function| function == ESTIMATOR)
    });
    // One that is out of force, or on its way out, needs no request.
    if drive
        .patch()
        .is_some_and(|patch| patch.enabled != Some(false))
    {
        drive.ask(StepKind::Disable, &[])?;
    }
    match drive.through(Towards::Unpatched, asked_for)? {
        Ended::Arrived => {}
        Ended::Refused(errno) => {
            return Ok(Ending::Refused(format!(
                "the kernel refused to take {name} back ({errno}): another livepatch may be in transition, see \
                 `ipvs-latency hotfix status`"
            )));
        }
        Ended::BackAgain => {
            return Ok(Ending::GivenBack(format!(
                "{name} is in force as before: not every task left its code. What kept it: {}",
                drive.kept_by()
            )));
        }
        Ended::Stuck(waiting) => return Ok(Ending::HalfDone(stuck(drive, &waiting))),
    }
    if let Some(why) = remove(drive)? {
        return Ok(Ending::HalfDone(format!(
            "{name} is out of force, but {why}"
        )));
    }
    let gone = format!("{name} is gone: no task runs its code, and its module is removed");
    let is_seen = if is_estimators && drive.root.join("sys/module/ip_vs").exists() {
        observed(drive, asked_for)?
    } else {
        Ok(String::new())
    };
    let seen = match is_seen {
        Ok(seen) => seen,
        Err(waits) => {
            return Ok(Ending::HalfDone(format!(
                "{gone}. Of the estimators that are to run again: {waits}"
            )));
        }
    };
    let done = format!("{gone}{seen}");
    Ok(if asked_for {
        Ending::Done(done)
    } else {
        Ending::GivenBack(done)
    })
}

/// Removes the module of a livepatch that is out of force; tells why it cannot.
///
/// # Errors
///
/// When the kernel cannot be asked.
pub fn remove(drive: &mut Drive) -> anyhow::Result<Option<String>> {
    let name = drive.name.clone();
    let deadline = Instant::now() + drive.timeout.min(super::transition::BACK);
    let module = drive.root.join("sys/module").join(&name);
    let mut why = "the kernel has not answered".to_owned();
    while module.exists() {
        if Instant::now() >= deadline {
            return Ok(Some(format!(
                "its module is still loaded ({why}): try again with `ipvs-latency hotfix unload {name}`"
            )));
        }
        match drive.refusal()? {
            // The kernel lets go of the module a moment after the folder of the livepatch is gone.
            Some((StepKind::Remove, errno @ Errno::EAGAIN)) => why = format!("in use, {errno}"),
            // Or it has gone meanwhile.
            Some((StepKind::Remove, Errno::ENOENT)) | None => {}
            Some((_, errno)) => why = errno.to_string(),
        }
        if !drive.is_asking() {
            drive.ask(StepKind::Remove, &[])?;
        }
        drive.pause()?;
    }
    Ok(None)
}

/// Waits for a run of every estimator: what was seen, or those that did not run and what is known of them.
fn observed(drive: &mut Drive, heed_signals: bool) -> anyhow::Result<Result<String, String>> {
    if drive.witness.is_none() {
        match Witness::start(&drive.root) {
            Ok(witness) => drive.witness = Some(witness),
            Err(error) => return Ok(Err(format!("that cannot be seen here ({error:#})"))),
        }
    }
    let since_ns = time::monotonic_ns()?;
    let deadline = Instant::now() + drive.timeout;
    let timeout_ns = u64::try_from(drive.timeout.as_nanos()).unwrap_or(u64::MAX);
    let latest_ns = since_ns.saturating_add(timeout_ns);
    while let Some(witness) = &drive.witness {
        let estimators = witness.since(since_ns);
        let counted = estimators
            .iter()
            .filter(|(_, ran)| *ran == Ran::Yes)
            .count();
        if counted == estimators.len() {
            return Ok(Ok(format!(
                ", and every estimator ran since ({counted} network namespaces)"
            )));
        }
        let hopeless = |ran: Ran| match ran {
            Ran::Yes | Ran::Dead => true,
            Ran::Due(due_ns) => due_ns > latest_ns,
            Ran::NotYet => false,
        };
        let is_over = Instant::now() >= deadline || (heed_signals && drive.is_stopped());
        if is_over || estimators.iter().all(|(_, ran)| hopeless(*ran)) {
            return Ok(Err(waits(&estimators, time::monotonic_ns()?)));
        }
        drive.pause()?;
    }
    Ok(Ok(String::new()))
}

/// What is known of each estimator that has not run.
pub fn waits(estimators: &[(u32, Ran)], now_ns: u64) -> String {
    let told = estimators.iter().filter_map(|(netns, ran)| {
        Some(match ran {
            Ran::Yes => return None,
            Ran::Dead => format!(
                "that of netns {netns} is DEAD (its timer is not pending, and only loading ip_vs anew revives it)"
            ),
            Ran::Due(due_ns) => {
                let left_ns = due_ns.saturating_sub(now_ns);
                format!("that of netns {netns} is due in {}, by its own timer", period::shown(left_ns))
            }
            Ran::NotYet => format!("that of netns {netns} was not seen to run, nor is its timer set"),
        })
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() {
        return "no network namespace has one".into();
    }
    told.join("; ")
}

/// What is to be told when the kernel goes neither way.
pub fn stuck(drive: &Drive, waiting: &[u32]) -> String {
    let name = &drive.name;
    let requests = match waiting {
        [] => "the transition is still under way".to_owned(),
        pids => {
            let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
            format!(
                "the kernel does not answer the request to turn back (process {} waits for it, and it takes effect \
                 once the kernel lets go)",
                pids.join(" and ")
            )
        }
    };
    format!(
        "{name} is half way: {requests}. What kept it: {}. When it is through, see `ipvs-latency hotfix status`, and remove \
         it with `ipvs-latency hotfix unload {name}`",
        drive.kept_by()
    )
}
