//! Tells the program which commit it is built from.

#[path = "build/commit.rs"]
mod commit;

use std::{env, path::Path};

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    // Asked for at run time: a checkout that was copied, target folder included, is at a commit of its own.
    let package =
        env::var("CARGO_MANIFEST_DIR").context("cargo does not name the package's folder")?;
    name_commit(Path::new(&package));
    Ok(())
}

/// Tells the sources which commit they are of; nothing where that is not known. Asked again where the checkout is at
/// another commit, and where a source changed, which then differs from it.
fn name_commit(package: &Path) {
    let commit = commit::of(&package.join(".."));
    let name = commit.as_ref().map_or("", |commit| commit.name.as_str());
    println!("cargo:rustc-env=IPVS_LATENCY_COMMIT={name}");
    let sources = [
        "src",
        "crates",
        "build",
        "build.rs",
        "Cargo.toml",
        "../Cargo.lock",
    ];
    let sources = sources.map(|source| package.join(source));
    let signs = commit.iter().flat_map(|commit| &commit.signs);
    for path in sources.iter().chain(signs) {
        println!("cargo:rerun-if-changed={}", path.display());
    }
}
