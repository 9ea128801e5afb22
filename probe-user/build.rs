//! Builds the eBPF programs, with the toolchain that `cargo xtask` found.

use std::env;

use anyhow::Context as _;
use aya_build::{Package, Toolchain};

const TOOLCHAIN: &str = "IPVS_LATENCY_BPF_TOOLCHAIN";

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-env-changed={TOOLCHAIN}");
    let name = env::var(TOOLCHAIN);
    let toolchain = match &name {
        Ok(name) => Toolchain::Custom(name),
        Err(_) => Toolchain::Nightly,
    };
    // Inline assembly for BPF is unstable; where the toolchain is no nightly, it is allowed to the two
    // crates that need it and to nothing else.
    // SAFETY: a build script's one thread.
    unsafe { env::set_var("RUSTC_BOOTSTRAP", "aya_ebpf,estimator") };
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../probe-ebpf");
    let package = Package {
        name: "probe-ebpf",
        root_dir: root,
        ..Package::default()
    };
    aya_build::build_ebpf([package], toolchain).context(
        "the eBPF programs do not build here; `cargo xtask setup` installs what they need, \
         and `cargo xtask build` builds with it",
    )
}
