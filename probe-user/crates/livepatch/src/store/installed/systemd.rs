//! What is asked of the systemd that runs this host.

use std::{
    io,
    path::Path,
    process::{Command, Output, Stdio},
};

use thiserror::Error;

use super::{trusted, units::SHUT_DOWN};

/// Where `systemctl` may be. `PATH` is not searched: an unprivileged user may have set it.
const PROGRAM: [&str; 2] = ["/usr/bin/systemctl", "/bin/systemctl"];

/// The environment of `systemctl`.
const ENVIRONMENT: [(&str, &str); 2] = [("LC_ALL", "C"), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")];

/// Why it could not be asked.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "each variant's sentence says what it is")]
pub enum SystemdError {
    #[error("cannot run `systemctl {0}`: {1}: run this on the host itself")]
    Run(String, io::Error),
    #[error("cannot run `systemctl {0}`: {1}")]
    Untrusted(String, String),
    #[error("`systemctl {0}` failed ({1}): run it by hand")]
    Failed(String, String),
}

/// The exit code of `systemctl stop` for a unit that is not in systemd's memory.
const NOT_LOADED: i32 = 5;

/// Whether this process can reach it: not from a container.
#[must_use]
pub fn is_here(root: &Path) -> bool {
    root == Path::new("/") && root.join("run/systemd/system").exists()
}

/// The state of the whole system in a word: `stopping` while it shuts down, from the moment on in which that is asked
/// for (`systemctl(1)`, `is-system-running`).
///
/// # Errors
///
/// When there is no systemctl, or it says nothing.
pub fn state() -> Result<String, SystemdError> {
    let words = ["is-system-running"];
    let output = ask(&words)?;
    // Its exit code is 0 for `running` alone.
    let word = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if word.is_empty() {
        return Err(failed(&words, &output));
    }
    Ok(word)
}

/// Makes systemd stop and forget units whose files are gone. No trace of them is left, not even that one has failed.
///
/// # Errors
///
/// When systemd does not do so.
pub fn let_go(units: &[&str]) -> Result<(), SystemdError> {
    for unit in units {
        let words = ["stop", unit];
        let output = ask(&words)?;
        if !output.status.success() && output.status.code() != Some(NOT_LOADED) {
            return Err(failed(&words, &output));
        }
        // Fails if the unit did not fail: then there is nothing to forget.
        ask(&["reset-failed", unit])?;
    }
    let words = ["daemon-reload"];
    let output = ask(&words)?;
    if !output.status.success() {
        return Err(failed(&words, &output));
    }
    Ok(())
}

/// Has the units read, and the one started that acts at shutdown: so that the shutdown of this boot is noted too.
///
/// # Errors
///
/// When one of these fails.
pub fn take_up() -> Result<(), SystemdError> {
    for words in [&["daemon-reload"][..], &["start", SHUT_DOWN]] {
        let output = ask(words)?;
        if !output.status.success() {
            return Err(failed(words, &output));
        }
    }
    Ok(())
}

fn ask(words: &[&str]) -> Result<Output, SystemdError> {
    let program = program().map_err(|why| SystemdError::Untrusted(words.join(" "), why))?;
    let output = Command::new(program)
        .args(words)
        .env_clear()
        .envs(ENVIRONMENT)
        .stdin(Stdio::null())
        .output();
    output.map_err(|error| SystemdError::Run(words.join(" "), error))
}

/// Returns the first `systemctl` that is there, if only root can change it.
fn program() -> Result<&'static str, String> {
    let mut first = None;
    for path in PROGRAM {
        match trusted::file(Path::new("/"), Path::new(path)) {
            Ok(_) => return Ok(path),
            Err(why) => {
                first.get_or_insert(format!("{path} {why}"));
            }
        }
    }
    Err(first.unwrap_or_default())
}

fn failed(words: &[&str], output: &Output) -> SystemdError {
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or("it said nothing").to_owned();
    SystemdError::Failed(words.join(" "), said)
}
