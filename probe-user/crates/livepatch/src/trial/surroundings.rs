//! What else bears on an estimator's runs. Where somebody changes that while they are compared, the comparison says
//! nothing of what is tried.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use crate::transition::{drive::Drive, run_observer::RunObserver};
use host::livepatch;
use model::{ESTIMATOR, NamespaceView};

/// How things stood before anything was changed.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Livepatches that replace the estimator.
    replacements: BTreeSet<String>,
    /// `run_estimation` of each network namespace that has one.
    switches: BTreeMap<u32, i32>,
}

/// What the trial itself changes of that.
#[derive(Debug, Default)]
pub struct Ours {
    /// The livepatch.
    pub name: Option<String>,
    /// The livepatches whose place it takes, or may take.
    pub may_replace: BTreeSet<String>,
    /// Inode numbers of the namespaces whose `run_estimation` it sets.
    pub switched: BTreeSet<u32>,
}

impl Surroundings {
    /// Returns them as they are now.
    ///
    /// # Errors
    ///
    /// When the livepatches cannot be seen.
    pub fn of(drive: &Drive) -> io::Result<Self> {
        let views = drive.observer.iter().flat_map(RunObserver::namespaces);
        Ok(Self {
            replacements: replacements(&drive.site.root)?,
            switches: views.filter_map(switch).collect(),
        })
    }

    /// What somebody else has changed since, if something, or that it cannot be seen: a sentence.
    #[must_use]
    pub fn changed(&self, drive: &Drive, ours: &Ours) -> Option<String> {
        let now = match Self::of(drive) {
            Ok(now) => now,
            Err(error) => {
                return Some(format!(
                    "Whether another livepatch replaces the estimator cannot be seen (/sys/kernel/livepatch: {error})."
                ));
            }
        };
        self.replaced(&now.replacements, ours)
            .or_else(|| self.switched(&now.switches, ours))
    }

    fn replaced(&self, now: &BTreeSet<String>, ours: &Ours) -> Option<String> {
        let is_other =
            |name: &&String| ours.name.as_ref() != Some(*name) && !ours.may_replace.contains(*name);
        let told = |what: &str, name: &String| {
            format!("Somebody else {what} the livepatch {name}, which replaces the estimator, too.")
        };
        let come = now.difference(&self.replacements).find(is_other);
        let gone = self.replacements.difference(now).find(is_other);
        come.map(|name| told("loaded", name))
            .or_else(|| gone.map(|name| told("took back", name)))
    }

    fn switched(&self, now: &BTreeMap<u32, i32>, ours: &Ours) -> Option<String> {
        let others = now
            .iter()
            .filter(|(netns, _)| !ours.switched.contains(netns));
        let mut changed = others.filter_map(|(netns, value)| {
            let before = self.switches.get(netns)?;
            (value != before).then_some((netns, before, value))
        });
        let (netns, before, value) = changed.next()?;
        Some(format!(
            "Somebody else set run_estimation of netns {netns} from {before} to {value}."
        ))
    }
}

fn replacements(root: &Path) -> io::Result<BTreeSet<String>> {
    // A kernel without livepatching has none.
    let patches = livepatch::read(root)?.unwrap_or_default();
    let replacing = patches.into_iter().filter(|one| one.replaces(ESTIMATOR));
    Ok(replacing.map(|one| one.name.to_string()).collect())
}

fn switch(view: &NamespaceView) -> Option<(u32, i32)> {
    Some((view.netns, view.run_estimation?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_node::MadeNode;

    #[test]
    fn a_look_that_fails_is_not_taken_for_what_another_process_did() {
        let node = MadeNode::new();
        node.put_in_force("old", "ip_vs");
        let drive = Drive::unattended(&node.site(), "ours");
        let first = Surroundings::of(&drive).unwrap();
        assert_eq!(first.changed(&drive, &Ours::default()), None);
        std::fs::remove_dir_all(node.root().join("sys/kernel/livepatch")).unwrap();
        node.write("sys/kernel/livepatch", "no folder");
        let told = first.changed(&drive, &Ours::default()).unwrap();
        assert!(told.contains("cannot be seen"), "{told}");
        assert!(Surroundings::of(&drive).is_err());
    }

    fn surroundings(replacements: &[&str], switches: &[(u32, i32)]) -> Surroundings {
        Surroundings {
            replacements: replacements.iter().map(|name| (*name).into()).collect(),
            switches: switches.iter().copied().collect(),
        }
    }

    #[test]
    fn what_the_trial_itself_changes_is_told_from_what_others_do() {
        let first = surroundings(&["old"], &[(1, 1), (2, 1)]);
        let hotfix = |replaced: &[&str]| Ours {
            name: Some("ours".into()),
            may_replace: replaced.iter().map(|name| (*name).into()).collect(),
            switched: BTreeSet::new(),
        };
        let replaced = |now: &[&str], ours: &Ours| {
            let now = surroundings(now, &[]);
            first.replaced(&now.replacements, ours)
        };
        assert_eq!(replaced(&["old", "ours"], &hotfix(&[])), None);
        assert_eq!(replaced(&["ours"], &hotfix(&["old"])), None);
        for (now, ours, words) in [
            (
                &["old", "ours", "new"][..],
                hotfix(&["old"]),
                "loaded the livepatch new",
            ),
            (&["ours"], hotfix(&[]), "took back the livepatch old"),
            (&["old", "new"], Ours::default(), "loaded the livepatch new"),
        ] {
            let told = replaced(now, &ours).unwrap();
            assert!(told.contains(words), "{told}");
        }
        let switch = Ours {
            switched: [1].into(),
            ..Ours::default()
        };
        let switched = |now: &[(u32, i32)], ours: &Ours| {
            first.switched(&surroundings(&[], now).switches, ours)
        };
        // A namespace that is new has no value to compare with.
        assert_eq!(switched(&[(1, 0), (2, 1), (3, 0)], &switch), None);
        let told = switched(&[(1, 0), (2, 0)], &switch).unwrap();
        assert!(told.contains("netns 2 from 1 to 0"), "{told}");
        assert!(switched(&[(1, 0), (2, 1)], &Ours::default()).is_some());
    }
}
