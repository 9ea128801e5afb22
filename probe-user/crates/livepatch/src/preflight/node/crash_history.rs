//! What became of this node under a file before.

use crate::site::Site;
use crate::transaction::journal::{Entry, Journal};
use host::boot::Boot;
use livepatch_image::Digest;

/// What the journal says of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CrashHistory {
    /// Nothing bad.
    #[default]
    Good,
    /// The node went down under it.
    WentDown(Entry),
    /// That cannot be told, for the reason given.
    Unknown(String),
}

impl CrashHistory {
    /// Asks the journal.
    #[must_use]
    pub fn read(site: &Site, file: &Digest) -> Self {
        let journal = match Journal::read(&site.state_dir) {
            Ok(journal) => journal,
            Err(error) => return Self::Unknown(error.to_string()),
        };
        let boot = Boot::read(&site.root);
        match journal.entry_of(file) {
            Some(_) if boot.id.is_empty() => Self::Unknown(
                "which boot this is cannot be read (/proc/sys/kernel/random/boot_id)".into(),
            ),
            Some(entry) if entry.went_down(&boot) => Self::WentDown(entry.clone()),
            _ => Self::Good,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{made_node::MadeNode, transaction::journal::Phase};

    #[test]
    fn without_a_journal_or_a_boot_it_is_unknown_what_became_of_the_node() {
        let node = MadeNode::new();
        node.note("made", b"made", "before", Phase::InForce);
        let past = |file: &[u8]| CrashHistory::read(&node.site(), &Digest::of(file));
        assert!(matches!(past(b"made"), CrashHistory::WentDown(_)));
        assert_eq!(past(b"another"), CrashHistory::Good);
        node.world().remove("proc/sys/kernel/random/boot_id");
        let CrashHistory::Unknown(why) = past(b"made") else {
            panic!("which boot this is cannot be read");
        };
        assert!(why.contains("random/boot_id"), "{why}");
        assert_eq!(past(b"another"), CrashHistory::Good);
        node.write("var/lib/state/journal.json", "{");
        assert!(matches!(past(b"another"), CrashHistory::Unknown(_)));
    }
}
