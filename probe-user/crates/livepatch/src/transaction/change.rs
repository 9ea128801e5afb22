//! What surrounds a change of this node: the lock, the journal and the guard.

mod unasked;

use std::{cell::Cell, path::Path};

use anyhow::{Context as _, ensure};

use super::{
    guard::{Guard, Guarded},
    journal::{Entry, Journal, JournalError, Mark, Phase},
    lock::{Lock, LockError},
    settle as settled,
    switch::Switch,
};
use crate::{
    preflight::admission::Admitted, site::Site, transaction::outcome::Outcome,
    transition::drive::Drive,
};
use unasked::Unasked;

use host::{
    boot::{self, Boot},
    module::{self, Loading},
};
use livepatch_image::Name;

/// A change under way, from before the first call into the kernel to after the last.
pub struct Change {
    site: Site,
    /// The hotfix, where it is one.
    name: Option<Name>,
    guard: Guard,
    /// The load, until the kernel is asked for it.
    unasked: Cell<Option<Unasked>>,
    /// Held until the end.
    lock: Option<Lock>,
}

impl Change {
    /// Before a file is loaded: it is in the journal when this returns, and a guard is there.
    ///
    /// # Errors
    ///
    /// When either cannot be: nothing is to be changed then.
    pub fn of_file(site: &Site, lock: Lock, hotfix: &Admitted) -> anyhow::Result<Self> {
        let path = std::path::absolute(&hotfix.file).unwrap_or_else(|_| hotfix.file.clone());
        let boot = Boot::read(&site.root);
        ensure!(
            !boot.id.is_empty(),
            "cannot read which boot this is (/proc/sys/kernel/random/boot_id): the journal could not tell a crash from it"
        );
        let entry = Entry {
            sha256: hotfix.sha256.clone(),
            name: hotfix.name.clone(),
            file: path.display().to_string(),
            accepted: hotfix.accept.clone(),
            boot_id: boot.id.clone(),
            pid: std::process::id(),
            phase: Phase::Loading,
            since_s: boot::now_s(),
            module: Mark::of(hotfix.module.build_id.as_deref()),
        };
        let unasked = Unasked::note(&site.state_dir, entry, &boot)?;
        let name = Name::from(hotfix.name.as_str());
        match Self::guarded(site, Some(lock), Guarded::Hotfix(&name)) {
            Ok(change) => {
                change.unasked.set(Some(unasked));
                Ok(change)
            }
            Err(error) => {
                unasked.withdrawn(&site.state_dir)?;
                Err(error)
            }
        }
    }

    /// Before what is loaded is taken back. That must be possible with a full or read-only disk, too: then without
    /// journal and lock, and said so.
    ///
    /// # Errors
    ///
    /// When somebody else is changing this node, or no guard can be posted.
    pub fn of_loaded(site: &Site, name: &Name) -> anyhow::Result<Self> {
        let lock = match Lock::take_past_strangers(site) {
            Ok(lock) => Some(lock),
            Err(held @ LockError::Held(_)) => return Err(held.into()),
            Err(unavailable) => {
                site.say(&format!(
                    "warning: {unavailable}; the unload continues without the lock"
                ));
                None
            }
        };
        let noted = advance(site, name, Phase::Unloading).unwrap_or_else(|error| {
            site.say(&format!(
                "warning: {error}; the change continues, and the journal is out of date"
            ));
            None
        });
        let change = Self::guarded(site, lock, Guarded::Hotfix(name));
        if let (Err(_), Some(before)) = (&change, noted) {
            // Nothing has happened to it.
            note_again(site, before);
        }
        change
    }

    /// Before switches are set.
    ///
    /// # Errors
    ///
    /// When no guard can be posted.
    pub fn of_switches(site: &Site, lock: Lock, switches: &[Switch]) -> anyhow::Result<Self> {
        Self::guarded(site, Some(lock), Guarded::Switches(switches))
    }

    fn guarded(site: &Site, lock: Option<Lock>, guarded: Guarded<'_>) -> anyhow::Result<Self> {
        let guard = Guard::post(site, guarded, lock.as_ref())
            .context("nothing was changed, for no process could be made to guard the change")?;
        let name = match guarded {
            Guarded::Hotfix(name) => Some(name.clone()),
            Guarded::Switches(_) => None,
        };
        Ok(Self {
            site: site.clone(),
            name,
            guard,
            unasked: Cell::new(None),
            lock,
        })
    }

    /// Hands the guard to the drive, before the first call into the kernel.
    ///
    /// # Errors
    ///
    /// When the guard has ended, and no other can be started: nothing was changed, and the journal says so.
    pub fn guarding(self, drive: &mut Drive) -> anyhow::Result<Self> {
        drive.locked_by(
            self.lock
                .as_ref()
                .and_then(|lock| lock.place(&self.site.state_dir)),
        );
        let Err(error) = drive.guarded_by(&self.guard) else {
            return Ok(self);
        };
        self.end(&Outcome::Refused(error.to_string()));
        Err(error).context("nothing was changed, because no process guards the change")
    }

    /// Notes that the kernel was asked to load the file. A module that an earlier load left behind under its name is
    /// gone by then, and not before.
    pub fn note_asked(&self) {
        if let Some(unasked) = self.unasked.take() {
            self.warn(unasked.asked(&self.site.state_dir));
        }
    }

    /// Notes that it is in place.
    pub fn note_in_force(&self) {
        if let Some(name) = &self.name {
            settle(&self.site, name);
        }
    }

    /// Notes that it is being taken back.
    pub fn note_on_its_way_back(&self) {
        if let Some(name) = &self.name {
            note_way_back(&self.site, name);
        }
    }

    /// After the last call: the journal is brought up to date and the guard let go, unless it has to finish what
    /// could not be.
    pub fn end(self, outcome: &Outcome) {
        if outcome.is_left() {
            return;
        }
        match (self.unasked.take(), &self.name) {
            (Some(unasked), _) => self.warn(unasked.withdrawn(&self.site.state_dir)),
            (None, Some(name)) => settle(&self.site, name),
            (None, None) => {}
        }
        if let Some(pid) = self.guard.dismiss() {
            self.site.say(&format!(
                "warning: the change is over, and its guard, process {pid}, has not ended and holds the lock: end it with `kill -KILL {pid}`"
            ));
        }
    }

    fn warn(&self, noted: Result<(), JournalError>) {
        if let (Err(error), Some(name)) = (noted, &self.name) {
            self.site.say(&format!(
                "warning: {error}; what it says of {name} is out of date"
            ));
        }
    }
}

/// Notes in the journal how far a hotfix is, as the kernel shows it. What cannot be seen stays as it was noted.
pub fn settle(site: &Site, name: &Name) {
    if let Err(error) = try_settle(site, name) {
        site.say(&format!(
            "warning: {error:#}; what it says of {name} is out of date"
        ));
    }
}

fn try_settle(site: &Site, name: &Name) -> anyhow::Result<()> {
    let mut journal = Journal::read(&site.state_dir)?;
    let Some(mut entry) = journal
        .named(&name.to_string(), &Boot::read(&site.root))
        .cloned()
    else {
        return Ok(());
    };
    let seen = settled::phase(&site.root, &entry)
        .with_context(|| format!("cannot tell whether {name} is loaded"))?;
    if seen == entry.phase {
        return Ok(());
    }
    if entry.phase == Phase::Loading {
        // Certainly ours: no other module can have had this name meanwhile.
        let loading = module::look(&site.root, name)?;
        entry.module.loading = loading.map(Loading::number);
    }
    journal.note(Entry {
        phase: seen,
        since_s: boot::now_s(),
        ..entry
    })?;
    Ok(())
}

/// Notes that a hotfix is being taken back.
pub fn note_way_back(site: &Site, name: &Name) {
    if let Err(error) = advance(site, name, Phase::Unloading) {
        site.say(&format!(
            "warning: {error}; the change continues, and the journal is out of date"
        ));
    }
}

/// Notes how far a hotfix is; what was noted before. Nothing where somebody else loaded it.
fn advance(site: &Site, name: &Name, phase: Phase) -> Result<Option<Entry>, JournalError> {
    let mut journal = Journal::read(&site.state_dir)?;
    let before = journal.named(&name.to_string(), &Boot::read(&site.root));
    let before = before.filter(|entry| is_its(&site.root, entry)).cloned();
    if let Some(before) = &before {
        journal.advance(&before.sha256, phase)?;
    }
    Ok(before)
}

/// Returns whether what is loaded is the entry's, as far as can be seen.
fn is_its(root: &Path, entry: &Entry) -> bool {
    entry.phase != Phase::Gone && !matches!(settled::phase(root, entry), Ok(Phase::Gone))
}

fn note_again(site: &Site, entry: Entry) {
    let name = entry.name.clone();
    let noted = Journal::read(&site.state_dir).and_then(|mut journal| journal.note(entry));
    if let Err(error) = noted {
        site.say(&format!(
            "warning: {error}; what it says of {name} is out of date"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        made_node::MadeNode,
        transaction::guard::tests::{cannot_be_replaced, kill_guard, stand_in},
    };
    use livepatch_image::Digest;

    fn change(node: &MadeNode, name: &str) -> Change {
        Change {
            site: node.site(),
            name: Some(name.into()),
            guard: stand_in(&node.root().join("said")),
            unasked: Cell::new(None),
            lock: None,
        }
    }

    /// Returns a file of the module `made` that may be loaded.
    fn admitted(node: &MadeNode, jiffies: u32) -> Admitted {
        Admitted::of(node.module("made", jiffies))
    }

    /// What the journal says of the files of `made`: the digest's beginning, how far, and since when.
    fn noted(node: &MadeNode) -> Vec<(Digest, Phase, bool)> {
        let journal = Journal::read(&node.state_dir()).unwrap();
        let entries = journal.entries().iter();
        let noted = entries.map(|one| (one.sha256.clone(), one.phase, one.since_s == 10_000));
        noted.collect()
    }

    /// The kernel is not asked, as no guard can be posted: the module that an earlier load left behind stays.
    #[test]
    fn a_load_that_is_not_asked_for_leaves_the_entries_of_its_name_as_they_were() {
        let node = MadeNode::new();
        node.world().no_guard_comes_up();
        node.write("sys/module/made/taint", "OEK\n");
        let hotfix = admitted(&node, 500);
        let (old, new) = (Digest::of(b"old"), hotfix.sha256.clone());
        node.note("made", b"old", "this", Phase::Left);
        let load = || {
            let lock = Lock::take(&node.site()).unwrap();
            Change::of_file(&node.site(), lock, &hotfix)
        };
        assert!(load().is_err());
        let mut then = noted(&node);
        then.sort_by_key(|(_, phase, _)| *phase == Phase::Gone);
        let expected = [(old, Phase::Left, true), (new.clone(), Phase::Gone, false)];
        assert_eq!(then, expected, "another file");
        // The very file that was left behind.
        let node_file = std::fs::read(&hotfix.file).unwrap();
        node.note("made", &node_file, "this", Phase::Left);
        assert!(load().is_err());
        assert!(noted(&node).contains(&(new, Phase::Left, true)));
    }

    #[test]
    fn an_older_entry_is_gone_once_the_kernel_is_asked_and_stays_where_it_is_not() {
        for asks in [true, false] {
            let node = MadeNode::new();
            node.write("sys/module/made/taint", "OEK\n");
            node.note("made", b"old", "this", Phase::Left);
            let mut entry = Journal::read(&node.state_dir()).unwrap().entries()[0].clone();
            entry.sha256 = Digest::of(b"new");
            entry.phase = Phase::Loading;
            let boot = Boot::read(node.root());
            let unasked = Unasked::note(&node.state_dir(), entry, &boot).unwrap();
            let change = change(&node, "made");
            change.unasked.set(Some(unasked));
            let journal = || Journal::read(&node.state_dir()).unwrap();
            let phase = |file: &[u8]| journal().entry_of(&Digest::of(file)).unwrap().phase;
            assert_eq!(
                (phase(b"old"), phase(b"new")),
                (Phase::Left, Phase::Loading)
            );
            if asks {
                change.note_asked();
                assert_eq!(
                    (phase(b"old"), phase(b"new")),
                    (Phase::Gone, Phase::Loading)
                );
                let means = journal().named("made", &boot).unwrap().sha256.clone();
                assert_eq!(means, Digest::of(b"new"));
                change.end(&Outcome::Refused("the kernel refused it".into()));
                continue;
            }
            change.end(&Outcome::Refused("the old one is in use".into()));
            assert_eq!((phase(b"old"), phase(b"new")), (Phase::Left, Phase::Gone));
            let new = journal().entry_of(&Digest::of(b"new")).unwrap().since_s;
            assert!(new > 10_000, "its phase began when it was withdrawn: {new}");
            let old = journal().named("made", &boot).unwrap().clone();
            assert_eq!((old.sha256, old.since_s), (Digest::of(b"old"), 10_000));
        }
    }

    #[test]
    fn a_load_that_was_not_asked_for_and_cannot_be_taken_from_the_journal_is_said() {
        let node = MadeNode::new();
        node.note("made", b"made", "this", Phase::Loading);
        let entry = Journal::read(&node.state_dir()).unwrap().entries()[0].clone();
        let unasked = Unasked::note(&node.state_dir(), entry, &Boot::read(node.root()));
        let change = change(&node, "made");
        change.unasked.set(Some(unasked.unwrap()));
        node.write("var/lib/state/journal.json", "{");
        change.end(&Outcome::Refused("the kernel was not asked".into()));
        let said = node.world().said();
        assert!(said.contains("is damaged"), "{said}");
        assert!(
            said.ends_with("; what it says of made is out of date"),
            "{said}"
        );
    }

    /// Returns the entry of `made`, noted so far for a module of this loading.
    fn noted_for(node: &MadeNode, phase: Phase, loading: Option<u64>) -> Entry {
        node.note("made", b"made", "this", phase);
        let mut journal = Journal::read(&node.state_dir()).unwrap();
        let mut entry = journal.entries()[0].clone();
        entry.module.loading = loading;
        journal.note(entry.clone()).unwrap();
        entry
    }

    #[test]
    fn the_end_of_a_load_notes_when_it_was_and_which_loading_of_the_module_it_is() {
        let node = MadeNode::new();
        node.put_in_force("made", "ip_vs");
        let name = "made".into();
        let own = module::look(node.root(), &name).unwrap();
        let own = own.map(Loading::number);
        for (phase, loading) in [(Phase::Loading, own), (Phase::Unloading, None)] {
            noted_for(&node, phase, None);
            settle(&node.site(), &name);
            let entry = Journal::read(&node.state_dir()).unwrap().entries()[0].clone();
            assert_eq!(entry.phase, Phase::InForce, "{phase:?}");
            assert_eq!(entry.module.loading, loading, "{phase:?}");
            assert!(entry.since_s > 10_000, "{phase:?}");
        }
    }

    #[test]
    fn a_way_back_is_noted_for_what_is_loaded_and_not_for_a_module_of_somebody_else() {
        let is_way_back_noted = |given: fn(&MadeNode), phase, loading: fn(u64) -> u64| {
            let node = MadeNode::new();
            node.put_in_force("made", "ip_vs");
            let found = module::look(node.root(), &"made".into()).unwrap();
            let entry = noted_for(&node, phase, Some(loading(found.unwrap().number())));
            given(&node);
            note_way_back(&node.site(), &"made".into());
            let then = Journal::read(&node.state_dir()).unwrap().entries()[0].clone();
            assert!(then == entry || then.phase == Phase::Unloading, "{then:?}");
            then != entry
        };
        let noted = is_way_back_noted;
        assert!(noted(|_| {}, Phase::InForce, |own| own));
        assert!(!noted(|_| {}, Phase::InForce, |own| own + 1), "another");
        assert!(!noted(|_| {}, Phase::Gone, |own| own), "it is gone");
        let hide = |node: &MadeNode| node.world().remove("sys/module");
        assert!(noted(hide, Phase::InForce, |own| own), "it is not seen");
    }

    fn phases(node: &MadeNode) -> Vec<Phase> {
        let journal = Journal::read(&node.state_dir()).unwrap();
        journal.entries().iter().map(|entry| entry.phase).collect()
    }

    #[test]
    fn a_guard_that_is_lost_before_the_first_call_leaves_no_change_in_the_journal() {
        let node = MadeNode::new();
        node.put_in_force("there", "ip_vs");
        for (name, noted, then) in [
            ("there", Phase::Unloading, Phase::InForce),
            ("not_there", Phase::Loading, Phase::Gone),
        ] {
            node.note(name, name.as_bytes(), "this", noted);
            let change = change(&node, name);
            kill_guard(&change.guard);
            cannot_be_replaced(&change.guard);
            let mut drive = Drive::unattended(&node.site(), name);
            let error = change.guarding(&mut drive).err().unwrap();
            assert!(format!("{error:#}").contains("nothing was changed"));
            assert_eq!(phases(&node).last(), Some(&then));
        }
    }
}
