//! `hotfix list`: the livepatches that are loaded, and the hotfixes that are installed.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde::Serialize;

use crate::record::Origin;
use ::livepatch::{
    site::Site,
    store::installed::{Installed, Place, Record, Store},
    transaction::{
        livepatches::{self, IN_FORCE, ListedLivepatch},
        loaded,
    },
};
use host::{
    livepatch::{self},
    prerequisites,
};
use livepatch_image::{Digest, Module};

/// The document of `list --json`.
#[derive(Debug, Serialize)]
struct List {
    schema: u32,
    #[serde(flatten)]
    origin: Origin,
    /// `None` where this kernel has no livepatching, or that is unknown.
    livepatches: Option<Vec<ListedLivepatch>>,
    #[serde(skip)]
    is_unknown: bool,
    installed: Vec<ListedHotfix>,
}

/// A hotfix that is installed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct ListedHotfix {
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
    let loaded = livepatches::entries(&site.root);
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
fn kept(site: &Site, loaded: Option<&[ListedLivepatch]>) -> anyhow::Result<Vec<ListedHotfix>> {
    let store = Store::of(&site.state_dir);
    let release = prerequisites::release(&site.root);
    let mut all = Vec::new();
    for Installed { place, record } in store.all()? {
        let record = record
            .map_err(|error| site.say(&format!("warning: {error}")))
            .ok();
        let is_loaded = |loaded: &[ListedLivepatch]| {
            let mut loaded = loaded.iter();
            loaded.any(|entry| entry.name == place.name && entry.is_in_force())
        };
        all.push(ListedHotfix {
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
                for ListedLivepatch { name, state, .. } in entries {
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
    use ::livepatch::{
        made_node::{MadeNode, RELEASE},
        transaction::journal::Phase,
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
        assert!(
            livepatches::entries(root.path()).is_err(),
            "no livepatching"
        );
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
        let entries = livepatches::entries(root.path()).unwrap();
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
        let settled: Vec<bool> = entries.iter().map(ListedLivepatch::is_in_force).collect();
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
        let loaded = livepatches::entries(node.root()).unwrap();
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
