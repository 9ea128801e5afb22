//! `cargo xtask fuzz`: every reader of foreign bytes under libFuzzer, from its kept inputs.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::checkout;
use crate::cli::FuzzArgs;
use crate::programs::{find_program, output_of};

/// What became of the targets.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Those that ended their time without a finding.
    pub passed: u32,
    /// Those with a finding.
    pub failed: Vec<String>,
    /// Why none was run.
    pub skipped: Option<String>,
}

/// How a target is bounded. What a reader may take for one input is in `fuzz/fuzz.rs`; this is the whole process, with
/// libFuzzer's inputs and what it knows of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    longest: usize,
    memory_mib: u32,
    one: Duration,
}

impl Bounds {
    fn of(target: &str) -> Self {
        let seconds = Duration::from_secs;
        match target {
            // As large as the largest file that is read, of which libFuzzer keeps several.
            "module" => Self {
                longest: 64 << 20,
                memory_mib: 1024,
                one: seconds(20),
            },
            // Eight bytes a command: more say nothing new.
            "module_grown" => Self {
                longest: 512,
                memory_mib: 1024,
                one: seconds(20),
            },
            _ => Self {
                longest: 64 << 10,
                memory_mib: 256,
                one: seconds(10),
            },
        }
    }
}

/// Fuzzes the targets that `args` name, or all, one after the other.
///
/// # Errors
/// When a target is not there, or libFuzzer cannot be started.
pub fn run(args: &FuzzArgs) -> Result<Outcome> {
    let folder = checkout::folder()?.join("fuzz");
    let targets = chosen(&all(&folder)?, &args.targets)?;
    let mut outcome = Outcome::default();
    if let Some(why) = missing() {
        outcome.skipped = Some(format!("fuzz targets: {why}"));
        return Ok(outcome);
    }
    let time = Duration::from_secs(args.minutes * 60);
    for (index, target) in targets.iter().enumerate() {
        // What to type to continue after an interruption.
        let rest = targets.get(index..).unwrap_or_default().join(" ");
        eprintln!(
            "fuzzing {target} for {} minutes; to begin here: cargo xtask fuzz {rest}",
            args.minutes
        );
        if fuzz(&folder, target, time)? {
            outcome.passed += 1;
        } else {
            outcome.failed.push(target.clone());
        }
    }
    Ok(outcome)
}

/// Returns the targets there are, by name.
fn all(folder: &Path) -> Result<Vec<String>> {
    let folder = folder.join("fuzz_targets");
    let mut targets = Vec::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let name = entry?.file_name();
        targets.extend(
            name.to_str()
                .and_then(|name| name.strip_suffix(".rs"))
                .map(str::to_owned),
        );
    }
    ensure!(
        !targets.is_empty(),
        "cannot find a fuzz target in {}",
        folder.display()
    );
    targets.sort();
    Ok(targets)
}

fn chosen(all: &[String], named: &[String]) -> Result<Vec<String>> {
    if named.is_empty() {
        return Ok(all.to_owned());
    }
    for name in named {
        ensure!(
            all.contains(name),
            "cannot fuzz {name}: there is no such target\nhint: choose from {}",
            all.join(", ")
        );
    }
    Ok(named.to_owned())
}

/// Returns what is not there, if something is not.
fn missing() -> Option<String> {
    if output_of("rustup", &["run", "nightly", "rustc", "--version"]).is_err() {
        return Some("there is no nightly compiler: run `rustup toolchain install nightly`".into());
    }
    if output_of("rustup", &["run", "nightly", "cargo", "fuzz", "--version"]).is_err() {
        return Some("there is no cargo-fuzz: run `cargo install cargo-fuzz`".into());
    }
    let compilers = ["c++", "g++", "clang++"];
    if !compilers.iter().any(|name| find_program(name).is_some()) {
        return Some("there is no C++ compiler, which libFuzzer is built with: install g++".into());
    }
    None
}

/// Fuzzes one target. Returns whether it found nothing.
fn fuzz(folder: &Path, target: &str, time: Duration) -> Result<bool> {
    let (corpus, seeds) = (format!("corpus/{target}"), format!("seeds/{target}"));
    fs::create_dir_all(folder.join(&corpus)).context("cannot make the folder for findings")?;
    let bounds = Bounds::of(target);
    let mut command = Command::new("rustup");
    command
        .args(["run", "nightly", "cargo", "fuzz", "run"])
        // The readers are safe Rust, so that a sanitizer would find nothing, and take memory of its own.
        .args([
            "--sanitizer",
            "none",
            target,
            corpus.as_str(),
            seeds.as_str(),
            "--",
        ])
        .arg(format!("-max_total_time={}", time.as_secs()))
        .arg(format!("-max_len={}", bounds.longest))
        .arg(format!("-timeout={}", bounds.one.as_secs()))
        .arg(format!("-rss_limit_mb={}", bounds.memory_mib))
        .args(["-print_final_stats=1", "-verbosity=0"])
        .current_dir(folder)
        .stdin(Stdio::null());
    // Readers of files read them from memory.
    if Path::new("/dev/shm").is_dir() {
        command.env("TMPDIR", "/dev/shm");
    }
    // Of the cargo that runs this, and not meant for the other one.
    for name in [
        "CARGO",
        "CARGO_MANIFEST_DIR",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "CARGO_TARGET_DIR",
    ] {
        command.env_remove(name);
    }
    Ok(command.status().context("cannot run rustup")?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_source_and_only_those_are_run() {
        let all = all(&checkout::file("fuzz")).unwrap();
        for name in ["module", "module_grown"] {
            assert!(all.contains(&name.to_owned()), "{name}");
            assert_ne!(Bounds::of(name), Bounds::of("btf"));
        }
        assert_eq!(chosen(&all, &[]).unwrap(), all);
        assert_eq!(chosen(&all, &["btf".to_owned()]).unwrap(), ["btf"]);
        let error = chosen(&all, &["none".to_owned()]).unwrap_err().to_string();
        assert!(
            error.contains("there is no such target\nhint: choose from btf, "),
            "{error}"
        );
    }
}
