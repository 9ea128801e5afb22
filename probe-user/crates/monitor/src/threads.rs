//! Kernel threads that estimate, looked at without any probe: twice, with some time between.

use std::{
    collections::HashMap,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread::sleep,
    time::Duration,
};

use crate::thread_reader::ThreadReader;
use host::{estimator_threads::Estimation, task_facts::TaskFacts, time};

/// How long is slept at a time, so that a signal ends the wait.
const NAP: Duration = Duration::from_millis(50);

/// What was seen of the threads.
#[derive(Debug, Clone, Default)]
pub struct Threads {
    /// For how long, in nanoseconds.
    pub observed_ns: u64,
    /// A signal did not end the time early.
    pub is_whole: bool,
    /// By namespace, in the kernel's order, at the end of that time.
    pub namespaces: Vec<Estimation>,
    /// By thread id, those that were there at the end.
    pub tasks: HashMap<u32, Task>,
}

/// One thread's task.
#[derive(Debug, Clone)]
pub struct Task {
    /// At the end of the time.
    pub facts: TaskFacts,
    /// Time on a CPU meanwhile, in nanoseconds.
    pub ran_ns: Option<u64>,
}

/// One look at the threads.
#[derive(Debug, Clone)]
pub struct Look {
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    at_ns: u64,
    namespaces: Vec<Estimation>,
    tasks: HashMap<u32, TaskFacts>,
}

impl Look {
    /// Looks at the threads of the host under `root`.
    ///
    /// # Errors
    ///
    /// When the kernel's memory cannot be read, or does not hold what is sought.
    pub fn take(root: &Path, reader: &mut ThreadReader) -> anyhow::Result<Self> {
        let namespaces = reader.read()?;
        let threads = namespaces.iter().flat_map(|one| &one.threads);
        let tids = threads.filter_map(|thread| thread.tid);
        let tasks = tids.map(|tid| (tid, TaskFacts::read(root, tid))).collect();
        Ok(Self {
            at_ns: time::monotonic_ns()?,
            namespaces,
            tasks,
        })
    }

    /// Returns the inode numbers of the namespaces that are there.
    pub fn netns(&self) -> impl Iterator<Item = u32> {
        self.namespaces.iter().map(|one| one.netns)
    }

    /// Returns the numbers of the namespaces since `ip_vs` was loaded.
    pub fn generations(&self) -> impl Iterator<Item = u32> {
        self.namespaces.iter().map(|one| one.generation)
    }

    /// Returns the ids of the threads that are there.
    pub fn tids(&self) -> impl Iterator<Item = u32> {
        self.tasks.keys().copied()
    }

    /// Returns what is there now, with what the threads did since an earlier look.
    #[must_use]
    pub fn since(&self, before: &Self) -> Threads {
        let tasks = self.tasks.iter().map(|(tid, facts)| {
            // One that was not there has done all that it did since.
            let begun = before.tasks.get(tid).map_or(Some(0), |facts| facts.ran_ns);
            let ran_ns = facts
                .ran_ns
                .zip(begun)
                .and_then(|(now, begun)| now.checked_sub(begun));
            let facts = facts.clone();
            (*tid, Task { facts, ran_ns })
        });
        Threads {
            observed_ns: self.at_ns.saturating_sub(before.at_ns),
            is_whole: true,
            tasks: tasks.collect(),
            namespaces: self.namespaces.clone(),
        }
    }
}

/// Looks at the threads for so long.
///
/// # Errors
///
/// When the kernel's memory cannot be read, or does not hold what is sought.
pub fn observe(
    root: &Path,
    duration: Duration,
    asked_to_end: &AtomicBool,
) -> anyhow::Result<Threads> {
    let mut reader = ThreadReader::load(root)?;
    let before = Look::take(root, &mut reader)?;
    let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let end_ns = before.at_ns.saturating_add(duration_ns);
    while time::monotonic_ns()? < end_ns && !asked_to_end.load(Ordering::SeqCst) {
        sleep(NAP);
    }
    let threads = Look::take(root, &mut reader)?.since(&before);
    Ok(Threads {
        is_whole: threads.observed_ns >= duration_ns,
        ..threads
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at_ns: u64, ran: &[(u32, Option<u64>)]) -> Look {
        let tasks = ran.iter().map(|(tid, ran_ns)| {
            let facts = TaskFacts {
                ran_ns: *ran_ns,
                ..TaskFacts::default()
            };
            (*tid, facts)
        });
        Look {
            at_ns,
            namespaces: Vec::new(),
            tasks: tasks.collect(),
        }
    }

    #[test]
    fn the_time_on_a_cpu_is_that_between_two_looks_and_all_of_a_new_thread() {
        let before = look(100, &[(1, Some(10)), (2, None), (4, Some(90))]);
        let now = look(
            300,
            &[
                (1, Some(17)),
                (2, Some(20)),
                (3, Some(5)),
                (4, Some(1)),
                (5, None),
            ],
        );
        let threads = now.since(&before);
        assert_eq!(threads.observed_ns, 200);
        for (tid, ran_ns) in [(1, Some(7)), (2, None), (3, Some(5)), (4, None), (5, None)] {
            assert_eq!(threads.tasks[&tid].ran_ns, ran_ns, "{tid}");
        }
    }
}
