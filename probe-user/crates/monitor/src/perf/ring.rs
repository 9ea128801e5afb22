//! The memory that the kernel writes the records of one CPU into (`kernel/events/ring_buffer.c`).

use std::{
    ffi::c_void,
    io,
    num::NonZeroUsize,
    ops::Range,
    os::fd::AsFd,
    ptr::{self, NonNull},
    sync::atomic::{AtomicU64, Ordering},
};

use nix::{
    sys::mman::{MapFlags, ProtFlags, mmap, munmap},
    unistd::{SysconfVar, sysconf},
};

/// Where the control page keeps how far the kernel has written, and how far was read, in bytes since the beginning
/// (`struct perf_event_mmap_page`, `include/uapi/linux/perf_event.h` of Linux 3.10 to 6.1).
const DATA_HEAD: usize = 1024;
const DATA_TAIL: usize = 1032;

/// A ring: the control page, and behind it the data area.
#[derive(Debug)]
pub struct Ring {
    mapping: NonNull<c_void>,
    page: usize,
    size: usize,
}

impl Ring {
    /// Maps the ring of an event, with a data area of `size` bytes, a power of two, or of one page where that is more.
    ///
    /// # Errors
    ///
    /// When the kernel has no memory for it, or lets this user lock no more.
    pub fn map(event: impl AsFd, size: usize) -> io::Result<Self> {
        let page = sysconf(SysconfVar::PAGE_SIZE)?.and_then(|page| usize::try_from(page).ok());
        let page = page.ok_or_else(|| io::Error::other("the size of a page is not known"))?;
        let size = size.max(page);
        let length = NonZeroUsize::new(page.saturating_add(size));
        let length = length.ok_or_else(|| io::Error::other("the size of a ring is 0"))?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the kernel chooses the address, so that no other memory is touched.
        let mapping = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, event, 0) }?;
        Ok(Self {
            mapping,
            page,
            size,
        })
    }

    /// Takes all that was not read yet.
    pub fn take(&mut self) -> Vec<u8> {
        // What the kernel wrote before it set the head is seen after the head is.
        let head = self.control(DATA_HEAD).load(Ordering::Acquire);
        let tail = self.control(DATA_TAIL).load(Ordering::Relaxed);
        let mut bytes: Vec<u8> = Vec::new();
        for range in unread(self.size, tail, head) {
            let length = range.len();
            bytes.reserve(length);
            // SAFETY: the range lies within the data area, which is mapped, and the kernel does not write between tail and
            // head; there is room for so many bytes behind those that are there.
            unsafe {
                let from = self.mapping.byte_add(self.page + range.start);
                let to = bytes.as_mut_ptr().add(bytes.len());
                ptr::copy_nonoverlapping(from.cast::<u8>().as_ptr(), to, length);
                bytes.set_len(bytes.len() + length);
            }
        }
        // All of it was copied before the kernel may write over it.
        self.control(DATA_TAIL).store(head, Ordering::Release);
        bytes
    }

    fn control(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: both fields lie in the control page, aligned, and are used through atomics alone.
        unsafe { self.mapping.byte_add(offset).cast::<AtomicU64>().as_ref() }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: nothing refers to the mapping any more.
        // It was mapped so, and so the kernel unmaps it.
        let _ = unsafe { munmap(self.mapping, self.page + self.size) };
    }
}

/// Returns where in the data area of `size` bytes lies what is between `tail` and `head`, in its order.
pub fn unread(size: usize, tail: u64, head: u64) -> [Range<usize>; 2] {
    let length = usize::try_from(head.wrapping_sub(tail)).unwrap_or(0);
    // The kernel never has more than fits; another number is none of its own.
    let length = if length > size { 0 } else { length };
    let begin = usize::try_from(tail % size.max(1) as u64).unwrap_or(0);
    let first = length.min(size.saturating_sub(begin));
    [begin..begin + first, 0..length - first]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_across_the_end_goes_on_at_the_beginning() {
        assert_eq!(unread(4096, 0, 0), [0..0, 0..0]);
        assert_eq!(unread(4096, 8, 100), [8..100, 0..0]);
        assert_eq!(unread(4096, 4000, 4096), [4000..4096, 0..0]);
        assert_eq!(unread(4096, 4000, 4200), [4000..4096, 0..104]);
        assert_eq!(unread(4096, 4096 * 7 + 1, 4096 * 8 + 1), [1..4096, 0..1]);
    }

    #[test]
    fn more_than_fits_is_nothing() {
        assert_eq!(unread(4096, 0, 4097), [0..0, 0..0]);
        assert_eq!(unread(4096, 10, 9), [10..10, 0..0]);
    }
}
