//! `hotfix info`: all that is known of one hotfix, by its file, as it was installed, and as it is loaded.

#[cfg(test)]
mod tests;
mod text;

use std::{fs, path::Path, process::ExitCode};

use anyhow::bail;
use serde::Serialize;

use super::{list, page::Facts};
use crate::{cli::InfoArgs, record::Origin};
use ::livepatch::{
    preflight::{named, node::Node},
    site::Site,
    store::installed::{Installed, Place, Record, Store, is_path, name_of},
    transaction::{
        journal::{self, Phase},
        livepatches::{self, ListedLivepatch},
        loaded,
    },
};
use host::{
    livepatch::{self, Object},
    module, prerequisites,
};
use livepatch_image::{Digest, Module, Name, file};

/// The document of `info --json`.
#[derive(Debug, Serialize)]
struct Info {
    schema: u32,
    #[serde(flatten)]
    origin: Origin,
    name: Option<String>,
    /// What the file says; of an installed one, that of the installed file.
    file: Option<Facts>,
    /// `None` where it is not installed.
    installed: Option<InstalledAs>,
    /// `None` where it is not loaded.
    loaded: Option<Loaded>,
    /// Why something above is `None` that should not be.
    unknown: Vec<String>,
}

/// How it was installed.
#[derive(Debug, Serialize)]
struct InstalledAs {
    release: String,
    for_this_kernel: bool,
    /// `None` where that cannot be seen.
    in_force: Option<bool>,
    sha256: Digest,
    accepted: Vec<String>,
    from: String,
    at: String,
}

/// What the kernel says of it.
#[derive(Debug, Serialize)]
struct Loaded {
    state: &'static str,
    objects: Vec<Object>,
    taint: Option<String>,
    refcount: Option<i64>,
    /// `None` where that was not by us, as far as the journal knows.
    #[serde(rename = "loaded_by")]
    by: Option<LoadedBy>,
}

/// How it was loaded, by the journal.
#[derive(Debug, Serialize)]
struct LoadedBy {
    file: String,
    sha256: Digest,
    pid: u32,
    phase: Phase,
    since: String,
}

impl LoadedBy {
    fn of(entry: journal::Entry) -> Self {
        Self {
            since: entry.since(),
            file: entry.file,
            sha256: entry.sha256,
            pid: entry.pid,
            phase: entry.phase,
        }
    }
}

/// Tells what is known of a hotfix.
///
/// # Errors
///
/// When there is none of that name or in that file, or what was found cannot be written.
pub fn run(args: &InfoArgs, site: &Site) -> anyhow::Result<ExitCode> {
    let file = Path::new(&args.hotfix);
    // A livepatch may be called like a path.
    let loaded = named::loaded(&args.hotfix, &site.root).ok().flatten();
    let loaded = loaded.filter(|name| !is_path(&args.hotfix) || is_livepatch(&site.root, name));
    let named = match loaded {
        Some(name) => of_name(&name, site)?,
        None if is_path(&args.hotfix) => None,
        None => {
            let name = name_of(&args.hotfix.to_string_lossy());
            of_name(&name.into(), site)?
        }
    };
    let info = match named {
        Some(info) => info,
        None if is_path(&args.hotfix) || file.exists() => of_file(file, site)?,
        None => bail!(
            "no hotfix {} is installed or loaded: `ipvs-latency hotfix list` names those that are; a file is named with \
             its ending, .ko",
            file.display()
        ),
    };
    crate::output::print(|out| info.write(args.json, out))?;
    Ok(ExitCode::SUCCESS)
}

/// As far as can be seen.
fn is_livepatch(root: &Path, name: &Name) -> bool {
    module::is_livepatch(root, name).unwrap_or(false)
}

fn of_file(file: &Path, site: &Site) -> anyhow::Result<Info> {
    let facts = facts(file, site)?;
    Ok(Info {
        schema: 1,
        origin: Origin::now(&site.root),
        name: facts.name().map(str::to_owned),
        file: Some(facts),
        installed: None,
        loaded: None,
        unknown: Vec::new(),
    })
}

fn facts(path: &Path, site: &Site) -> anyhow::Result<Facts> {
    let shown = path.display();
    let bytes = file::read(path).map_err(|error| anyhow::anyhow!("{shown} {error}"))?;
    facts_of(path, &bytes, site)
}

fn facts_of(path: &Path, bytes: &[u8], site: &Site) -> anyhow::Result<Facts> {
    let shown = path.display();
    let module = Module::parse(bytes).map_err(|error| anyhow::anyhow!("{shown} {error}"))?;
    let sha256 = Digest::of(bytes);
    let node = Node::read(site, &module, &sha256);
    Ok(Facts::new(shown.to_string(), sha256, module, &node))
}

/// Returns what is installed under a name: that for this kernel, or else the last.
fn installed(name: &Name, store: &Store, release: &str) -> anyhow::Result<Option<Installed>> {
    let mut all = store.all()?;
    all.retain(|one| *name == one.place.name);
    all.sort_by_key(|one| one.place.release == release);
    Ok(all.pop())
}

/// `None` where it is neither installed nor loaded.
fn of_name(name: &Name, site: &Site) -> anyhow::Result<Option<Info>> {
    let mut unknown = Vec::new();
    let release = prerequisites::release(&site.root);
    let store = Store::of(&site.state_dir);
    let installed = installed(name, &store, &release)?;
    let entries = match livepatches::entries(&site.root) {
        Ok(entries) => entries,
        Err(error) if livepatch::read(&site.root).is_err() && installed.is_none() => {
            return Err(error);
        }
        Err(error) => {
            // Where livepatching is missing, it is certain that it is not loaded.
            if !matches!(livepatch::read(&site.root), Ok(None)) {
                unknown.push(format!("{error:#}"));
            }
            Vec::new()
        }
    };
    let is_seen = unknown.is_empty();
    let entry = entries.into_iter().find(|entry| entry.name == *name);
    if installed.is_none() && entry.is_none() {
        return Ok(None);
    }
    let mut file = None;
    let mut kept = None;
    if let Some(Installed { place, record }) = installed {
        let is_loaded =
            place.release == release && entry.as_ref().is_some_and(ListedLivepatch::is_in_force);
        match record {
            Ok(record) => {
                let in_force = match (is_seen, is_loaded) {
                    (false, _) => None,
                    (true, false) => Some(false),
                    (true, true) => list::is_what_is_loaded(site, &store, &place, Some(&record)),
                };
                let is_for_this = place.release == release;
                kept = Some(InstalledAs::of(&place, record, is_for_this, in_force));
            }
            Err(error) => unknown.push(error.to_string()),
        }
        file = store
            .content(&place)
            .map_err(anyhow::Error::from)
            .and_then(|bytes| facts_of(&store.module(&place), &bytes, site))
            .map_err(|error| unknown.push(format!("{error:#}")))
            .ok();
    }
    let loaded = entry.map(|entry| Loaded::of(entry, site, &mut unknown));
    Ok(Some(Info {
        schema: 1,
        origin: Origin::now(&site.root),
        name: Some(name.to_string()),
        file,
        installed: kept,
        loaded,
        unknown,
    }))
}

impl InstalledAs {
    fn of(place: &Place, record: Record, for_this_kernel: bool, in_force: Option<bool>) -> Self {
        Self {
            release: place.release.clone(),
            for_this_kernel,
            in_force,
            sha256: record.sha256,
            accepted: record.accepted,
            from: record.file,
            at: record.at,
        }
    }
}

impl Loaded {
    fn of(entry: ListedLivepatch, site: &Site, unknown: &mut Vec<String>) -> Self {
        let module = module::folder(&site.root, &entry.name);
        let text = |file: &str| fs::read_to_string(module.join(file)).ok();
        let by = loaded::entry(site, &entry.name).unwrap_or_else(|error| {
            unknown.push(format!("who loaded it cannot be told: {error}"));
            None
        });
        Self {
            state: entry.state,
            objects: entry.objects,
            taint: text("taint").map(|taint| taint.trim().to_owned()),
            refcount: text("refcnt").and_then(|count| count.trim().parse().ok()),
            by: by.map(LoadedBy::of),
        }
    }
}
