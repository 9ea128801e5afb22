//! The kernel threads that estimate (Linux 6.2 on), as `check` and `watch` show them.

use std::{cmp::Reverse, collections::BTreeSet, fs, io, path::Path};

use serde::Serialize;

use crate::watch::netns_named;
use host::{
    cpus,
    estimator_threads::Estimation,
    netns_owners::{Named, NetnsOwners},
};
use monitor::threads as observed;

/// Files with the CPUs that are kept free of other work (`Documentation/ABI/testing/sysfs-devices-system-cpu`).
const ISOLATED: [&str; 2] = ["isolated", "nohz_full"];

/// Kernel threads that estimate.
#[derive(Debug, Clone, Serialize)]
pub struct SeenThreads {
    /// How long was looked, in nanoseconds.
    pub observed_ns: u64,
    /// Network namespaces whose first thread is finding how long a chain may be.
    pub calibrating: u32,
    /// Network namespaces whose threads the kernel stopped: `run_estimation` is 0, or `est_cpulist` is empty.
    pub stopped: u32,
    /// Network namespaces with estimators that have no thread, for no reason that the kernel gives.
    pub abandoned: u32,
    /// The threads, those with most estimators first.
    pub threads: Vec<Thread>,
}

/// One kernel thread.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Thread {
    /// Inode number of its network namespace.
    pub netns: u32,
    /// Which of the namespaces since `ip_vs` was loaded.
    #[serde(skip)]
    pub generation: u32,
    /// Its number among those of its namespace.
    #[serde(rename = "thread")]
    pub number: u32,
    /// Who lives there, and the path that opens it.
    #[serde(flatten)]
    pub named: Named,
    /// Its thread id; `None` while it has no task.
    pub tid: Option<u32>,
    /// Its name, as `ps` shows it.
    pub name: Option<String>,
    /// Estimators that it visits, each every 2 s.
    pub estimators: u32,
    /// How many it may have.
    pub estimators_max: u32,
    /// The share of a CPU that it took.
    pub share: Option<f64>,
    /// Its niceness.
    pub nice: Option<i32>,
    /// The CPUs that it may run on.
    pub cpus: Option<Vec<u32>>,
    /// Those of them that are isolated from the scheduler, or whose timer tick the kernel stops while they are busy; `None`
    /// where that cannot be read.
    pub isolated_cpus: Option<Vec<u32>>,
    /// The CPU that it last ran on.
    pub last_cpu: Option<u32>,
}

impl Thread {
    /// Returns what a table calls it.
    #[must_use]
    pub fn shown(&self) -> String {
        match (&self.name, self.tid) {
            (Some(name), _) => name.clone(),
            (None, Some(_)) => format!("thread {}", self.number),
            (None, None) => "no task".into(),
        }
    }
}

/// Returns the threads that were seen.
pub fn told(root: &Path, seen: &observed::Threads, owners: &NetnsOwners) -> SeenThreads {
    let isolated = isolated(root);
    let count = |is: fn(&Estimation) -> bool| {
        let namespaces = seen.namespaces.iter().filter(|one| is(one));
        u32::try_from(namespaces.count()).unwrap_or(u32::MAX)
    };
    let namespaces = seen.namespaces.iter();
    let threads = namespaces.flat_map(|one| one.threads.iter().map(move |thread| (one, thread)));
    // The first thread's place is there before a service is: it then has neither a task nor an estimator.
    let threads = threads.filter(|(_, thread)| thread.tid.is_some() || thread.estimators > 0);
    let threads = threads.map(|(namespace, thread)| {
        let task = thread.tid.and_then(|tid| seen.tasks.get(&tid));
        let facts = task.map(|task| task.facts.clone()).unwrap_or_default();
        let isolated = isolated.as_ref().map(|isolated| {
            let cpus = facts.cpus.iter().flatten();
            cpus.filter(|cpu| isolated.contains(cpu)).copied().collect()
        });
        Thread {
            netns: namespace.netns,
            generation: namespace.generation,
            number: thread.id,
            named: owners.named(namespace.netns),
            tid: thread.tid,
            isolated_cpus: isolated,
            name: facts.name,
            estimators: thread.estimators,
            estimators_max: thread.most,
            share: task
                .and_then(|task| task.ran_ns)
                .and_then(|ran_ns| share(ran_ns, seen.observed_ns)),
            nice: facts.nice,
            cpus: facts.cpus,
            last_cpu: facts.last_cpu,
        }
    });
    let mut threads: Vec<Thread> = threads.collect();
    threads.sort_by_key(|one| (Reverse(one.estimators), one.netns, one.tid));
    SeenThreads {
        observed_ns: seen.observed_ns,
        calibrating: count(|one| one.is_calibrating),
        stopped: count(|one| one.is_stopped),
        abandoned: count(is_abandoned),
        threads,
    }
}

fn is_abandoned(one: &Estimation) -> bool {
    let mut threads = one.threads.iter();
    let lacks_task = threads.any(|thread| thread.estimators > 0 && thread.tid.is_none());
    lacks_task && !one.is_stopped && !one.is_calibrating
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a share needs no 53 bits of a time"
)]
fn share(ran_ns: u64, observed_ns: u64) -> Option<f64> {
    (observed_ns > 0).then(|| ran_ns as f64 / observed_ns as f64)
}

/// Returns the CPUs that are kept free of other work; `None` where that cannot be read. A kernel that cannot do the one or
/// the other has no file for it.
fn isolated(root: &Path) -> Option<BTreeSet<u32>> {
    let folder = root.join("sys/devices/system/cpu");
    // Without sysfs no file of it is found.
    fs::metadata(&folder).ok()?;
    let mut isolated = BTreeSet::new();
    for file in ISOLATED {
        match fs::read_to_string(folder.join(file)) {
            // What Linux 6.1 writes where none has been set up.
            Ok(list) if list.trim() == "(null)" => {}
            Ok(list) => isolated.extend(cpus::parse_list(&list)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => return None,
        }
    }
    Some(isolated)
}

/// Returns what there is to look at, in sentences: threads on isolated CPUs, their niceness, and those that do not run.
#[must_use]
pub fn remarks(seen: &SeenThreads) -> Vec<String> {
    let mut remarks = Vec::new();
    let running = || seen.threads.iter().filter(|one| one.tid.is_some());
    let isolated = running().filter(|one| one.isolated_cpus.iter().any(|cpus| !cpus.is_empty()));
    if let Some(named) = netns_of(isolated) {
        remarks.push(format!(
            "threads of {named} may run on isolated CPUs: set net.ipv4.vs.est_cpulist of that network namespace to other CPUs"
        ));
    }
    let favoured = running().filter(|one| one.nice.is_some_and(|nice| nice < 0));
    if let Some(named) = netns_of(favoured) {
        remarks.push(format!(
            "threads of {named} have a niceness below 0 and get more CPU time than other tasks: net.ipv4.vs.est_nice of that \
             network namespace sets it"
        ));
    }
    let counted = |count: u32, what: &str| {
        let s = if count == 1 { "" } else { "s" };
        (count > 0).then(|| format!("in {count} namespace{s} {what}"))
    };
    remarks.extend(counted(
        seen.calibrating,
        "the first thread calibrates: it finds how many estimators a chain may have",
    ));
    remarks.extend(counted(
        seen.stopped,
        "the kernel has stopped the threads: run_estimation is 0, or est_cpulist is empty",
    ));
    remarks.extend(counted(
        seen.abandoned,
        "estimators have no thread, and their statistics are not updated",
    ));
    remarks
}

fn netns_of<'a>(threads: impl Iterator<Item = &'a Thread>) -> Option<String> {
    let netns: BTreeSet<u32> = threads.map(|one| one.netns).collect();
    netns_named(netns.into_iter())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use host::{estimator_threads, task_facts::TaskFacts};

    use super::*;

    #[test]
    fn threads_are_told_with_their_share_and_the_isolated_cpus_that_they_may_run_on() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("sys/devices/system/cpu");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("isolated"), "3\n").unwrap();
        // What a kernel without it writes.
        fs::write(folder.join("nohz_full"), " (null)\n").unwrap();
        let thread = |id, tid, estimators| estimator_threads::Thread {
            id,
            tid,
            estimators,
            most: 9_600,
        };
        let estimation = |netns, is_stopped, threads| Estimation {
            netns,
            generation: netns,
            run_estimation: 1,
            is_stopped,
            is_calibrating: false,
            chain_max: 192,
            threads,
        };
        let facts = TaskFacts {
            name: Some("ipvs-e:0:1".into()),
            cpus: Some(vec![0, 3]),
            ..TaskFacts::default()
        };
        let task = observed::Task {
            facts,
            ran_ns: Some(10_000_000),
        };
        let seen = observed::Threads {
            observed_ns: 2_000_000_000,
            is_whole: true,
            namespaces: vec![
                estimation(
                    1,
                    false,
                    vec![thread(0, Some(130), 5), thread(1, Some(131), 9_600)],
                ),
                estimation(2, true, vec![thread(0, None, 9)]),
                estimation(3, false, vec![thread(0, None, 0)]),
                estimation(4, false, vec![thread(0, None, 1)]),
            ],
            tasks: HashMap::from([(131, task)]),
        };
        let told = told(root.path(), &seen, &NetnsOwners::default());
        assert_eq!((told.calibrating, told.stopped, told.abandoned), (0, 1, 1));
        let tids: Vec<_> = told.threads.iter().map(|one| one.tid).collect();
        assert_eq!(tids, [Some(131), None, Some(130), None]);
        assert_eq!(told.threads[0].share, Some(0.005));
        assert_eq!(told.threads[0].isolated_cpus, Some(vec![3]));
        assert_eq!(told.threads[2].isolated_cpus, Some(Vec::new()));
        assert_eq!(told.threads[2].share, None);
    }

    #[test]
    fn isolated_cpus_that_cannot_be_read_are_not_taken_for_none() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(isolated(root.path()), None, "no sysfs");
        fs::create_dir_all(root.path().join("sys/devices/system/cpu")).unwrap();
        assert_eq!(isolated(root.path()), Some(BTreeSet::new()));
        let file = root.path().join("sys/devices/system/cpu/nohz_full");
        fs::create_dir_all(&file).unwrap();
        assert_eq!(isolated(root.path()), None);
        fs::remove_dir(&file).unwrap();
        fs::write(&file, "rubbish").unwrap();
        assert_eq!(isolated(root.path()), None);
        fs::write(&file, "2-3\n").unwrap();
        assert_eq!(isolated(root.path()), Some(BTreeSet::from([2, 3])));
    }

    fn thread(netns: u32, isolated_cpus: Option<Vec<u32>>, nice: Option<i32>) -> Thread {
        Thread {
            netns,
            generation: 0,
            number: 0,
            named: Named::default(),
            tid: Some(131),
            name: None,
            estimators: 1,
            estimators_max: 9_600,
            share: None,
            nice,
            cpus: None,
            isolated_cpus,
            last_cpu: None,
        }
    }

    #[test]
    fn what_there_is_to_look_at_is_said_and_nothing_where_there_is_nothing() {
        let seen = |threads, stopped| SeenThreads {
            observed_ns: 1,
            calibrating: 0,
            stopped,
            abandoned: 0,
            threads,
        };
        assert_eq!(remarks(&seen(vec![thread(7, None, Some(0))], 0)), [""; 0]);
        let busy = vec![
            thread(7, Some(vec![3]), Some(-5)),
            thread(7, Some(vec![3]), Some(0)),
        ];
        let said = remarks(&seen(busy, 2));
        assert!(said[0].starts_with("threads of netns 7 may run on isolated CPUs"));
        assert!(said[1].contains("est_nice"));
        assert!(said[2].starts_with("in 2 namespaces the kernel has stopped"));
        assert_eq!(said.len(), 3);
    }
}
