//! QEMU: the machine's own, or Debian's unpacked into a folder and not installed. To install it can mean to take other
//! packages away: QEMU's own tools of another release, where those are there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache;
use crate::packages::{Suite, tree};
use crate::setup::find_program;

const NAME: &str = "qemu-system-x86_64";

const PACKAGE: &str = "qemu-system-x86";

/// That of the guest's programs.
const SUITE: &str = "bookworm";

/// Raise it when anything in this file changes what the folder holds.
const RECIPE: u32 = 1;

/// What an emulator without a window needs least.
const LEAVE_OUT: &[&str] = &[
    "./etc",
    "./lib/systemd",
    "./usr/lib/systemd",
    "./usr/share/doc*",
    "./usr/share/icons",
    "./usr/share/locale",
    "./usr/share/man",
    "./usr/share/perl*",
    "./usr/lib/x86_64-linux-gnu/perl*",
    "./usr/lib/x86_64-linux-gnu/gconv",
    "./var",
];

/// Where QEMU's packages keep what it loads.
const DATA: [&str; 3] = ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"];

/// Whether there is one.
#[must_use]
pub fn is_there() -> bool {
    find_program(NAME).is_some() || launcher().is_file()
}

/// The program.
///
/// # Errors
/// When it is not there: [`ensure`] it first.
pub fn program() -> Result<PathBuf> {
    let unpacked = || Some(launcher()).filter(|launcher| launcher.is_file());
    find_program(NAME)
        .or_else(unpacked)
        .with_context(|| format!("there is no {NAME}: run `cargo xtask setup`"))
}

/// Unpacks one where there is none.
///
/// # Errors
/// When its packages cannot be fetched or unpacked.
pub fn ensure() -> Result<()> {
    if is_there() {
        return Ok(());
    }
    let place = place();
    tree::provide(&place, |lock, stage| {
        eprintln!("fetching {PACKAGE} of {SUITE}, to boot kernels in the lab");
        let suite = Suite::open(lock, SUITE)?;
        tree::fill(&suite, &suite.closure(&[PACKAGE])?, LEAVE_OUT, stage)?;
        launch_from(&stage.join("root"), &place)
    })
}

fn place() -> PathBuf {
    cache::root().join(format!("emulator-{SUITE}-{RECIPE}"))
}

fn launcher() -> PathBuf {
    place().join(NAME)
}

/// A script that runs it with the C library that came with it, whatever this machine has.
fn launch_from(root: &Path, place: &Path) -> Result<()> {
    let at = |path: &str| format!("'{}'", place.join(path).display());
    let data = DATA.map(|folder| format!("-L {}", at(folder))).join(" ");
    let script = format!(
        "#!/bin/sh\nQEMU_MODULE_DIR={} exec {} --library-path {} {} {data} \"$@\"\n",
        at("usr/lib/x86_64-linux-gnu/qemu"),
        at("usr/lib64/ld-linux-x86-64.so.2"),
        at("usr/lib/x86_64-linux-gnu"),
        at(&format!("usr/bin/{NAME}"))
    );
    let file = root.join(NAME);
    fs::write(&file, script).context("cannot write QEMU's launcher")?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755))
        .context("cannot make QEMU's launcher executable")
}
