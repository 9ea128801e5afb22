//! Whether what is loaded under a name is what is in a file.

use super::{
    journal::{Entry, Journal, JournalError, Phase},
    livepatches, settle,
};
use crate::{site::Site, transition::proof};
use host::{boot::Boot, livepatch, module};
use livepatch_image::{Digest, Module, Name};

/// Returns whether this very file is enabled, and proven to be: a load of it has nothing to do. What cannot be seen is
/// not proven.
pub fn is_enabled(site: &Site, module: &Module, sha256: &Digest) -> bool {
    let Some(name) = module.name.as_deref().map(Name::from) else {
        return false;
    };
    let Ok(Some(patch)) = livepatch::look(&site.root, &name) else {
        return false;
    };
    livepatches::ListedLivepatch::of(&patch).is_in_force()
        && is_of(site, &name, Some(module), Some(sha256)) == Some(true)
        && proof::doubts(&site.root, module, &patch).is_empty()
}

/// Decides by the journal where it names this very file, or else by the build-ids; `None` if neither decides.
#[must_use]
pub fn is_of(
    site: &Site,
    name: &Name,
    module: Option<&Module>,
    sha256: Option<&Digest>,
) -> Option<bool> {
    let entry = entry(site, name).ok().flatten();
    let is_same = entry.and_then(|entry| Some(entry.sha256 == *sha256?));
    if is_same == Some(true) {
        return is_same;
    }
    let loaded = module::build_id(&site.root, name).ok().flatten();
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
pub fn entry(site: &Site, name: &Name) -> Result<Option<Entry>, JournalError> {
    let journal = Journal::read(&site.state_dir)?;
    let entry = journal.named(&name.to_string(), &Boot::read(&site.root));
    let entry = entry.filter(|entry| entry.phase != Phase::Gone);
    Ok(entry
        .filter(|entry| !matches!(settle::phase(&site.root, entry), Ok(Phase::Gone)))
        .cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{made_node::MadeNode, preflight::admission::Admitted};

    #[test]
    fn a_file_is_enabled_where_the_journal_or_the_build_says_so_and_the_kernel_redirects() {
        let node = MadeNode::new();
        let file = Admitted::of(node.module("made", 500));
        let is = || is_enabled(&node.site(), &file.module, &file.sha256);
        assert!(!is(), "nothing is loaded");
        node.put_in_force("made", "ip_vs");
        assert!(!is(), "loaded by another tool, without a build-id");
        node.note("made", &file.bytes, "this", Phase::InForce);
        assert!(is());
        for (path, else_) in [
            ("enabled", "0"),
            ("transition", "1"),
            ("ip_vs/patched", "0"),
        ] {
            let path = format!("sys/kernel/livepatch/made/{path}");
            let before = std::fs::read(node.root().join(&path)).unwrap();
            node.write(&path, else_);
            assert!(!is(), "{path}");
            node.write(&path, before);
        }
        assert!(is());
        node.note("made", b"another", "this", Phase::InForce);
        assert!(!is(), "another file");
    }
}
