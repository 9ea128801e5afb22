//! What all fuzz targets have in common: a bound on the memory that a reader may take for one input.
//!
//! libFuzzer's own bound (`-rss_limit_mb`) is on its whole process, inputs and coverage included.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    process,
    sync::atomic::{AtomicIsize, Ordering::Relaxed},
};

/// The bytes that a reader may hold at a time, without the input.
const MOST: isize = 256 << 20;

/// Counts the bytes that are allocated now.
static TAKEN: AtomicIsize = AtomicIsize::new(0);

/// The limit of these bytes for the present input.
static LIMIT: AtomicIsize = AtomicIsize::new(isize::MAX);

/// The system's allocator, with a count.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size().cast_signed());
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size().cast_signed());
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        take(size.cast_signed() - layout.size().cast_signed());
        // SAFETY: as the caller promised.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        take(-layout.size().cast_signed());
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn take(bytes: isize) {
    if TAKEN.fetch_add(bytes, Relaxed) + bytes > LIMIT.load(Relaxed) && bytes > 0 {
        // From here on what writes the message may allocate.
        LIMIT.store(isize::MAX, Relaxed);
        eprintln!("the reader takes more than {MOST} bytes");
        // libFuzzer then keeps the input.
        process::abort();
    }
}

/// Feeds an input to a reader, and ends the process if it takes too much memory.
pub fn bounded(bytes: &[u8], feed: fn(&[u8])) {
    LIMIT.store(TAKEN.load(Relaxed).saturating_add(MOST), Relaxed);
    feed(bytes);
    LIMIT.store(isize::MAX, Relaxed);
}
