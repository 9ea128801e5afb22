//! What surrounds a change of this node: the lock, the journal and the guard.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::{
    admission::Admitted,
    drive::{Drive, say},
    ending::Ending,
    guard::{Guard, Guarded},
    journal::{Entry, Journal, JournalError, Mark, Phase},
    lock::{Lock, LockError},
    settle as settled,
    switch::Switch,
};
use crate::kernel::{
    boot::{self, Boot},
    module::{self, Loading, Name},
};

/// A change under way, from before the first call into the kernel to after the last.
pub struct Change {
    root: PathBuf,
    state_dir: PathBuf,
    /// The hotfix, where it is one.
    name: Option<Name>,
    guard: Guard,
    /// Held until the end.
    _lock: Option<Lock>,
}

impl Change {
    /// Before a file is loaded: it is in the journal when this returns, and a guard is there.
    ///
    /// # Errors
    ///
    /// When either cannot be: nothing is to be changed then.
    pub fn of_file(
        root: &Path,
        state_dir: &Path,
        lock: Lock,
        hotfix: &Admitted,
    ) -> anyhow::Result<Self> {
        let path = std::path::absolute(&hotfix.file).unwrap_or_else(|_| hotfix.file.clone());
        let boot = Boot::read(root);
        ensure!(
            !boot.id.is_empty(),
            "cannot read which boot this is (/proc/sys/kernel/random/boot_id): the journal could not tell a crash from it"
        );
        let mut journal = Journal::read(state_dir)?;
        // What was loaded under this name is gone, or is removed first.
        for before in journal.loaded_as(&hotfix.name, &boot) {
            journal.advance(&before, Phase::Gone)?;
        }
        journal.note(Entry {
            sha256: hotfix.sha256.clone(),
            name: hotfix.name.clone(),
            file: path.display().to_string(),
            boot_id: boot.id,
            pid: std::process::id(),
            phase: Phase::Loading,
            since_s: boot::now_s(),
            module: Mark::of(hotfix.module.build_id.as_deref()),
        })?;
        let name = Name::from(hotfix.name.as_str());
        let change = Self::guarded(root, state_dir, Some(lock), Guarded::Hotfix(&name));
        if change.is_err() {
            // Nothing has happened under it.
            journal.advance(&hotfix.sha256, Phase::Gone)?;
        }
        change
    }

    /// Before what is loaded is taken back. That must be possible with a full or read-only disk, too: then without
    /// journal and lock, and said so.
    ///
    /// # Errors
    ///
    /// When somebody else is changing this node, or no guard can be posted.
    pub fn of_loaded(root: &Path, state_dir: &Path, name: &Name) -> anyhow::Result<Self> {
        let lock = match Lock::take_past_strangers(root, state_dir) {
            Ok(lock) => Some(lock),
            Err(held @ LockError::Held(_)) => return Err(held.into()),
            Err(unavailable) => {
                say(&format!("warning: {unavailable}; going on without"));
                None
            }
        };
        let noted = advance(root, state_dir, name, Phase::Unloading).unwrap_or_else(|error| {
            say(&format!("warning: {error}; going on without"));
            None
        });
        let change = Self::guarded(root, state_dir, lock, Guarded::Hotfix(name));
        if let (Err(_), Some(before)) = (&change, noted) {
            // Nothing has happened to it.
            note_again(state_dir, before);
        }
        change
    }

    /// Before switches are set.
    ///
    /// # Errors
    ///
    /// When no guard can be posted.
    pub fn of_switches(
        root: &Path,
        state_dir: &Path,
        lock: Lock,
        switches: &[Switch],
    ) -> anyhow::Result<Self> {
        Self::guarded(root, state_dir, Some(lock), Guarded::Switches(switches))
    }

    fn guarded(
        root: &Path,
        state_dir: &Path,
        lock: Option<Lock>,
        guarded: Guarded<'_>,
    ) -> anyhow::Result<Self> {
        let guard = Guard::post(root, state_dir, guarded, lock.as_ref())
            .context("nothing was changed, for no process could be made to guard the change")?;
        let name = match guarded {
            Guarded::Hotfix(name) => Some(name.clone()),
            Guarded::Switches(_) => None,
        };
        Ok(Self {
            root: root.to_owned(),
            state_dir: state_dir.to_owned(),
            name,
            guard,
            _lock: lock,
        })
    }

    /// Hands the guard to the drive, before the first call into the kernel.
    ///
    /// # Errors
    ///
    /// When the guard has ended, and no other can be started: nothing was changed, and the journal says so.
    pub fn guarding(self, drive: &mut Drive) -> anyhow::Result<Self> {
        let Err(error) = drive.guarded_by(&self.guard) else {
            return Ok(self);
        };
        self.end(&Ending::Refused(error.to_string()));
        Err(error).context("nothing was changed, because no process guards the change")
    }

    /// Notes that it is in place.
    pub fn is_in_place(&self) {
        if let Some(name) = &self.name {
            settle(&self.root, &self.state_dir, name);
        }
    }

    /// Notes that it is being taken back.
    pub fn is_on_its_way_back(&self) {
        if let Some(name) = &self.name
            && let Err(error) = advance(&self.root, &self.state_dir, name, Phase::Unloading)
        {
            say(&format!("warning: {error}; going on without"));
        }
    }

    /// After the last call: the journal is brought up to date and the guard let go, unless it has to finish what
    /// could not be.
    pub fn end(self, ending: &Ending) {
        if ending.is_left() {
            return;
        }
        if let Some(name) = &self.name {
            settle(&self.root, &self.state_dir, name);
        }
        self.guard.dismiss();
    }
}

/// Notes in the journal how far a hotfix is, as the kernel shows it. What cannot be seen stays as it was noted.
pub fn settle(root: &Path, state_dir: &Path, name: &Name) {
    if let Err(error) = try_settle(root, state_dir, name) {
        say(&format!(
            "warning: {error:#}; what it says of {name} is out of date"
        ));
    }
}

fn try_settle(root: &Path, state_dir: &Path, name: &Name) -> anyhow::Result<()> {
    let mut journal = Journal::read(state_dir)?;
    let Some(mut entry) = journal.named(&name.to_string(), &Boot::read(root)).cloned() else {
        return Ok(());
    };
    let seen = settled::phase(root, &entry)
        .with_context(|| format!("cannot tell whether {name} is loaded"))?;
    if seen == entry.phase {
        return Ok(());
    }
    if entry.phase == Phase::Loading {
        // Certainly ours: no other module can have had this name meanwhile.
        let loading = module::look(root, name)?;
        entry.module.loading = loading.map(Loading::number);
    }
    journal.note(Entry {
        phase: seen,
        since_s: boot::now_s(),
        ..entry
    })?;
    Ok(())
}

/// Notes how far a hotfix is; what was noted before. Nothing where somebody else loaded it.
fn advance(
    root: &Path,
    state_dir: &Path,
    name: &Name,
    phase: Phase,
) -> Result<Option<Entry>, JournalError> {
    let mut journal = Journal::read(state_dir)?;
    let before = journal.named(&name.to_string(), &Boot::read(root));
    let before = before.filter(|entry| is_its(root, entry)).cloned();
    if let Some(before) = &before {
        journal.advance(&before.sha256, phase)?;
    }
    Ok(before)
}

/// Returns whether what is loaded is the entry's, as far as can be seen.
fn is_its(root: &Path, entry: &Entry) -> bool {
    entry.phase != Phase::Gone && !matches!(settled::phase(root, entry), Ok(Phase::Gone))
}

fn note_again(state_dir: &Path, entry: Entry) {
    let name = entry.name.clone();
    let noted = Journal::read(state_dir).and_then(|mut journal| journal.note(entry));
    if let Err(error) = noted {
        say(&format!(
            "warning: {error}; what it says of {name} is out of date"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hotfix::{
        guard::tests::{cannot_be_replaced, kill_guard, stand_in},
        made_node::MadeNode,
    };

    fn change(node: &MadeNode, name: &str) -> Change {
        Change {
            root: node.root().to_owned(),
            state_dir: node.state_dir(),
            name: Some(name.into()),
            guard: stand_in(&node.root().join("said")),
            _lock: None,
        }
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
            let mut drive = Drive::unattended(node.root().to_owned(), name);
            let error = change.guarding(&mut drive).err().unwrap();
            assert!(format!("{error:#}").contains("nothing was changed"));
            assert_eq!(phases(&node).last(), Some(&then));
        }
    }
}
