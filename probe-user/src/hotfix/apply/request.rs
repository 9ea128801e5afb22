//! What was asked for: the head of a change record.

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
