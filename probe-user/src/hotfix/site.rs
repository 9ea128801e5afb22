//! The node that a command works on.

use std::path::{Path, PathBuf};

/// Where a node's files are.
#[derive(Debug, Clone)]
pub struct Site {
    /// The folder that the host's files are under: `/`, or `/host` in a container.
    pub root: PathBuf,
    /// The folder of our own state.
    pub state_dir: PathBuf,
}

impl Site {
    /// Returns the node under `root`, whose state is in `state_dir`.
    #[must_use]
    pub fn new(root: &Path, state_dir: &Path) -> Self {
        Self {
            root: root.to_owned(),
            state_dir: state_dir.to_owned(),
        }
    }
}
