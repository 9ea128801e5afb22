//! The node that a command works on.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::ports::{Estimators, Kernel, Ports, Progress};

/// Where a node's files are, and what is asked of it.
#[derive(Clone)]
pub struct Site {
    /// The folder that the host's files are under: `/`, or `/host` in a container.
    pub root: PathBuf,
    /// The folder of our own state.
    pub state_dir: PathBuf,
    ports: Ports,
}

impl Site {
    /// Returns the node under `root`, whose state is in `state_dir`.
    #[must_use]
    pub fn new(root: &Path, state_dir: &Path, ports: Ports) -> Self {
        Self {
            root: root.to_owned(),
            state_dir: state_dir.to_owned(),
            ports,
        }
    }

    /// Returns the same node with its state in another folder.
    #[must_use]
    pub fn with_state_dir(&self, state_dir: &Path) -> Self {
        Self::new(&self.root, state_dir, self.ports.clone())
    }

    /// Returns the node's kernel.
    #[must_use]
    pub fn kernel(&self) -> &dyn Kernel {
        &*self.ports.kernel
    }

    /// Returns the node's estimators.
    #[must_use]
    pub fn estimators(&self) -> &dyn Estimators {
        &*self.ports.estimators
    }

    /// Returns who follows what happens.
    #[must_use]
    pub fn progress(&self) -> &dyn Progress {
        &*self.ports.progress
    }

    /// Returns the time since the node's boot (`CLOCK_MONOTONIC`).
    #[must_use]
    pub fn now(&self) -> Duration {
        self.ports.kernel.now()
    }

    /// Returns the same in nanoseconds, as the probes count.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.now().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Says one line to whoever follows what happens.
    pub fn say(&self, text: &str) {
        self.ports.progress.say(text);
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site")
            .field("root", &self.root)
            .field("state_dir", &self.state_dir)
            .finish_non_exhaustive()
    }
}
