//! The kernel threads that estimate, as `check` tells them.

use std::{cmp::Reverse, collections::BTreeSet, fs, path::Path};

use super::page::{SeenThreads, Thread};
use host::{cpus, estimator_threads::Estimation, netns_owners::NetnsOwners};
use monitor::threads as observed;

/// Files with the CPUs that are kept free of other work (`Documentation/ABI/testing/sysfs-devices-system-cpu`).
const ISOLATED: [&str; 2] = ["isolated", "nohz_full"];

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
        let free = facts.cpus.iter().flatten();
        Thread {
            netns: namespace.netns,
            named: owners.named(namespace.netns),
            tid: thread.tid,
            isolated_cpus: free.filter(|cpu| isolated.contains(cpu)).copied().collect(),
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

fn isolated(root: &Path) -> BTreeSet<u32> {
    let lists = ISOLATED.map(|file| root.join("sys/devices/system/cpu").join(file));
    let lists = lists.iter().filter_map(|file| {
        let list = fs::read_to_string(file).ok()?;
        cpus::parse_list(&list)
    });
    lists.flatten().collect()
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
        assert_eq!(told.threads[0].isolated_cpus, [3]);
        assert_eq!(told.threads[2].share, None);
    }
}
