//! `cargo xtask`: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use xtask::cli::{Cli, Command, LabArgs};
use xtask::setup::Need;
use xtask::{bench, demo, fuzz, hotfix_modules, kernel, kernels, lab, lint, mutants, setup, test};

/// What building the product needs.
const BUILDING: [Need; 2] = [Need::EbpfToolchain, Need::Linker];

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", error.sentence());
            ExitCode::from(2)
        }
    }
}

/// Runs the lab's command in a guest.
fn lab(mut args: LabArgs) -> ExitCode {
    let command = std::mem::take(&mut args.command);
    lab::run(&args.into(), command)
}

fn run(command: Command) -> Result<ExitCode, setup::Error> {
    match command {
        Command::Setup(args) => setup::run(args.refresh, &args.kernels)?,
        Command::Lab(args) => return Ok(lab(args)),
        Command::Bench(args) => return Ok(bench::command(args)),
        Command::Demo(kernel) => return demo::run(kernel),
        Command::Test(args) => {
            return Ok(if test::run(&args)? {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
        Command::Fuzz(args) => {
            let outcome = fuzz::run(&args)?;
            if let Some(skip) = &outcome.skipped {
                println!("skipped: {skip}");
            }
            println!(
                "\n{} passed, {} failed",
                outcome.passed,
                outcome.failed.len()
            );
            return Ok(if outcome.failed.is_empty() && outcome.passed > 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
        Command::Mutants => {
            let outcome = mutants::run()?;
            if let Some(skip) = &outcome.skipped {
                println!("skipped: {skip}");
            }
            for failed in &outcome.failed {
                eprintln!("error: {failed}");
            }
            return Ok(if outcome.failed.is_empty() && outcome.passed > 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
        Command::Kernels => {
            setup::ensure(&BUILDING)?;
            return Ok(kernels::command());
        }
        Command::Lint => {
            setup::ensure(&[Need::EbpfToolchain, Need::EbpfLints, Need::Linker])?;
            for skip in lint::run()? {
                println!("skipped: {skip}");
            }
        }
        Command::Build => {
            setup::ensure(&BUILDING)?;
            if let Some(binary) = lab::build::product()? {
                println!("{}", binary.display());
            }
        }
        Command::Hotfixes(args) => {
            setup::ensure(&[Need::Headers(args.kernel)])?;
            println!("{}", hotfix_modules::folder(args.kernel)?.display());
        }
        Command::Headers(args) => {
            setup::ensure(&[Need::Headers(args.kernel)])?;
            println!("{}", kernel::headers(&args.kernel)?.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}
