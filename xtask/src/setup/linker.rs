//! bpf-linker, built once for each LLVM.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::Error;
use super::system::{self, Missing};
use super::toolchain::Toolchain;
use crate::cache;

/// Pinned together with aya.
const VERSION: &str = "0.13.0";

/// The versions of LLVM that this linker can be built for.
const LLVMS: std::ops::RangeInclusive<u32> = 21..=23;

/// The folder, for `PATH`, of the linker for an LLVM.
///
/// # Errors
/// When there is no cache folder to use.
pub fn folder(llvm: u32) -> Result<PathBuf> {
    Ok(root(llvm)?.join("bin"))
}

/// A compiler with a newer LLVM needs a linker of its own, and finds no older one here.
fn root(llvm: u32) -> Result<PathBuf> {
    let name = format!("bpf-linker-{VERSION}-llvm-{llvm}");
    Ok(cache::root()?.join("tools").join(name))
}

/// Returns whether the linker for an LLVM is there, and ours to run.
///
/// # Errors
/// When a stranger may have put it there.
pub fn is_there(llvm: u32) -> Result<bool> {
    cache::is_there(&folder(llvm)?.join("bpf-linker"))
}

/// Builds the linker for a toolchain's LLVM, unless it is there.
///
/// # Errors
/// When there is no fitting LLVM, or the build fails.
pub fn ensure(toolchain: &Toolchain) -> Result<(), Error> {
    let llvm = toolchain.llvm;
    if is_there(llvm)? {
        return Ok(());
    }
    ensure_supported(&toolchain.name, llvm)?;
    if !prefix(llvm).join("bin/llvm-config").exists() {
        system::install(&[Missing::new(
            format!("llvm-{llvm}-dev"),
            "to build bpf-linker",
        )])?;
    }
    let lock = cache::lock()?;
    if !is_there(llvm)? {
        build(&lock, llvm)?;
    }
    Ok(())
}

fn ensure_supported(toolchain: &str, llvm: u32) -> Result<()> {
    ensure!(
        LLVMS.contains(&llvm),
        "the toolchain {toolchain} has LLVM {llvm}, and bpf-linker {VERSION} exists for LLVM {} to {} only: \
         install a nightly of that range, with the component rust-src",
        LLVMS.start(),
        LLVMS.end()
    );
    Ok(())
}

/// Where Debian puts an LLVM.
fn prefix(llvm: u32) -> PathBuf {
    Path::new("/usr/lib").join(format!("llvm-{llvm}"))
}

fn build(lock: &cache::Lock, llvm: u32) -> Result<()> {
    eprintln!(
        "building bpf-linker {VERSION} for LLVM {llvm}, to link the eBPF programs: takes a minute or three"
    );
    let stage = lock.stage()?;
    let finished = stage.path().join("root");
    let mut command = Command::new("cargo");
    command
        .args([
            "install",
            "bpf-linker",
            "--version",
            VERSION,
            "--locked",
            "--no-track",
        ])
        .args([
            "--no-default-features",
            "--features",
            &format!("llvm-{llvm}"),
            "--root",
        ])
        .arg(&finished)
        .env("LLVM_PREFIX", prefix(llvm))
        .env("CARGO_TARGET_DIR", stage.path().join("target"))
        // What this workspace builds with (a static C runtime, flags) is not for its tools.
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    // Its work is done inside LLVM: a linker built in half the time links as fast.
    let profile = [
        ("OPT_LEVEL", "1"),
        ("DEBUG", "false"),
        ("LTO", "off"),
        ("CODEGEN_UNITS", "16"),
    ];
    for (name, value) in profile {
        command.env(format!("CARGO_PROFILE_RELEASE_{name}"), value);
    }
    if !std::io::stderr().is_terminal() {
        command.arg("--quiet");
    }
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_BUILD_RUSTFLAGS",
    ] {
        command.env_remove(name);
    }
    let status = command.status().context("cannot run cargo")?;
    ensure!(
        status.success(),
        "bpf-linker {VERSION} cannot be built for LLVM {llvm}: see what cargo says above"
    );
    lock.publish(&finished, &root(llvm)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_llvm_without_a_linker_is_refused_in_a_sentence() {
        assert!(ensure_supported("nightly", 22).is_ok());
        let error = ensure_supported("nightly", 24)
            .expect_err("too new")
            .to_string();
        assert!(
            error.contains("LLVM 24, and bpf-linker 0.13.0 exists for LLVM 21 to 23 only"),
            "{error}"
        );
    }
}
