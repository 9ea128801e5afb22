//! Where the kernel keeps the statistics of each namespace, by a probe that sees this thread alone.

use std::{collections::BTreeMap, io, path::Path};

use host::netns_owners::NetnsOwners;

use super::{event::Event, ring::Ring, sample};
use crate::statistics;

/// The data area of the ring is one page: it is read after each namespace.
const RING_BYTES: usize = 4096;

/// Returns the address of the statistics of every namespace that can be read, with its inode number.
///
/// # Errors
///
/// When the kernel refuses the probe on the function at that address.
pub fn read(
    root: &Path,
    owners: &NetnsOwners,
    address: u64,
    meanwhile: &mut dyn FnMut(),
) -> io::Result<BTreeMap<u64, u32>> {
    let read = || {
        let event = Event::second_argument(root, address)?;
        let mut ring = Ring::map(event.file(), RING_BYTES)?;
        event.enable()?;
        let last = || Ok(sample::registers(&ring.take()).last());
        statistics::of_all(root, owners, last)
    };
    statistics::in_a_thread(read, meanwhile)
}
