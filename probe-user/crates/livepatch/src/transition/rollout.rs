//! A livepatch put in place: its module inserted, its transition over, and the kernel asked whether it is enabled.

use anyhow::Context as _;

use super::{
    drive::{Drive, Ended},
    proof, refusal,
    rollback::{self, Removed},
    stalled::Towards,
};
use crate::{
    step::StepKind,
    transaction::{change::Change, outcome::Outcome},
};
use livepatch_image::Module;

/// Asks the kernel to load the module. Returns `None` if it was asked, and otherwise how the load ended. Removes first
/// a disabled module of this name that a replacement or a rollback left behind, because the kernel takes no name twice.
///
/// # Errors
///
/// When the node is left half way.
pub fn insert(drive: &mut Drive, change: &Change, bytes: &[u8]) -> anyhow::Result<Option<Outcome>> {
    let is_taken = drive.is_loaded().with_context(|| {
        let name = &drive.name;
        format!("cannot tell whether a module named {name} is loaded")
    })?;
    if is_taken {
        let removed = rollback::remove(drive)?;
        if let Removed::NotYet(why) | Removed::Kept(why) = removed {
            let name = &drive.name;
            return Ok(Some(Outcome::Refused(format!(
                "{name} is not loaded, because a disabled livepatch of that name is still there: {why}"
            ))));
        }
    }
    drive.ask(StepKind::Insert, bytes)?;
    change.note_asked();
    Ok(None)
}

/// Waits until it is in force for every task, and asks the kernel whether it is: nothing when it is, and else that is
/// how it ended.
///
/// # Errors
///
/// When the node is left half way.
pub fn in_force(drive: &mut Drive, module: &Module) -> anyhow::Result<Option<Outcome>> {
    let name = drive.name.clone();
    Ok(match drive.through(Towards::Patched, true)? {
        Ended::Arrived => doubted(drive, module),
        Ended::Refused(errno) => Some(Outcome::Refused(format!(
            "the kernel refused {name} ({errno}): {}",
            refusal::cause(errno, drive.log.lines(), module)
        ))),
        Ended::BackAgain => {
            let removed = rollback::remove(drive)?;
            let kept_by = drive.kept_by();
            let outcome = match removed {
                Removed::Yes => {
                    let back = format!(
                        "{name} was taken back before it was in force, and its module removed: every task runs the old \
                         code. {kept_by}"
                    );
                    rollback::watched(drive, module.replaces_estimator(), false, back)?
                }
                Removed::NotYet(why) | Removed::Kept(why) => Outcome::HalfDone(format!(
                    "{name} was taken back before it was in force, but {why}"
                )),
            };
            Some(rollback::without_others(drive, outcome))
        }
        Ended::Stuck(waiting) => Some(rollback::stuck(drive, &waiting)),
    })
}

/// What the kernel says against it being in force.
#[must_use]
pub fn doubted(drive: &Drive, module: &Module) -> Option<Outcome> {
    let name = &drive.name;
    let patch = match drive.patch() {
        Ok(Some(patch)) => patch,
        Ok(None) => {
            return Some(Outcome::HalfDone(format!(
                "{name} was in force, and somebody else has taken it back"
            )));
        }
        Err(error) => {
            return Some(Outcome::HalfDone(format!(
                "{name} is loaded, and whether it is enabled cannot be seen (/sys/kernel/livepatch: {error})"
            )));
        }
    };
    if patch.enabled == Some(false) {
        return Some(Outcome::HalfDone(format!(
            "{name} was enabled for every task, and another process is disabling it"
        )));
    }
    let doubts = proof::doubts(&drive.site.root, module, &patch);
    (!doubts.is_empty()).then(|| {
        Outcome::HalfDone(format!(
            "{name} is loaded, but {}: roll it back with `ipvs-latency hotfix unload {}`",
            doubts.join(", and "),
            name.typed()
        ))
    })
}
