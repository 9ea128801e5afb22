//! `cargo xtask test`: the tiers, and one count over all.

mod on_kernel;

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use crate::{
    checkout,
    cli::{FuzzArgs, TestArgs},
    emulator::Emulator,
    fuzz,
    kernel::{self, Line},
    lint, mutants, scenario,
    setup::{self, Need},
};

/// How long a soak runs each fuzz target.
const SOAK_MINUTES: u64 = 10;

/// What was run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    passed: u32,
    failed: u32,
}

/// Runs the tier that `args` ask for. Returns whether everything passed.
///
/// # Errors
/// When the tests cannot be run at all.
pub fn run(args: &TestArgs) -> Result<bool, setup::Error> {
    setup::ensure(&[Need::EbpfToolchain, Need::EbpfLints, Need::Linker])?;
    let kernels = args.kernels();
    if !kernels.is_empty() {
        let mut all_passed = true;
        for kernel in &kernels {
            all_passed &= on_kernel::run(kernel, kernels.len() > 1)?;
        }
        return Ok(all_passed);
    }
    let skips = Skips::new()?;
    let mut unlinted = Vec::new();
    let mut count = Count::default();
    if args.soak {
        fetch_for_guests()?;
        unlinted.extend(soak(&mut count, &skips)?);
    } else {
        match lint::run() {
            Ok(skipped) => unlinted = skipped,
            Err(error) => {
                eprintln!("error: {error:#}");
                count.failed += 1;
            }
        }
        count += cargo_test(
            &["--workspace", "--exclude", "probe-ebpf"],
            &[],
            &[],
            &skips,
        )?;
        count += cargo_test(&["--package", "probe-ebpf", "--lib"], &[], &[], &skips)?;
    }
    if !args.soak && !args.fast {
        fetch_for_guests()?;
        count += cargo_test(
            &["--package", "xtask", "--test", "guests"],
            &["--ignored", "--skip", "soak", "--skip", "chosen_kernel"],
            &[],
            &skips,
        )?;
    }
    let untested = skips.in_tests()?;
    for skip in untested.iter().chain(&unlinted) {
        println!("skipped: {skip}");
    }
    // A test that was skipped returned, and so was counted as passed.
    let passed = (count.passed as usize).saturating_sub(untested.len());
    let skipped = untested.len() + unlinted.len();
    println!(
        "\n{passed} passed, {} failed, {skipped} skipped",
        count.failed
    );
    Ok(count.failed == 0 && passed > 0)
}

/// Runs the long tests. Returns what was skipped.
fn soak(count: &mut Count, skips: &Skips) -> Result<Vec<String>> {
    *count += cargo_test(
        &["--package", "xtask", "--test", "guests"],
        &["--ignored", "soak"],
        &[],
        skips,
    )?;
    *count += cargo_test(
        &["--package", "livepatch", "--lib"],
        &["moments"],
        &[("IPVS_LATENCY_TEST_EVERY_MOMENT", "1")],
        skips,
    )?;
    let mutants = mutants::run()?;
    for failed in &mutants.failed {
        eprintln!("error: {failed}");
    }
    count.passed += mutants.passed;
    count.failed += u32::try_from(mutants.failed.len()).unwrap_or(u32::MAX);
    let fuzzed = fuzz::run(&FuzzArgs {
        minutes: SOAK_MINUTES,
        targets: Vec::new(),
    })?;
    for target in &fuzzed.failed {
        eprintln!("error: the fuzz target {target} found something: see above");
    }
    count.passed += fuzzed.passed;
    count.failed += u32::try_from(fuzzed.failed.len()).unwrap_or(u32::MAX);
    Ok(fuzzed.skipped.into_iter().chain(mutants.skipped).collect())
}

/// Everything that guests need. A kernel line that is not to be had here is left to the tests that need
/// it: they are skipped, and say why.
fn fetch_for_guests() -> Result<(), setup::Error> {
    setup::ensure(&[
        Need::Qemu(Emulator::CountedTime),
        Need::Qemu(Emulator::RealTime),
        Need::Userland,
        Need::Bpftrace,
        Need::Systemd,
        Need::Kernel(Line::V6_1),
        Need::Headers(Line::V6_1),
    ])?;
    for line in Line::TESTED {
        match kernel::fetch(&line) {
            Ok(_) => {}
            Err(kernel::Error::Failed(error)) => return Err(error.into()),
            Err(unavailable) => eprintln!("{unavailable}"),
        }
    }
    Ok(())
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Runs `cargo test` with `more` variables, shows what it prints and adds up its closing lines. A run that ends badly without
/// a failed test, as when it does not compile, counts as one failure.
fn cargo_test(
    selection: &[&str],
    options: &[&str],
    more: &[(&str, &str)],
    skips: &Skips,
) -> Result<Count> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["test", "--quiet", "--no-fail-fast"])
        .args(selection)
        .arg("--")
        .args(options);
    command.arg(format!("--test-threads={}", threads()));
    command
        .current_dir(checkout::folder()?)
        .envs(setup::build_env()?)
        .envs(more.iter().copied())
        .env(scenario::SKIPS, &skips.file);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo cannot be run")?;
    let stdout = child
        .stdout
        .take()
        .context("cargo's output is not to be had")?;
    let mut count = Count::default();
    for line in BufReader::new(stdout).lines() {
        let line = line.context("cargo's output cannot be read")?;
        println!("{line}");
        if let Some(of_one) = closing_line(&line) {
            count += of_one;
        }
    }
    let status = child.wait().context("cargo cannot be waited for")?;
    if !status.success() && count.failed == 0 {
        count.failed = 1;
    }
    Ok(count)
}

/// A guest keeps one CPU busy.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Reads `test result: ok. 3 passed; 0 failed; ...`.
fn closing_line(line: &str) -> Option<Count> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let mut numbers = counts
        .split("; ")
        .map(|part| part.split_once(' ')?.0.parse().ok());
    Some(Count {
        passed: numbers.next()??,
        failed: numbers.next()??,
    })
}

/// Where skips are noted, so that they are counted: by tests in a file, a line each, and by lint here.
struct Skips {
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Skips {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder can be made")?;
        Ok(Self {
            file: folder.path().join("skips"),
            _folder: folder,
        })
    }

    /// The skips of tests, with their reasons.
    fn in_tests(&self) -> Result<Vec<String>> {
        let notes = read_if_there(&self.file)?;
        Ok(notes.lines().map(str::to_owned).collect())
    }
}

fn read_if_there(file: &Path) -> Result<String> {
    if !file.exists() {
        return Ok(String::new());
    }
    fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_of_a_test_binary_is_counted_and_no_other() {
        let line = "test result: FAILED. 14 passed; 2 failed; 5 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        let count = Count {
            passed: 14,
            failed: 2,
        };
        assert_eq!(closing_line(line), Some(count));
        assert_eq!(closing_line("test result"), None);
        assert_eq!(closing_line("running 3 tests"), None);
    }
}
