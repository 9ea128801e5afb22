//! Where the kernel keeps the statistics of each network namespace.
//!
//! A read of `/proc/net/ip_vs_stats` calls `ip_vs_read_estimator(to, from)` in the reader's own task, with the statistics
//! of the namespace as its second argument (`ip_vs_stats_show`, `net/netfilter/ipvs/ip_vs_ctl.c` of Linux 3.10 to 6.1). A probe
//! on that function reads the argument.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
    thread,
    time::Duration,
};

use host::{
    netns,
    netns_owners::{self, NetnsOwners},
};
use nix::sched::{CloneFlags, setns};

/// How often something else is done while a thread works.
const BETWEEN: Duration = Duration::from_millis(10);

/// Does some `work` in a thread of its own, and something else all the time meanwhile. A thread that enters namespaces does
/// nothing else any more.
pub fn in_a_thread<T: Send>(
    work: impl FnOnce() -> io::Result<T> + Send,
    meanwhile: &mut dyn FnMut(),
) -> io::Result<T> {
    thread::scope(|scope| {
        let worker = scope.spawn(work);
        while !worker.is_finished() {
            meanwhile();
            thread::sleep(BETWEEN);
        }
        let panicked = |_| {
            Err(io::Error::other(
                "the thread that reads namespaces panicked",
            ))
        };
        worker.join().unwrap_or_else(panicked)
    })
}

/// Shows the statistics of one namespace after the other to this thread, and asks for the `last` argument that the probe saw.
pub fn of_all(
    root: &Path,
    owners: &NetnsOwners,
    mut last: impl FnMut() -> io::Result<Option<u64>>,
) -> io::Result<BTreeMap<u64, u32>> {
    let mut found = BTreeMap::new();
    for netns in namespaces(root, owners) {
        if let Err(error) = show(root, owners, netns) {
            log::debug!("netns {netns}: its statistics cannot be read: {error}");
            continue;
        }
        match last()? {
            Some(address) => drop(found.insert(address, netns)),
            None => log::debug!("netns {netns}: its statistics were not seen"),
        }
    }
    Ok(found)
}

/// Returns all namespaces that may be read.
fn namespaces(root: &Path, owners: &NetnsOwners) -> BTreeSet<u32> {
    let roots = [netns::root_inode(root).ok(), netns::own_inode(root)];
    let roots = roots.into_iter().flatten();
    owners.namespaces().chain(roots).collect()
}

/// Lets the kernel show the statistics of a namespace to this thread.
fn show(root: &Path, owners: &NetnsOwners, netns: u32) -> io::Result<()> {
    let entered = enter(owners, netns);
    let shown = entered.and_then(|()| fs::read(netns::own_files(root).join("ip_vs_stats")));
    let shown = shown.or_else(|error| {
        let pid = owners.doors().process(netns).ok_or(error)?;
        let file = root.join(format!("proc/{pid}/net/ip_vs_stats"));
        netns_owners::while_in(root, pid, netns, || fs::read(file))
    });
    shown.map(drop)
}

fn enter(owners: &NetnsOwners, netns: u32) -> io::Result<()> {
    let opened = owners.doors().open(netns)?;
    Ok(setns(&opened.file, CloneFlags::CLONE_NEWNET)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_cannot_be_read_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        let owners = NetnsOwners::read(root.path());
        let found = of_all(root.path(), &owners, || panic!("nothing was shown")).unwrap();
        assert_eq!(found, BTreeMap::new());
        assert!(show(root.path(), &owners, 7).is_err());
    }

    #[test]
    fn what_a_thread_says_is_handed_on_and_its_panic_an_error() {
        let mut rounds = 0;
        let mut count = || rounds += 1;
        let works = || {
            thread::sleep(2 * BETWEEN);
            Ok(7)
        };
        assert_eq!(in_a_thread(works, &mut count).unwrap(), 7);
        let panics = || -> io::Result<()> { panic!("made for the test") };
        assert!(in_a_thread(panics, &mut count).is_err());
        assert!(rounds > 0);
    }
}
