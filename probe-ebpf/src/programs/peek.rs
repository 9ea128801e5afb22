//! Reads kernel memory for user space. Run by `BPF_PROG_TEST_RUN`, never attached.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::{bpf_get_current_task, generated::bpf_probe_read_kernel},
    programs::RawTracePointContext,
};
use probe_ebpf::peek::{Argument, PEEK_BYTES};

use crate::maps::PEEK;

const LENGTH_MASK: u64 = PEEK_BYTES as u64 - 1;

/// Returns 0, or 1 where the memory cannot be read. Without aya's macro: a function that it makes always returns 0.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp")]
extern "C" fn peek(ctx: *mut c_void) -> i32 {
    let ctx = RawTracePointContext::new(ctx);
    let Some(into) = PEEK.get_ptr_mut(0) else {
        return 1;
    };
    let address: u64 = ctx.arg(Argument::Address as usize);
    if address == 0 {
        // SAFETY: `into` points into the map, whose value has room for eight bytes.
        unsafe {
            let task = bpf_get_current_task();
            into.cast::<[u8; 8]>().write(task.to_ne_bytes());
        };
        return 0;
    }
    let length: u64 = ctx.arg(Argument::Length as usize);
    // SAFETY: `into` has room for as many bytes as the mask lets through; the helper checks the address itself.
    let read = unsafe {
        bpf_probe_read_kernel(
            into.cast(),
            (length & LENGTH_MASK) as u32,
            address as *const c_void,
        )
    };
    i32::from(read != 0)
}
