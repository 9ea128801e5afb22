//! The eBPF programs of ipvs-latency and their maps. No policy here: what is measured is handed over
//! as it is, and user space decides what it means.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
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
    clippy::cast_possible_wrap,
    reason = "a conversion that fails has nowhere to go here"
)]

mod programs {
    pub mod kernel_memory;
    pub mod lifetime;
    pub mod memory;
    pub mod peek;
    pub mod run;
    pub mod softirq;
    pub mod walk;
}
mod maps;

/// The helpers that read kernel memory are for programs under a licence compatible with the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
