//! `cargo xtask`: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use xtask::cli::{Cli, Command};
use xtask::{kernel, lab, setup};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Setup(args) => setup::run(&args),
        Command::Lab(args) => return lab::run(args),
        Command::Headers(args) => {
            setup::ensure(&[setup::Need::Headers(args.kernel)]).and_then(|()| {
                println!("{}", kernel::headers(&args.kernel)?.display());
                Ok(())
            })
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error.sentence());
            ExitCode::from(2)
        }
    }
}
