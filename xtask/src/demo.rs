//! `cargo xtask demo`: the tool at work, on a real kernel with 30,001 estimators.

use std::{
    io::{IsTerminal as _, stdin, stdout},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Parser as _;

use crate::{
    cli::{Cli, Command, KernelArgs, LabArgs},
    emulator::Emulator,
    kernel::Line,
    lab,
    setup::{self, Need},
};

/// The guest that both forms are shown in.
const LAB: &str = "cargo-xtask lab --cpus 2 --services 10000 --destinations 2 --netns 3";

/// What is shown, and how the lab is asked for it.
struct Show {
    /// After [`LAB`].
    arguments: &'static str,
    announcement: &'static str,
}

/// Where a user watches. An hour is long for a look, and longer than the lab goes on by itself.
const SCREEN: Show = Show {
    arguments: "--timeout 3600 -- ipvs-latency watch",
    announcement: "What opens in a moment is `ipvs-latency watch` in a guest with 30,001 estimators: q ends it, ? helps.",
};

/// Where its output goes to a file or a pipe.
const LINES: Show = Show {
    arguments: "-- ipvs-latency watch --duration 20s",
    announcement: "What follows are 20 s of `ipvs-latency watch` in a guest with 30,001 estimators.",
};

/// Sets up what is missing and opens the screen, or shows 20 s of calls where there is no terminal.
///
/// # Errors
/// When this machine cannot be set up.
pub fn run(kernel: KernelArgs) -> Result<ExitCode, setup::Error> {
    let mut needs = vec![
        Need::EbpfToolchain,
        Need::Linker,
        Need::Qemu(Emulator::RealTime),
        Need::Userland,
    ];
    let line = kernel.kernel.unwrap_or(Line::V6_1);
    needs.extend(kernel.own().is_none().then_some(Need::Kernel(line)));
    setup::ensure(&needs)?;
    let show = if stdin().is_terminal() && stdout().is_terminal() {
        SCREEN
    } else {
        LINES
    };
    let mut args = show.lab()?;
    eprintln!("{}\n({})", show.announcement, show.command_line(&kernel));
    let command = std::mem::take(&mut args.command);
    args.kernel = kernel;
    Ok(lab::run(&args.into(), command))
}

impl Show {
    fn command_line(&self, kernel: &KernelArgs) -> String {
        let lab = LAB.replacen("cargo-xtask", "cargo xtask", 1);
        format!("{lab}{} {}", kernel.flags(), self.arguments)
    }

    fn lab(&self) -> anyhow::Result<LabArgs> {
        let words = LAB
            .split_whitespace()
            .chain(self.arguments.split_whitespace());
        let cli = Cli::try_parse_from(words).context("the demo's own command line is wrong")?;
        match cli.command {
            Command::Lab(args) => Ok(args),
            _ => anyhow::bail!("the demo's own command line is no lab"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_command_lines_are_labs_of_30001_estimators_and_end_by_themselves_or_by_the_user() {
        for (show, ends) in [(SCREEN, false), (LINES, true)] {
            let args = show.lab().unwrap();
            assert_eq!(args.services * (1 + args.destinations) + 1, 30_001);
            assert_eq!(args.command[..2], ["ipvs-latency", "watch"]);
            assert_eq!(args.command.contains(&"--duration".to_owned()), ends);
            let kernel = KernelArgs {
                kernel: Some(Line::V6_12),
                kernel_image: None,
                modules: None,
            };
            let line = show.command_line(&kernel);
            assert!(line.starts_with("cargo xtask lab "), "{line}");
            assert!(line.contains(" --kernel 6.12 -"), "{line}");
        }
    }
}
