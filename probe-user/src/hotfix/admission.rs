//! What stands between a file and this node: what must not, or may not yet, be loaded.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::{
    digest::Digest,
    file,
    findings::{Finding, Findings},
    lock::Lock,
    module::Module,
    node::Node,
    period,
};
use crate::kernel::prerequisites;

/// A file that may be loaded, while nobody else changes this node.
pub struct Admitted {
    /// Where it is.
    pub file: PathBuf,
    /// What is to be loaded: the very bytes that were looked at.
    pub bytes: Vec<u8>,
    /// Their digest.
    pub sha256: Digest,
    /// What the file says of itself.
    pub module: Module,
    /// The module's name.
    pub name: String,
    /// How far ahead it sets the timer, in nanoseconds, where that is known.
    pub period_ns: Option<u64>,
    /// What is worth knowing of it.
    pub notes: Vec<Finding>,
}

impl Admitted {
    /// Looks at the file and at this node; the lock is whose who changes the node.
    ///
    /// # Errors
    ///
    /// When it must not be loaded, or not before a warning is accepted.
    pub fn of(
        path: &Path,
        accept: &[String],
        root: &Path,
        state_dir: &Path,
    ) -> anyhow::Result<(Self, Lock)> {
        let shown = path.display();
        let refused = || format!("{shown} is not loaded");
        let bytes = file::read(path).map_err(|error| anyhow::anyhow!("{shown} {error}"))?;
        let module = Module::parse(&bytes).map_err(|error| anyhow::anyhow!("{shown} {error}"))?;
        let sha256 = Digest::of(&bytes);
        let lock = Lock::take(state_dir).with_context(refused)?;
        let node = Node::read(root, state_dir, &module, &sha256);
        let findings = Findings::of(&module, &node);
        accepted(&findings, accept).with_context(refused)?;
        let name = module.name.clone().with_context(|| {
            format!("{shown} has no name, so it could not be taken back: build it again")
        })?;
        if module.replaces_estimator() {
            let able = prerequisites::examine(root);
            able.with_context(|| {
                format!("{shown} is not loaded, as nothing could prove that it took")
            })?;
        }
        let admitted = Self {
            file: path.to_owned(),
            period_ns: period::of(&module, &node),
            notes: findings.notes,
            bytes,
            sha256,
            module,
            name,
        };
        Ok((admitted, lock))
    }
}

/// Refuses what must not, or may not yet, be loaded.
fn accepted(findings: &Findings, accepted: &[String]) -> anyhow::Result<()> {
    let told = |kind: &str, findings: &[&Finding]| {
        let each = findings
            .iter()
            .map(|Finding { name, text }| format!("{kind} {name}: {text}"));
        each.collect::<Vec<_>>().join("; ")
    };
    let blockers: Vec<&Finding> = findings.blockers.iter().collect();
    if !blockers.is_empty() {
        bail!("{}", told("blocker", &blockers));
    }
    let open = |warning: &&Finding| !accepted.iter().any(|name| name == warning.name);
    let warnings: Vec<&Finding> = findings.warnings.iter().filter(open).collect();
    if !warnings.is_empty() {
        let flags: Vec<String> = warnings
            .iter()
            .map(|one| format!("--accept {}", one.name))
            .collect();
        bail!(
            "{}. To load it all the same: {}",
            told("warning", &warnings),
            flags.join(" ")
        );
    }
    Ok(())
}
