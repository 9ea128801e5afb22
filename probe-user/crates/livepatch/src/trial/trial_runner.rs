//! The course of a trial, from the first look to the last.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};

use super::{
    intervention::Intervention,
    judge,
    measurement::{self, Interrupted, MeasurementPhase},
    plan::Plan,
    surroundings::{Ours, Surroundings},
    trial_outcome::{NodeAfter, TrialOutcome},
    trial_record::TrialRecord,
    verdict::Judgement,
};
use crate::{
    ports::SoftirqTime,
    preflight::{findings::Finding, period},
    site::Site,
    transaction::{change::Change, outcome::Outcome},
    transition::{drive::Drive, run_observer::RunObserver},
};
use host::netns_owners::NetnsOwners;
use model::{NamespaceView, State, dead_estimators};

/// The kernel sets the timer for this long (`mod_timer(&ipvs->est_timer, jiffies + 2*HZ)`), and its wheel rounds up by
/// 16 ms at HZ=250 (`net/netfilter/ipvs/ip_vs_est.c`, `kernel/time/timer.c` of Linux 6.1).
const USUAL_PERIOD_NS: u64 = 2_016_000_000;

/// A trial that nothing speaks against.
pub struct TrialRunner<'a> {
    plan: &'a Plan,
    site: Site,
    root_netns: Option<u32>,
    intervention: Intervention,
    drive: Drive,
    /// As they were before anything was changed.
    surroundings: Surroundings,
    softirq: Option<Box<dyn SoftirqTime>>,
    before: Option<MeasurementPhase>,
    after: Option<MeasurementPhase>,
    rolled_back: Option<MeasurementPhase>,
}

impl<'a> TrialRunner<'a> {
    /// Attaches the probes, tells what is planned and asks. Nothing is changed yet.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn prepare(
        plan: &'a Plan,
        mut intervention: Intervention,
        yes: bool,
        site: &Site,
    ) -> anyhow::Result<Self> {
        let name = intervention.name().to_owned();
        let notes = intervention.hotfix().map(|hotfix| &hotfix.notes);
        for Finding { name, text } in notes.into_iter().flatten() {
            site.say(&format!("note {name}: {text}."));
        }
        let timers = site.estimators().timers();
        let dead_before =
            dead_estimators(&timers.with_context(|| format!("{name} is not applied"))?);
        let observer =
            RunObserver::start(site).with_context(|| format!("{name} is not applied"))?;
        intervention.find(site, &observer)?;
        let found_ns = longest_period(observer.namespaces(), &dead_before, site.now_ns())?;
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
        let under_ns = intervention.period_ns().unwrap_or(found_ns).max(found_ns);
        tell_length(site, plan, &name, under_ns);
        site.say(&format!("Breaks: {}", intervention.breaks()));
        if !yes {
            site.progress()
                .ask(&intervention.question(plan, under_ns))?;
        }
        // Only now: at the question, Ctrl-C ends this at once.
        let mut drive = Drive::new(site, name, plan.timeout)?;
        site.progress().open(&site.root, observer.probes())?;
        let root_netns = Some(observer.probes().root_netns()).filter(|netns| *netns != 0);
        drive.dead_before = dead_before;
        drive.observer = Some(observer);
        Ok(Self {
            surroundings: Surroundings::of(&drive)
                .context("nothing was changed, because /sys/kernel/livepatch cannot be seen")?,
            root_netns,
            plan,
            site: site.clone(),
            intervention,
            drive,
            softirq: softirq_time(site),
            before: None,
            after: None,
            rolled_back: None,
        })
    }

    /// Measures, changes, measures, and leaves the node as the verdict has it.
    #[must_use]
    pub fn carry_out(mut self) -> TrialRecord {
        let outcome = match self.measure("before") {
            Ok(Ok(before)) => {
                let nothing = self.nothing_seen(&before);
                self.before = Some(before);
                nothing.map_or_else(|| self.changed(), TrialOutcome::refused)
            }
            Ok(Err(Interrupted(reason))) => TrialOutcome::aborted(reason, NodeAfter::Unchanged),
            Err(error) => TrialOutcome::aborted(format!("{error:#}"), NodeAfter::Unchanged),
        };
        self.record(outcome)
    }

    /// Returns why the node before the change gives nothing to compare with, if that is so. Nothing was changed yet.
    fn nothing_seen(&self, before: &MeasurementPhase) -> Option<String> {
        let changed = self.intervention.changed();
        (!judge::has_runs(&before.runs, changed.as_ref())).then(|| {
            format!(
                "{} is not applied: no run of an estimator was seen before it, so there is nothing to compare with: see \
                 `ipvs-latency check`",
                self.intervention.name()
            )
        })
    }

    /// From the change on.
    fn changed(&mut self) -> TrialOutcome {
        let change = self.intervention.guard(&self.site);
        let change = match change.and_then(|change| change.guarding(&mut self.drive)) {
            Ok(change) => change,
            Err(error) => return TrialOutcome::refused(format!("{error:#}")),
        };
        self.drive.may_replace = self.intervention.ours().may_replace;
        let tried = self.tried(&change).unwrap_or_else(|error| {
            let ending = self.drive.ended(Err(error));
            (TrialOutcome::left(&ending), ending)
        });
        self.end(change, tried)
    }

    fn end(
        &mut self,
        change: Change,
        (mut outcome, ending): (TrialOutcome, Outcome),
    ) -> TrialOutcome {
        outcome.is_left = ending.is_left();
        change.end(&ending);
        if self.plan.trial && outcome.host == NodeAfter::RolledBack {
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
    fn tried(&mut self, change: &Change) -> anyhow::Result<(TrialOutcome, Outcome)> {
        if self.drive.is_stopped() {
            let reason = "A key or a signal asked to end.".to_owned();
            let ending = Outcome::Refused(reason.clone());
            return Ok((TrialOutcome::aborted(reason, NodeAfter::Unchanged), ending));
        }
        if let Some(ending) = self.intervention.put_in_place(&mut self.drive, change)? {
            return self.not_in_place(ending);
        }
        change.note_in_force();
        let doing = self.tell_side("after");
        let intervention = &self.intervention;
        let softirq = self.softirq.as_deref();
        let (surroundings, ours) = (&self.surroundings, intervention.ours());
        let is_undone = |drive: &Drive| {
            let undone = intervention.is_undone(drive);
            undone.or_else(|| surroundings.changed(drive, &ours))
        };
        let measured =
            measurement::measure(&mut self.drive, self.plan, &doing, softirq, is_undone)?;
        let (mut judged, warnings) = match measured {
            Ok(after) => self.judge(after)?,
            Err(Interrupted(reason)) => (Judgement::aborted(reason), Vec::new()),
        };
        if judged.verdict.is_kept(self.plan.keep, self.plan.trial) {
            let ending = Outcome::Done(format!("{} stays in place", self.intervention.name()));
            return Ok((
                TrialOutcome::of(judged, NodeAfter::Patched, None).warned(warnings),
                ending,
            ));
        }
        self.site.say(&format!(
            "{}: {}; taking it back",
            self.intervention.name(),
            judged.verdict
        ));
        change.note_on_its_way_back();
        let ending = self.intervention.take_back(&mut self.drive)?;
        let (host, told) = NodeAfter::after(&ending);
        // What the kernel says while it is taken back counts, too.
        self.drive.log.read();
        if let Some(line) = self.drive.log.complaint() {
            judged = Judgement::aborted(format!("The kernel complained: {line}."));
        }
        let outcome = TrialOutcome::of(judged, host, Some(told)).warned(warnings);
        Ok((outcome, ending))
    }

    /// Judges what was measured under the change against what was before, and tells what else moved.
    fn judge(&mut self, after: MeasurementPhase) -> anyhow::Result<(Judgement, Vec<String>)> {
        let before = self.before.as_ref();
        let before = before.context("nothing was measured before")?;
        let changed = self.intervention.changed();
        let changed = changed.as_ref();
        let judged = judge::judge(before, &after, self.plan, changed, self.root_netns);
        let mut warnings = judge::warnings(before, &after, &judged, self.plan);
        warnings.extend(self.drive.log.trouble().map(|trouble| {
            format!("What the kernel wrote to its log was not all seen {trouble}.")
        }));
        self.after = Some(after);
        Ok((judged, warnings))
    }

    /// It did not get into place.
    fn not_in_place(&mut self, ending: Outcome) -> anyhow::Result<(TrialOutcome, Outcome)> {
        let ending = match ending {
            // It is there and without effect: not to stay.
            Outcome::HalfDone(why) if self.intervention.is_there(&self.drive) => {
                self.site.say(&format!("{why}; taking it back"));
                let back = self.intervention.take_back(&mut self.drive)?;
                let (host, told) = NodeAfter::after(&back);
                let judged = Judgement::aborted(why);
                return Ok((TrialOutcome::of(judged, host, Some(told)), back));
            }
            other => other,
        };
        Ok((TrialOutcome::left(&ending), ending))
    }

    fn measure(&mut self, name: &str) -> anyhow::Result<Result<MeasurementPhase, Interrupted>> {
        let doing = self.tell_side(name);
        let softirq = self.softirq.as_deref();
        // Before the change and after the rollback, another process owns a livepatch of that name.
        let is_changed = |drive: &Drive| self.surroundings.changed(drive, &Ours::default());
        measurement::measure(&mut self.drive, self.plan, &doing, softirq, is_changed)
    }

    fn tell_side(&self, name: &str) -> String {
        let doing = format!("{}: measuring {name}", self.intervention.name());
        self.site.say(&format!("{doing}: {} runs", self.plan.runs));
        doing
    }

    fn record(mut self, outcome: TrialOutcome) -> TrialRecord {
        if outcome.is_left {
            self.drive.leave_probes_behind();
        }
        self.site.progress().close();
        if outcome.needs_log() {
            self.drive.say_log();
        }
        let kernel_log = self.drive.kernel_lines();
        // Those of which that cannot be seen may be lost.
        let may_be_lost = || self.drive.may_replace.iter().cloned().collect();
        // The guard still takes back what was left to it.
        let stays = match outcome.host {
            NodeAfter::Patched => true,
            NodeAfter::NeedsPerson => !outcome.is_left && self.intervention.is_there(&self.drive),
            NodeAfter::Unchanged | NodeAfter::RolledBack => false,
        };
        let mut owners = NetnsOwners::read(&self.site.root);
        if let Some(netns) = self.root_netns {
            owners.set_root_netns(netns);
        }
        let hotfix = self.intervention.hotfix();
        TrialRecord {
            name: self.intervention.name().to_owned(),
            // What was loaded are these bytes, whatever the file has become meanwhile.
            livepatch: hotfix.map(|hotfix| hotfix.sha256.clone()),
            outcome,
            replaced: self.drive.replaced().unwrap_or_else(|_| may_be_lost()),
            undo: stays.then(|| self.intervention.undo(&self.site)),
            kernel_log,
            owners,
            before: self.before,
            after: self.after,
            rolled_back: self.rolled_back,
        }
    }
}

/// The continuous measure beside that of single runs; a trial goes on without.
fn softirq_time(site: &Site) -> Option<Box<dyn SoftirqTime>> {
    match site.estimators().softirq() {
        Ok(time) => Some(time),
        Err(error) => {
            site.say(&format!(
                "warning: time in softirqs is not measured: {error:#}"
            ));
            None
        }
    }
}

/// How far apart the estimators run now, in nanoseconds: the slowest counts.
fn longest_period(
    namespaces: &[NamespaceView],
    dead: &BTreeSet<u32>,
    now_ns: u64,
) -> anyhow::Result<u64> {
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
fn tell_length(site: &Site, plan: &Plan, name: &str, under_ns: u64) {
    let needs = plan.needs(under_ns);
    if needs > plan.max_wait {
        site.say(&format!(
            "note length: under {name} the estimators run {} apart, so {} runs take {}; that side is ended after \
             --max-wait {} as it stands.",
            period::shown(under_ns),
            plan.runs,
            humantime::format_duration(needs),
            humantime::format_duration(plan.max_wait)
        ));
    }
}
