//! `hotfix list`: the livepatches that are loaded, and the hotfixes that are installed.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;
use serde::Serialize;

use super::{
    drive::say,
    installed::{Installed, Place, Record, Store},
    loaded,
    site::Site,
};
use crate::record::Origin;
use host::{
    livepatch::{self, Livepatch, Object},
    module, prerequisites,
};
use livepatch_image::{Digest, Module, Name};

const IN_FORCE: &str = "in force";

/// One livepatch.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Its module's name.
    pub name: Name,
    /// How far it is, in words.
    pub state: &'static str,
    /// What it replaces; nothing where it is out of force.
    pub objects: Vec<Object>,
}

impl Entry {
    /// Returns the text about a livepatch.
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
    pub fn is_in_force(&self) -> bool {
        self.state == IN_FORCE
    }
}

/// Every livepatch that is loaded, and after them the modules of those that are out of force.
///
/// # Errors
///
/// When this kernel has no livepatching, or that is unknown.
pub fn entries(root: &Path) -> anyhow::Result<Vec<Entry>> {
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
    let mut entries: Vec<Entry> = patches.iter().map(Entry::of).collect();
    entries.extend(left_behind.into_iter().map(|name| Entry {
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

/// The document of `list --json`.
#[derive(Debug, Serialize)]
struct List {
    schema: u32,
    #[serde(flatten)]
    origin: Origin,
    /// `None` where this kernel has no livepatching, or that is unknown.
    livepatches: Option<Vec<Entry>>,
    #[serde(skip)]
    is_unknown: bool,
    installed: Vec<Kept>,
}

/// A hotfix that is installed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The module's name.
    pub name: String,
    /// The release of the kernel that it is for.
    pub release: String,
    /// Its file; `None` where what was written down of it cannot be read.
    pub sha256: Option<Digest>,
    /// Whether that kernel runs.
    pub for_this_kernel: bool,
    /// Whether it is the enabled livepatch of its name; `None` if that is unknown.
    pub in_force: Option<bool>,
}

/// Lists what is loaded, with its state, and what is installed.
///
/// # Errors
///
/// When this kernel has no livepatching, what is installed cannot be read, or the list cannot be written.
pub fn run(json: bool, site: &Site) -> anyhow::Result<ExitCode> {
    let loaded = entries(&site.root);
    let is_unknown = loaded.is_err() && !matches!(livepatch::read(&site.root), Ok(None));
    let seen = (!is_unknown).then(|| loaded.as_deref().unwrap_or_default());
    let installed = kept(site, seen)?;
    let (livepatches, trouble) = match loaded {
        Ok(entries) => (Some(entries), None),
        Err(error) => (None, Some(error)),
    };
    let list = List {
        schema: 1,
        origin: Origin::now(&site.root),
        livepatches,
        is_unknown,
        installed,
    };
    crate::output::print(|out| list.write(json, out))?;
    trouble.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// Returns all installed hotfixes, beside the loaded ones as far as these could be read. Reports a damaged one on
/// standard error.
fn kept(site: &Site, loaded: Option<&[Entry]>) -> anyhow::Result<Vec<Kept>> {
    let store = Store::of(&site.state_dir);
    let release = prerequisites::release(&site.root);
    let mut all = Vec::new();
    for Installed { place, record } in store.all()? {
        let record = record
            .map_err(|error| say(&format!("warning: {error}")))
            .ok();
        let is_loaded = |loaded: &[Entry]| {
            let mut loaded = loaded.iter();
            loaded.any(|entry| entry.name == place.name && entry.is_in_force())
        };
        all.push(Kept {
            for_this_kernel: place.release == release,
            in_force: loaded.and_then(|loaded| {
                if !is_loaded(loaded) || place.release != release {
                    return Some(false);
                }
                is_what_is_loaded(site, &store, &place, record.as_ref())
            }),
            sha256: record.map(|record| record.sha256),
            release: place.release,
            name: place.name,
        });
    }
    Ok(all)
}

/// Returns whether it is what is loaded under its name; `None` if that is unknown.
pub fn is_what_is_loaded(
    site: &Site,
    store: &Store,
    place: &Place,
    record: Option<&Record>,
) -> Option<bool> {
    let module = store.content(place).ok();
    let module = module.and_then(|bytes| Module::parse(&bytes).ok());
    let sha256 = record.map(|record| &record.sha256);
    loaded::is_of(site, &place.name.as_str().into(), module.as_ref(), sha256)
}

impl List {
    fn write(&self, json: bool, mut out: impl Write) -> io::Result<()> {
        if json {
            serde_json::to_writer_pretty(&mut out, self)?;
            return writeln!(out);
        }
        writeln!(out, "Loaded livepatches:")?;
        match self.livepatches.as_deref() {
            None if self.is_unknown => writeln!(out, "  unknown")?,
            None => writeln!(out, "  none can be, on this kernel")?,
            Some([]) => writeln!(out, "  none")?,
            Some(entries) => {
                for Entry { name, state, .. } in entries {
                    writeln!(out, "  {name} [{state}]")?;
                }
            }
        }
        writeln!(out, "\nInstalled hotfixes:")?;
        if self.installed.is_empty() {
            writeln!(out, "  none")?;
        }
        for kept in &self.installed {
            let state = match (kept.in_force, kept.for_this_kernel) {
                (Some(true), _) => IN_FORCE,
                (_, false) => "for another kernel than this",
                (Some(false), true) => "not in force",
                (None, true) => "unknown",
            };
            writeln!(out, "  {} (Linux {}) [{state}]", kept.name, kept.release)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::hotfix::{
        journal::Phase,
        made_node::{MadeNode, RELEASE},
    };
    use livepatch_image::samples::sample_file;

    #[test]
    fn every_livepatch_is_told_with_its_state_and_one_left_behind_too() {
        let root = tempfile::tempdir().unwrap();
        let write_file = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert!(entries(root.path()).is_err(), "no livepatching");
        for (name, enabled, transition, patched) in [
            ("a", "1", "0", "1"),
            ("b", "1", "0", "0"),
            ("c", "0", "1", "1"),
            ("d", "1", "1", "0"),
        ] {
            let folder = format!("sys/kernel/livepatch/{name}");
            write_file(&format!("{folder}/enabled"), enabled);
            write_file(&format!("{folder}/transition"), transition);
            write_file(&format!("{folder}/ip_vs/patched"), patched);
            write_file(&format!("sys/module/{name}/taint"), "OEK\n");
        }
        write_file("sys/module/e/taint", "OEK\n");
        write_file("sys/module/ip_vs/taint", "\n");
        let entries = entries(root.path()).unwrap();
        let states: Vec<_> = entries
            .iter()
            .map(|entry| (entry.name.to_string(), entry.state))
            .collect();
        let states: Vec<_> = states
            .iter()
            .map(|(name, state)| (name.as_str(), *state))
            .collect();
        assert_eq!(
            states,
            [
                ("a", "in force"),
                ("b", "in force, an object is not loaded"),
                ("c", "going out of force"),
                ("d", "coming into force"),
                ("e", "out of force, module loaded"),
            ]
        );
        let settled: Vec<bool> = entries.iter().map(Entry::is_in_force).collect();
        assert_eq!(settled, [true, false, false, false, false]);
    }

    #[test]
    fn what_is_installed_is_told_with_whether_it_is_what_is_in_force() {
        let node = MadeNode::new();
        let store = Store::of(&node.state_dir());
        for (name, release) in [
            ("one_", RELEASE),
            ("two_", RELEASE),
            ("six_", RELEASE),
            ("one_", "5.10"),
        ] {
            let content = sample_file(name, 500);
            let record = Record::now(Digest::of(&content), "/a.ko".into(), Vec::new(), None);
            let place = Place {
                release: release.into(),
                name: name.into(),
            };
            store.put(&place, &content, &record).unwrap();
        }
        node.put_in_force("one_", "ip_vs");
        node.put_in_force("two_", "ip_vs");
        // Another file under that name, by the journal.
        node.note("two_", b"another", "this", Phase::InForce);
        let loaded = entries(node.root()).unwrap();
        let mut installed = kept(&node.site(), Some(&loaded)).unwrap();
        installed.sort_by_key(|one| (one.release.clone(), one.name.clone()));
        let told: Vec<_> = installed
            .iter()
            .map(|one| {
                (
                    one.release.as_str(),
                    one.name.as_str(),
                    one.for_this_kernel,
                    one.in_force,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("5.10", "one_", false, Some(false)),
                (RELEASE, "one_", true, None),
                (RELEASE, "six_", true, Some(false)),
                (RELEASE, "two_", true, Some(false)),
            ]
        );
        let list = List {
            schema: 1,
            origin: Origin::now(node.root()),
            livepatches: Some(loaded),
            is_unknown: false,
            installed,
        };
        let mut text = Vec::new();
        list.write(false, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(
            text,
            format!(
                "Loaded livepatches:\n  one_ [in force]\n  two_ [in force]\n\nInstalled hotfixes:\n  \
                 one_ (Linux 5.10) [for another kernel than this]\n  one_ (Linux {RELEASE}) [unknown]\n  \
                 six_ (Linux {RELEASE}) [not in force]\n  two_ (Linux {RELEASE}) [not in force]\n"
            )
        );
    }
}
