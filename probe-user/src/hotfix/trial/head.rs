//! What a change record says beside what was measured.

use host::inhabitants::Inhabitants;
use livepatch_image::Digest;
use serde::Serialize;

use crate::record::Origin;

/// What was asked for, where, when and by whom: the head of a change record.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    /// The node, the tool, and when the command began.
    #[serde(flatten)]
    pub origin: Origin,
    /// The command line.
    pub command: String,
    /// The hotfix's file; `None` for the switch.
    pub file: Option<String>,
    /// The file's content; `None` where it could not be read.
    pub sha256: Option<Digest>,
    /// Who asked.
    pub user: String,
}

/// What a document says beside what was measured.
pub struct Head {
    /// What was asked for, where, when and by whom.
    pub request: Request,
    /// What is tried.
    pub name: String,
    /// Whether that is a livepatch, and not the switch.
    pub is_livepatch: bool,
    /// Livepatches that were enabled before, and that the change replaced.
    pub replaced: Vec<String>,
    /// The commands that take back what stays.
    pub undo: Option<Vec<String>>,
    /// What the kernel wrote to its log meanwhile.
    pub kernel_log: Vec<String>,
    /// Who lives in which namespace.
    pub inhabitants: Inhabitants,
}
