//! The eBPF programs for kernels that estimate in kernel threads, and their maps.

#![no_std]
#![no_main]
#![allow(
    clippy::inline_always,
    reason = "the verifier judges one function at a time, and what is split loses what it knew"
)]
#![allow(
    clippy::needless_pass_by_value,
    reason = "aya's macros hand the context over by value"
)]
#![allow(
    clippy::cast_possible_truncation,
    reason = "a conversion that fails has nowhere to go here"
)]

#[path = "programs/memory.rs"]
mod memory;
#[path = "programs/threads.rs"]
mod threads;

/// The helpers that read kernel memory are for programs under a licence compatible with the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
