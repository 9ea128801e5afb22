//! What became of this node under a file before.

use std::path::Path;

use crate::{
    hotfix::{
        digest::Digest,
        journal::{Entry, Journal},
    },
    kernel::boot::Boot,
};

/// What the journal says of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Past {
    /// Nothing bad.
    #[default]
    Good,
    /// The node went down under it.
    WentDown(Entry),
    /// That cannot be told, for the reason given.
    Unknown(String),
}

impl Past {
    /// Asks the journal.
    pub fn read(root: &Path, state_dir: &Path, file: &Digest) -> Self {
        let journal = match Journal::read(state_dir) {
            Ok(journal) => journal,
            Err(error) => return Self::Unknown(error.to_string()),
        };
        match journal.of(file) {
            Some(entry) if entry.went_down(&Boot::read(root)) => Self::WentDown(entry.clone()),
            _ => Self::Good,
        }
    }
}
