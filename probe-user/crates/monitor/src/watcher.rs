//! What reads the probes and the host around them, and keeps what they say. It goes on when `ip_vs` is unloaded, and
//! attaches again when it is back.

mod attachment;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::bail;
use probe_ebpf::{Snapshot, SnapshotKind, snapshot::WalkLists};

use self::attachment::{Attachment, attach};
use crate::{
    lookout::{Lookout, News},
    mechanism::{Chosen, Mechanism},
    sample::Sample,
};
use host::{
    netns,
    netns_owners::{NetnsOwners, sees_host},
    tasks::TaskNames,
    time,
};
use model::{Clock, Options, Output, Overview, Report, Session, Topic};

/// How often the ring buffer is read and the estimators are looked at.
pub const TICK: Duration = Duration::from_secs(1);

/// Every so many ticks all lists are walked, to check the lengths that the probes keep, and other instances of
/// this tool are looked for.
const TICKS_BETWEEN_CHECKS: u64 = 10;

/// Every so many ticks it is looked up who lives where.
const TICKS_BETWEEN_NAMES: u64 = 30;

/// The probes and what they and the host have told.
pub struct Watcher {
    root: PathBuf,
    chosen: Chosen,
    attachment: Attachment,
    session: Session,
    lookout: Lookout,
    owners: NetnsOwners,
    task_names: TaskNames,
    jiffy_ns: u64,
    root_netns: u32,
    started_ns: u64,
    /// Until when every run has been read, in nanoseconds of `CLOCK_MONOTONIC`.
    read_ns: u64,
    ticks: u64,
    sample: Sample,
    /// The kernel's histogram began with the session, and so counts the same calls.
    counted_alike: bool,
}

impl Watcher {
    /// Attaches the probes and takes the first look, whose outputs it gives too.
    ///
    /// # Errors
    ///
    /// When this host cannot be measured, or has no namespace of the `options`.
    pub fn start(
        root: &Path,
        via: Option<Mechanism>,
        options: Options,
    ) -> anyhow::Result<(Self, Vec<Output>)> {
        let jiffy_ns = time::jiffy_ns()?;
        let (mut probe, to) = attach(root, via)?;
        let started_ns = probe.started_ns();
        let chosen = probe.chosen().clone();
        let snapshot = probe.snapshot(WalkLists::Unseeded)?;
        if let Some(wanted) = &options.netns {
            all_there(wanted, &snapshot)?;
        }
        let counted_alike = options.netns.is_none();
        let (lookout, news) = Lookout::start(root, time::monotonic_ns()?);
        let mut watcher = Self {
            root: root.to_owned(),
            chosen,
            attachment: Attachment::Attached {
                probe: Box::new(probe),
                to,
            },
            session: Session::new(options, started_ns, time::clock(jiffy_ns)?),
            lookout,
            owners: NetnsOwners::read(root),
            task_names: TaskNames::default(),
            jiffy_ns,
            root_netns: root_netns(&snapshot, root),
            started_ns,
            read_ns: started_ns,
            ticks: 0,
            sample: Sample::default(),
            counted_alike,
        };
        if watcher.root_netns != 0 {
            watcher.owners.set_root_netns(watcher.root_netns);
        }
        let mut outputs = watcher.told(started_ns, news);
        outputs.extend(watcher.session.take(&[], &snapshot, time::monotonic_ns()?));
        Ok((watcher, outputs))
    }

    /// Returns the mechanism that measures, and why it is no better one.
    #[must_use]
    pub fn chosen(&self) -> &Chosen {
        &self.chosen
    }

    /// When the probes were attached, in nanoseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn started_ns(&self) -> u64 {
        self.started_ns
    }

    /// Inode number of the root network namespace; 0 where it is hidden.
    #[must_use]
    pub fn root_netns(&self) -> u32 {
        self.root_netns
    }

    /// Who lives in which namespace, as last looked up.
    #[must_use]
    pub fn owners(&self) -> &NetnsOwners {
        &self.owners
    }

    /// How the clocks relate.
    ///
    /// # Errors
    ///
    /// Where a clock cannot be read.
    pub fn clock(&self) -> anyhow::Result<Clock> {
        Ok(time::clock(self.jiffy_ns)?)
    }

    /// Reads everything once, and gives what there is to tell, by the time it began: what happened around the
    /// estimators is seen before the records of earlier runs are read.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the probes be read.
    pub fn tick(&mut self) -> anyhow::Result<Vec<Output>> {
        let mut outputs = self.read_all()?;
        outputs.sort_by_key(Output::start_ns);
        Ok(outputs)
    }

    fn read_all(&mut self) -> anyhow::Result<Vec<Output>> {
        self.ticks += 1;
        let clock = time::clock(self.jiffy_ns)?;
        let step = self.session.set_clock(clock, time::monotonic_ns()?);
        let mut outputs = Vec::from_iter(step);
        outputs.extend(self.look_around()?);
        if matches!(&self.attachment, Attachment::Attached { to, .. } if to.is_gone()) {
            outputs.extend(self.detach()?);
        }
        outputs.extend(match self.attachment {
            Attachment::Attached { .. } => self.read()?,
            Attachment::Waiting(_) => {
                self.read_ns = self.lookout.last_ns();
                self.wait()?
            }
        });
        Ok(outputs)
    }

    /// Who lives in which namespace, looked up anew if it is time to. For those who show it: it takes a look at
    /// every process.
    pub fn new_names(&mut self) -> Option<&NetnsOwners> {
        // Those of the start are from before the first tick.
        if self.ticks == 0 || !self.ticks.is_multiple_of(TICKS_BETWEEN_NAMES) {
            return None;
        }
        self.owners.read_again(&self.root);
        Some(&self.owners)
    }

    fn is_check(&self) -> bool {
        self.ticks.is_multiple_of(TICKS_BETWEEN_CHECKS)
    }

    fn read(&mut self) -> anyhow::Result<Vec<Output>> {
        let lists = if self.is_check() {
            WalkLists::All
        } else {
            WalkLists::Unseeded
        };
        let Attachment::Attached { probe, .. } = &mut self.attachment else {
            return Ok(Vec::new());
        };
        self.sample.take(probe, lists)?;
        if self.sample.has_no_namespace() {
            // ip_vs is just coming or going; the next tick sees which.
            return Ok(Vec::new());
        }
        let outputs = self.hand_on()?;
        Ok(self.with_names(outputs))
    }

    /// Hands what was read to the session.
    fn hand_on(&mut self) -> anyhow::Result<Vec<Output>> {
        let Sample {
            snapshot, events, ..
        } = &self.sample;
        let outputs = self.session.take(events, snapshot, time::monotonic_ns()?);
        self.read_ns = self.sample.read_ns;
        self.sample.handed_on();
        Ok(outputs)
    }

    /// Looks up what the softirqs of the calls told of interrupted.
    fn with_names(&mut self, mut outputs: Vec<Output>) -> Vec<Output> {
        self.task_names.forget();
        for output in &mut outputs {
            if let Output::Call(call) = output
                && call.interrupted_pid != 0
            {
                call.interrupted_comm = self.task_names.name(&self.root, call.interrupted_pid);
            }
        }
        outputs
    }

    /// What happened around the estimators since the last tick, and to us.
    fn look_around(&mut self) -> anyhow::Result<Vec<Output>> {
        let now_ns = time::monotonic_ns()?;
        let mut news = self.lookout.look(now_ns);
        if self.is_check() {
            news.extend(self.lookout.look_at_instances());
        }
        Ok(self.told(now_ns, news))
    }

    fn told(&self, now_ns: u64, news: Vec<News>) -> Vec<Output> {
        // Kprobes are what eBPF needs: the others go on without them.
        let is_of_this =
            |topic: Topic| topic != Topic::Kprobes || self.chosen.mechanism == Mechanism::Bpf;
        let notices = news
            .into_iter()
            .filter(|(topic, _)| is_of_this(*topic))
            .map(|(topic, text)| self.session.notice(now_ns, topic, text));
        notices.collect()
    }

    /// Returns whether the last look at the estimators had every network namespace.
    #[must_use]
    pub fn has_seen_all(&self) -> bool {
        self.session.has_seen_all()
    }

    /// Something to tell of this moment.
    ///
    /// # Errors
    ///
    /// Where the clock cannot be read.
    pub fn notice(&self, topic: Topic, text: String) -> anyhow::Result<Output> {
        Ok(self.session.notice(time::monotonic_ns()?, topic, text))
    }

    /// Forgets all calls up to now, of which it tells what is not told yet.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the probes be read.
    pub fn reset(&mut self) -> anyhow::Result<Vec<Output>> {
        let mut outputs = self.read()?;
        outputs.extend(self.session.reset(time::monotonic_ns()?));
        outputs.sort_by_key(Output::start_ns);
        self.counted_alike = false;
        Ok(outputs)
    }

    /// All that a screen shows.
    ///
    /// # Errors
    ///
    /// Where the clock cannot be read.
    pub fn overview(&self) -> anyhow::Result<Overview> {
        Ok(self.session.overview(time::monotonic_ns()?))
    }

    /// The sums since the last interval.
    ///
    /// # Errors
    ///
    /// Where the clock cannot be read.
    pub fn interval(&mut self) -> anyhow::Result<Report> {
        Ok(self.session.interval(time::monotonic_ns()?))
    }

    /// Tells of what was held back, at the end.
    pub fn flush(&mut self) -> Vec<Output> {
        self.session.flush()
    }

    /// The sums of it all, until the runs were read last: with thousands of namespaces, some end while those before are
    /// summed up.
    ///
    /// # Errors
    ///
    /// When the kernel's histogram cannot be read.
    pub fn summary(&self) -> anyhow::Result<Report> {
        let mut summary = self.session.summary(self.read_ns);
        if summary.all.lost > 0
            && self.counted_alike
            && let Attachment::Attached { probe, .. } = &self.attachment
        {
            // The kernel counted those that have no record.
            summary.histogram.add_slots(&probe.histogram()?);
        }
        Ok(summary)
    }
}

/// The first namespace on the kernel's list, or else that of the host's first process; 0 where both are hidden.
fn root_netns(snapshot: &[Snapshot], root: &Path) -> u32 {
    let told = snapshot.last().map_or(0, |end| end.netns);
    if told == 0 && sees_host(root) {
        return netns::root_inode(root).unwrap_or(0);
    }
    told
}

/// Refuses a namespace that has no estimator.
fn all_there(wanted: &BTreeSet<u32>, snapshot: &[Snapshot]) -> anyhow::Result<()> {
    let there: BTreeSet<u32> = snapshot
        .iter()
        .filter(|record| record.kind == SnapshotKind::Estimator as u32)
        .map(|record| record.netns)
        .collect();
    if let Some(missing) = wanted.difference(&there).next() {
        bail!(
            "--netns {missing}: no network namespace has this inode number: `lsns -t net` lists those \
             that have a process"
        );
    }
    Ok(())
}
