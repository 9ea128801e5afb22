//! Where the kernel keeps the statistics of each network namespace.
//!
//! A read of `/proc/net/ip_vs_stats` calls `ip_vs_read_estimator(to, from)` in the reader's own task, with the statistics
//! of the namespace as its second argument (`ip_vs_stats_show`, `net/netfilter/ipvs/ip_vs_ctl.c` of Linux 3.10 to 6.1). A probe
//! on that function, which sees this thread alone, reads the argument.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
    thread,
};

use host::{
    netns,
    netns_owners::{self, NetnsOwners},
    symbols,
};
use nix::sched::{CloneFlags, setns};

use super::{event::Event, ring::Ring, sample};

/// The function that shows them.
const FUNCTION: &str = "ip_vs_read_estimator";

/// The data area of the ring is one page: it is read after each namespace.
const RING_BYTES: usize = 4096;

/// Returns the address of the statistics of every namespace that can be read, with its inode number.
///
/// # Errors
///
/// When the kernel refuses the probe.
pub fn read(root: &Path, owners: &NetnsOwners) -> io::Result<BTreeMap<u64, u32>> {
    let address = symbols::address(root, "ip_vs", FUNCTION)?;
    let address = address
        .ok_or_else(|| io::Error::other(format!("the address of {FUNCTION} is not shown")))?;
    // A thread that enters namespaces does nothing else any more.
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_all(root, owners, address));
        let panicked = |_| {
            Err(io::Error::other(
                "the thread that reads namespaces panicked",
            ))
        };
        reader.join().unwrap_or_else(panicked)
    })
}

fn read_all(root: &Path, owners: &NetnsOwners, address: u64) -> io::Result<BTreeMap<u64, u32>> {
    let event = Event::second_argument(root, address)?;
    let mut ring = Ring::map(event.file(), RING_BYTES)?;
    event.enable()?;
    let mut found = BTreeMap::new();
    for netns in namespaces(root, owners) {
        let bytes = show(root, owners, netns).map(|()| ring.take());
        let address = bytes.map(|bytes| sample::registers(&bytes).last());
        match address {
            Ok(Some(address)) => drop(found.insert(address, netns)),
            Ok(None) => log::debug!("netns {netns}: its statistics were not seen"),
            Err(error) => log::debug!("netns {netns}: its statistics cannot be read: {error}"),
        }
    }
    Ok(found)
}

/// Returns all namespaces that may be read.
fn namespaces(root: &Path, owners: &NetnsOwners) -> BTreeSet<u32> {
    let roots = [netns::root_inode(root).ok(), netns::own_inode(root)];
    owners
        .namespaces()
        .chain(roots.into_iter().flatten())
        .collect()
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
    fn without_the_function_nothing_is_probed() {
        let root = tempfile::tempdir().unwrap();
        let owners = NetnsOwners::read(root.path());
        assert!(read(root.path(), &owners).is_err());
        fs::create_dir(root.path().join("proc")).unwrap();
        fs::write(root.path().join("proc/kallsyms"), "").unwrap();
        let error = read(root.path(), &owners).unwrap_err().to_string();
        assert!(error.contains(FUNCTION), "{error}");
    }
}
