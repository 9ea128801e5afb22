//! The thread that keeps the probes on chains away from calibrations.
//!
//! A namespace's first thread waits for a fiftieth of a second before it calibrates. In that time the probes have to be
//! gone, whatever else this process does, so that a thread of its own waits for threads that begin. It sleeps until then.
//!
//! As long as there is no thread, no probe is attached: a busy kernel takes longer than that fiftieth to remove one, and so
//! the first calibration is left alone however busy the node is.

use std::{
    collections::VecDeque,
    fs,
    io::{self, PipeReader, PipeWriter},
    os::fd::AsFd as _,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    programs::{KProbe, kprobe::KProbeLinkId},
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use probe_ebpf::threads::ThreadStart;

use crate::{
    probe::{
        ProbeError,
        attach::{self, Target},
        load,
        records::Records,
    },
    thread_reader::ThreadReader,
};
use host::{estimator_threads::Activity, prerequisites::ThreadsReady, time};

/// The return first, so that every entry counted has its return counted.
const PROGRAMS: [&str; 2] = ["chain_return", "chain_enter"];

/// Between two looks at a calibration, at least; and so many times as long as a look takes.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
const REST_AFTER_A_LOOK: u32 = 10;

/// Between two looks at what the kernel has removed.
const BETWEEN_POLLS: Duration = Duration::from_millis(1);

/// Threads that begin within this time make the probes wait longer: each doubles the wait, this often at most. A user who
/// may make network namespaces can have threads begin all the time.
const BACK_OFF_WITHIN: Duration = Duration::from_mins(1);
const MOST_DOUBLINGS: usize = 7;

/// So many refusals in a row are an error: one may be `ip_vs` that is just being unloaded.
const MOST_REFUSALS: u32 = 40;

/// What happened to the probes on chains. Times in nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// They were attached, or there is no thread whose runs they could measure.
    Attached {
        /// When.
        at_ns: u64,
    },
    /// They were removed from here on, or a first thread began before they were attached.
    Removed {
        /// When.
        at_ns: u64,
    },
    /// They were gone.
    RemovalTook {
        /// When.
        at_ns: u64,
        /// How long after the first thread began.
        since_begin_ns: u64,
    },
}

/// The attendant, as seen by the one that has it. Dropping it removes the probes.
pub struct Attendant {
    diary: Arc<Mutex<Diary>>,
    thread: Option<JoinHandle<()>>,
    /// Closed, it asks the thread to end.
    lifeline: Option<PipeWriter>,
}

/// What happened, for the one that reads it.
#[derive(Default)]
struct Diary {
    changes: Vec<Change>,
    error: Option<ProbeError>,
}

impl Attendant {
    /// Attaches the probes unless a thread calibrates, and looks after them from then on.
    pub fn start(mut chains: Chains, mut reader: ThreadReader) -> Result<Self, ProbeError> {
        let refused = |error: io::Error| load::refused("thread", &error);
        let (asked_to_end, lifeline) = io::pipe().map_err(refused)?;
        let diary = Arc::new(Mutex::new(Diary::default()));
        // The first time here, so that a refusal is one of the start.
        chains.settle(&mut reader, &diary)?;
        let thread = thread::Builder::new().name("attendant".into());
        let own = Arc::clone(&diary);
        let attend = move || {
            if let Err(error) = chains.attend(&asked_to_end, &mut reader, &own) {
                locked(&own).error = Some(error);
            }
            // Now, and not after the descriptors of the programs.
            let _ = chains.detach(&own, None);
        };
        Ok(Self {
            diary,
            thread: Some(thread.spawn(attend).map_err(refused)?),
            lifeline: Some(lifeline),
        })
    }

    /// Returns what happened since the last call.
    pub fn changes(&self) -> Result<Vec<Change>, ProbeError> {
        let mut diary = locked(&self.diary);
        if let Some(error) = diary.error.take() {
            return Err(error);
        }
        // It ends when it is asked to, or with an error.
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            let ended = io::Error::other("the thread that attends to the probes ended");
            return Err(load::refused("thread", &ended));
        }
        Ok(std::mem::take(&mut diary.changes))
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        self.lifeline = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn locked(diary: &Mutex<Diary>) -> MutexGuard<'_, Diary> {
    diary.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The probes on chains, and the records of threads that begin.
pub struct Chains {
    starts: Records<ThreadStart>,
    links: Vec<(&'static str, KProbeLinkId)>,
    /// There was no thread at the last look, and none began since.
    is_idle: bool,
    /// When threads began, in the last minute.
    begins: VecDeque<Instant>,
    /// How long the last look took.
    looked: Duration,
    ready: ThreadsReady,
    ebpf: Ebpf,
}

impl Chains {
    /// Returns them, not attached.
    pub fn new(mut ebpf: Ebpf, ready: ThreadsReady) -> Result<Self, ProbeError> {
        Ok(Self {
            starts: Records::take(&mut ebpf, "THREAD_STARTS")?,
            links: Vec::new(),
            is_idle: false,
            begins: VecDeque::new(),
            looked: Duration::ZERO,
            ready,
            ebpf,
        })
    }

    /// Waits for threads that begin, until asked to end.
    fn attend(
        &mut self,
        asked_to_end: &PipeReader,
        reader: &mut ThreadReader,
        diary: &Mutex<Diary>,
    ) -> Result<(), ProbeError> {
        let mut refusals = 0;
        while !self.wait(asked_to_end)? {
            if let Some(begun_ns) = self.begun() {
                self.detach(diary, Some(begun_ns))?;
            }
            if self.measures_all() || self.must_wait() {
                continue;
            }
            match self.settle(reader, diary) {
                Ok(()) => refusals = 0,
                Err(_) if refusals < MOST_REFUSALS => refusals += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns whether it was asked to end; waits for that or for a thread that begins, and not longer than until the next
    /// look at a calibration.
    fn wait(&self, asked_to_end: &PipeReader) -> Result<bool, ProbeError> {
        let timeout = if self.measures_all() {
            PollTimeout::NONE
        } else {
            let rest = BETWEEN_LOOKS.max(self.looked * REST_AFTER_A_LOOK);
            PollTimeout::try_from(rest).unwrap_or(PollTimeout::MAX)
        };
        let mut wanted = [
            PollFd::new(asked_to_end.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.starts.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut wanted, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(wanted[0].any().unwrap_or(false)),
            Err(error) => Err(load::refused("thread", &error)),
        }
    }

    /// Returns when the first thread began that did since the last call.
    fn begun(&mut self) -> Option<u64> {
        let mut first = None;
        self.starts.drain(|start| {
            first.get_or_insert(start.start_ns);
        });
        if first.is_some() {
            self.begins.push_back(Instant::now());
        }
        first
    }

    /// Returns whether threads began so often that the probes stay away for longer.
    fn must_wait(&mut self) -> bool {
        let recent = |begin: &Instant| begin.elapsed() < BACK_OFF_WITHIN;
        while self.begins.front().is_some_and(|begin| !recent(begin)) {
            self.begins.pop_front();
        }
        let doublings = self.begins.len().saturating_sub(1).min(MOST_DOUBLINGS);
        let wait = BETWEEN_LOOKS * (1 << doublings);
        self.begins
            .back()
            .is_some_and(|begin| begin.elapsed() < wait)
    }

    /// Attaches the probes if no thread calibrates, and removes them again if one begins meanwhile.
    fn settle(
        &mut self,
        reader: &mut ThreadReader,
        diary: &Mutex<Diary>,
    ) -> Result<(), ProbeError> {
        let begun = Instant::now();
        let activity = reader.activity();
        self.looked = begun.elapsed();
        match activity? {
            Activity::Calibrating => return Ok(()),
            Activity::None => {
                self.is_idle = true;
                return note(diary, |at_ns| Change::Attached { at_ns });
            }
            Activity::Estimating => {}
        }
        for name in PROGRAMS {
            if let Err(error) = self.attach(name) {
                self.remove(None)?;
                return Err(error);
            }
            if let Some(begun_ns) = self.begun() {
                let gone_ns = self.remove(None)?;
                tell_removal(diary, begun_ns, gone_ns);
                return Ok(());
            }
        }
        note(diary, |at_ns| Change::Attached { at_ns })
    }

    fn attach(&mut self, name: &'static str) -> Result<(), ProbeError> {
        let program: &mut KProbe = load::program(&mut self.ebpf, name)?;
        let link = attach::attach(program, Target::from(&self.ready), "ip_vs_chain_estimation");
        self.links.push((name, link?));
        Ok(())
    }

    /// Returns whether no run goes by unmeasured: the probes are attached, or there is no thread.
    fn measures_all(&self) -> bool {
        self.is_idle || !self.links.is_empty()
    }

    /// Removes the probes, because a thread began at `begun_ns`, or for good.
    fn detach(&mut self, diary: &Mutex<Diary>, begun_ns: Option<u64>) -> Result<(), ProbeError> {
        if std::mem::take(&mut self.is_idle) {
            return note(diary, |at_ns| Change::Removed { at_ns });
        }
        if self.links.is_empty() {
            return Ok(());
        }
        let gone_ns = self.remove(Some(diary))?;
        if let Some(begun_ns) = begun_ns {
            tell_removal(diary, begun_ns, gone_ns);
        }
        Ok(())
    }

    /// Removes the probes in parallel: the kernel waits for tens of milliseconds before and after it disables a probe, in
    /// which the other would still be there. Returns when both were gone.
    fn remove(&mut self, diary: Option<&Mutex<Diary>>) -> Result<u64, ProbeError> {
        let root = self.ready.root.clone();
        let before = registered(&root);
        let mut links = Vec::new();
        while let Some((name, link)) = self.links.pop() {
            let program: &mut KProbe = load::program(&mut self.ebpf, name)?;
            let link = program.take_link(link);
            links.push(link.map_err(|error| load::refused("probe", &error))?);
        }
        if let Some(diary) = diary {
            note(diary, |at_ns| Change::Removed { at_ns })?;
        }
        let left = before.and_then(|before| before.checked_sub(links.len()));
        thread::scope(|scope| {
            let closing: Vec<_> = links
                .into_iter()
                // Where no thread can be made, the link is dropped with its closure.
                .filter_map(|link| {
                    let builder = thread::Builder::new();
                    builder.spawn_scoped(scope, move || drop(link)).ok()
                })
                .collect();
            while closing.iter().any(|one| !one.is_finished()) {
                let now = registered(&root);
                if left.is_some_and(|left| now.is_some_and(|now| now <= left)) {
                    return now_ns();
                }
                thread::sleep(BETWEEN_POLLS);
            }
            now_ns()
        })
    }
}

/// Returns how many probes on chains the kernel lists, those of others included; `None` where it cannot be read. One leaves
/// the list when it is disabled (`__unregister_kprobe_top`, `kernel/kprobes.c` of Linux 6.12).
fn registered(root: &Path) -> Option<usize> {
    let list = fs::read_to_string(root.join("sys/kernel/debug/kprobes/list")).ok()?;
    let is_of_chains = |line: &&str| line.contains(" ip_vs_chain_estimation+");
    Some(list.lines().filter(is_of_chains).count())
}

fn now_ns() -> Result<u64, ProbeError> {
    time::monotonic_ns().map_err(|error| load::refused("clock", &error))
}

fn tell_removal(diary: &Mutex<Diary>, begun_ns: u64, gone_ns: u64) {
    locked(diary).changes.push(Change::RemovalTook {
        at_ns: gone_ns,
        since_begin_ns: gone_ns.saturating_sub(begun_ns),
    });
}

fn note(diary: &Mutex<Diary>, change: impl FnOnce(u64) -> Change) -> Result<(), ProbeError> {
    let change = change(now_ns()?);
    locked(diary).changes.push(change);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probes_on_chains_are_counted_in_the_kernels_list() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(registered(root.path()), None);
        let folder = root.path().join("sys/kernel/debug/kprobes");
        fs::create_dir_all(&folder).unwrap();
        // Linux 6.12.
        let list = "ffffffffc0a3f4d4  k  ip_vs_chain_estimation+0x4  ip_vs [FTRACE]\n\
                    ffffffffc0a3f4d4  r  ip_vs_chain_estimation+0x4  ip_vs [FTRACE]\n\
                    ffffffffc0a3fe14  k  ip_vs_estimation_kthread+0x4  ip_vs [FTRACE]\n";
        fs::write(folder.join("list"), list).unwrap();
        assert_eq!(registered(root.path()), Some(2));
    }
}
