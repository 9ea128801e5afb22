//! A kprobe and a kretprobe that do nothing: what attaching anything at all costs a call.

#![no_std]
#![no_main]

use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};

#[kprobe]
fn empty_enter(_: ProbeContext) -> u32 {
    0
}

#[kretprobe]
fn empty_return(_: RetProbeContext) -> u32 {
    0
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
