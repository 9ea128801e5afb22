//! Where the host's files and our own state are.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::{cli::Cli, hotfix};

impl Cli {
    /// Returns the folder that the host's `proc`, `sys` and `run` are under.
    ///
    /// # Errors
    ///
    /// When the folder that the command line names has no host's file system.
    pub fn root(&self) -> anyhow::Result<PathBuf> {
        if let Some(root) = &self.root {
            let proc = root.join("proc");
            fs::metadata(&proc).with_context(|| {
                let (root, proc) = (root.display(), proc.display());
                format!("cannot use --root {root}: {proc} is not there")
            })?;
            return Ok(root.clone());
        }
        // Another user who owns the folder could present a false host.
        let is_host = |path: &PathBuf| path.join("proc/1").exists() && hotfix::is_trusted(path);
        let mounted = Some(PathBuf::from("/host")).filter(is_host);
        Ok(mounted.unwrap_or_else(|| "/".into()))
    }

    /// Returns the folder of what `hotfix` remembers.
    pub fn state_dir(&self, root: &Path) -> PathBuf {
        let usual = || root.join("var/lib/ipvs-latency");
        self.state_dir.clone().unwrap_or_else(usual)
    }
}
