//! What tests in guests share: a script run in the lab, its output cut into sections, and the records of
//! `ipvs-latency watch --json` among them.

use std::{collections::BTreeMap, fs::OpenOptions, io::Write as _};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{
    ground_truth::{self, Run},
    kernel,
    lab::LabSpec,
};

/// Names the file that tests note their skips in, a line each.
pub const SKIPS: &str = "IPVS_LATENCY_SKIPS";

/// What a script in a guest printed: sections that begin with a line `== NAME`.
#[derive(Debug)]
pub struct Sections {
    sections: BTreeMap<String, String>,
    /// Standard error and console, to be shown when a test fails.
    pub noise: String,
}

/// Runs `script` in a guest of `spec`, with ground truth and `ipvs-latency` at hand.
///
/// # Errors
/// When the guest fails, or the script ends with another code than 0.
pub fn run(mut spec: LabSpec, script: &str) -> Result<Sections> {
    spec.copies.push(ground_truth::script());
    let script = format!(". {}\n{script}", ground_truth::SCRIPT);
    let outcome = spec.run(&["sh", "-c", script.as_str()])?;
    let noise = format!(
        "--- stderr\n{}\n--- console\n{}",
        String::from_utf8_lossy(&outcome.stderr),
        outcome.console
    );
    let stdout = String::from_utf8(outcome.stdout).context("the script printed no text")?;
    ensure!(
        outcome.code == 0,
        "the script ended with {} ({}):\n{stdout}\n{noise}",
        outcome.code,
        outcome.notice.as_deref().unwrap_or("by itself"),
    );
    ensure!(
        !["WARNING:", "BUG:", "Oops"]
            .iter()
            .any(|word| noise.contains(word)),
        "the kernel complained:\n{noise}"
    );
    Ok(Sections::cut(&stdout, noise))
}

impl Sections {
    fn cut(stdout: &str, noise: String) -> Self {
        let mut sections = BTreeMap::new();
        let mut current = String::new();
        for line in stdout.lines() {
            if let Some(name) = line.strip_prefix("== ") {
                name.clone_into(&mut current);
            }
            let text: &mut String = sections.entry(current.clone()).or_default();
            if !line.starts_with("== ") {
                text.push_str(line);
                text.push('\n');
            }
        }
        Self { sections, noise }
    }

    /// The text of a section.
    ///
    /// # Errors
    /// When the script printed none of that name.
    pub fn text(&self, name: &str) -> Result<&str> {
        let text = self.sections.get(name);
        text.map(String::as_str)
            .with_context(|| format!("there is no section {name:?} in {self:?}"))
    }

    /// The runs of a section that `truth_runs` printed.
    ///
    /// # Errors
    /// When it holds something else.
    pub fn truth(&self, name: &str) -> Result<Vec<Run>> {
        ground_truth::parse(self.text(name)?)
    }

    /// The records of a section that `ipvs-latency watch --json` printed.
    ///
    /// # Errors
    /// When it holds something else than whole records.
    pub fn watched(&self, name: &str) -> Result<Watched> {
        Watched::parse(self.text(name)?)
    }
}

/// Calls told and runs traced, held against each other.
struct Paired<'a> {
    pairs: Vec<(&'a Value, Run)>,
    /// Runs of the window that no call is.
    unseen: Vec<Run>,
}

/// A thread's runs are tens of milliseconds apart: what is nearer is the same run.
const SAME_RUN_NS: u64 = 5_000_000;

/// What `ipvs-latency watch --json` told.
#[derive(Debug)]
pub struct Watched {
    /// Every record.
    pub records: Vec<Value>,
}

impl Watched {
    /// Reads what `ipvs-latency watch --json` printed.
    ///
    /// # Errors
    /// When it holds something else than whole records.
    pub fn parse(lines: &str) -> Result<Self> {
        let records: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("no record: {line}")))
            .collect::<Result<_>>()?;
        for record in &records {
            ensure!(record["schema"] == 1, "a record without schema 1: {record}");
        }
        Ok(Self { records })
    }

    /// The records of one type.
    pub fn of(&self, kind: &str) -> impl Iterator<Item = &Value> + use<'_> {
        let kind = kind.to_owned();
        self.records
            .iter()
            .filter(move |record| record["type"] == kind.as_str())
    }

    /// The one record of a type.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn only(&self, kind: &str) -> Result<&Value> {
        let mut records = self.of(kind);
        match (records.next(), records.next()) {
            (Some(record), None) => Ok(record),
            (first, _) => bail!("not one record {kind}: {first:?} of {:?}", self.records),
        }
    }

    /// From when on, and until when, every run must have been seen.
    ///
    /// # Errors
    /// When the stream has no beginning or no end.
    pub fn window(&self) -> Result<std::ops::Range<u64>> {
        let start = number(self.only("start")?, "start_ns")?;
        let observed = number(self.only("summary")?, "observed_ns")?;
        Ok(start..start + observed)
    }

    /// Each call with the run that it must be: the one in whose time it began, on the same CPU.
    ///
    /// # Errors
    /// When a call is no run, or two calls are the same run.
    fn paired(&self, truth: &[Run]) -> Result<Paired<'_>> {
        let window = self.window()?;
        // A CPU runs one at a time.
        let mut left: BTreeMap<(u64, u64), Run> = truth
            .iter()
            .map(|run| ((u64::from(run.cpu), run.begin_ns), *run))
            .collect();
        let mut pairs = Vec::new();
        for call in self.of("call") {
            let (start, cpu) = (number(call, "start_ns")?, number(call, "cpu")?);
            let run = left.range((cpu, 0)..=(cpu, start)).next_back();
            let run = run.filter(|(_, run)| start < run.end_ns());
            let key = run.map(|(key, _)| *key);
            let run = key.and_then(|key| left.remove(&key));
            let run = run.with_context(|| format!("the tracepoints saw no run for {call}"))?;
            pairs.push((call, run));
        }
        let mut left: Vec<Run> = left.into_values().collect();
        left.retain(|run| window.contains(&run.begin_ns) && run.end_ns() < window.end);
        Ok(Paired {
            pairs,
            unseen: left,
        })
    }

    /// How many runs of the window have no call: as many as the summary tells of as missed.
    ///
    /// # Errors
    /// When it tells of more or fewer, or of lost ones, or a call is no run of its own.
    pub fn missed(&self, truth: &[Run]) -> Result<u64> {
        let unseen = self.paired(truth)?.unseen;
        let summary = self.only("summary")?;
        let missed = number(summary, "missed")?;
        ensure!(number(summary, "lost")? == 0, "lost runs: {summary}");
        ensure!(
            unseen.len() as u64 == missed,
            "{missed} are told as missed, but these runs have no call: {unseen:?}"
        );
        Ok(missed)
    }

    /// Holds the runs over chains against those that the kernel traced (`truth_chains_begin`), in the time in which both were
    /// recorded. Returns how many there were.
    ///
    /// # Errors
    /// When one has no counterpart, or another duration.
    pub fn chains(&self, truth: &[Run]) -> Result<usize> {
        let told = self.of("chain_run");
        let told = told.map(|run| Ok((number(run, "start_ns")?, number(run, "duration_ns")?)));
        let told = told.collect::<Result<Vec<(u64, u64)>>>()?;
        let traced: Vec<(u64, u64)> = truth
            .iter()
            .map(|run| (run.begin_ns, run.lasted_ns))
            .collect();
        let begin = [&told, &traced].map(|runs| runs.iter().min()).into_iter();
        let end = [&told, &traced].map(|runs| runs.iter().max()).into_iter();
        let bounds = begin.flatten().max().zip(end.flatten().min());
        let (begin, end) = bounds.context("watch showed no run, or the kernel traced none")?;
        // Either may have begun or ended amid a run.
        let window = begin.0 + SAME_RUN_NS..end.0.saturating_sub(SAME_RUN_NS);
        let within = |runs: &[(u64, u64)]| -> Vec<(u64, u64)> {
            let runs = runs.iter().filter(|(start, _)| window.contains(start));
            runs.copied().collect()
        };
        let (told, traced) = (within(&told), within(&traced));
        let is_near = |one: u64, other: u64| one.abs_diff(other) < SAME_RUN_NS;
        let mut pairs = told.iter().zip(&traced);
        let are_same =
            pairs.all(|(told, traced)| is_near(told.0, traced.0) && is_near(told.1, traced.1));
        ensure!(
            told.len() == traced.len() && are_same,
            "shown {told:?}, traced {traced:?}"
        );
        Ok(told.len())
    }

    /// Each call with the run that it must be.
    ///
    /// # Errors
    /// When a call is no run, two calls are the same run, or a run of the window has no call.
    pub fn matched(&self, truth: &[Run]) -> Result<Vec<(&Value, Run)>> {
        let Paired { pairs, unseen } = self.paired(truth)?;
        ensure!(unseen.is_empty(), "runs without a call: {unseen:?}");
        Ok(pairs)
    }
}

/// The number in a field of a record.
///
/// # Errors
/// When there is none.
pub fn number(record: &Value, field: &str) -> Result<u64> {
    let number = record[field].as_u64();
    number.with_context(|| format!("no number {field} in {record}"))
}

/// Whether a kernel of that line can be had here. Where it cannot, the test is noted as skipped, with the
/// reason, and is to return.
///
/// # Panics
/// When the kernel is to be had and fetching it fails.
#[must_use]
pub fn available(line: kernel::Line) -> bool {
    match kernel::fetch(&line) {
        Ok(_) => true,
        Err(kernel::Error::Failed(error)) => panic!("kernel {line}: {error:#}"),
        Err(unavailable) => {
            skip(&format!("kernel {line}: {unavailable}"));
            false
        }
    }
}

/// Notes that a test, or a part of it, was skipped for that reason.
///
/// # Panics
/// When the note cannot be written where tests note their skips.
pub fn skip(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let note = format!("{test}: {reason}");
    eprintln!("skipped: {note}");
    if let Some(file) = std::env::var_os(SKIPS) {
        let file = OpenOptions::new().append(true).create(true).open(file);
        let noted = file.and_then(|mut file| writeln!(file, "{note}"));
        noted.expect("a skip that is not counted is no skip");
    }
}
