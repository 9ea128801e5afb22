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
