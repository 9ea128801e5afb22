//! Holds a kprobe and a kretprobe that do nothing on the estimator until it is killed: the yardstick of
//! `cargo xtask bench`.

use std::thread;

use anyhow::Context as _;
use aya::{Ebpf, programs::KProbe};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/empty-pair"));

fn main() -> anyhow::Result<()> {
    let mut ebpf = Ebpf::load(OBJECT)?;
    for name in ["empty_return", "empty_enter"] {
        let program = ebpf
            .program_mut(name)
            .with_context(|| format!("{name} is not in the object"))?;
        let program: &mut KProbe = program.try_into()?;
        program.load()?;
        program.attach("ip_vs:estimation_timer", 0)?;
    }
    println!("attached");
    loop {
        thread::park();
    }
}
