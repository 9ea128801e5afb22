//! Reading the kernel's structures.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_probe_read_kernel, generated};
use bytemuck::Zeroable;

/// Reads a `T` at `address + offset`; `None` where that is not readable memory.
#[inline(always)]
pub fn read<T>(address: u64, offset: u32) -> Option<T> {
    let pointer = address.wrapping_add(u64::from(offset)) as *const T;
    // SAFETY: the helper checks the address itself and fails on one that cannot be read.
    unsafe { bpf_probe_read_kernel(pointer) }.ok()
}

/// Reads a `T` at `address + offset`; zero where that is not readable memory. Without a branch for that, of which each
/// would double what the verifier has to look at.
#[inline(always)]
pub fn read_or_zero<T: Zeroable>(address: u64, offset: u32) -> T {
    let pointer = address.wrapping_add(u64::from(offset)) as *const c_void;
    let mut value = T::zeroed();
    // SAFETY: as in `read`. Where it fails, the helper itself fills `value` with zeros
    // (`bpf_probe_read_kernel_common`, `kernel/trace/bpf_trace.c` of Linux 5.5 to 6.12).
    unsafe {
        generated::bpf_probe_read_kernel((&raw mut value).cast(), size_of::<T>() as u32, pointer);
    }
    value
}
