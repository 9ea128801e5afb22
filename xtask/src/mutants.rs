//! `cargo xtask mutants`: changes of the code that no unit test notices (`cargo-mutants`), in two sets that can be resumed.

use std::{
    collections::BTreeSet,
    fs, io,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{checkout, programs::output_of};

/// Where decisions are made that change a production kernel: every mutant there.
const DECISIONS: [&str; 8] = [
    "transition/decision.rs",
    "transition/drive.rs",
    "transition/drive/**",
    "transaction/change.rs",
    "transaction/guard.rs",
    "transaction/guard_process.rs",
    "transaction/journal.rs",
    "transaction/settle.rs",
];

/// The crates that the sample is from.
const CRATES: [&str; 3] = ["livepatch", "model", "livepatch-image"];

/// One mutant of so many: about 400.
const ONE_OF: u64 = 11;

/// These are left out: the number of a process that is signalled. 0 is all of this group, and 1 the machine's first process.
const DANGEROUS: &str = "replace Guard::pid ";

/// How many of a hundred have to be noticed.
const NOTICED_PERCENT: usize = 90;

/// Those that no test notices, a line each: the file, what was changed, ` -- `, and why that is so.
const SURVIVORS: &str = "xtask/survivors.txt";

/// Names the variable with what cargo runs tests by: `-Zunstable-options` is for the tests alone, not for the compiler.
const RUNNER: &str = "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER";

/// What became of a set.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    noticed: usize,
    /// As `FILE: CHANGE`, without a line's number.
    survivors: BTreeSet<String>,
}

impl Tally {
    fn percent(&self) -> usize {
        let all = self.noticed + self.survivors.len();
        (self.noticed * 100).checked_div(all).unwrap_or(0)
    }
}

/// What became of both sets.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Sets of which enough mutants were noticed, and whose survivors have a reason.
    pub passed: u32,
    /// Why another set is none of these: sentences.
    pub failed: Vec<String>,
    /// Why none was run.
    pub skipped: Option<String>,
}

/// Tests every mutant of the two sets that no earlier run saw noticed.
///
/// # Errors
/// When `cargo mutants` cannot be run.
pub fn run() -> Result<Outcome> {
    let mut outcome = Outcome::default();
    if output_of("cargo", &["mutants", "--version"]).is_err() {
        outcome.skipped =
            Some("mutants: there is no cargo-mutants: run `cargo install cargo-mutants`".into());
        return Ok(outcome);
    }
    let reasons = reasons(&checkout::file(SURVIVORS))?;
    for (name, options) in [("decisions", decisions()), ("sample", sample()?)] {
        let tally = test(name, &options)?;
        println!(
            "{name}: {} % of {} mutants are noticed",
            tally.percent(),
            tally.noticed + tally.survivors.len()
        );
        let unknown: Vec<&String> = tally.survivors.difference(&reasons).collect();
        match unknown.as_slice() {
            [] if tally.percent() >= NOTICED_PERCENT => outcome.passed += 1,
            [] => outcome.failed.push(format!(
                "{name}: {} % are noticed, under {NOTICED_PERCENT} %",
                tally.percent()
            )),
            unknown => outcome.failed.push(format!(
                "{name}: no test notices these, and {SURVIVORS} has no reason: {unknown:#?}"
            )),
        }
    }
    Ok(outcome)
}

fn decisions() -> Vec<String> {
    let mut options = ["--package", "livepatch", "--exclude-re", DANGEROUS]
        .map(str::to_owned)
        .to_vec();
    for file in DECISIONS {
        options.push("--file".into());
        options.push(format!("probe-user/crates/livepatch/src/{file}"));
    }
    options
}

/// Names each mutant of the sample: a shard of cargo-mutants would be one of those that are left, and so others each time.
fn sample() -> Result<Vec<String>> {
    let packages = CRATES.iter();
    let packages = packages.flat_map(|name| ["--package".to_owned(), (*name).to_owned()]);
    let mut options: Vec<String> = packages.collect();
    let all = list(&options)?;
    let is_safe = |name: &&String| !name.contains(DANGEROUS);
    let chosen = all.iter().filter(is_safe).filter(|name| is_in_sample(name));
    options.extend(chosen.flat_map(|name| ["--re".to_owned(), format!("^{}$", literal(name))]));
    Ok(options)
}

/// Lists the mutants that these options choose.
fn list(options: &[String]) -> Result<Vec<String>> {
    let list = [&["mutants".to_owned(), "--list".to_owned()][..], options].concat();
    let all = output_of("cargo", &list)?;
    Ok(all.lines().map(str::to_owned).collect())
}

/// Returns whether a mutant is in the sample: by its file and change alone, so that an edit elsewhere changes no other's
/// lot (FNV-1a).
fn is_in_sample(name: &str) -> bool {
    let hash = without_place(name)
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    hash.is_multiple_of(ONE_OF)
}

/// Returns the regular expression that a text alone matches.
fn literal(text: &str) -> String {
    let mut expression = String::new();
    for letter in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(letter) {
            expression.push('\\');
        }
        expression.push(letter);
    }
    expression
}

/// Tests the mutants of a set; those that an earlier run saw noticed are left out.
fn test(name: &str, options: &[String]) -> Result<Tally> {
    let results = checkout::folder()?.join("target/mutants").join(name);
    fs::create_dir_all(&results).with_context(|| format!("cannot make {}", results.display()))?;
    remember_unviable(&results)?;
    let status = Command::new("cargo")
        .args([
            "mutants",
            "--iterate",
            "--no-shuffle",
            "--colors",
            "never",
            // What is waited for in vain counts as noticed: beside other work, tests that end take minutes too.
            "--minimum-test-timeout",
            "180",
            "--jobs",
            "2",
            "--output",
        ])
        .arg(&results)
        .args(options)
        .current_dir(checkout::folder()?)
        // Each job builds in its own copy of the checkout.
        .env_remove("CARGO_TARGET_DIR")
        .env(RUNNER, "env RUSTC_BOOTSTRAP=1")
        .stdin(Stdio::null())
        .status()
        .context("cargo mutants cannot be run")?;
    // 2: some are not noticed; 3: some were waited for in vain.
    ensure!(
        matches!(status.code(), Some(0 | 2 | 3)),
        "cargo mutants ended with {status}"
    );
    tally(&results, &list(options)?)
}

/// Where cargo-mutants writes what became of its last run.
const LAST_RUN: &str = "mutants.out";

/// What did not compile in earlier runs: cargo-mutants has these among those that were caught before.
const UNVIABLE: &str = "unviable.txt";

fn remember_unviable(results: &Path) -> Result<()> {
    let mut all: BTreeSet<String> = lines(&results.join(UNVIABLE))?.into_iter().collect();
    all.extend(lines(&results.join(LAST_RUN).join(UNVIABLE))?);
    let text = Vec::from_iter(all).join("\n");
    let path = results.join(UNVIABLE);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Returns the lines of a file; none where it is not there.
fn lines(path: &Path) -> Result<Vec<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => bail!("{} cannot be read: {error}", path.display()),
    }
}

/// Counts those of `chosen`: cargo-mutants remembers others of earlier runs, whose lines have moved since.
fn tally(results: &Path, chosen: &[String]) -> Result<Tally> {
    let chosen: BTreeSet<&String> = chosen.iter().collect();
    let last_run = results.join(LAST_RUN);
    let unviable: BTreeSet<String> = lines(&results.join(UNVIABLE))?.into_iter().collect();
    let mut tally = Tally::default();
    for file in ["caught.txt", "timeout.txt", "previously_caught.txt"] {
        let noticed = lines(&last_run.join(file))?;
        let noticed = noticed
            .iter()
            .filter(|line| !unviable.contains(*line) && chosen.contains(line));
        tally.noticed += noticed.count();
    }
    tally.survivors = lines(&last_run.join("missed.txt"))?
        .iter()
        .map(|line| without_place(line))
        .collect();
    Ok(tally)
}

/// `FILE:LINE:COLUMN: CHANGE` without line and column, which move with every edit.
fn without_place(line: &str) -> String {
    let mut parts = line.splitn(4, ':');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(file), Some(_), Some(_), Some(change)) => format!("{file}:{change}"),
        _ => line.to_owned(),
    }
}

/// Returns the mutants that have a reason.
fn reasons(file: &Path) -> Result<BTreeSet<String>> {
    let text =
        fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let split = line.split_once(" -- ");
            let (mutant, _) = split.with_context(|| format!("{line:?} has no reason"))?;
            Ok(mutant.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_matched_by_itself_alone() {
        let name = "src/a.rs:7:8: replace | with ^ in <impl A for B>::c";
        let expected = r"src/a\.rs:7:8: replace \| with \^ in <impl A for B>::c";
        assert_eq!(literal(name), expected);
    }

    #[test]
    fn an_edit_elsewhere_changes_no_mutants_lot() {
        let names: Vec<String> = (0..1_100)
            .map(|n| format!("src/a.rs:{n}:1: change {n}"))
            .collect();
        let chosen = names.iter().filter(|name| is_in_sample(name)).count();
        assert!((70..=130).contains(&chosen), "{chosen}");
        for name in names {
            let moved = name.replace(":1:", ":7:");
            assert_eq!(is_in_sample(&name), is_in_sample(&moved), "{name}");
        }
    }

    #[test]
    fn what_is_noticed_is_counted_and_a_survivor_keeps_its_name_when_lines_move() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(LAST_RUN)).unwrap();
        let write = |file: &str, text: &str| {
            fs::write(folder.path().join(LAST_RUN).join(file), text).unwrap();
        };
        write("unviable.txt", "a.rs:7:8: z\n");
        remember_unviable(folder.path()).unwrap();
        write("unviable.txt", "");
        write("caught.txt", "a.rs:1:2: replace f -> bool with true\n");
        write(
            "previously_caught.txt",
            "a.rs:3:4: x\na.rs:5:6: y\na.rs:7:8: z\na.rs:9:9: moved\n",
        );
        write("missed.txt", "a/b.rs:71:9: replace g -> a::B with None\n");
        let chosen = [
            "a.rs:1:2: replace f -> bool with true",
            "a.rs:3:4: x",
            "a.rs:5:6: y",
            "a.rs:7:8: z",
            "a/b.rs:71:9: replace g -> a::B with None",
        ];
        let found = tally(folder.path(), &chosen.map(str::to_owned)).unwrap();
        assert_eq!((found.noticed, found.percent()), (3, 75));
        let one = "a/b.rs: replace g -> a::B with None".to_owned();
        assert_eq!(found.survivors, [one.clone()].into());
        let file = folder.path().join("survivors.txt");
        fs::write(&file, format!("{one} -- it changes nothing\n\n")).unwrap();
        assert_eq!(reasons(&file).unwrap(), [one].into());
        fs::write(&file, "a.rs: replace f\n").unwrap();
        assert!(reasons(&file).is_err());
        assert_eq!(Tally::default().percent(), 0, "nothing was tested");
    }

    #[test]
    fn every_kept_survivor_has_a_reason() {
        reasons(&checkout::file(SURVIVORS)).unwrap();
    }
}
