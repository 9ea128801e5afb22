//! Compares the journal with the node, so that a hotfix that was unloaded or replaced by other means is not blamed for
//! a later crash.

use std::{io, path::Path};

use super::{
    journal::{Entry, Journal, JournalError, Phase, hexadecimal},
    lock::{Lock, LockError},
};
use crate::site::Site;
use host::{
    boot::Boot,
    livepatch,
    module::{self, Loading},
};
use livepatch_image::Digest;
use livepatch_image::Name;

/// Brings the journal up to date, if that is possible. A command that needs the journal reports one that cannot be
/// read, and a user who may not write it need not.
pub fn look(site: &Site) {
    let Ok(journal) = Journal::read(&site.state_dir) else {
        return;
    };
    let boot = Boot::read(&site.root);
    if changes(&journal, &site.root, &boot).is_empty() {
        return;
    }
    let warn = |error: String| {
        site.say(&format!(
            "warning: {error}; what the journal says of this node is out of date"
        ));
    };
    let _lock = match Lock::take(site) {
        Ok(lock) => lock,
        // The process that changes this node brings it up to date at the end.
        Err(LockError::Held(_)) => return,
        Err(LockError::Unavailable(_, error))
            if error.kind() == io::ErrorKind::PermissionDenied =>
        {
            return;
        }
        Err(error) => return warn(error.to_string()),
    };
    if let Err(error) = write(site, &boot) {
        warn(error.to_string());
    }
}

/// Notes that a file is in force, which was proven, and which a person asked for: a load that could not note its end looks
/// like one that was cut off, an unload that was cut off is not to be completed, and the kernel outlived a shutdown, as
/// with `systemctl soft-reboot`.
pub fn note_proven(site: &Site, file: &Digest) {
    let boot = Boot::read(&site.root);
    let is_open = |journal: &Journal| {
        let entry = journal.entry_of(file).filter(|one| one.boot_id == boot.id);
        entry.is_some_and(|one| {
            matches!(
                one.phase,
                Phase::Loading | Phase::Unloading | Phase::ShutDown
            )
        })
    };
    if !Journal::read(&site.state_dir).is_ok_and(|journal| is_open(&journal)) {
        return;
    }
    // The process that changes this node notes its end itself.
    let Ok(_lock) = Lock::take(site) else {
        return;
    };
    let noted = Journal::read(&site.state_dir).and_then(|mut journal| {
        if is_open(&journal) {
            journal.advance(file, Phase::InForce)?;
        }
        Ok(())
    });
    if let Err(error) = noted {
        site.say(&format!(
            "warning: {error}; until this command can record it, `hotfix status` shows the load as not over"
        ));
    }
}

/// Reads the journal once more, now that no other process writes it.
fn write(site: &Site, boot: &Boot) -> Result<(), JournalError> {
    let mut journal = Journal::read(&site.state_dir)?;
    for (file, phase) in changes(&journal, &site.root, boot) {
        journal.advance(&file, phase)?;
    }
    Ok(())
}

/// Returns the files of this boot that are no longer as far as the journal says.
fn changes(journal: &Journal, root: &Path, boot: &Boot) -> Vec<(Digest, Phase)> {
    let entries = journal.entries().iter();
    let open = entries.filter(|entry| !boot.id.is_empty() && entry.boot_id == boot.id);
    let changed = open.filter_map(|entry| {
        let phase = next(entry.phase, phase(root, entry).ok()?)?;
        Some((entry.sha256.clone(), phase))
    });
    changed.collect()
}

/// Returns the new phase of an entry, after a look that found `seen`; `None` if it stays.
fn next(noted: Phase, seen: Phase) -> Option<Phase> {
    match (noted, seen) {
        // An entry that is gone stays gone: another process loaded what is there now. And a change that was cut off
        // stays one as long as something is left of it.
        (Phase::Gone | Phase::ShutDown, _)
        | (Phase::Loading | Phase::Unloading, Phase::InForce | Phase::Left) => None,
        (noted, seen) => (noted != seen).then_some(seen),
    }
}

/// Returns how far a hotfix is, as the kernel shows it. A module of its name that is another one counts as nothing.
///
/// # Errors
///
/// When that is unknown.
pub fn phase(root: &Path, entry: &Entry) -> io::Result<Phase> {
    let name = Name::from(entry.name.as_str());
    let Some(loading) = module::look(root, &name)? else {
        return Ok(Phase::Gone);
    };
    if !is_its(root, entry, loading)? {
        return Ok(Phase::Gone);
    }
    Ok(match livepatch::look(root, &name)? {
        Some(_) => Phase::InForce,
        None => Phase::Left,
    })
}

/// Returns whether the module that is loaded under an entry's name is the entry's.
///
/// # Errors
///
/// When that is unknown.
pub fn is_its(root: &Path, entry: &Entry, loading: Loading) -> io::Result<bool> {
    let loaded = module::build_id(root, &entry.name.as_str().into())?;
    if let (Some(loaded), Some(built)) = (loaded, &entry.module.build_id) {
        return Ok(hexadecimal(&loaded) == *built);
    }
    let number = entry.module.loading;
    Ok(number.is_none_or(|number| number == loading.number()))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;
    use crate::{made_node::MadeNode, transaction::journal::Mark};

    fn noted(node: &MadeNode) -> Vec<(String, Phase)> {
        let journal = Journal::read(&node.state_dir()).unwrap();
        let entries = journal.entries().iter();
        let mut noted: Vec<_> = entries
            .map(|entry| (entry.name.clone(), entry.phase))
            .collect();
        noted.sort_by_key(|(name, _)| name.clone());
        noted
    }

    fn look_at(node: &MadeNode) -> Vec<(String, Phase)> {
        look(&node.site());
        noted(node)
    }

    #[test]
    fn a_load_whose_end_could_not_be_noted_is_noted_once_it_is_proven() {
        let node = MadeNode::new();
        node.put_in_force("made", "ip_vs");
        for (boot_id, noted, then) in [
            ("this", Phase::Loading, Phase::InForce),
            ("this", Phase::Unloading, Phase::InForce),
            ("this", Phase::ShutDown, Phase::InForce),
            ("this", Phase::Gone, Phase::Gone),
            ("last", Phase::Loading, Phase::Loading),
        ] {
            node.note("made", b"made", boot_id, noted);
            note_proven(&node.site(), &Digest::of(b"made"));
            assert_eq!(self::noted(&node), [("made".to_owned(), then)]);
        }
        note_proven(&node.site(), &Digest::of(b"another"));
    }

    #[test]
    fn what_somebody_else_unloaded_or_replaced_is_noted_at_the_next_look_and_once() {
        use Phase::*;
        let node = MadeNode::new();
        for (name, boot_id, phase) in [
            ("a_there", "this", InForce),
            ("b_gone", "this", InForce),
            ("c_replaced", "this", InForce),
            ("d_removed", "this", Left),
            ("e_half", "this", Loading),
            ("f_over", "this", Unloading),
            ("g_before", "last", InForce),
            ("h_shut", "this", ShutDown),
            ("i_again", "this", Gone),
        ] {
            node.note(name, name.as_bytes(), boot_id, phase);
        }
        for name in ["a_there", "e_half", "h_shut", "i_again"] {
            node.put_in_force(name, "ip_vs");
        }
        node.write("sys/module/c_replaced/taint", "OEK\n");
        let expected: Vec<_> = [
            ("a_there", InForce),
            ("b_gone", Gone),
            ("c_replaced", Left),
            ("d_removed", Gone),
            ("e_half", Loading),
            ("f_over", Gone),
            ("g_before", InForce),
            ("h_shut", ShutDown),
            ("i_again", Gone),
        ]
        .map(|(name, phase)| (name.to_owned(), phase))
        .into();
        assert_eq!(look_at(&node), expected);
        let file = node.state_dir().join("journal.json");
        let text = fs::read_to_string(&file).unwrap();
        look_at(&node);
        assert_eq!(fs::read_to_string(&file).unwrap(), text, "a second look");
    }

    #[test]
    fn what_cannot_be_seen_and_whom_somebody_changes_stay_as_they_were_noted() {
        let node = MadeNode::new();
        node.note("one_", b"one", "this", Phase::InForce);
        let before = noted(&node);
        let modules = node.root().join("sys/module");
        fs::rename(&modules, node.root().join("sys/hidden")).unwrap();
        assert_eq!(look_at(&node), before, "no sysfs");
        fs::rename(node.root().join("sys/hidden"), &modules).unwrap();
        let lock = Lock::take(&node.site()).unwrap();
        assert_eq!(look_at(&node), before, "another process has the lock");
        drop(lock);
        fs::remove_file(node.root().join("proc/sys/kernel/random/boot_id")).unwrap();
        assert_eq!(look_at(&node), before, "no boot");
    }

    #[test]
    fn who_may_not_change_the_folder_of_state_is_told_nothing_of_the_journal() {
        let node = MadeNode::new();
        node.note("gone", b"gone", "this", Phase::InForce);
        let open = node.state_dir().join("hotfixes");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(look_at(&node), [("gone".to_owned(), Phase::InForce)]);
        assert_eq!(node.world().said(), "");
        fs::remove_dir(&open).unwrap();
        assert_eq!(look_at(&node), [("gone".to_owned(), Phase::Gone)]);
    }

    #[test]
    fn another_module_of_that_name_is_told_by_its_build_and_by_its_loading() {
        let node = MadeNode::new();
        node.put_in_force("one_", "ip_vs");
        let build_id = "sys/module/one_/notes/.note.gnu.build-id";
        let number = |node: &MadeNode| {
            let found = module::look(node.root(), &"one_".into()).unwrap();
            found.unwrap().number()
        };
        let mut journal = Journal::read(&node.state_dir()).unwrap();
        node.note("one_", b"one", "this", Phase::InForce);
        let known = Journal::read(&node.state_dir()).unwrap().entries()[0].clone();
        let mut told = |build_id: Option<&[u8]>, loading| {
            let module = Mark {
                loading,
                ..Mark::of(build_id)
            };
            let entry = Entry {
                module,
                ..known.clone()
            };
            journal.note(entry).unwrap();
            look_at(&node).remove(0).1
        };
        let own = number(&node);
        assert_eq!(told(None, None), Phase::InForce);
        assert_eq!(told(None, Some(own)), Phase::InForce);
        assert_eq!(told(None, Some(own + 1)), Phase::Gone);
        assert_eq!(told(Some(b"\x01\xab"), Some(own)), Phase::InForce);
        node.write(build_id, b"\x01\xab");
        assert_eq!(told(Some(b"\x01\xab"), Some(own + 1)), Phase::InForce);
        assert_eq!(told(Some(b"\x01\xac"), Some(own)), Phase::Gone);
        assert_eq!(told(None, Some(own)), Phase::InForce);
    }
}
