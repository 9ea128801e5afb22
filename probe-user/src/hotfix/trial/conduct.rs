//! The course of a trial, from the first look to the last.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context as _, bail};

use super::{
    document::Document,
    head::{Head, Request},
    judge,
    outcome::{Host, Outcome},
    plan::Plan,
    question,
    side::{self, Interrupted, Side},
    subject::Subject,
    surroundings::{Ours, Surroundings},
    verdict::Judgement,
};
use crate::hotfix::site::Site;
use crate::{
    cli::ColorWhen,
    hotfix::{
        change::Change,
        drive::Drive,
        ending::Ending,
        findings::Finding,
        period,
        progress::{say, speak_on_stage},
        witness::Witness,
    },
    watch,
};
use host::{inhabitants::Inhabitants, prerequisites, time};
use model::{NamespaceView, State};
use monitor::{SoftirqProbe, timers};

/// The kernel sets the timer for this long (`mod_timer(&ipvs->est_timer, jiffies + 2*HZ)`), and its wheel rounds up by
/// 16 ms at HZ=250 (`net/netfilter/ipvs/ip_vs_est.c`, `kernel/time/timer.c` of Linux 6.1).
const USUAL_PERIOD_NS: u64 = 2_016_000_000;

/// A trial that nothing speaks against.
pub struct Conduct<'a> {
    plan: &'a Plan,
    site: Site,
    root_netns: Option<u32>,
    subject: Subject,
    drive: Drive,
    /// As they were before anything was changed.
    surroundings: Surroundings,
    softirq: Option<SoftirqProbe>,
    before: Option<Side>,
    after: Option<Side>,
    rolled_back: Option<Side>,
}

impl<'a> Conduct<'a> {
    /// Attaches the probes, tells what is planned and asks. Nothing is changed yet.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn prepare(
        plan: &'a Plan,
        mut subject: Subject,
        yes: bool,
        color: ColorWhen,
        site: &Site,
    ) -> anyhow::Result<Self> {
        let name = subject.name().to_owned();
        let notes = subject.hotfix().map(|hotfix| &hotfix.notes);
        for Finding { name, text } in notes.into_iter().flatten() {
            say(&format!("note {name}: {text}."));
        }
        let timers = timers::read(&site.root).with_context(|| format!("{name} is not applied"))?;
        let dead_before = timers::dead(&timers);
        let mut witness =
            Witness::start(&site.root).with_context(|| format!("{name} is not applied"))?;
        subject.find(&site.root, &witness)?;
        let found_ns = longest_period(witness.namespaces(), &dead_before)?;
        if plan.needs(found_ns) > plan.max_wait {
            bail!(
                "{name} is not applied: the estimators run {} apart now, so {} runs take {}, longer than --max-wait {}: \
                 raise that, or lower --runs",
                period::shown(found_ns),
                plan.runs,
                humantime::format_duration(plan.needs(found_ns)),
                humantime::format_duration(plan.max_wait)
            );
        }
        let under_ns = subject.period_ns().unwrap_or(found_ns).max(found_ns);
        tell_length(plan, &name, under_ns);
        say(&format!("Breaks: {}", subject.breaks()));
        if !yes {
            question::ask(&subject.question(plan, under_ns))?;
        }
        // Only now: at the question, Ctrl-C ends this at once.
        let mut drive = Drive::new(site.root.clone(), name, plan.timeout)?;
        if !plan.json && watch::is_at_terminal() {
            witness.open_stage(&site.root, color)?;
            speak_on_stage(true);
        }
        let root_netns = Some(witness.watcher().root_netns()).filter(|netns| *netns != 0);
        drive.dead_before = dead_before;
        drive.witness = Some(witness);
        Ok(Self {
            surroundings: Surroundings::of(&drive)
                .context("nothing was changed, because /sys/kernel/livepatch cannot be seen")?,
            root_netns,
            plan,
            site: site.clone(),
            subject,
            drive,
            softirq: softirq_probe(&site.root),
            before: None,
            after: None,
            rolled_back: None,
        })
    }

    /// Measures, changes, measures, and leaves the node as the verdict has it.
    pub fn carry_out(mut self, request: Request) -> Document {
        let outcome = match self.measure("before") {
            Ok(Ok(before)) => {
                let nothing = self.nothing_seen(&before);
                self.before = Some(before);
                nothing.map_or_else(|| self.changed(), Outcome::refused)
            }
            Ok(Err(Interrupted(reason))) => Outcome::aborted(reason, Host::Unchanged),
            Err(error) => Outcome::aborted(format!("{error:#}"), Host::Unchanged),
        };
        self.document(outcome, request)
    }

    /// Returns why the node before the change gives nothing to compare with, if that is so. Nothing was changed yet.
    fn nothing_seen(&self, before: &Side) -> Option<String> {
        let changed = self.subject.changed();
        (!judge::has_runs(&before.runs, changed.as_ref())).then(|| {
            format!(
                "{} is not applied: no run of an estimator was seen before it, so there is nothing to compare with: see \
                 `ipvs-latency check`",
                self.subject.name()
            )
        })
    }

    /// From the change on.
    fn changed(&mut self) -> Outcome {
        let change = self.subject.guard(&self.site);
        let change = match change.and_then(|change| change.guarding(&mut self.drive)) {
            Ok(change) => change,
            Err(error) => return Outcome::refused(format!("{error:#}")),
        };
        self.drive.may_replace = self.subject.ours().may_replace;
        let tried = self.tried(&change).unwrap_or_else(|error| {
            let ending = self.drive.ended(Err(error));
            (Outcome::left(&ending), ending)
        });
        self.end(change, tried)
    }

    fn end(&mut self, change: Change, (mut outcome, ending): (Outcome, Ending)) -> Outcome {
        outcome.is_left = ending.is_left();
        change.end(&ending);
        if self.plan.trial && outcome.host == Host::GivenBack {
            match self.measure("rolled back") {
                Ok(Ok(side)) => self.rolled_back = Some(side),
                Ok(Err(Interrupted(reason))) => outcome.abort(reason),
                Err(error) => outcome.add(&format!(
                    "The runs after the way back cannot be measured: {error:#}"
                )),
            }
        }
        outcome
    }

    /// The change itself: what is to be told, and how it ended for the guard.
    fn tried(&mut self, change: &Change) -> anyhow::Result<(Outcome, Ending)> {
        if self.drive.is_stopped() {
            let reason = "A key or a signal asked to end.".to_owned();
            let ending = Ending::Refused(reason.clone());
            return Ok((Outcome::aborted(reason, Host::Unchanged), ending));
        }
        if let Some(ending) = self.subject.put_in_place(&mut self.drive, change)? {
            return self.not_in_place(ending);
        }
        change.is_in_place();
        let doing = self.tell_side("after");
        let subject = &self.subject;
        let softirq = self.softirq.as_ref();
        let (surroundings, ours) = (&self.surroundings, subject.ours());
        let is_undone = |drive: &Drive| {
            let undone = subject.is_undone(drive);
            undone.or_else(|| surroundings.changed(drive, &ours))
        };
        let measured = side::measure(&mut self.drive, self.plan, &doing, softirq, is_undone)?;
        let mut warnings = Vec::new();
        let mut judged = match measured {
            Ok(after) => {
                let before = self
                    .before
                    .as_ref()
                    .context("nothing was measured before")?;
                let changed = self.subject.changed();
                let changed = changed.as_ref();
                let judged = judge::judge(before, &after, self.plan, changed, self.root_netns);
                warnings = judge::warnings(before, &after, &judged, self.plan);
                warnings.extend(self.drive.log.trouble().map(|trouble| {
                    format!("What the kernel wrote to its log was not all seen {trouble}.")
                }));
                self.after = Some(after);
                judged
            }
            Err(Interrupted(reason)) => Judgement::aborted(reason),
        };
        if judged.verdict.is_kept(self.plan.keep, self.plan.trial) {
            let ending = Ending::Done(format!("{} stays in place", self.subject.name()));
            return Ok((
                Outcome::of(judged, Host::Patched, None).warned(warnings),
                ending,
            ));
        }
        say(&format!(
            "{}: {}; taking it back",
            self.subject.name(),
            judged.verdict
        ));
        change.is_on_its_way_back();
        let ending = self.subject.take_back(&mut self.drive)?;
        let (host, told) = Host::after(&ending);
        // What the kernel says while it is taken back counts, too.
        self.drive.log.read();
        if let Some(line) = self.drive.log.complaint() {
            judged = Judgement::aborted(format!("The kernel complained: {line}."));
        }
        let outcome = Outcome::of(judged, host, Some(told)).warned(warnings);
        Ok((outcome, ending))
    }

    /// It did not get into place.
    fn not_in_place(&mut self, ending: Ending) -> anyhow::Result<(Outcome, Ending)> {
        let ending = match ending {
            // It is there and without effect: not to stay.
            Ending::HalfDone(why) if self.subject.is_there(&self.drive) => {
                say(&format!("{why}; taking it back"));
                let back = self.subject.take_back(&mut self.drive)?;
                let (host, told) = Host::after(&back);
                let judged = Judgement::aborted(why);
                return Ok((Outcome::of(judged, host, Some(told)), back));
            }
            other => other,
        };
        Ok((Outcome::left(&ending), ending))
    }

    fn measure(&mut self, name: &str) -> anyhow::Result<Result<Side, Interrupted>> {
        let doing = self.tell_side(name);
        let softirq = self.softirq.as_ref();
        let ours = Ours {
            name: self.subject.ours().name,
            ..Ours::default()
        };
        let is_changed = |drive: &Drive| self.surroundings.changed(drive, &ours);
        side::measure(&mut self.drive, self.plan, &doing, softirq, is_changed)
    }

    fn tell_side(&self, name: &str) -> String {
        let doing = format!("{}: measuring {name}", self.subject.name());
        say(&format!("{doing}: {} runs", self.plan.runs));
        doing
    }

    fn document(mut self, outcome: Outcome, mut request: Request) -> Document {
        if outcome.is_left {
            self.drive.leave_probes_behind();
        }
        if let Some(witness) = &mut self.drive.witness {
            witness.close_stage();
        }
        speak_on_stage(false);
        if outcome.needs_log() {
            self.drive.say_log();
        }
        let kernel_log = self.drive.kernel_lines();
        // Those of which that cannot be seen may be lost.
        let may_be_lost = || self.drive.may_replace.iter().cloned().collect();
        // The guard still takes back what was left to it.
        let stays = match outcome.host {
            Host::Patched => true,
            Host::NeedsPerson => !outcome.is_left && self.subject.is_there(&self.drive),
            Host::Unchanged | Host::GivenBack => false,
        };
        // What was loaded are these bytes, whatever the file has become meanwhile.
        let loaded = self.subject.hotfix().map(|hotfix| hotfix.sha256.clone());
        request.sha256 = loaded.or(request.sha256);
        let mut inhabitants = Inhabitants::read(&self.site.root);
        if let Some(netns) = self.root_netns {
            inhabitants.set_root_netns(netns);
        }
        let head = Head {
            request,
            name: self.subject.name().to_owned(),
            is_livepatch: self.subject.hotfix().is_some(),
            replaced: self.drive.replaced().unwrap_or_else(|_| may_be_lost()),
            undo: stays.then(|| self.subject.undo(&self.site)),
            kernel_log,
            inhabitants,
        };
        let sides = [self.before, self.after, self.rolled_back];
        Document::of(head, outcome, &sides, self.plan)
    }
}

/// The continuous measure beside that of single runs; a trial goes on without.
fn softirq_probe(root: &Path) -> Option<SoftirqProbe> {
    let started = prerequisites::examine(root)
        .map_err(anyhow::Error::from)
        .and_then(|ready| Ok(SoftirqProbe::start(&ready)?));
    match started {
        Ok(probe) => Some(probe),
        Err(error) => {
            say(&format!(
                "warning: time in softirqs is not measured: {error:#}"
            ));
            None
        }
    }
}

/// How far apart the estimators run now, in nanoseconds: the slowest counts.
fn longest_period(namespaces: &[NamespaceView], dead: &BTreeSet<u32>) -> anyhow::Result<u64> {
    let now_ns = time::monotonic_ns()?;
    let alive = namespaces
        .iter()
        .filter(|view| view.state != Some(State::Absent) && !dead.contains(&view.netns));
    let mut periods = Vec::new();
    for view in alive {
        let ahead_ns = view.next_run.map(|next| next.due_ns.saturating_sub(now_ns));
        periods.push(
            view.period_ns
                .or(ahead_ns)
                .unwrap_or(0)
                .max(USUAL_PERIOD_NS),
        );
    }
    let longest = periods.into_iter().max();
    longest.context(
        "no estimator runs on this node, so there is nothing to measure: see `ipvs-latency check`",
    )
}

/// Tells beforehand what takes long.
fn tell_length(plan: &Plan, name: &str, under_ns: u64) {
    let needs = plan.needs(under_ns);
    if needs > plan.max_wait {
        say(&format!(
            "note length: under {name} the estimators run {} apart, so {} runs take {}; that side is ended after \
             --max-wait {} as it stands.",
            period::shown(under_ns),
            plan.runs,
            humantime::format_duration(needs),
            humantime::format_duration(plan.max_wait)
        ));
    }
}
