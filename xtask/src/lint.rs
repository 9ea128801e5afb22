//! `cargo xtask lint`: form, lints and licences.

use std::{collections::BTreeSet, env, ffi::OsString, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::checkout;
use crate::setup::{self, toolchain};

/// Licences that what we link may be under: none asks anything of those who hand the binary on but to
/// name the authors.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Runs every check. Returns what was skipped, each with its reason.
///
/// # Errors
/// With the first check that fails.
pub fn run() -> Result<Vec<String>> {
    cargo(&["fmt", "--all", "--check"], &[])?;
    let mut environment = setup::build_env()?;
    cargo(
        &[
            "clippy",
            "--quiet",
            "--workspace",
            "--exclude",
            "probe-ebpf",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
        &environment,
    )?;
    cargo(
        &[
            "clippy",
            "--quiet",
            "--package",
            "probe-ebpf",
            "--lib",
            "--",
            "-D",
            "warnings",
        ],
        &environment,
    )?;
    let mut skipped = Vec::new();
    if let Some(reason) = ebpf_clippy(&mut environment)? {
        skipped.push(reason);
    }
    licences()?;
    skipped.push(
        "advisories: their database is fetched from outside the package registries".to_owned(),
    );
    Ok(skipped)
}

/// Lints the eBPF programs with the toolchain that builds them. Returns why not, where it has no clippy.
fn ebpf_clippy(environment: &mut Vec<(String, OsString)>) -> Result<Option<String>> {
    let toolchain =
        toolchain::ebpf()?.context("there is no compiler for eBPF: run `cargo xtask setup`")?;
    if !toolchain.has_lints() {
        return Ok(Some(format!(
            "clippy on the eBPF programs: the toolchain {} has none",
            toolchain.name
        )));
    }
    environment.push(("RUSTC_BOOTSTRAP".into(), "aya_ebpf,estimator".into()));
    // In place of the flags that the workspace sets for its own, static, binaries.
    environment.push((
        "CARGO_ENCODED_RUSTFLAGS".into(),
        "--cfg=bpf_target_arch=\"x86_64\"".into(),
    ));
    let mut command = Command::new("rustup");
    command.args([
        "run",
        &toolchain.name,
        "cargo",
        "clippy",
        "--quiet",
        "--package",
        "probe-ebpf",
        "--bins",
    ]);
    command.args([
        "--target",
        "bpfel-unknown-none",
        "--target-dir",
        "target/ebpf-clippy",
    ]);
    command.args(["--", "-D", "warnings"]);
    command.current_dir(checkout::folder()?);
    let status = command.envs(environment.iter().cloned()).status();
    ensure!(
        status.context("rustup cannot be run")?.success(),
        "clippy on the eBPF programs failed: see above"
    );
    Ok(None)
}

/// Checks the licence of every crate that is built.
fn licences() -> Result<()> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(checkout::folder()?)
        .output()
        .context("cargo cannot be run")?;
    ensure!(
        output.status.success(),
        "`cargo metadata` failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value =
        serde_json::from_slice(&output.stdout).context("`cargo metadata` printed no JSON")?;
    let packages = metadata["packages"]
        .as_array()
        .context("`cargo metadata` names no packages")?;
    let refused: BTreeSet<String> = packages
        .iter()
        .filter(|package| !is_allowed(package["license"].as_str().unwrap_or_default()))
        .map(|package| format!("{} ({})", package["name"], package["license"]))
        .collect();
    ensure!(
        refused.is_empty(),
        "not under a licence of the list in xtask/src/lint.rs: {}",
        refused.into_iter().collect::<Vec<_>>().join(", ")
    );
    Ok(())
}

/// Whether an SPDX expression offers a choice, or asks only for licences, of the list.
fn is_allowed(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    plain.split(" AND ").all(|part| {
        part.split(" OR ")
            .any(|licence| LICENCES.contains(&licence.trim()))
    })
}

fn cargo(arguments: &[&str], environment: &[(String, OsString)]) -> Result<()> {
    eprintln!("cargo {}", arguments.join(" "));
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .current_dir(checkout::folder()?)
        .envs(environment.iter().cloned())
        .status()
        .context("cargo cannot be run")?;
    ensure!(
        status.success(),
        "`cargo {}` failed: see above",
        arguments.join(" ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_with_one_licence_of_the_list_will_do_and_a_duty_outside_it_will_not() {
        for allowed in [
            "MIT",
            "MIT OR Apache-2.0",
            "MIT/Apache-2.0",
            "(MIT OR GPL-2.0) AND Unicode-3.0",
        ] {
            assert!(is_allowed(allowed), "{allowed}");
        }
        for refused in [
            "",
            "LGPL-2.1-or-later",
            "MIT AND GPL-2.0",
            "GPL-3.0 OR LGPL-3.0",
        ] {
            assert!(!is_allowed(refused), "{refused}");
        }
    }
}
