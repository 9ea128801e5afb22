//! What systemd runs when the node is shut down in good order: it is noted in the journal, so that the hotfixes in
//! force are not taken for the cause of a crash. (`wtmp` tells as much where it is kept: not everywhere is it.)

use std::path::Path;

use crate::{
    site::Site,
    store::installed::systemd,
    transaction::{
        journal::{Journal, JournalError, Phase},
        lock::Lock,
    },
};
use host::boot::{self, Boot};

/// What systemd says of itself then.
const STOPPING: &str = "stopping";

/// Notes it, if that is what happens: this is run too when the unit alone is stopped. Returns what was noted: a sentence
/// without its full stop.
///
/// # Errors
///
/// When systemd cannot be asked, or the journal not be written.
pub fn run(site: &Site) -> anyhow::Result<String> {
    let state = systemd::state()?;
    Ok(if state == STOPPING {
        // Somebody may be changing this node at this moment: that must not keep the others from being noted.
        let _lock = Lock::take(site)
            .map_err(|error| site.say(&format!("warning: {error}; going on without")));
        match note(&site.state_dir, &Boot::read(&site.root))?.as_slice() {
            [] => "no hotfix of the journal is in force".to_owned(),
            names => format!(
                "this shutdown is one in good order for {}",
                names.join(", ")
            ),
        }
    } else {
        format!("nothing is noted: the system is {state}, and not {STOPPING}")
    })
}

/// Notes the end of this boot with each that is in force, or was, and gives their names.
fn note(state_dir: &Path, boot: &Boot) -> Result<Vec<String>, JournalError> {
    let mut journal = Journal::read(state_dir)?;
    let now_s = boot::now_s();
    let entries = journal.entries().iter();
    let concerned: Vec<_> = entries
        .filter(|entry| entry.boot_id == boot.id)
        .filter(|entry| match entry.phase {
            Phase::InForce | Phase::Left | Phase::Gone => true,
            Phase::Loading | Phase::Unloading => entry.aftermath_ends_s() <= now_s,
            Phase::ShutDown => false,
        })
        .map(|entry| (entry.sha256.clone(), entry.name.clone()))
        .collect();
    for (sha256, _) in &concerned {
        journal.advance(sha256, Phase::ShutDown)?;
    }
    Ok(concerned.into_iter().map(|(_, name)| name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::journal::{Entry, Mark};
    use livepatch_image::Digest;

    #[test]
    fn what_is_in_force_is_noted_and_a_change_that_was_just_cut_off_is_not() {
        let state = tempfile::tempdir().unwrap();
        let mut journal = Journal::read(state.path()).unwrap();
        let now_s = boot::now_s();
        for (name, boot_id, phase, since_s) in [
            ("kept", "this", Phase::InForce, 10_000),
            ("removed", "this", Phase::Gone, 10_000),
            ("midway", "this", Phase::Unloading, now_s),
            ("long_ago", "this", Phase::Loading, 10_000),
            ("before", "last", Phase::InForce, 10_000),
        ] {
            let entry = Entry {
                sha256: Digest::of(name.as_bytes()),
                name: name.into(),
                file: "/a.ko".into(),
                boot_id: boot_id.into(),
                pid: 7,
                phase,
                since_s,
                accepted: Vec::new(),
                module: Mark::default(),
            };
            journal.note(entry).unwrap();
        }
        let boot = |id: &str| Boot {
            id: id.into(),
            ..Boot::default()
        };
        assert_eq!(
            note(state.path(), &boot("this")).unwrap(),
            ["kept", "removed", "long_ago"]
        );
        let journal = Journal::read(state.path()).unwrap();
        let next = boot("next");
        for (name, went_down) in [
            ("kept", false),
            ("removed", false),
            ("midway", true),
            ("long_ago", false),
            ("before", true),
        ] {
            let entry = journal.entry_of(&Digest::of(name.as_bytes())).unwrap();
            assert_eq!(entry.went_down(&next), went_down, "{name}");
        }
        assert_eq!(note(state.path(), &next).unwrap(), [""; 0]);
    }
}
