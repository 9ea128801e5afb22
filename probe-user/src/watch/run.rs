//! The event loop of `watch`: a tick a second, signals, and the end.

use std::{
    collections::BTreeSet,
    io,
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::{Context as _, bail};
use probe_ebpf::{Event, Snapshot, SnapshotKind, snapshot::WalkLists};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until},
};

use super::sink::{Beginning, Sink};
use crate::{
    cli::{ColorWhen, WatchArgs},
    kernel::{netns, prerequisites, time},
    model::{Clock, Histogram, Options, Session},
    probe::Probe,
};

/// How often the ring buffer is read and the estimators are looked at.
pub const TICK: Duration = Duration::from_secs(1);

/// Every so many ticks all lists are walked, to check the lengths that the probes keep.
const TICKS_BETWEEN_CHECKS: u64 = 10;

/// How often JSON is summed up unless told otherwise.
const JSON_INTERVAL: Duration = Duration::from_secs(10);

const CANNOT_WRITE: &str = "standard output cannot be written";

/// Watches until the duration is over or a signal asks to end.
///
/// # Errors
///
/// When this host cannot be measured, or what was found cannot be written.
pub fn run(args: &WatchArgs, color: ColorWhen, root: &Path) -> anyhow::Result<ExitCode> {
    let wanted = wanted_namespaces(args, root)?;
    let ready = prerequisites::examine(root)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let mut signals = Signals::new()?;
            let watched = watch(args, color, wanted, &ready, &mut signals).await;
            match watched.map(|()| ExitCode::SUCCESS) {
                // Whoever read the lines has enough of them.
                Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
                other => other,
            }
        })
}

/// The inode numbers of the namespaces that `--netns` names; `None`: all.
fn wanted_namespaces(args: &WatchArgs, root: &Path) -> anyhow::Result<Option<BTreeSet<u32>>> {
    if args.netns.is_empty() {
        return Ok(None);
    }
    let inodes = args.netns.iter().map(|name| {
        name.inode(root)
            .with_context(|| format!("--netns {name} cannot be used"))
    });
    inodes.collect::<anyhow::Result<_>>().map(Some)
}

async fn watch(
    args: &WatchArgs,
    color: ColorWhen,
    wanted: Option<BTreeSet<u32>>,
    ready: &prerequisites::Ready,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let mut watcher = Watcher::start(args, color, wanted, ready)?;
    // A time too far away for the clock is no end.
    let after = |duration| Instant::now().checked_add(duration);
    let end = args.duration.and_then(after);
    let mut ticks = ticks();
    let mut next_interval = after(watcher.interval);
    while !watcher.is_gone {
        tokio::select! {
            _ = ticks.tick() => watcher.tick()?,
            () = signals.asked_to_end() => break,
            () = at(end) => break,
        }
        if next_interval.is_some_and(|next| Instant::now() >= next) {
            watcher.sum_up()?;
            next_interval = after(watcher.interval);
        }
    }
    watcher.end()
}

/// What reads the probes, and keeps and writes what they say.
struct Watcher {
    probe: Probe,
    session: Session,
    sink: Sink,
    interval: Duration,
    all_namespaces: bool,
    jiffy_ns: u64,
    ticks: u64,
    events: Vec<Event>,
    /// No namespace has an estimator any more: `ip_vs` was unloaded, and our probes with it.
    is_gone: bool,
}

impl Watcher {
    fn start(
        args: &WatchArgs,
        color: ColorWhen,
        wanted: Option<BTreeSet<u32>>,
        ready: &prerequisites::Ready,
    ) -> anyhow::Result<Self> {
        let clock = clock(time::jiffy_ns()?)?;
        let mut probe = Probe::start(ready, log::log_enabled!(log::Level::Debug))?;
        let started_ns = time::monotonic_ns()?;
        let snapshot = probe.snapshot(WalkLists::Unseeded)?;
        if let Some(wanted) = &wanted {
            all_there(wanted, &snapshot)?;
        }
        let options = Options {
            netns: wanted,
            slow_ns: args
                .slow
                .map(|slow| u64::try_from(slow.as_nanos()).unwrap_or(u64::MAX)),
        };
        let mut session = Session::new(options, started_ns, clock);
        let root = Path::new("/");
        // That of the first process in sight: in a container with process ids of its own, the container's.
        let root_netns = netns::root_inode(root).unwrap_or(0);
        let mut sink = Sink::new(args, color, root_netns);
        sink.start(&Beginning {
            start_ns: started_ns,
            at: clock.wall(started_ns),
            release: ready.release.clone(),
            root_netns,
        })
        .context(CANNOT_WRITE)?;
        let outputs = session.take(&[], &snapshot, time::monotonic_ns()?);
        sink.outputs(&outputs).context(CANNOT_WRITE)?;
        Ok(Self {
            probe,
            session,
            sink,
            interval: args.interval.unwrap_or(JSON_INTERVAL),
            all_namespaces: args.netns.is_empty(),
            jiffy_ns: clock.jiffy_ns,
            ticks: 0,
            events: Vec::new(),
            is_gone: false,
        })
    }

    /// First the snapshot, then the records: every run that the snapshot counts as over has its record
    /// among them.
    fn tick(&mut self) -> anyhow::Result<()> {
        self.ticks += 1;
        let lists = if self.ticks.is_multiple_of(TICKS_BETWEEN_CHECKS) {
            WalkLists::All
        } else {
            WalkLists::Unseeded
        };
        let snapshot = self.probe.snapshot(lists)?;
        self.is_gone = is_empty(&snapshot);
        self.session.set_clock(clock(self.jiffy_ns)?);
        self.events.clear();
        let events = &mut self.events;
        self.probe.drain(|event| events.push(event));
        let outputs = self.session.take(events, &snapshot, time::monotonic_ns()?);
        self.sink.outputs(&outputs).context(CANNOT_WRITE)
    }

    fn sum_up(&mut self) -> anyhow::Result<()> {
        let report = self.session.interval(time::monotonic_ns()?);
        self.sink.interval(&report).context(CANNOT_WRITE)
    }

    fn end(mut self) -> anyhow::Result<()> {
        if !self.is_gone {
            self.tick()?;
        }
        let last = self.session.flush();
        let mut summary = self.session.summary(time::monotonic_ns()?);
        if summary.all.lost > 0 && self.all_namespaces {
            // The kernel counted those too that have no record.
            summary.histogram = Histogram::from_slots(&self.probe.histogram()?);
        }
        let interval = self.session.interval(time::monotonic_ns()?);
        self.sink
            .outputs(&last)
            .and_then(|()| self.sink.interval(&interval))
            .and_then(|()| self.sink.summary(&summary))
            .context(CANNOT_WRITE)?;
        if self.is_gone {
            bail!("ip_vs was unloaded, and the probes went with it: start again when it is back");
        }
        Ok(())
    }
}

fn clock(jiffy_ns: u64) -> anyhow::Result<Clock> {
    Ok(Clock {
        jiffy_ns,
        wall_offset_ns: time::wall_offset_ns()?,
    })
}

/// Whether the snapshot is whole and no namespace is in it.
fn is_empty(snapshot: &[Snapshot]) -> bool {
    matches!(snapshot, [end] if end.kind == SnapshotKind::End as u32)
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

fn ticks() -> Interval {
    let mut ticks = interval_at(Instant::now() + TICK, TICK);
    // After a suspension one look is enough to catch up.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn at(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// The signals that ask to end.
struct Signals([Signal; 3]);

impl Signals {
    /// The first asks; the second ends us at once, should writing to a reader that does not read hold us
    /// up. The kernel takes the probes away with us.
    fn new() -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))?;
            flag::register(signal, Arc::clone(&asked))?;
        }
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn asked_to_end(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
