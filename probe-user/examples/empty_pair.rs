//! Holds a kprobe and a kretprobe that do nothing on the estimator until it is killed: the yardstick of
//! `cargo xtask bench`.

use std::thread;

use anyhow::Context as _;
use aya::{EbpfLoader, programs::KProbe};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/empty-pair"));

fn main() -> anyhow::Result<()> {
    let mut ebpf = loader()?.load(OBJECT)?;
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

/// A loader without the kernel's BTF. The constructor reads and parses all of it, for relocations that
/// these programs do not have; where no file can be opened, it goes on without.
fn loader() -> anyhow::Result<EbpfLoader<'static>> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, 0, hard)?;
    let loader = EbpfLoader::new();
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?;
    Ok(loader)
}
