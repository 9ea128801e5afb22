//! A file of this host as a person types it in a command.

use std::path::Path;

use model::printable::is_plain;

/// Returns a file below `root` as a person types it in a command where this program runs, and finds it there; `None` for
/// one that a shell reads as more than a name.
#[must_use]
pub fn typed(root: &Path, file: &str) -> Option<String> {
    let path = std::path::absolute(root.join(file)).ok()?;
    let path = path.into_os_string().into_string().ok()?;
    path.split('/').skip(1).all(is_plain).then_some(path)
}
