//! The eBPF programs of ipvs-latency and their maps. No policy here: what is measured is handed over
//! as it is, and user space decides what it means.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod programs {
    pub mod kernel_memory;
    pub mod lifetime;
    pub mod run;
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
