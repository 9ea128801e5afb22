//! Whether what is loaded under a name is what is in a file.

use std::{fs, path::Path};

use super::{
    digest::Digest,
    journal::{Entry, Journal, JournalError, Phase},
    module::Module,
};
use crate::kernel::boot::Boot;

/// By the notes that tell builds apart, or else by the journal; `None` where neither says.
pub fn is_of(
    root: &Path,
    state_dir: &Path,
    name: &str,
    module: Option<&Module>,
    sha256: Option<&Digest>,
) -> Option<bool> {
    let note = format!("sys/module/{name}/notes/.note.gnu.build-id");
    let loaded = fs::read(root.join(note)).ok();
    if let (Some(loaded), Some(built)) = (loaded, module.and_then(|one| one.build_id.as_ref())) {
        return Some(loaded == *built);
    }
    let entry = entry(root, state_dir, name).ok()??;
    Some(entry.sha256 == *sha256?)
}

/// What the journal says of how it was loaded in this boot; `None` where it was not by us.
///
/// # Errors
///
/// When the journal cannot be read.
pub fn entry(root: &Path, state_dir: &Path, name: &str) -> Result<Option<Entry>, JournalError> {
    let journal = Journal::read(state_dir)?;
    let entry = journal.named(name, &Boot::read(root));
    Ok(entry.filter(|entry| entry.phase != Phase::Gone).cloned())
}
