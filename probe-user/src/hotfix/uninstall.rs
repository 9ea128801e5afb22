//! `hotfix uninstall`: a hotfix is no longer loaded at boot. What runs now goes on.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};

use super::{
    drive::say,
    installed::{Place, Store, name_of, systemd, units},
    list, report, undo,
};
use crate::{
    cli::UninstallArgs,
    kernel::{livepatch, prerequisites},
};

/// The host was changed, and needs a person.
const HALF_DONE: u8 = 3;

/// Uninstalls a hotfix.
///
/// # Errors
///
/// When it is not installed, or cannot be removed: nothing was changed.
pub fn run(args: &UninstallArgs, root: &Path, state_dir: &Path) -> anyhow::Result<ExitCode> {
    let name = name_of(&args.name);
    let store = Store::of(state_dir);
    let running = prerequisites::release(root);
    let wanted = args.kernel.as_ref().unwrap_or(&running);
    let places = chosen(&store, &name, (!args.all_kernels).then_some(wanted))?;
    let refused = || format!("{name} is not uninstalled");
    let _lock = store.lock(root).with_context(refused)?;
    // The same hotfix may be kept for several kernels, of which this one alone can install it again.
    let kept = places.iter().find(|place| place.release == running);
    let kept = kept.and_then(|place| store.read(place).ok().flatten());
    for (index, place) in places.iter().enumerate() {
        if let Err(error) = store.remove(place) {
            let is_whole = index == 0 && !matches!(store.read(place), Ok(None));
            if is_whole {
                return Err(anyhow::Error::from(error).context(refused()));
            }
            say(&format!("error: {name} is half uninstalled: {error}"));
            return Ok(ExitCode::from(HALF_DONE));
        }
        report::print(&format!(
            "{name} is not installed for Linux {} any more.",
            place.release
        ));
    }
    match tidy(&store, root) {
        Ok(removed) => {
            for unit in &removed {
                let unit = unit.display();
                report::print(&format!("{unit} is removed, for nothing is left to load."));
            }
            forget(&removed, root);
        }
        Err(error) => {
            say(&format!(
                "error: {error:#}; {name} is uninstalled, and the units may be left"
            ));
            return Ok(ExitCode::from(HALF_DONE));
        }
    }
    if let Some(told) = still_loaded(root, &name) {
        report::print(&told);
    }
    if let Some(record) = kept {
        let undo = undo::install(&record.file, &record.accepted, root, state_dir);
        report::print(&format!("Undo: {undo}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Says that it is loaded still, or that this cannot be seen, if one is so.
fn still_loaded(root: &Path, name: &str) -> Option<String> {
    let loaded = match list::entries(root) {
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
fn forget(removed: &[PathBuf], root: &Path) {
    let names = removed.iter().filter_map(|unit| unit.file_name()?.to_str());
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        return;
    }
    let by_hand = format!(
        "`systemctl stop {}` and `systemctl daemon-reload`",
        names.join(" ")
    );
    if !systemd::is_here(root) {
        say(&format!(
            "note: run {by_hand} on the host, or systemd remembers the units until it boots again."
        ));
    } else if let Err(error) = systemd::let_go(&names) {
        say(&format!(
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
    use super::*;
    use crate::hotfix::{digest::Digest, installed::Record};

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
}
