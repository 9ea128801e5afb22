//! Records out of ring buffers.

use std::{
    marker::PhantomData,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use aya::{
    Ebpf, Pod,
    maps::{MapData, RingBuf},
};
use bytemuck::AnyBitPattern;

use super::{ProbeError, load};

/// A ring buffer whose records are all a `T`.
pub struct Records<T> {
    ring: RingBuf<MapData>,
    record: PhantomData<T>,
}

impl<T: AnyBitPattern> Records<T> {
    /// The ring buffer called `name`.
    pub fn take(ebpf: &mut Ebpf, name: &str) -> Result<Self, ProbeError> {
        Ok(Self {
            ring: load::map(ebpf, name)?,
            record: PhantomData,
        })
    }

    /// Returns the descriptor that is readable while there are records, where they ask to be read at once.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open for as long as the ring is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }

    /// Hands over every record that is there.
    pub fn drain(&mut self, mut into: impl FnMut(T)) {
        while let Some(item) = self.ring.next() {
            // A record of another size could only come from another build of the programs than the one
            // inside this binary.
            if let Ok(record) = bytemuck::try_pod_read_unaligned(&item) {
                into(record);
            }
        }
    }
}

/// The value of the map of estimators. Only its size matters here: it is removed, never read.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct RawEstimator([u64; 9]);

// SAFETY: made of plain numbers, without padding.
unsafe impl Pod for RawEstimator {}
