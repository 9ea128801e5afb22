//! What stands between a file and this node: what must not, or may not yet, be loaded.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail};

use super::{
    findings::{self, Finding, Findings},
    node::Node,
    period,
};
use crate::{site::Site, transaction::lock::Lock};
use livepatch_image::{Digest, Module, file};

/// A file that is a module.
pub struct File {
    path: PathBuf,
    bytes: Vec<u8>,
    /// How it is recognised.
    pub sha256: Digest,
    /// What it says of itself.
    pub module: Module,
}

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
    /// The livepatches on this node whose place it takes, or may take.
    pub may_replace: BTreeSet<String>,
    /// What is worth knowing of it.
    pub notes: Vec<Finding>,
    /// The warnings that were accepted, by name.
    pub accept: Vec<String>,
}

impl File {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is no module.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let bytes = file::read(path).map_err(|error| anyhow!("{shown} {error}"))?;
        Self::of(path, bytes)
    }

    /// Takes one that was read already.
    ///
    /// # Errors
    ///
    /// When it is no module.
    pub fn of(path: &Path, bytes: Vec<u8>) -> anyhow::Result<Self> {
        let shown = path.display();
        let module = Module::parse(&bytes).map_err(|error| anyhow!("{shown} {error}"))?;
        Ok(Self {
            path: path.to_owned(),
            sha256: Digest::of(&bytes),
            bytes,
            module,
        })
    }

    /// Refuses one that is another than was installed.
    ///
    /// # Errors
    ///
    /// When its digest is not the one that was `recorded`.
    pub fn is_still(&self, recorded: &Digest) -> anyhow::Result<()> {
        let Self { path, sha256, .. } = self;
        if sha256 != recorded {
            bail!(
                "{} is not loaded: it is another file than was installed (its SHA-256 is {sha256} now): uninstall the \
                 hotfix, and install it again",
                path.display()
            );
        }
        Ok(())
    }

    /// Looks at it and at this node; the lock is whose who changes the node.
    ///
    /// # Errors
    ///
    /// When it must not be loaded, or not before a warning is accepted.
    pub fn admit(self, accept: &[String], site: &Site) -> anyhow::Result<(Admitted, Lock)> {
        let Self {
            path,
            bytes,
            sha256,
            module,
        } = self;
        let shown = path.display();
        let refused = || format!("{shown} is not loaded");
        let lock = Lock::take(site).with_context(refused)?;
        let node = Node::read(site, &module, &sha256);
        let findings = Findings::of(&module, &node);
        accepted(&findings, accept).with_context(refused)?;
        let name = named(&module, &shown.to_string())?;
        if module.replaces_estimator() {
            let able = site.estimators().can_be_probed();
            able.with_context(|| {
                format!("{shown} is not loaded, as no run could be confirmed under it")
            })?;
        }
        let period_ns = period::period_ns(&module, &node);
        let may_replace = findings::may_replace(&module, &node);
        let admitted = Admitted {
            file: path,
            bytes,
            sha256,
            module,
            name,
            period_ns,
            may_replace,
            notes: findings.notes,
            accept: accept.to_vec(),
        };
        Ok((admitted, lock))
    }
}

impl Admitted {
    /// Looks at this node once more, on which others may have worked meanwhile.
    ///
    /// # Errors
    ///
    /// When it must not be loaded any more.
    pub fn look_again(&mut self, site: &Site) -> anyhow::Result<()> {
        let node = Node::read(site, &self.module, &self.sha256);
        let findings = Findings::of(&self.module, &node);
        self.may_replace = findings::may_replace(&self.module, &node);
        accepted(&findings, &self.accept)
            .with_context(|| format!("{} is not loaded", self.file.display()))
    }
}

#[cfg(test)]
impl Admitted {
    /// Returns a file for tests, without a look at the node.
    pub(crate) fn of(file: PathBuf) -> Self {
        let File {
            bytes,
            sha256,
            module,
            ..
        } = File::read(&file).unwrap();
        Self {
            name: module.name.clone().unwrap(),
            file,
            bytes,
            sha256,
            module,
            period_ns: None,
            may_replace: BTreeSet::new(),
            notes: Vec::new(),
            accept: Vec::new(),
        }
    }
}

/// The name by which it can be taken back.
///
/// # Errors
///
/// When it has none.
pub fn named(module: &Module, shown: &str) -> anyhow::Result<String> {
    module.name.clone().with_context(|| {
        format!("{shown} has no name, so it could not be taken back: build it again")
    })
}

/// Refuses what must not, or may not yet, be loaded.
///
/// # Errors
///
/// For a blocker, or a warning that is not accepted.
pub fn accepted(findings: &Findings, accepted: &[String]) -> anyhow::Result<()> {
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
            "{}. To load it all the same, add `{}`",
            told("warning", &warnings),
            flags.join(" ")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_node::MadeNode;

    #[test]
    fn what_may_not_be_loaded_any_more_is_refused_at_a_second_look() {
        let node = MadeNode::new();
        let mut admitted = Admitted::of(node.module("made", 500));
        admitted.look_again(&node.site()).unwrap();
        node.put_in_force("other", "ip_vs");
        node.write("sys/kernel/livepatch/other/transition", "1");
        let error = admitted.look_again(&node.site()).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("made.ko is not loaded: "), "{error}");
        assert!(error.contains("transition"), "{error}");
    }
}
