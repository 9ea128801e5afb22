//! Attaches a kprobe and a kretprobe that do nothing to a function of `ip_vs`, until this process is killed: the yardstick
//! of `cargo xtask bench`. The argument names the function.

use std::{env, thread};

use anyhow::Context as _;
use aya::{Ebpf, programs::KProbe};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/empty-pair"));

fn main() -> anyhow::Result<()> {
    let function = env::args().nth(1).context("no function is named")?;
    let mut ebpf = Ebpf::load(OBJECT)?;
    for name in ["empty_return", "empty_enter"] {
        let program = ebpf
            .program_mut(name)
            .with_context(|| format!("{name} is not in the object"))?;
        let program: &mut KProbe = program.try_into()?;
        program.load()?;
        program.attach(format!("ip_vs:{function}"), 0)?;
    }
    println!("attached");
    loop {
        thread::park();
    }
}
