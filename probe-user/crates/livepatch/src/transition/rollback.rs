//! The ways back of a change: a livepatch disabled, its module removed, and every estimator seen to run again.

use std::{collections::BTreeSet, time::Duration};

use nix::errno::Errno;

use super::{
    decision::BACK,
    drive::{Drive, Ended},
    run_observer::{Ran, RunObserver},
    stalled::Towards,
    timer_references::{self, TimerReferences},
};
use crate::{
    preflight::period,
    step::StepKind,
    transaction::{cure, outcome::Outcome},
};
use host::module;
use model::ESTIMATOR;

/// Between two requests that the kernel refuses while another livepatch is in transition.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// Takes the hotfix out of force, removes its module and waits for every estimator to run again.
///
/// # Errors
///
/// When the node is left half way.
pub fn take_back(drive: &mut Drive, asked_for: bool) -> anyhow::Result<Outcome> {
    let outcome = taken_back(drive, asked_for)?;
    Ok(without_others(drive, outcome))
}

/// Adds to how the way back ended which livepatches did not come back with it: then the node is not as it was.
pub fn without_others(drive: &Drive, outcome: Outcome) -> Outcome {
    let (Outcome::RolledBack(text) | Outcome::HalfDone(text)) = &outcome else {
        return outcome;
    };
    match drive.replaced() {
        Ok(replaced) if replaced.is_empty() => outcome,
        Ok(replaced) => Outcome::HalfDone(format!(
            "{text}. The hotfix had taken the place of other livepatches, which are in force no more: load them again \
             ({})",
            replaced.join(", ")
        )),
        Err(error) => {
            let names = drive.may_replace.iter().map(String::as_str);
            let names: Vec<&str> = names.collect();
            Outcome::HalfDone(format!(
                "{text}. Whether the other livepatches of before are enabled cannot be seen ({error}): {}",
                names.join(", ")
            ))
        }
    }
}

fn taken_back(drive: &mut Drive, asked_for: bool) -> anyhow::Result<Outcome> {
    let name = drive.name.clone();
    // Where the kernel no longer tells what it replaced, it may have been the estimator.
    let is_estimators = match drive.patch() {
        Ok(Some(patch)) if patch.enabled.is_some() => patch.replaces(ESTIMATOR),
        _ => drive.site.estimators().can_be_probed().is_ok(),
    };
    if let Some(outcome) = out_of_force(drive, asked_for)? {
        // What must go is not left in force because of a task that did not leave it in time.
        return Ok(match outcome {
            Outcome::RolledBack(why) | Outcome::Refused(why) if !asked_for => {
                drive.left(&why, |pid| {
                    format!(
                        "Process {pid} stays behind and tries again until it is gone: see `ipvs-latency hotfix status`"
                    )
                })
            }
            outcome => outcome,
        });
    }
    match remove(drive)? {
        Removed::Yes => {}
        Removed::NotYet(why) | Removed::Kept(why) => {
            return Ok(Outcome::HalfDone(format!(
                "{name} is out of force, but {why}"
            )));
        }
    }
    let gone = format!("{name} is gone: no task runs its code, and its module is removed");
    Ok(match watched(drive, is_estimators, asked_for, gone)? {
        Outcome::RolledBack(done) if asked_for => Outcome::Done(done),
        outcome => outcome,
    })
}

/// Adds to what was done that every estimator ran since, where one may have run other code.
///
/// # Errors
///
/// When the probes cannot be read.
pub fn watched(
    drive: &mut Drive,
    is_estimators: bool,
    heed_signals: bool,
    done: String,
) -> anyhow::Result<Outcome> {
    // Where it cannot be seen, the probes say why.
    let is_there = module::look(&drive.site.root, &"ip_vs".into());
    if !is_estimators || is_there.is_ok_and(|loading| loading.is_none()) {
        return Ok(Outcome::RolledBack(done));
    }
    Ok(match observed(drive, heed_signals)? {
        Ok(seen) => Outcome::RolledBack(format!("{done}{seen}")),
        Err(waits) => Outcome::HalfDone(format!(
            "{done}. Of the estimators that are to run again: {waits}"
        )),
    })
}

/// Takes the hotfix out of force: no task runs its code when this gives nothing, and else that is how it ended.
///
/// # Errors
///
/// When the node is left half way.
pub fn out_of_force(drive: &mut Drive, heed_signals: bool) -> anyhow::Result<Option<Outcome>> {
    let name = drive.name.clone();
    Ok(match on_its_way_out(drive, heed_signals)? {
        Ended::Arrived => None,
        Ended::Refused(errno @ (Errno::EACCES | Errno::EPERM)) => Some(Outcome::Refused(format!(
            "the kernel refused to take {name} back ({errno}): {}",
            cure::permission()
        ))),
        Ended::Refused(errno) => Some(Outcome::Refused(format!(
            "the kernel refused to take {name} back ({errno}): another livepatch may be in transition, see \
             `ipvs-latency hotfix status`"
        ))),
        Ended::BackAgain => Some(Outcome::RolledBack(format!(
            "{name} is in force as before: not every task left its code. {}",
            drive.kept_by()
        ))),
        Ended::Stuck(waiting) => Some(stuck(drive, &waiting)),
    })
}

/// Asks for the way out, and goes it. There is one transition at a time: who must take this one back waits until
/// another livepatch's is over.
fn on_its_way_out(drive: &mut Drive, heed_signals: bool) -> anyhow::Result<Ended> {
    let deadline = drive.site.now() + drive.timeout;
    loop {
        // A livepatch that is disabled, or being disabled, needs no request. One that cannot be seen may be enabled.
        let is_out = match drive.patch() {
            Ok(patch) => patch.is_none_or(|patch| patch.enabled == Some(false)),
            Err(_) => false,
        };
        if !is_out {
            drive.ask(StepKind::Disable, &[])?;
        }
        let ended = drive.through(Towards::Unpatched, heed_signals)?;
        let is_busy = matches!(ended, Ended::Refused(Errno::EBUSY));
        if heed_signals || !is_busy || drive.site.now() >= deadline {
            return Ok(ended);
        }
        let again = drive.site.now() + BETWEEN_TRIES;
        while drive.site.now() < again {
            drive.pause()?;
        }
    }
}

/// How the removal of a module ended.
pub enum Removed {
    /// It is gone.
    Yes,
    /// The kernel has not let go of it yet, for the reason given.
    NotYet(String),
    /// It has to stay, for the reason given.
    Kept(String),
}

/// Removes the module of a disabled livepatch, unless something would still call its code, or that is unknown.
///
/// # Errors
///
/// When the kernel cannot be asked.
pub fn remove(drive: &mut Drive) -> anyhow::Result<Removed> {
    remove_unless(drive, true)
}

/// Removes it unless something is proven to call its code: for the guard, which no person follows up.
///
/// # Errors
///
/// When the kernel cannot be asked.
pub fn remove_unless_called(drive: &mut Drive) -> anyhow::Result<Removed> {
    remove_unless(drive, false)
}

fn remove_unless(drive: &mut Drive, doubts_count: bool) -> anyhow::Result<Removed> {
    let name = drive.name.clone();
    let deadline = drive.site.now() + drive.timeout.min(BACK);
    if matches!(drive.is_loaded(), Ok(false)) {
        return Ok(Removed::Yes);
    }
    match timer_references::look(&drive.site, &name) {
        TimerReferences::Proven(why) => return Ok(Removed::Kept(why)),
        TimerReferences::CannotTell(why) if doubts_count => return Ok(Removed::Kept(why)),
        TimerReferences::CannotTell(_) | TimerReferences::None => {}
    }
    let mut why = "the kernel has not answered".to_owned();
    // What cannot be seen is not gone.
    loop {
        let is_loaded = drive.is_loaded();
        if matches!(is_loaded, Ok(false)) {
            return Ok(Removed::Yes);
        }
        if drive.site.now() >= deadline {
            let state = match is_loaded {
                Ok(_) => format!("its module is still loaded ({why})"),
                Err(error) => {
                    format!("whether its module is still loaded cannot be seen ({error})")
                }
            };
            return Ok(Removed::NotYet(format!(
                "{state}: try again with `ipvs-latency hotfix unload {}`",
                name.typed()
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
}

/// Waits for a run of every estimator: what was seen, or those that did not run and what is known of them.
///
/// # Errors
///
/// When the probes cannot be read.
pub fn observed(drive: &mut Drive, heed_signals: bool) -> anyhow::Result<Result<String, String>> {
    if drive.observer.is_none() {
        match RunObserver::start(&drive.site) {
            Ok(observer) => drive.observer = Some(observer),
            Err(error) => return Ok(Err(format!("that cannot be seen here ({error:#})"))),
        }
    }
    let since_ns = drive.site.now_ns();
    let deadline = drive.site.now() + drive.timeout;
    let timeout_ns = u64::try_from(drive.timeout.as_nanos()).unwrap_or(u64::MAX);
    let latest_ns = since_ns.saturating_add(timeout_ns);
    let mut waited_for: Option<BTreeSet<u32>> = None;
    while let Some(mut estimators) = drive.ran_since(since_ns) {
        // What was seen before is no longer so.
        let looked_ns = drive.observer.as_ref().map(RunObserver::looked_ns);
        if looked_ns.is_some_and(|looked_ns| looked_ns < since_ns) {
            drive.pause()?;
            continue;
        }
        // One that is there only later was started by what runs now.
        let at_first = || estimators.iter().map(|(netns, _)| *netns).collect();
        let waited_for = waited_for.get_or_insert_with(at_first);
        estimators.retain(|(netns, _)| waited_for.contains(netns));
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
            Ran::NotYet | Ran::Unknown => false,
        };
        let is_over = drive.site.now() >= deadline || (heed_signals && drive.is_stopped());
        if is_over || estimators.iter().all(|(_, ran)| hopeless(*ran)) {
            return Ok(Err(waits(&estimators, drive.site.now_ns())));
        }
        drive.pause()?;
    }
    Ok(Ok(String::new()))
}

/// The most estimators that are named one by one.
const TOLD: usize = 10;

/// What is known of each estimator that has not run.
#[must_use]
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
            Ran::Unknown => format!(
                "that of netns {netns} may have run: the last look at the timers was cut short"
            ),
        })
    });
    let mut told: Vec<String> = told.collect();
    let more = told.len().saturating_sub(TOLD);
    if more > 0 {
        told.truncate(TOLD);
        told.push(format!("and {more} more"));
    }
    if told.is_empty() {
        return "no network namespace has one".into();
    }
    told.join("; ")
}

/// What is to be told when the kernel goes neither way.
pub fn stuck(drive: &mut Drive, waiting: &[u32]) -> Outcome {
    let name = drive.name.clone();
    let requests = match waiting {
        [] => "the transition is still under way".to_owned(),
        pids => {
            let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
            format!(
                "the kernel does not answer the request to turn back (process {} waits for it)",
                pids.join(" and ")
            )
        }
    };
    let what = format!("{name} is half way: {requests}. {}", drive.kept_by());
    drive.left(&what, |pid| {
        format!(
            "Process {pid} stays behind: once the kernel lets go, it takes {name} out of force and removes its module. \
             Until then see `ipvs-latency hotfix status`"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_node::MadeNode;

    #[test]
    fn of_many_estimators_that_did_not_run_some_are_told_and_the_others_counted() {
        let estimators: Vec<_> = (1..=12_000).map(|netns| (netns, Ran::NotYet)).collect();
        let told = waits(&estimators, 0);
        assert!(told.starts_with("that of netns 1 was not"), "{told}");
        assert!(told.ends_with("; and 11990 more"), "{told}");
        let told = waits(&[(7, Ran::Yes), (8, Ran::Unknown)], 0);
        assert!(told.starts_with("that of netns 8 may have run"));
        assert!(!told.contains("timer set"), "{told}");
    }

    #[test]
    fn an_estimator_that_came_after_the_last_look_at_the_probes_is_waited_for() {
        let node = MadeNode::new();
        node.world().add_estimator(7, 30_000);
        let mut drive = Drive::unattended(&node.site(), "made");
        drive.observer = Some(RunObserver::start(&node.site()).unwrap());
        node.world().pass(Duration::from_secs(1));
        node.world().add_estimator(8, 30_000);
        let seen = observed(&mut drive, false).unwrap().unwrap();
        let expected = ", and every estimator ran since (2 network namespaces)";
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_node_that_lost_another_livepatch_is_not_as_it_was() {
        let node = MadeNode::new();
        node.put_in_force("there", "nf_nat");
        let mut drive = Drive::unattended(&node.site(), "ours");
        let told = |drive: &Drive, outcome| without_others(drive, outcome).word();
        let back = || Outcome::RolledBack("It is gone".into());
        assert_eq!(told(&drive, back()), "given_back");
        drive.may_replace = ["there".to_owned()].into();
        assert_eq!(told(&drive, back()), "given_back", "it did not");
        drive.may_replace.insert("gone".into());
        let half = without_others(&drive, Outcome::HalfDone("It is late".into()));
        assert!(half.text().starts_with("It is late. The hotfix had taken"));
        assert!(half.text().ends_with("load them again (gone)"), "{half:?}");
        assert_eq!(told(&drive, back()), "half_done");
        let refused = Outcome::Refused("no".into());
        assert_eq!(told(&drive, refused), "refused", "nothing was changed");
    }
}
