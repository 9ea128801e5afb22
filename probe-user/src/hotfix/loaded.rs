//! Whether what is loaded under a name is what is in a file.

use std::path::Path;

use super::{
    digest::Digest,
    journal::{Entry, Journal, JournalError, Phase},
    module::Module,
    settle,
};
use crate::kernel::{
    boot::Boot,
    module::{self, Name},
};

/// Decides by the journal where it names this very file, or else by the build-ids; `None` if neither decides.
pub fn is_of(
    root: &Path,
    state_dir: &Path,
    name: &Name,
    module: Option<&Module>,
    sha256: Option<&Digest>,
) -> Option<bool> {
    let entry = entry(root, state_dir, name).ok().flatten();
    let is_same = entry.and_then(|entry| Some(entry.sha256 == *sha256?));
    if is_same == Some(true) {
        return is_same;
    }
    let loaded = module::build_id(root, name).ok().flatten();
    let built = module.and_then(|one| one.build_id.as_ref());
    match (loaded, built) {
        (Some(loaded), Some(built)) => Some(loaded == *built),
        _ => is_same,
    }
}

/// What the journal says of how it was loaded in this boot; `None` where it was not by us.
///
/// # Errors
///
/// When the journal cannot be read.
pub fn entry(root: &Path, state_dir: &Path, name: &Name) -> Result<Option<Entry>, JournalError> {
    let journal = Journal::read(state_dir)?;
    let entry = journal.named(&name.to_string(), &Boot::read(root));
    let entry = entry.filter(|entry| entry.phase != Phase::Gone);
    Ok(entry
        .filter(|entry| !matches!(settle::phase(root, entry), Ok(Phase::Gone)))
        .cloned())
}
