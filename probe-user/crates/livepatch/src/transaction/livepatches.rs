//! The livepatches that are loaded, and how far each is.

use std::{io, path::Path};

use anyhow::Context as _;
use host::{
    livepatch::{self, Livepatch, Object},
    module,
};
use livepatch_image::Name;
use serde::Serialize;

/// How the state of a livepatch is told that is in force, for every object of it.
pub const IN_FORCE: &str = "in force";

/// One livepatch.
#[derive(Debug, Clone, Serialize)]
pub struct ListedLivepatch {
    /// Its module's name.
    pub name: Name,
    /// How far it is, in words.
    pub state: &'static str,
    /// What it replaces; nothing where it is out of force.
    pub objects: Vec<Object>,
}

impl ListedLivepatch {
    /// Returns the text about a livepatch.
    #[must_use]
    pub fn of(patch: &Livepatch) -> Self {
        let state = match (patch.enabled, patch.transition) {
            (Some(true), Some(false))
                if patch.objects.iter().any(|one| one.patched == Some(false)) =>
            {
                "in force, an object is not loaded"
            }
            (Some(true), Some(false)) => IN_FORCE,
            (Some(true), Some(true)) => "coming into force",
            (Some(false), Some(true)) => "going out of force",
            (Some(false), Some(false)) => "out of force",
            _ => "unknown",
        };
        Self {
            name: patch.name.clone(),
            state,
            objects: patch.objects.clone(),
        }
    }

    /// Whether it is in force, for every object of it.
    #[must_use]
    pub fn is_in_force(&self) -> bool {
        self.state == IN_FORCE
    }
}

/// Every livepatch that is loaded, and after them the modules of those that are out of force.
///
/// # Errors
///
/// When this kernel has no livepatching, or that is unknown.
pub fn entries(root: &Path) -> anyhow::Result<Vec<ListedLivepatch>> {
    let unseen = "cannot tell which livepatches are loaded";
    let patches = livepatch::read(root)
        .context("cannot read /sys/kernel/livepatch")
        .context(unseen)?;
    let patches = patches.context(
        "this kernel has no livepatching (/sys/kernel/livepatch is not there): boot one built with CONFIG_LIVEPATCH=y",
    )?;
    let left_behind = left_behind(root, &patches)
        .context("cannot read /sys/module")
        .context(unseen)?;
    let mut entries: Vec<ListedLivepatch> = patches.iter().map(ListedLivepatch::of).collect();
    entries.extend(left_behind.into_iter().map(|name| ListedLivepatch {
        name,
        state: "out of force, module loaded",
        objects: Vec::new(),
    }));
    Ok(entries)
}

/// Modules of livepatches that have no folder any more: taken out of force, or replaced, and not removed.
fn left_behind(root: &Path, patches: &[Livepatch]) -> io::Result<Vec<Name>> {
    let mut names = Vec::new();
    for name in module::all(root)? {
        let has_folder = patches.iter().any(|patch| patch.name == name);
        if !has_folder && module::is_livepatch(root, &name)? {
            names.push(name);
        }
    }
    Ok(names)
}
