//! Which process finishes what this one leaves half way: checked before each message that names it, because the guard
//! may be killed like any other process.

use std::path::Path;

use super::Drive;
use crate::transaction::{
    guard::{Guard, Looked},
    left_behind::Awaited,
    outcome::Outcome,
};
use host::livepatch;

impl Drive {
    /// Returns the process that finishes what this one leaves half way. It is looked at now, and replaced where it is
    /// lost; for the guard itself, its own.
    ///
    /// # Errors
    ///
    /// When no such process is there: why.
    pub fn heir(&mut self) -> Result<u32, String> {
        match self.look_at_guard(true) {
            Some(Looked::Missing(why)) => Err(why),
            Some(Looked::Dismissed) => Err("the change was over before".into()),
            _ => Ok(self
                .guarded
                .as_ref()
                .map_or_else(std::process::id, Guard::pid)),
        }
    }

    /// Returns how a change ended: an error amid it leaves the node half way.
    pub fn ended(&mut self, ended: anyhow::Result<Outcome>) -> Outcome {
        ended.unwrap_or_else(|error| {
            let what = format!("{} was left half way ({error:#})", self.name);
            self.left(&what, |pid| {
                format!(
                    "Process {pid} outlives this one and rolls it back: see `ipvs-latency hotfix status`"
                )
            })
        })
    }

    /// Tells what went wrong, with what the kernel wrote to its log.
    pub fn tell(&mut self, outcome: &Outcome) {
        if !matches!(outcome, Outcome::Done(_)) {
            self.say_log();
            self.site.say(&format!("error: {}", outcome.text()));
        }
    }

    /// Ends a change half way: says what the guard does then, or, without a guard, what a person has to do.
    pub fn left(&mut self, what: &str, promise: impl FnOnce(u32) -> String) -> Outcome {
        match self.heir() {
            Ok(pid) => Outcome::LeftToGuard(format!("{what}. {}", promise(pid))),
            Err(why) => {
                let by_hand = self.guarded.as_ref().map(Guard::by_hand);
                Outcome::LeftAlone(format!(
                    "{what}. No process is there to roll it back: {why}. So {}",
                    by_hand.unwrap_or_default()
                ))
            }
        }
    }

    /// Has the probes end later and elsewhere, where the kernel does not yield: whoever ends them waits for every CPU,
    /// and so would this process at its end.
    pub fn leave_probes_behind(&mut self) {
        // The guard must not take those who stay behind for us.
        self.guarded = None;
        let patch = livepatch::folder(&self.site.root, &self.name);
        // Not under `root`: these are numbers as this process counts them.
        let host = Path::new("/");
        let asking = self.requests.iter().map(|request| request.call.pid());
        let asking = asking.filter_map(|pid| Awaited::process(host, pid));
        let awaited: Vec<Awaited> = asking.chain(Awaited::folder(patch)).collect();
        if self.observer.is_none() {
            return;
        }
        if let Err(error) = self.site.kernel().leave_behind(&awaited) {
            self.site.say(&format!(
                "warning: this process ends once every CPU has yielded, for no other can hold its probes ({error})"
            ));
        }
    }

    /// If this process dies now, no process may be left to roll the change back.
    pub(super) fn look_at_guard(&mut self, at_once: bool) -> Option<Looked> {
        let guard = self.guarded.as_ref()?;
        if guard.is_lost() {
            // The next guard puts them back to what it finds them at.
            self.messages = None;
        }
        let looked = guard.look(at_once);
        let told = match &looked {
            Looked::There | Looked::Dismissed => "",
            Looked::Replaced(told) | Looked::Missing(told) => told,
        };
        if !told.is_empty() && told != self.said_of_guard {
            self.site.say(&format!("warning: {told}"));
        }
        told.clone_into(&mut self.said_of_guard);
        Some(looked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        made_node::{self, MadeNode},
        transaction::guard::tests::{cannot_be_replaced, kill_guard, stand_in},
    };

    #[test]
    fn nobody_is_promised_who_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let guard = stand_in(&folder.path().join("said"));
        let mut drive = Drive::unattended(&made_node::site(folder.path(), folder.path()), "x");
        let left =
            |drive: &mut Drive| drive.left("x is half way", |pid| format!("Process {pid} acts"));
        drive.guarded_by(&guard).unwrap();
        let first = guard.pid();
        let Outcome::LeftToGuard(text) = left(&mut drive) else {
            panic!("a guard is there");
        };
        assert_eq!(text, format!("x is half way. Process {first} acts"));
        kill_guard(&guard);
        let Outcome::LeftToGuard(text) = left(&mut drive) else {
            panic!("another can be posted");
        };
        assert_ne!(guard.pid(), first);
        assert_eq!(text, format!("x is half way. Process {} acts", guard.pid()));
        kill_guard(&guard);
        cannot_be_replaced(&guard);
        let outcome = left(&mut drive);
        assert_eq!((outcome.word(), outcome.code()), ("half_done", 3));
        for words in [
            "x is half way",
            "No process is there",
            "ended (signal: 9",
            "type this",
        ] {
            assert!(
                outcome.text().contains(words),
                "no {words:?} in {outcome:?}"
            );
        }
        assert!(!outcome.text().contains("acts"), "{outcome:?}");
    }

    #[test]
    fn a_guard_that_is_lost_before_the_change_keeps_it_from_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let guard = stand_in(&folder.path().join("said"));
        kill_guard(&guard);
        cannot_be_replaced(&guard);
        let mut drive = Drive::unattended(&made_node::site(folder.path(), folder.path()), "x");
        let error = drive.guarded_by(&guard).unwrap_err().to_string();
        assert!(error.contains("no other can be started"), "{error}");
    }

    #[test]
    fn that_no_guard_can_be_posted_is_said_once_and_that_a_change_is_over_is_no_promise() {
        let node = MadeNode::new();
        let guard = stand_in(&node.root().join("said"));
        let mut drive = Drive::unattended(&node.site(), "x");
        drive.guarded_by(&guard).unwrap();
        drive.pause().unwrap();
        assert_eq!(node.world().said(), "");
        kill_guard(&guard);
        cannot_be_replaced(&guard);
        for _ in 0..3 {
            drive.pause().unwrap();
        }
        let said = node.world().said();
        assert_eq!(said.matches("warning: ").count(), 1, "{said}");
        assert!(said.contains("no other can be started"), "{said}");
        assert_eq!(guard.dismiss(), None);
        drive.pause().unwrap();
        assert_eq!(node.world().said(), said);
        assert_eq!(drive.heir(), Err("the change was over before".into()));
    }

    #[test]
    fn a_guard_that_is_lost_is_replaced_while_time_passes() {
        let folder = tempfile::tempdir().unwrap();
        let guard = stand_in(&folder.path().join("said"));
        let mut drive = Drive::unattended(&made_node::site(folder.path(), folder.path()), "x");
        drive.guarded_by(&guard).unwrap();
        let first = guard.pid();
        kill_guard(&guard);
        drive.pause().unwrap();
        assert_ne!(guard.pid(), first);
        assert!(matches!(guard.look(false), Looked::There));
    }
}
