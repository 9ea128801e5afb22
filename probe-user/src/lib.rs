//! `ipvs-latency`: what the Linux IPVS estimator costs this node, and what a hotfix does about it.

mod check;
mod cli;
mod columns;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
mod headline;
mod hotfix;
mod kernel_threads;
mod mechanism;
mod output;
mod places;
mod record;
mod signals;
mod watch;
mod width;

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use clap::Parser as _;
use cli::{Cli, Command};

/// Could not tell, or refused; nothing was changed. Wrong usage ends with it too.
const CANNOT_TELL: u8 = 2;

fn run_command(cli: &Cli) -> anyhow::Result<ExitCode> {
    let root = cli.root()?;
    match &cli.command {
        Command::Check(args) => check::run(args, &root),
        Command::Hotfix(command) => hotfix::run(command, cli.color, &root, &cli.state_dir(&root)),
        Command::Watch(args) => watch::run(args, cli.color, &root),
    }
}

/// Runs the command that the command line names, and returns its exit code.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) if usage.use_stderr() => usage.exit(),
        // The help and the version.
        Err(text) => return ended(told(&text)),
    };
    width::measure();
    let level = if cli.verbose {
        log::LevelFilter::Debug
    } else {
        log::LevelFilter::Warn
    };
    env_logger::Builder::new()
        .filter_level(level)
        // What the loader probes of the kernel is not what people ask for.
        .filter_module("aya", log::LevelFilter::Warn)
        .target(env_logger::Target::Pipe(Box::new(watch::BesideScreen)))
        .init();
    ended(run_command(&cli))
}

/// Writes the help or the version, in colours on a terminal.
fn told(text: &clap::Error) -> anyhow::Result<ExitCode> {
    let text = text.render();
    output::print(|out| {
        if io::stdout().is_terminal() {
            write!(out, "{}", text.ansi())
        } else {
            write!(out, "{text}")
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn ended(done: anyhow::Result<ExitCode>) -> ExitCode {
    match done {
        Ok(code) => code,
        Err(error) => {
            // Nobody may be there to read it.
            let text = width::for_stderr(&format!("error: {error:#}"));
            let _ = writeln!(io::stderr(), "{text}");
            ExitCode::from(CANNOT_TELL)
        }
    }
}
