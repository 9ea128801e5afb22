//! Where the kernel keeps the statistics of each namespace, by a probe that sees this thread alone.

use std::{collections::BTreeMap, io, path::Path};

use host::{netns_owners::NetnsOwners, symbols};

use super::{event::Event, ring::Ring, sample};
use crate::statistics::{self, FUNCTION};

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
    statistics::in_a_thread(|| {
        let event = Event::second_argument(root, address)?;
        let mut ring = Ring::map(event.file(), RING_BYTES)?;
        event.enable()?;
        let last = || Ok(sample::registers(&ring.take()).last());
        statistics::of_all(root, owners, last)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_function_nothing_is_probed() {
        let root = tempfile::tempdir().unwrap();
        let owners = NetnsOwners::read(root.path());
        assert!(read(root.path(), &owners).is_err());
        std::fs::create_dir(root.path().join("proc")).unwrap();
        std::fs::write(root.path().join("proc/kallsyms"), "").unwrap();
        let error = read(root.path(), &owners).unwrap_err().to_string();
        assert!(error.contains(FUNCTION), "{error}");
    }
}
