//! Packages of the system, installed by its own package manager where this user may.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Once;

use anyhow::{Context, Result, ensure};

use super::{Error, toolchain};

/// A package that is not installed, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub name: String,
    /// Why it is wanted, as in "to boot kernels in the lab".
    pub why: &'static str,
}

impl Missing {
    /// A missing package by its name.
    pub fn new(name: impl Into<String>, why: &'static str) -> Self {
        Self {
            name: name.into(),
            why,
        }
    }
}

/// By what right packages are installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rights {
    Root,
    Sudo,
}

/// Installs packages; without any, does nothing.
pub fn install(missing: &[Missing]) -> Result<(), Error> {
    if missing.is_empty() {
        return Ok(());
    }
    for package in missing {
        eprintln!("installing {} {}", package.name, package.why);
    }
    let Some(rights) = rights() else {
        return Err(Error::NeedsRoot(commands(missing)));
    };
    refresh_lists(rights);
    let names = missing.iter().map(|package| package.name.as_str());
    let install = [
        "install",
        "-y",
        "-q",
        "--no-remove",
        "--no-install-recommends",
    ];
    apt_get(rights, install.into_iter().chain(names)).with_context(|| {
        format!(
            "apt-get cannot install {}: see what it says above",
            joined(missing, ", ")
        )
    })?;
    Ok(())
}

fn commands(missing: &[Missing]) -> Vec<String> {
    let mut commands = vec![
        "apt-get update".to_owned(),
        format!(
            "apt-get install --no-install-recommends {}",
            joined(missing, " ")
        ),
    ];
    if missing
        .iter()
        .any(|package| toolchain::DEBIAN_PACKAGES.contains(&package.name.as_str()))
    {
        // Which LLVM the linker wants is known once the compiler is there.
        let major = r"/usr/bin/rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p'";
        commands.push(format!(
            "apt-get install --no-install-recommends llvm-$({major})-dev"
        ));
    }
    commands
}

fn joined(missing: &[Missing], separator: &str) -> String {
    missing
        .iter()
        .map(|package| package.name.as_str())
        .collect::<Vec<_>>()
        .join(separator)
}

fn rights() -> Option<Rights> {
    if nix::unistd::geteuid().is_root() {
        return Some(Rights::Root);
    }
    let silent = Command::new("sudo")
        .args(["-n", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    silent
        .is_ok_and(|status| status.success())
        .then_some(Rights::Sudo)
}

/// Once a run is enough. A source of somebody else's that fails must not keep Debian's from being used.
fn refresh_lists(rights: Rights) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if let Err(error) = apt_get(rights, ["update", "-q"]) {
            eprintln!("warning: {error:#}; going on with the package lists at hand");
        }
    });
}

fn apt_get<'a>(rights: Rights, arguments: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let mut command = match rights {
        Rights::Root => Command::new("env"),
        Rights::Sudo => {
            let mut sudo = Command::new("sudo");
            sudo.args(["-n", "env"]);
            sudo
        }
    };
    // Another apt at work is waited for.
    command.args([
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-o",
        "DPkg::Lock::Timeout=600",
    ]);
    let status = command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(crate::packages::progress()?)
        .status()
        .context("cannot run apt-get")?;
    ensure!(status.success(), "apt-get ended with {status}");
    Ok(())
}

/// Whether a shared library lies where the loader looks for Debian's.
pub fn has_library(name: &str) -> bool {
    [
        "/usr/lib/x86_64-linux-gnu",
        "/lib/x86_64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
    ]
    .iter()
    .any(|folder| Path::new(folder).join(name).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_rights_the_exact_commands_are_told() {
        let told = |names: &[&str]| {
            let missing: Vec<_> = names
                .iter()
                .map(|&name| Missing::new(name, "to test"))
                .collect();
            Error::NeedsRoot(commands(&missing)).to_string()
        };
        let install = "\n\napt-get update\napt-get install --no-install-recommends kmod make\n";
        assert!(
            told(&["kmod", "make"]).ends_with(install),
            "{}",
            told(&["kmod", "make"])
        );
        assert!(
            told(&["rustc-web"]).trim_end().ends_with("-dev"),
            "{}",
            told(&["rustc-web"])
        );
    }
}
