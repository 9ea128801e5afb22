//! `hotfix uninstall`: a hotfix is no longer loaded at boot. What runs now goes on.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::Settled;
use crate::{
    site::Site,
    store::installed::{Place, Store, name_of, systemd, units},
    transaction::{
        livepatches,
        undo::{self, Undo},
    },
};
use host::{livepatch, prerequisites};

/// What is to be uninstalled.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The hotfix, as it was typed.
    pub name: &'a str,
    /// For which kernels.
    pub kernels: Kernels<'a>,
}

/// The kernels that a hotfix is installed for.
#[derive(Debug, Clone, Copy)]
pub enum Kernels<'a> {
    /// The one that runs.
    Running,
    /// The one of this release.
    One(&'a str),
    /// Every one.
    All,
}

/// Uninstalls a hotfix.
///
/// # Errors
///
/// When it is not installed, or cannot be removed: nothing was changed.
pub fn run(asked: &Asked<'_>, site: &Site) -> anyhow::Result<Settled> {
    let name = name_of(asked.name);
    let store = Store::of(&site.state_dir);
    let running = prerequisites::release(&site.root);
    let wanted = match &asked.kernels {
        Kernels::One(release) => Some((*release).to_owned()),
        Kernels::Running => Some(running.clone()),
        Kernels::All => None,
    };
    let places = chosen(&store, &name, wanted.as_ref())?;
    let refused = || format!("{name} is not uninstalled");
    let _lock = store.lock(site).with_context(refused)?;
    let undo = way_back(&places, &store, site, &running);
    for (index, place) in places.iter().enumerate() {
        if let Err(error) = store.remove(place) {
            let is_whole = index == 0 && !matches!(store.read(place), Ok(None));
            if is_whole {
                return Err(anyhow::Error::from(error).context(refused()));
            }
            site.say(&format!("error: {name} is half uninstalled: {error}"));
            site.progress().report_line(&undo.line());
            return Ok(Settled::Half);
        }
        site.progress().report(&format!(
            "{name} is not installed for Linux {} any more.",
            place.release
        ));
    }
    match tidy(&store, &site.root) {
        Ok(removed) => {
            for unit in &removed {
                let unit = unit.display();
                site.progress()
                    .report(&format!("{unit} is removed, for nothing is left to load."));
            }
            forget(&removed, site);
        }
        Err(error) => {
            site.say(&format!(
                "error: {error:#}; {name} is uninstalled, and the units may be left"
            ));
            site.progress().report_line(&undo.line());
            return Ok(Settled::Half);
        }
    }
    if let Some(told) = still_loaded(&site.root, &name) {
        site.progress().report(&told);
    }
    site.progress().report_line(&undo.line());
    Ok(Settled::Whole)
}

/// Returns how the hotfix is installed again, or why no command does: the file that it was installed from may have changed,
/// and each kernel installs for itself alone.
fn way_back(places: &[Place], store: &Store, site: &Site, running: &str) -> Undo {
    let here = places.iter().find(|place| place.release == running);
    let record = here.and_then(|place| store.read(place).ok().flatten());
    let Some(record) = record else {
        return Undo::NoCommand("its record cannot be read, or is of another kernel: install the hotfix again while that kernel runs".into());
    };
    let undo = undo::install(&record.file, &record.sha256, &record.accepted, site);
    match undo {
        Undo::Command(command) if places.len() > 1 => Undo::Command(format!(
            "{command}  # then once more after a boot of each other kernel"
        )),
        undo => undo,
    }
}

/// Says that it is loaded still, or that this cannot be seen, if one is so.
fn still_loaded(root: &Path, name: &str) -> Option<String> {
    let loaded = match livepatches::entries(root) {
        Ok(loaded) => loaded,
        // Without livepatching none is.
        Err(_) if matches!(livepatch::read(root), Ok(None)) => return None,
        Err(error) => return Some(format!("Whether it is still loaded is unknown: {error:#}.")),
    };
    let entry = loaded.iter().find(|entry| entry.name == *name)?;
    Some(format!(
        "It is loaded still ({}): `ipvs-latency hotfix unload {name}` takes it back.",
        entry.state
    ))
}

/// Removes the units where there is nothing to load any more, and tells which.
fn tidy(store: &Store, root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if store.all()?.is_empty() {
        return Ok(units::remove(root)?);
    }
    Ok(Vec::new())
}

/// Has systemd forget the units that were removed.
fn forget(removed: &[PathBuf], site: &Site) {
    let names = removed.iter().filter_map(|unit| unit.file_name()?.to_str());
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        return;
    }
    let by_hand = format!(
        "`systemctl stop {}` and `systemctl daemon-reload`",
        names.join(" ")
    );
    if !systemd::is_here(&site.root) {
        site.say(&format!(
            "note: run {by_hand} on the host, or systemd remembers the units until it boots again."
        ));
    } else if let Err(error) = systemd::let_go(&names) {
        site.say(&format!(
            "warning: {error}; until {by_hand} succeed, systemd remembers the units."
        ));
    }
}

/// Where it is installed: for that kernel, or for all.
fn chosen(store: &Store, name: &str, release: Option<&String>) -> anyhow::Result<Vec<Place>> {
    let all = store.all()?.into_iter().map(|one| one.place);
    let named: Vec<Place> = all.filter(|place| place.name == name).collect();
    let is_wanted = |place: &Place| release.is_none_or(|wanted| place.release == *wanted);
    let (chosen, others): (Vec<Place>, Vec<Place>) = named.into_iter().partition(is_wanted);
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    let others: Vec<String> = others.into_iter().map(|place| place.release).collect();
    match release {
        Some(release) if !others.is_empty() => bail!(
            "{name} is not installed for Linux {release}, but for {}: name one with --kernel, or all with --all-kernels",
            others.join(", ")
        ),
        _ => {
            bail!("no hotfix {name} is installed: `ipvs-latency hotfix list` names those that are")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        made_node::{MadeNode, RELEASE},
        store::installed::Record,
    };
    use livepatch_image::Digest;

    #[test]
    fn the_running_kernels_is_meant_unless_another_is_named_or_all_are() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::of(state.path());
        let place = |release: &str| Place {
            release: release.into(),
            name: "a".into(),
        };
        let record = Record::now(Digest::of(b""), "/a.ko".into(), Vec::new(), None);
        for release in ["5.10", "6.1"] {
            store.put(&place(release), b"", &record).unwrap();
        }
        let chosen = |name: &str, release: Option<&str>| {
            chosen(&store, name, release.map(str::to_owned).as_ref())
        };
        assert_eq!(chosen("a", Some("6.1")).unwrap(), [place("6.1")]);
        assert_eq!(chosen("a", None).unwrap(), [place("5.10"), place("6.1")]);
        let error = chosen("a", Some("6.2")).unwrap_err().to_string();
        assert!(error.contains("but for 5.10, 6.1"), "{error}");
        for release in [Some("6.1"), None] {
            let error = chosen("b", release).unwrap_err().to_string();
            assert!(error.contains("no hotfix b is installed"), "{error}");
        }
    }

    #[test]
    fn what_is_uninstalled_and_loaded_still_is_told() {
        let node = MadeNode::new();
        let told = || still_loaded(node.root(), "good");
        node.put_in_force("other", "ip_vs");
        assert_eq!(told(), None);
        node.put_in_force("good", "ip_vs");
        let expected =
            "It is loaded still (in force): `ipvs-latency hotfix unload good` takes it back.";
        assert_eq!(told().unwrap(), expected);
        node.world().remove("sys/kernel/livepatch");
        fs::create_dir_all(node.root().join("sys/kernel")).unwrap();
        assert_eq!(told(), None, "this kernel has no livepatching");
        node.write("sys/kernel/livepatch", "no folder");
        let told = told().unwrap();
        assert!(
            told.starts_with("Whether it is still loaded is unknown: "),
            "{told}"
        );
    }

    #[test]
    fn the_way_back_is_a_command_only_where_it_installs_the_same_file_here() {
        let node = MadeNode::new();
        let store = Store::of(&node.state_dir());
        let file = node.module("good", 500);
        let bytes = fs::read(&file).unwrap();
        let at = |release: &str| Place {
            release: release.into(),
            name: "good".into(),
        };
        let kept = Record::now(
            Digest::of(&bytes),
            file.display().to_string(),
            vec!["no-rearm".into()],
            None,
        );
        for release in [RELEASE, "5.4.0"] {
            store.put(&at(release), &bytes, &kept).unwrap();
        }
        let back = |releases: &[&str]| {
            let places: Vec<Place> = releases.iter().map(|release| at(release)).collect();
            way_back(&places, &store, &node.site(), RELEASE).line()
        };
        let command = format!("hotfix install {} --accept no-rearm", file.display());
        assert!(back(&[RELEASE]).ends_with(&command), "{}", back(&[RELEASE]));
        assert!(back(&[RELEASE, "5.4.0"]).contains(&format!("{command}  # ")));
        assert!(back(&["5.4.0"]).contains("while that kernel runs"));
        fs::write(&file, "another").unwrap();
        assert!(back(&[RELEASE]).contains("is missing, unreadable or changed"));
    }
}
