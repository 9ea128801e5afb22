//! The compiler of the eBPF programs.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::programs::output_of;

/// Debian's compiler with `core` already built for eBPF: no nightly and no library source needed.
pub const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];

/// The lints of Debian's compiler.
pub const DEBIAN_LINTS: &str = "rust-web-clippy";

/// What they are installed for.
pub const WHY: &str = "to compile the eBPF programs";

/// Under which name rustup knows Debian's compiler once it is linked.
const DEBIAN_NAME: &str = "ipvs-latency-bpf";

/// Where [`DEBIAN_PACKAGES`] put the compiler.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// A toolchain that compiles for `bpfel-unknown-none`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// Its name, as `rustup run` takes it.
    pub name: String,
    /// Major version of its LLVM, which the linker's must match.
    pub llvm: u32,
}

impl Toolchain {
    /// Returns whether it is Debian's, linked into rustup.
    #[must_use]
    pub fn is_debians(&self) -> bool {
        self.name == DEBIAN_NAME
    }

    /// Returns whether it has clippy.
    #[must_use]
    pub fn has_lints(&self) -> bool {
        let asked = ["run", &self.name, "cargo", "clippy", "--version"];
        output_of("rustup", &asked).is_ok()
    }
}

/// The toolchain for the eBPF programs: rustup's nightly where it has the component `rust-src`, else Debian's
/// compiler linked into rustup; `None` when there is neither.
///
/// # Errors
/// When rustup is missing or a toolchain does not run.
pub fn ebpf() -> Result<Option<Toolchain>> {
    let list = output_of("rustup", &["toolchain", "list", "-v"])
        .context("the eBPF programs are built by a second toolchain: install rustup to have one")?;
    let installed: Vec<_> = list.lines().filter_map(parse_entry).collect();
    let nightly = || {
        installed
            .iter()
            .find(|(name, path)| name.starts_with("nightly") && has_library_source(path))
    };
    let debian = || {
        installed
            .iter()
            .find(|(name, _)| *name == DEBIAN_NAME)
            .filter(|_| debian_is_installed())
    };
    let Some((name, path)) = nightly().or_else(debian) else {
        return Ok(None);
    };
    let version = output_of(path.join("bin/rustc"), &["-vV"])?;
    let llvm = llvm_major(&version)
        .with_context(|| format!("the toolchain {name} does not name its LLVM"))?;
    Ok(Some(Toolchain {
        name: (*name).to_owned(),
        llvm,
    }))
}

/// Whether Debian's compiler is there with `core` for eBPF, linked into rustup or not.
#[must_use]
pub fn debian_is_installed() -> bool {
    if !Path::new(DEBIAN_RUSTC).exists() {
        return false;
    }
    let asked = ["--print", "target-libdir", "--target", "bpfel-unknown-none"];
    output_of(DEBIAN_RUSTC, &asked).is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

/// Makes Debian's compiler known to rustup.
///
/// # Errors
/// When rustup refuses, or Debian's compiler is not installed after all.
pub fn link_debian() -> Result<Toolchain> {
    ensure!(
        debian_is_installed(),
        "the packages {} hold no `core` for eBPF: run `rustup toolchain install nightly --component rust-src` instead",
        DEBIAN_PACKAGES.join(", ")
    );
    eprintln!("linking Debian's compiler into rustup as {DEBIAN_NAME}, {WHY}");
    let status = Command::new("rustup")
        .args(["toolchain", "link", DEBIAN_NAME, "/usr"])
        .stdout(Stdio::null())
        .status()
        .context("cannot run rustup")?;
    ensure!(
        status.success(),
        "rustup cannot link Debian's compiler: it ended with {status}"
    );
    ebpf()?
        .with_context(|| format!("rustup does not list {DEBIAN_NAME} though it has just linked it"))
}

/// Reads a toolchain's name and folder off a line such as `stable-x86_64 (active, default) /home/x/stable-x86_64`.
fn parse_entry(line: &str) -> Option<(&str, &Path)> {
    let (name, rest) = line.split_once([' ', '\t'])?;
    Some((name, Path::new(rest.get(rest.find('/')?..)?.trim_end())))
}

fn has_library_source(toolchain: &Path) -> bool {
    toolchain.join("lib/rustlib/src/rust/library").is_dir()
}

fn llvm_major(version: &str) -> Option<u32> {
    let llvm = version
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))?;
    llvm.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_tells_its_llvm() {
        assert_eq!(
            llvm_major("rustc 1.96.0\nhost: x\nLLVM version: 22.1.8\n"),
            Some(22)
        );
        assert_eq!(llvm_major("rustc 1.96.0\n"), None);
    }

    #[test]
    fn toolchains_are_listed_with_their_folders() {
        for (line, name, path) in [
            (
                "stable-x86_64 (active, default) /home/x/.rustup/toolchains/stable-x86_64",
                "stable-x86_64",
                "/home/x/.rustup/toolchains/stable-x86_64",
            ),
            ("nightly\t/a b/nightly", "nightly", "/a b/nightly"),
            ("ipvs-latency-bpf /usr", "ipvs-latency-bpf", "/usr"),
        ] {
            assert_eq!(parse_entry(line), Some((name, Path::new(path))));
        }
        assert_eq!(parse_entry("no installed toolchains"), None);
    }
}
