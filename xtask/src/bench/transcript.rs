//! What `guest.sh` says, read.

use anyhow::{Context, Result, bail, ensure};

use super::{RUNS, What};
use crate::ground_truth::{self, Run};

/// Runs that must be seen after detaching.
const AFTERWARDS: usize = 3;

/// Everything a guest said.
#[derive(Debug)]
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
    /// What timers took with what the softirq does around them.
    pub softirqs: Softirqs,
}

/// How long timers took with what the softirq does around them, while something was attached.
#[derive(Debug, Default)]
pub struct Softirqs {
    /// Runs of the estimator.
    pub runs: Vec<u64>,
    /// Another timer, which always does the same.
    pub others: Vec<u64>,
}

impl Softirqs {
    fn add(&mut self, line: &str) -> Result<()> {
        let (which, lasted) = line.split_once(' ').context("a softirq without a time")?;
        let lasted = lasted.parse().context("its time is no number")?;
        match which {
            "run" => self.runs.push(lasted),
            "other" => self.others.push(lasted),
            _ => bail!("{which:?} is no timer"),
        }
        Ok(())
    }
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
        self.during
            .first()
            .copied()
            .with_context(|| format!("there was no run with {:?} attached", self.what))
    }

    /// As many of the others as are compared.
    pub fn rest(&self) -> Result<Vec<u64>> {
        let rest = self.during.get(1..=RUNS).with_context(|| {
            format!(
                "only {} runs were seen with {:?} attached, {} are needed",
                self.during.len(),
                self.what,
                RUNS + 1
            )
        })?;
        Ok(rest.to_vec())
    }

    /// The runs after detaching: enough that an interrupt in one of them does not matter.
    pub fn after(&self) -> Result<Vec<u64>> {
        ensure!(
            self.after.len() >= AFTERWARDS,
            "only {} runs were seen after {:?} was detached, {AFTERWARDS} are needed",
            self.after.len(),
            self.what
        );
        Ok(self.after.clone())
    }
}

/// Reads everything a guest said.
pub fn parse(text: &str) -> Result<Transcript> {
    let mut parts = text.split("attaching ");
    let head = parts.next().unwrap_or_default().trim();
    let kernel = head
        .strip_prefix("kernel ")
        .context("the guest does not name its kernel")?;
    let mut transcript = Transcript {
        kernel: kernel.to_owned(),
        attachments: Vec::new(),
    };
    for part in parts {
        let (name, lines) = part.split_once('\n').unwrap_or((part, ""));
        transcript
            .attachments
            .push(attachment(name, lines).with_context(|| format!("in what was said of {name}"))?);
    }
    Ok(transcript)
}

fn attachment(name: &str, lines: &str) -> Result<Attachment> {
    let what = serde_json::from_value(name.into()).context("nobody asked for it")?;
    let (mut events, mut runs) = (Vec::new(), Vec::new());
    let mut softirqs = Softirqs::default();
    for line in lines.lines() {
        match line.split_once(' ') {
            Some(("event", event)) => events.extend(self::event(event)?),
            Some(("run", run)) => runs.extend(ground_truth::parse(run)?),
            Some(("softirq", softirq)) => softirqs.add(softirq)?,
            _ => bail!("{line:?} is neither an event nor a run, nor a softirq"),
        }
    }
    let moment = |wanted: &str| {
        let at = events
            .iter()
            .rev()
            .find(|event| matches!(event.what, Happened::Mark(mark) if mark == wanted));
        at.map(|event| event.at_ns)
            .with_context(|| format!("the moment {wanted:?} is missing"))
    };
    let (detaching, detached) = (moment("detaching")?, moment("detached")?);
    let accepted = events
        .iter()
        .rfind(|event| event.what == Happened::Accepted && event.at_ns < detaching);
    let attached = accepted.map_or_else(|| moment("attached"), |event| Ok(event.at_ns))?;
    let start_to_attached = accepted
        .map(|accepted| start_to_attached(&events, accepted))
        .transpose()?;
    let lasted = |inside: &dyn Fn(&Run) -> bool| {
        runs.iter()
            .filter(|run| inside(run))
            .map(|run| run.lasted_ns)
            .collect()
    };
    Ok(Attachment {
        what,
        softirqs,
        start_to_attached,
        during: lasted(&|run| run.begin_ns > attached && run.end_ns() < detaching),
        after: lasted(&|run| run.begin_ns > detached),
    })
}

/// The time from the `exec` of the task whose probe was accepted last.
fn start_to_attached(events: &[Event], accepted: &Event) -> Result<StartToAttached> {
    let started = events
        .iter()
        .rfind(|event| event.what == Happened::Exec && event.task == accepted.task);
    let started = started.with_context(|| {
        format!(
            "task {} attached something and was never started",
            accepted.task
        )
    })?;
    let (mut idle_ns, mut since) = (0, None);
    for event in events
        .iter()
        .filter(|event| (started.at_ns..=accepted.at_ns).contains(&event.at_ns))
    {
        match event.what {
            Happened::IdleBegins => since = Some(event.at_ns),
            Happened::IdleEnds => idle_ns += since.take().map_or(0, |since| event.at_ns - since),
            _ => {}
        }
    }
    let elapsed_ns = accepted.at_ns - started.at_ns;
    Ok(StartToAttached {
        busy_ns: elapsed_ns - idle_ns,
        elapsed_ns,
    })
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
        let at_ns =
            seconds.parse::<u64>().ok()? * 1_000_000_000 + fraction.parse::<u64>().ok()? * 1_000;
        let task = head.next()?.rsplit('-').next()?.parse().ok()?;
        Some((at_ns, task, name, fields))
    };
    let (at_ns, task, name, fields) = parts().with_context(|| format!("{line:?} is no event"))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
kernel 6.1.0-56-amd64
attaching nothing
event               sh-93      [000] .....     2.368332: tracing_mark_write: attached
event            sleep-98      [000] .....     2.368773: sched_process_exec: filename=/usr/bin/sleep pid=98 old_pid=98
event               sh-93      [000] .....    27.370020: tracing_mark_write: detaching
event               sh-93      [000] .....    27.370078: tracing_mark_write: detached
run 2368331999 9 0
run 3484006284 388763 0
run 27370019000 2000 0
run 27370079000 388773 0
attaching watch
event            sleep-121     [000] .....    95.804712: sched_process_exec: filename=/usr/bin/sleep pid=121 old_pid=121
event     ipvs-latency-120     [000] .....    95.806301: sched_process_exec: filename=/usr/bin/ipvs-latency pid=120 old_pid=120
event     ipvs-latency-120     [000] d..2.    95.900000: sched_switch: prev_comm=ipvs-latency prev_pid=120 prev_prio=120 prev_state=S ==> next_comm=swapper/0 next_pid=0 next_prio=120
event           <idle>-0       [000] d..2.    95.990000: sched_switch: prev_comm=swapper/0 prev_pid=0 prev_prio=120 prev_state=R ==> next_comm=kworker/0:1-x y next_pid=8 next_prio=120
event     ipvs-latency-120     [000] .....    96.025499: accepted: (perf_event_attach_bpf_prog+0x7b/0x160 <- bpf_prog_array_copy) result=0
event     ipvs-latency-120     [000] .....    96.028297: accepted: (perf_event_attach_bpf_prog+0x7b/0x160 <- bpf_prog_array_copy) result=0
event     ipvs-latency-120     [000] .....    96.028299: accepted: (perf_event_attach_bpf_prog+0x7b/0x160 <- bpf_prog_array_copy) result=-17
event               sh-93      [000] .....   120.805944: tracing_mark_write: detaching
event     ipvs-latency-120     [000] .....   120.905944: accepted: (perf_event_detach_bpf_prog+0x6b/0x100 <- bpf_prog_array_copy) result=0
event               sh-93      [000] .....   121.043468: tracing_mark_write: detached
run 96220003651 390156 0
run 98236003455 390171 0
softirq run 391000
softirq other 1108
softirq other 1109
";

    #[test]
    fn runs_are_those_between_attached_and_detaching_and_after_detached() -> Result<()> {
        let transcript = parse(SAID)?;
        assert_eq!(transcript.kernel, "6.1.0-56-amd64");
        let [nothing, watch] = transcript.attachments.as_slice() else {
            bail!("two were attached")
        };
        assert_eq!(
            (nothing.what, &nothing.during[..], &nothing.after[..]),
            (What::Nothing, &[388_763][..], &[388_773][..])
        );
        assert_eq!(
            (watch.what, &watch.during[..], watch.after.len()),
            (What::Watch, &[390_156, 390_171][..], 0)
        );
        assert_eq!(
            (&watch.softirqs.runs[..], &watch.softirqs.others[..]),
            (&[391_000][..], &[1_108, 1_109][..])
        );
        assert!(watch.first().is_ok() && watch.rest().is_err() && watch.after().is_err());
        Ok(())
    }

    #[test]
    fn a_program_is_attached_with_the_last_probe_before_the_detaching_and_idle_time_is_no_instructions()
    -> Result<()> {
        let transcript = parse(SAID)?;
        let starts: Vec<_> = transcript
            .attachments
            .iter()
            .map(|attachment| attachment.start_to_attached)
            .collect();
        let watch = StartToAttached {
            busy_ns: 131_996_000,
            elapsed_ns: 221_996_000,
        };
        assert_eq!(starts, [None, Some(watch)]);
        Ok(())
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "",
            "attaching nothing\n",
            "kernel 6.1\nattaching wings\n",
            "kernel 6.1\nattaching nothing\nrun 1\n",
            "kernel 6.1\nattaching nothing\nsoftirq run\n",
            "kernel 6.1\nattaching nothing\nsoftirq other many\n",
            "kernel 6.1\nattaching nothing\nsoftirq block 7\n",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        let unmarked = parse("kernel 6.1\nattaching nothing\nrun 1 2 0\n").unwrap_err();
        assert_eq!(
            format!("{unmarked:#}"),
            "in what was said of nothing: the moment \"detaching\" is missing"
        );
    }
}
