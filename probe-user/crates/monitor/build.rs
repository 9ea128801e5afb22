//! Builds the eBPF programs, with the toolchain that `cargo xtask` found.

use std::{env, fs, path::Path};

use anyhow::Context as _;
use aya_build::{Package, Toolchain};

const TOOLCHAIN: &str = "IPVS_LATENCY_BPF_TOOLCHAIN";

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-env-changed={TOOLCHAIN}");
    // Asked for at run time: a checkout that was copied, target folder included, builds its own programs.
    let package =
        env::var("CARGO_MANIFEST_DIR").context("cargo does not name the package's folder")?;
    if env::var_os("CARGO_CFG_FUZZING").is_some() {
        return nothing_to_load();
    }
    let name = env::var(TOOLCHAIN);
    let toolchain = match &name {
        Ok(name) => Toolchain::Custom(name),
        Err(_) => Toolchain::Nightly,
    };
    // Inline assembly for BPF is unstable; where the toolchain is no nightly, it is allowed to the two
    // crates that need it and to nothing else.
    // SAFETY: a build script's one thread.
    unsafe { env::set_var("RUSTC_BOOTSTRAP", "aya_ebpf,estimator") };
    let root = format!("{package}/../../../probe-ebpf");
    let programs = Package {
        name: "probe-ebpf",
        root_dir: &root,
        ..Package::default()
    };
    aya_build::build_ebpf([programs], toolchain).context(
        "the eBPF programs do not build here; `cargo xtask setup` installs what they need, \
         and `cargo xtask build` builds with it",
    )
}

/// Puts an empty file in the programs' place: fuzz targets load none, and need no compiler for them.
fn nothing_to_load() -> anyhow::Result<()> {
    let folder = env::var("OUT_DIR").context("cargo does not name the folder for what is built")?;
    for object in ["estimator", "estimator-threads"] {
        fs::write(Path::new(&folder).join(object), [])
            .context("cannot write the empty programs")?;
    }
    Ok(())
}
