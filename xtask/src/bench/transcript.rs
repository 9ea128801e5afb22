//! What `guest.sh` says, read.

use anyhow::{Context, Result, bail, ensure};

use super::{RUNS, What};

/// Everything a guest said.
#[derive(Debug, Default)]
pub struct Transcript {
    /// The kernel's release.
    pub kernel: String,
    /// In the order they were made.
    pub attachments: Vec<Attachment>,
}

/// Something attached, left there and detached.
#[derive(Debug)]
pub struct Attachment {
    /// What was attached.
    pub what: What,
    /// Where a program attached it.
    pub start_to_attached: Option<StartToAttached>,
    /// How long each run took that lay between attached and detaching.
    during: Vec<u64>,
    /// How long each took that began after everything was detached.
    after: Vec<u64>,
}

/// From a program's start to its last probe in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartToAttached {
    /// Guest time without the idle time in it: instructions, of whatever ran, the kernel's threads and interrupts
    /// included.
    pub busy_ns: u64,
    /// Guest time.
    pub elapsed_ns: u64,
}

impl Attachment {
    /// The first run after attaching.
    pub fn first(&self) -> Result<u64> {
        self.during.first().copied().with_context(|| format!("there was no run with {:?} attached", self.what))
    }

    /// As many of the others as are compared.
    pub fn rest(&self) -> Result<Vec<u64>> {
        let rest = self.during.get(1..=RUNS).with_context(|| {
            format!("only {} runs were seen with {:?} attached, {} are needed", self.during.len(), self.what, RUNS + 1)
        })?;
        Ok(rest.to_vec())
    }

    /// The last run after detaching.
    pub fn last_after(&self) -> Result<u64> {
        self.after.last().copied().with_context(|| format!("there was no run after {:?} was detached", self.what))
    }
}

/// Reads everything a guest said.
pub fn parse(text: &str) -> Result<Transcript> {
    let mut transcript = Transcript::default();
    let mut parts = text.split("attaching ");
    let head = parts.next().unwrap_or_default();
    transcript.kernel = head.trim().strip_prefix("kernel ").context("the guest does not name its kernel")?.to_owned();
    for part in parts {
        let (name, lines) = part.split_once('\n').unwrap_or((part, ""));
        transcript.attachments.push(attachment(name, lines).with_context(|| format!("in what was said of {name}"))?);
    }
    Ok(transcript)
}

fn attachment(name: &str, lines: &str) -> Result<Attachment> {
    let what = serde_json::from_value(name.into()).context("nobody asked for it")?;
    let (mut events, mut runs) = (Vec::new(), Vec::new());
    for line in lines.lines() {
        match line.split_once(' ') {
            Some(("event", event)) => events.extend(self::event(event)?),
            Some(("run", run)) => runs.push(self::run(run)?),
            _ => bail!("{line:?} is neither an event nor a run"),
        }
    }
    let moment = |wanted: &str| {
        let at = events.iter().rev().find(|event| matches!(event.what, Happened::Mark(mark) if mark == wanted));
        at.map(|event| event.at_ns).with_context(|| format!("the moment {wanted:?} is missing"))
    };
    let (detaching, detached) = (moment("detaching")?, moment("detached")?);
    let accepted = events.iter().rfind(|event| event.what == Happened::Accepted && event.at_ns < detaching);
    let attached = accepted.map_or_else(|| moment("attached"), |event| Ok(event.at_ns))?;
    let start_to_attached = accepted.map(|accepted| start_to_attached(&events, accepted)).transpose()?;
    let lasted = |inside: &dyn Fn(&Run) -> bool| runs.iter().filter(|run| inside(run)).map(|run| run.lasted).collect();
    Ok(Attachment {
        what,
        start_to_attached,
        during: lasted(&|run| run.begin > attached && run.begin + run.lasted < detaching),
        after: lasted(&|run| run.begin > detached),
    })
}

/// The time from the `exec` of the task whose probe was accepted last.
fn start_to_attached(events: &[Event], accepted: &Event) -> Result<StartToAttached> {
    let started = events.iter().rfind(|event| event.what == Happened::Exec && event.task == accepted.task);
    let started = started.with_context(|| format!("task {} attached something and was never started", accepted.task))?;
    let (mut idle_ns, mut since) = (0, None);
    for event in events.iter().filter(|event| (started.at_ns..=accepted.at_ns).contains(&event.at_ns)) {
        match event.what {
            Happened::IdleBegins => since = Some(event.at_ns),
            Happened::IdleEnds => idle_ns += since.take().map_or(0, |since| event.at_ns - since),
            _ => {}
        }
    }
    let elapsed_ns = accepted.at_ns - started.at_ns;
    Ok(StartToAttached { busy_ns: elapsed_ns - idle_ns, elapsed_ns })
}

/// A run as truth.sh tells it.
struct Run {
    begin: u64,
    lasted: u64,
}

fn run(line: &str) -> Result<Run> {
    let mut numbers = line.split(' ').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(begin)), Some(Ok(lasted))) => Ok(Run { begin, lasted }),
        _ => bail!("{line:?} is no run"),
    }
}

/// An event of the kernel's, as its trace has it.
#[derive(Debug, PartialEq, Eq)]
struct Event<'a> {
    at_ns: u64,
    task: u32,
    what: Happened<'a>,
}

#[derive(Debug, PartialEq, Eq)]
enum Happened<'a> {
    /// A task became another program.
    Exec,
    /// A BPF program was accepted for an event.
    Accepted,
    /// Nothing was left to run.
    IdleBegins,
    /// Something was there to run again.
    IdleEnds,
    /// A word from the script.
    Mark(&'a str),
}

/// Reads `COMM-PID [CPU] FLAGS SECONDS.MICROSECONDS: NAME: FIELDS`; `None` for what is of no interest.
fn event(line: &str) -> Result<Option<Event<'_>>> {
    let parts = || {
        let (head, rest) = line.split_once(": ")?;
        let (name, fields) = rest.split_once(": ")?;
        let mut head = head.split_whitespace().rev();
        let (at, _flags, _cpu) = (head.next()?, head.next()?, head.next()?);
        let (seconds, fraction) = at.split_once('.')?;
        let at_ns = seconds.parse::<u64>().ok()? * 1_000_000_000 + fraction.parse::<u64>().ok()? * 1_000;
        let task = head.next()?.rsplit('-').next()?.parse().ok()?;
        Some((at_ns, task, name, fields))
    };
    let (at_ns, task, name, fields) = parts().with_context(|| format!("{line:?} is no event"))?;
    ensure!(!line.contains("LOST"), "the kernel lost events");
    let what = match name {
        "sched_process_exec" => Happened::Exec,
        "accepted" if fields.contains("result=0") => Happened::Accepted,
        "sched_switch" if fields.contains(" next_pid=0 ") => Happened::IdleBegins,
        "sched_switch" => Happened::IdleEnds,
        "tracing_mark_write" => Happened::Mark(fields.trim()),
        _ => return Ok(None),
    };
    Ok(Some(Event { at_ns, task, what }))
}
