//! The programs a guest runs, built by cargo.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};

use crate::{checkout, setup};

/// Builds the product as users get it, for numbers are taken from it; `None` while there is none.
///
/// # Errors
/// When it does not build.
pub fn product() -> Result<Option<PathBuf>> {
    static BUILT: OnceLock<Result<Option<PathBuf>, String>> = OnceLock::new();
    once(&BUILT, || {
        if !checkout::folder()?.join("probe-user/src/main.rs").is_file() {
            return Ok(None);
        }
        cargo(
            &[
                "--package",
                "ipvs-latency",
                "--bin",
                "ipvs-latency",
                "--release",
            ],
            setup::build_env()?,
        )
        .map(Some)
    })
}

/// Builds the program that holds an empty pair of probes, for the bench to compare with.
///
/// # Errors
/// When it does not build.
pub fn empty_pair() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    once(&BUILT, || {
        cargo(
            &[
                // With the product, so that the eBPF programs are not built once more.
                "--package",
                "ipvs-latency",
                "--package",
                "monitor",
                "--example",
                "empty_pair",
                "--release",
            ],
            setup::build_env()?,
        )
    })
}

/// Builds PID 1 of the guests.
///
/// # Errors
/// When it does not build.
pub fn init() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    once(&BUILT, || {
        cargo(&["--package", "xtask", "--bin", "lab-init"], Vec::new())
    })
}

/// Builds at most once in a process: tests boot many guests.
fn once<T: Clone>(
    cell: &OnceLock<Result<T, String>>,
    build: impl FnOnce() -> Result<T>,
) -> Result<T> {
    cell.get_or_init(|| build().map_err(|error| format!("{error:#}")))
        .clone()
        .map_err(|error| anyhow!(error))
}

/// Runs `cargo build` and returns the executable it names.
fn cargo(arguments: &[&str], environment: Vec<(String, OsString)>) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--message-format",
            "json-render-diagnostics",
        ])
        .args(arguments)
        .envs(environment)
        .current_dir(checkout::folder()?)
        .stdin(Stdio::null())
        .output()
        .context("cannot run cargo")?;
    // Warnings are for whoever builds, not for the standard error of a command in a guest.
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "`cargo build {}` failed:\n{}",
        arguments.join(" "),
        said.trim_end()
    );
    let executable = output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter_map(executable)
        .next_back();
    executable.with_context(|| format!("`cargo build {}` names no executable", arguments.join(" ")))
}

/// The executable of one of cargo's messages.
fn executable(line: &[u8]) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_slice(line).ok()?;
    message.get("executable")?.as_str().map(PathBuf::from)
}
