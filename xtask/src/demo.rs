//! `cargo xtask demo`: the tool at work, on a real kernel with 30,001 estimators.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

use crate::{
    cli::{Cli, Command},
    kernel::Line,
    lab,
    setup::{self, Need},
};

/// How the lab is asked for it.
const COMMAND_LINE: &str = "cargo-xtask lab --kernel 6.1 --cpus 2 --services 10000 --destinations 2 --netns 3 \
                            -- ipvs-latency watch --duration 20s";

/// Sets up what is missing and shows 20 s of calls.
///
/// # Errors
/// When this machine cannot be set up.
pub fn run() -> Result<ExitCode, setup::Error> {
    setup::ensure(&[
        Need::EbpfToolchain,
        Need::Linker,
        Need::Qemu,
        Need::Userland,
        Need::Kernel(Line::V6_1),
    ])?;
    let cli = Cli::try_parse_from(COMMAND_LINE.split_whitespace())
        .context("the demo's own command line is wrong")?;
    let Command::Lab(args) = cli.command else {
        return Err(anyhow::anyhow!("the demo's own command line is no lab").into());
    };
    eprintln!(
        "What follows is: cargo xtask {}",
        COMMAND_LINE.trim_start_matches("cargo-xtask ")
    );
    Ok(lab::run(args))
}
