//! `hotfix install`: a hotfix that is loaded at every boot of its kernel.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};

use super::Settled;
use crate::{
    preflight::{
        admission,
        findings::{Finding, Findings},
        node::{CrashHistory, Node},
    },
    site::Site,
    store::{
        folder::Folder,
        installed::{
            Place, Record, Store, is_name, systemd, trusted,
            units::{self, KILL_SWITCH, LOAD, SHUT_DOWN, Units, Written},
        },
        state_dir,
    },
    transaction::{loaded, undo},
};
use livepatch_image::{Digest, Module, file};

/// Blockers that a later boot of this kernel has too; the others are of the moment.
const LASTING: [&str; 11] = [
    "address-escapes",
    "name-unusable",
    "no-livepatch-mark",
    "signature-required",
    "lockdown",
    "no-livepatching",
    "other-kernel",
    "estimator-threads",
    "symbol-missing",
    "symbol-ambiguous",
    "untraceable",
];

/// What is to be installed.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The file.
    pub file: &'a Path,
    /// The warnings that are accepted, by name.
    pub accept: &'a [String],
}

/// A file that may be installed.
struct Candidate {
    bytes: Vec<u8>,
    place: Place,
    record: Record,
}

/// Installs a hotfix.
///
/// # Errors
///
/// When it is refused: nothing was changed.
pub fn run(asked: &Asked<'_>, site: &Site) -> anyhow::Result<Settled> {
    let program = env::current_exe().context("where this program is cannot be told")?;
    let program = Program {
        path: &program,
        file: Path::new("/proc/self/exe"),
    };
    install(asked, site, &program)
}

/// The program that the units are to run.
struct Program<'a> {
    /// Where it is.
    path: &'a Path,
    /// What it is.
    file: &'a Path,
}

fn install(asked: &Asked<'_>, site: &Site, program: &Program) -> anyhow::Result<Settled> {
    let shown = asked.file.display();
    let refused = || format!("{shown} is not installed");
    // The path that was checked is recorded: a link may lead elsewhere later.
    let site = &site.with_state_dir(&state_dir::resolved(&site.root, &site.state_dir));
    let candidate = candidate(asked, site)?;
    let units = units(site, program).with_context(refused)?;
    let store = Store::of(&site.state_dir);
    let _lock = store.lock(site).with_context(refused)?;
    let kept = keep(&store, &candidate, &shown.to_string())?;
    let written = match units.as_ref().map(Units::write).transpose() {
        Ok(written) => written,
        Err(error) => return put_back(kept, site, &store, &candidate.place, error.into()),
    };
    for line in told(&candidate, &store, kept, written.as_ref(), program.path) {
        site.progress().report(&format!("{line}."));
    }
    if kept == Before::Nothing {
        let undo = undo::uninstall(&candidate.place.name, site);
        site.progress().report_line(&format!("Undo: {undo}"));
    }
    notes(site, written.as_ref(), program.path);
    Ok(Settled::Whole)
}

/// The units, if this host has systemd.
fn units(site: &Site, program: &Program) -> anyhow::Result<Option<Units>> {
    let Some(on_host) = on_host(&site.root, &site.state_dir) else {
        bail!(
            "{} is not among the host's files under {}, where it would be looked for at boot: name a folder there with \
             --state-dir",
            site.state_dir.display(),
            site.root.display()
        );
    };
    let units = Units::plan(&site.root, program.path, &on_host)?;
    if let Some(units) = &units {
        is_the_hosts(&site.root, units.program(), program)?;
    }
    Ok(units)
}

/// Inspects a file, and refuses what could never be loaded here, or may not yet.
fn candidate(asked: &Asked<'_>, site: &Site) -> anyhow::Result<Candidate> {
    let shown = asked.file.display();
    let refused = || format!("{shown} is not installed");
    let bytes = file::read(asked.file).map_err(|error| anyhow::anyhow!("{shown} {error}"))?;
    let module = Module::parse(&bytes).map_err(|error| anyhow::anyhow!("{shown} {error}"))?;
    let sha256 = Digest::of(&bytes);
    let node = Node::read(site, &module, &sha256);
    let mut findings = Findings::of(&module, &node);
    let is_lasting = |one: &Finding| LASTING.contains(&one.name);
    let (lasting, passing) = findings.blockers.into_iter().partition(is_lasting);
    findings.blockers = lasting;
    admission::accepted(&findings, asked.accept).with_context(refused)?;
    let name = admission::named(&module, &shown.to_string())?;
    ensure!(
        is_name(&name),
        "{shown} is not installed: its module is called {name:?}, and a module's name has letters, digits and _ alone: \
         build it again under such a name"
    );
    let mut passing: Vec<Finding> = passing;
    if loaded::is_enabled(site, &module, &sha256) {
        // A load of the very file that is enabled does nothing, and succeeds.
        passing.clear();
    }
    for Finding { name, text } in &passing {
        site.say(&format!(
            "note: as this node is now, it would not be loaded: {name}: {text}."
        ));
    }
    for Finding { name, text } in &findings.notes {
        site.say(&format!("note {name}: {text}."));
    }
    // Also what does not speak against it now: another boot may have other livepatches in force.
    let accepted: BTreeSet<String> = asked.accept.iter().cloned().collect();
    let crash = match node.past {
        CrashHistory::WentDown(entry) => Some(entry.boot_id),
        CrashHistory::Good | CrashHistory::Unknown(_) => None,
    };
    let file = std::path::absolute(asked.file).with_context(refused)?;
    let place = Place {
        release: node.release,
        name,
    };
    Ok(Candidate {
        bytes,
        place,
        record: Record::now(
            sha256,
            file.display().to_string(),
            accepted.into_iter().collect(),
            crash,
        ),
    })
}

/// Where the host has what is at `path` for us; `None` for what it has not.
fn on_host(root: &Path, path: &Path) -> Option<PathBuf> {
    let inside = path.strip_prefix(root).ok()?;
    Some(Path::new("/").join(inside))
}

/// Makes sure that the host's program at this path is this one: in a container it may be another, or none.
fn is_the_hosts(root: &Path, hosts: &Path, program: &Program) -> anyhow::Result<()> {
    let own = fs::read(program.file);
    ensure!(
        content(root, hosts).context("cannot read the host's copy of this program")?
            == own.context("this program cannot be read")?,
        "{} of the host is another program than this one: copy this one there, or run that one",
        program.path.display()
    );
    Ok(())
}

/// Returns the content of a file of the host, in a folder that only root can change.
fn content(root: &Path, file: &Path) -> io::Result<Vec<u8>> {
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    let (folder, name) = file.parent().zip(file.file_name()).ok_or_else(missing)?;
    let folder = Folder::open(root, folder)?.ok_or_else(missing)?;
    let mut bytes = Vec::new();
    folder
        .file(name)?
        .ok_or_else(missing)?
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What was installed under the name before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    SameFile,
}

fn keep(store: &Store, candidate: &Candidate, shown: &str) -> anyhow::Result<Before> {
    let Candidate {
        bytes,
        place,
        record,
    } = candidate;
    let refused = || format!("{shown} is not installed");
    let before = store.read(place).with_context(refused)?;
    let name = &place.name;
    if let Some(before) = &before
        && before.sha256 != record.sha256
    {
        bail!(
            "{shown} is not installed: another file is, as {name} (from {}, {}): `ipvs-latency hotfix uninstall {name}` first, \
             or build this one under another name",
            before.file,
            before.at
        );
    }
    let mut record = record.clone();
    if let Some(before) = &before {
        // When it was installed first says in which order to load.
        record.at.clone_from(&before.at);
    }
    store.put(place, bytes, &record).with_context(refused)?;
    Ok(before.map_or(Before::Nothing, |_| Before::SameFile))
}

/// Removes the hotfix again after its units could not be written.
fn put_back(
    kept: Before,
    site: &Site,
    store: &Store,
    place: &Place,
    error: anyhow::Error,
) -> anyhow::Result<Settled> {
    let name = &place.name;
    if kept == Before::SameFile {
        return Err(error.context(format!(
            "{name} was installed before, and may not be loaded at boot"
        )));
    }
    let undone = store.remove(place).and_then(|()| store.all());
    let undone = match undone {
        Ok(rest) if rest.is_empty() => units::remove(&site.root)
            .map_err(anyhow::Error::from)
            .map(|_| ()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    };
    match undone {
        Ok(()) => Err(error.context(format!("{name} is not installed"))),
        Err(left) => {
            site.say(&format!(
                "error: {name} is half installed: {error:#}; and {left:#}"
            ));
            Ok(Settled::Half)
        }
    }
}

/// What was done, in sentences without their full stop.
fn told(
    candidate: &Candidate,
    store: &Store,
    kept: Before,
    written: Option<&[Written; 2]>,
    program: &Path,
) -> Vec<String> {
    let Place { release, name } = &candidate.place;
    let again = match kept {
        Before::Nothing => "is installed",
        Before::SameFile => "was installed already, from the same file",
    };
    let mut lines = vec![format!(
        "{name} {again}, for Linux {release}: {}",
        store.module(&candidate.place).display()
    )];
    let by = program.display();
    match written {
        None => lines.push(format!(
            "Nothing loads it at boot, for this host has no systemd: have `{by} hotfix load --all` run there"
        )),
        Some(written) => lines.extend(written.iter().map(|unit| match unit {
            Written::Ours(file) if file.ends_with(LOAD) => format!(
                "{} loads it at every boot of that kernel, by {by}, unless the kernel's command line has {KILL_SWITCH}",
                file.display()
            ),
            Written::Ours(file) => format!(
                "{} notes every shutdown, so that it is not taken for a crash",
                file.display()
            ),
            Written::LeftAlone(file) => format!(
                "{} was left alone, for it is masked or somebody else's: what it says is what is done",
                file.display()
            ),
        })),
    }
    lines.push(
        "It is in force after the next boot, or now with `ipvs-latency hotfix load --all`".into(),
    );
    lines
}

/// What a person may have to know or do besides.
fn notes(site: &Site, written: Option<&[Written; 2]>, program: &Path) {
    for (path, what) in [
        (&*site.state_dir, "what is installed"),
        (program, "this program"),
    ] {
        match trusted::is_in_memory(path) {
            Ok(false) => {}
            Ok(true) => site.say(&format!(
                "note: {} is in memory: {what} is gone after a reboot, unless somebody puts it there again.",
                path.display()
            )),
            Err(error) => site.say(&format!(
                "note: whether {} outlives a reboot cannot be told ({error}).",
                path.display()
            )),
        }
    }
    if written.is_none() {
        return;
    }
    let by_hand = format!("`systemctl daemon-reload` and `systemctl start {SHUT_DOWN}`");
    if !systemd::is_here(&site.root) {
        site.say(&format!(
            "note: run {by_hand} on the host, so that the next shutdown too is known to be one in good order."
        ));
    } else if let Err(error) = systemd::take_up() {
        site.say(&format!(
            "warning: {error}; until {by_hand} succeed, the next shutdown may be taken for a crash."
        ));
    }
}
