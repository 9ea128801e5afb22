//! `ipvs-latency check`: what this node is, what state its estimators are in, and what can be done.

use std::{path::Path, process::ExitCode};

use crate::cli::CheckArgs;

/// Looks at the host once and tells.
///
/// # Errors
///
/// When what was found cannot be written.
pub fn run(_args: &CheckArgs, _root: &Path) -> anyhow::Result<ExitCode> {
    anyhow::bail!("check is not there yet")
}
