//! What watches kernel threads that estimate (Linux 6.2 on), as [`crate::Watcher`] watches the timer. It continues when
//! `ip_vs` is unloaded, and attaches again when it is back.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::bail;
use probe_ebpf::threads::{ChainRun, MAX_THREADS};

use crate::{
    lookout::{Lookout, News},
    probe::ProbeError,
    thread_probe::{Change, ThreadProbe},
    threads::{Look, Threads},
};
use host::{
    module::{self, HeldLoading},
    netns,
    netns_owners::{NetnsOwners, sees_host},
    prerequisites, time,
};
use model::{
    Clock, Options, Topic,
    threads::{ThreadOutput, ThreadSession, ThreadSums},
};

/// Every so many ticks it is looked at what the kernel keeps of the threads, and at other instances of this tool.
const TICKS_BETWEEN_LOOKS: u64 = 5;

/// Looks at the probes' entries after a thread went.
const LOOKS_FOR_THE_GONE: u32 = 2;

/// Every so many ticks it is looked up who lives where.
const TICKS_BETWEEN_NAMES: u64 = 30;

/// The probes, and what they and the host reported.
pub struct ThreadWatcher {
    root: PathBuf,
    /// `None` while `ip_vs` is not loaded, or cannot be probed.
    attached: Option<(ThreadProbe, HeldLoading)>,
    /// Why the probes could not be attached.
    refused: Option<String>,
    session: ThreadSession,
    looks: Looks,
    lookout: Lookout,
    owners: NetnsOwners,
    jiffy_ns: u64,
    root_netns: u32,
    started_ns: u64,
    ticks: u64,
    runs: Vec<ChainRun>,
    /// Looks in which entries of threads that are gone are still to be removed.
    gone: u32,
}

/// The looks between which the work of the threads is measured.
struct Looks {
    /// At the begin of the session, and of the interval.
    session: Look,
    interval: Look,
    /// The last one, and the one before.
    last: Look,
    previous: Look,
}

impl Looks {
    fn begin(look: Look) -> Self {
        Self {
            session: look.clone(),
            interval: look.clone(),
            previous: look.clone(),
            last: look,
        }
    }

    fn add(&mut self, look: Look) {
        self.previous = std::mem::replace(&mut self.last, look);
    }
}

impl ThreadWatcher {
    /// Attaches the probes and takes the first look. Returns its outputs too.
    ///
    /// # Errors
    ///
    /// When this host cannot be measured, or has no namespace of the `options`.
    pub fn start(root: &Path, options: Options) -> anyhow::Result<(Self, Vec<ThreadOutput>)> {
        let jiffy_ns = time::jiffy_ns()?;
        let mut attached = attach(root)?;
        let look = Look::take(root, attached.0.reader())?;
        if let Some(wanted) = &options.netns {
            look.refuse_missing(wanted)?;
        }
        let started_ns = time::monotonic_ns()?;
        let mut session = ThreadSession::new(options, started_ns, time::clock(jiffy_ns)?);
        let (lookout, news) = Lookout::start(root, started_ns);
        let mut outputs = first_changes(&mut session, &attached.0, started_ns)?;
        let mut owners = NetnsOwners::read(root);
        let root_netns = if sees_host(root) {
            netns::root_inode(root).unwrap_or(0)
        } else {
            0
        };
        if root_netns != 0 {
            owners.set_root_netns(root_netns);
        }
        let watcher = Self {
            root: root.to_owned(),
            attached: Some(attached),
            refused: None,
            session,
            looks: Looks::begin(look),
            lookout,
            owners,
            jiffy_ns,
            root_netns,
            started_ns,
            ticks: 0,
            runs: Vec::new(),
            gone: 0,
        };
        outputs.extend(watcher.told(started_ns, news));
        Ok((watcher, outputs))
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

    /// Who lives in which namespace, looked up again if it is time to.
    pub fn new_names(&mut self) -> Option<&NetnsOwners> {
        if self.ticks == 0 || !self.ticks.is_multiple_of(TICKS_BETWEEN_NAMES) {
            return None;
        }
        self.owners.read_again(&self.root);
        Some(&self.owners)
    }

    /// How the clocks relate.
    ///
    /// # Errors
    ///
    /// Where a clock cannot be read.
    pub fn clock(&self) -> anyhow::Result<Clock> {
        Ok(time::clock(self.jiffy_ns)?)
    }

    /// Reads everything once. Returns the outputs, by the time they began.
    ///
    /// # Errors
    ///
    /// When the kernel does not let the probes be read.
    pub fn tick(&mut self) -> anyhow::Result<Vec<ThreadOutput>> {
        self.ticks += 1;
        let now_ns = time::monotonic_ns()?;
        let step = self.session.set_clock(self.clock()?, now_ns);
        let mut outputs = Vec::from_iter(step);
        let mut news = self.lookout.look(now_ns);
        if self.is_look() {
            news.extend(self.lookout.look_at_instances());
        }
        outputs.extend(self.told(now_ns, news));
        outputs.extend(self.follow_ip_vs()?);
        outputs.extend(self.read()?);
        if self.is_look() {
            outputs.extend(self.look()?);
        }
        outputs.sort_by_key(ThreadOutput::start_ns);
        Ok(outputs)
    }

    fn is_look(&self) -> bool {
        self.ticks.is_multiple_of(TICKS_BETWEEN_LOOKS)
    }

    fn told(&self, now_ns: u64, news: Vec<News>) -> Vec<ThreadOutput> {
        let notices = news
            .into_iter()
            .map(|(topic, text)| self.session.notice(now_ns, topic, text));
        notices.collect()
    }

    /// Takes what the probes recorded.
    fn read(&mut self) -> anyhow::Result<Vec<ThreadOutput>> {
        let Some((probe, _)) = &mut self.attached else {
            return Ok(Vec::new());
        };
        let changes = probe.changes()?;
        probe.drain(|run| self.runs.push(run));
        let mut outputs = apply(&mut self.session, &changes);
        outputs.extend(self.session.take(&self.runs, time::monotonic_ns()?));
        self.runs.clear();
        Ok(outputs)
    }

    /// Looks at what the kernel keeps of the threads. Returns a notice where there are more than the probes have room for.
    fn look(&mut self) -> anyhow::Result<Option<ThreadOutput>> {
        let Some((probe, _)) = &mut self.attached else {
            return Ok(None);
        };
        let look = match Look::take(&self.root, probe.reader()) {
            Ok(look) => look,
            // The list of namespaces changes all the time: the last look stays.
            Err(error) if is_of_the_moment(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let living: BTreeSet<u32> = look.tids().collect();
        let are_gone = self.looks.last.tids().any(|tid| !living.contains(&tid));
        // An entry goes at the second look that does not find its thread.
        self.gone = if are_gone {
            LOOKS_FOR_THE_GONE
        } else {
            self.gone
        };
        if let Some(fewer) = self.gone.checked_sub(1) {
            self.gone = fewer;
            probe.forget_gone(&living);
            if fewer == 0 {
                self.session.keep(&living, &look.generations().collect());
            }
        }
        let mut told = None;
        if living.len() > MAX_THREADS as usize / 2
            && let Some(unfollowed) = probe.unfollowed()
        {
            let now_ns = time::monotonic_ns()?;
            told = self.session.count_unfollowed(unfollowed, now_ns);
        }
        self.looks.add(look);
        Ok(told)
    }

    /// Removes the probes where `ip_vs` is gone, and attaches them where it is back.
    fn follow_ip_vs(&mut self) -> anyhow::Result<Vec<ThreadOutput>> {
        let is_gone = matches!(&self.attached, Some((_, to)) if to.is_gone());
        let mut outputs = Vec::new();
        if is_gone {
            outputs.extend(self.detach()?);
        }
        if self.attached.is_some() {
            return Ok(outputs);
        }
        if !module::is_loaded(&self.root, &"ip_vs".into()) {
            self.refused = None;
        } else if self.refused.is_none() || self.is_look() {
            // To be refused costs as much as to be attached: not every second.
            outputs.extend(self.attach_again()?);
        }
        Ok(outputs)
    }

    fn detach(&mut self) -> anyhow::Result<Vec<ThreadOutput>> {
        // The records of the runs before. That probes could not be attached to what is gone is no error.
        let mut outputs = self.read().unwrap_or_default();
        self.attached = None;
        self.refused = None;
        let now_ns = time::monotonic_ns()?;
        self.session.detached(now_ns);
        let text =
            "ip_vs was unloaded and the probes are gone: watch waits until ip_vs is loaded again";
        outputs.push(self.session.notice(now_ns, Topic::IpVs, text.into()));
        Ok(outputs)
    }

    fn attach_again(&mut self) -> anyhow::Result<Vec<ThreadOutput>> {
        let attached = attach(&self.root);
        let now_ns = time::monotonic_ns()?;
        let (probe, to) = match attached {
            Ok(attached) => attached,
            Err(error) => return Ok(self.still_waiting(now_ns, format!("{error:#}"))),
        };
        let text = "ip_vs is loaded, and the probes are in place";
        let mut outputs = vec![self.session.notice(now_ns, Topic::IpVs, text.into())];
        outputs.extend(first_changes(&mut self.session, &probe, now_ns)?);
        self.attached = Some((probe, to));
        self.refused = None;
        Ok(outputs)
    }

    /// Returns a notice of why the probes could not be attached, once a reason.
    fn still_waiting(&mut self, now_ns: u64, reason: String) -> Vec<ThreadOutput> {
        let is_known = self.refused.as_ref() == Some(&reason);
        let text = format!("ip_vs is loaded and cannot be measured yet: {reason}");
        self.refused = Some(reason);
        if is_known {
            return Vec::new();
        }
        vec![self.session.notice(now_ns, Topic::IpVs, text)]
    }

    /// Returns a notice for this moment.
    ///
    /// # Errors
    ///
    /// Where the clock cannot be read.
    pub fn notice(&self, topic: Topic, text: String) -> anyhow::Result<ThreadOutput> {
        Ok(self.session.notice(time::monotonic_ns()?, topic, text))
    }

    /// Returns the outputs that were not read yet, and forgets all runs up to now.
    ///
    /// # Errors
    ///
    /// When the probes cannot be read.
    pub fn reset(&mut self) -> anyhow::Result<Vec<ThreadOutput>> {
        let outputs = self.read()?;
        self.session.reset(time::monotonic_ns()?);
        self.looks.session = self.looks.last.clone();
        Ok(outputs)
    }

    /// Returns what the threads are now, and what they did since the look before the last.
    #[must_use]
    pub fn threads(&self) -> Threads {
        self.wanted(self.looks.last.since(&self.looks.previous))
    }

    /// Returns what is left of them with the namespaces that are watched.
    fn wanted(&self, mut threads: Threads) -> Threads {
        let session = &self.session;
        threads.namespaces.retain(|one| session.watches(one.netns));
        threads
    }

    /// Returns what came since the last tick, the sums since the last interval, and what the threads did meanwhile.
    ///
    /// # Errors
    ///
    /// When the kernel's memory or the clock cannot be read.
    pub fn interval(&mut self) -> anyhow::Result<(Vec<ThreadOutput>, ThreadSums, Threads)> {
        let mut outputs = self.read()?;
        outputs.extend(self.look()?);
        let threads = self.looks.last.since(&self.looks.interval);
        self.looks.interval = self.looks.last.clone();
        let sums = self.session.interval(time::monotonic_ns()?);
        Ok((outputs, sums, self.wanted(threads)))
    }

    /// Returns the sums of the session.
    ///
    /// # Errors
    ///
    /// When the clock cannot be read.
    pub fn sums(&self) -> anyhow::Result<ThreadSums> {
        Ok(self.session.summary(time::monotonic_ns()?))
    }

    /// Returns the sums of the session, and what the threads did in it.
    ///
    /// # Errors
    ///
    /// When the kernel's memory or the clock cannot be read.
    pub fn summary(&mut self) -> anyhow::Result<(ThreadSums, Threads)> {
        self.look()?;
        let threads = self.looks.last.since(&self.looks.session);
        Ok((self.sums()?, self.wanted(threads)))
    }
}

/// Tells the session what happened to the probes when they were new: those that are not attached yet are a gap.
fn first_changes(
    session: &mut ThreadSession,
    probe: &ThreadProbe,
    now_ns: u64,
) -> Result<Vec<ThreadOutput>, ProbeError> {
    let changes = probe.changes()?;
    if changes.is_empty() {
        return Ok(session.removed(now_ns).into_iter().collect());
    }
    Ok(apply(session, &changes))
}

/// Tells the session what happened to the probes.
fn apply(session: &mut ThreadSession, changes: &[Change]) -> Vec<ThreadOutput> {
    let outputs = changes.iter().filter_map(|change| match *change {
        Change::Attached { at_ns } => session.attached(at_ns),
        Change::Removed { at_ns } => session.removed(at_ns),
        Change::RemovalTook {
            at_ns,
            since_begin_ns,
        } => session.removal_took(at_ns, since_begin_ns),
    });
    outputs.collect()
}

/// Returns whether a look failed because what it looked at changed.
fn is_of_the_moment(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ProbeError::Snapshot(_)))
}

impl Look {
    /// Refuses a namespace that is not there.
    fn refuse_missing(&self, wanted: &BTreeSet<u32>) -> anyhow::Result<()> {
        let there: BTreeSet<u32> = self.netns().collect();
        if let Some(missing) = wanted.difference(&there).next() {
            bail!(
                "--netns {missing}: no network namespace has this inode number: `lsns -t net` lists those that have a \
                 process"
            );
        }
        Ok(())
    }
}

/// Attaches the probes to the `ip_vs` that is loaded now.
fn attach(root: &Path) -> anyhow::Result<(ThreadProbe, HeldLoading)> {
    // Before the probes: should it be loaded again meanwhile, they are attached once more.
    let loading = HeldLoading::of(root, &"ip_vs".into());
    let probe = ThreadProbe::start(prerequisites::examine_threads(root)?)?;
    match loading? {
        Some(loading) => Ok((probe, loading)),
        None => bail!("cannot attach the probes: ip_vs was being loaded; run the command again"),
    }
}
