//! `ipvs-latency hotfix`: what a livepatch for the estimator would do to this node.
//!
//! ```text
//! FILE.ko -> Module (what it says of itself)    \
//! /proc, /sys, /lib/modules -> Node (this host)  > Findings -> Inspection -> text | JSON
//! ```

mod admission;
mod all;
mod callers;
mod change;
mod cure;
mod drive;
mod ending;
mod findings;
mod folder;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
mod guard;
mod guard_process;
mod info;
mod install;
mod installed;
mod journal;
mod kernel_log;
mod left_behind;
mod list;
mod livepatches;
mod load;
mod loaded;
mod lock;
#[cfg(test)]
mod made_node;
mod named;
mod node;
mod page;
mod period;
mod progress;
mod proof;
mod reason;
mod refusal;
mod report;
mod settle;
mod shut_down;
mod site;
mod stalled;
mod state_dir;
mod status;
mod step;
mod switch;
mod transition;
mod trial;
mod undo;
mod unfinished;
mod uninstall;
mod unload;
mod walk;
mod witness;

use std::{path::Path, process::ExitCode};

use crate::{
    cli::{ColorWhen, HotfixCommand, InspectArgs},
    output,
    record::Origin,
};
use livepatch_image::{Digest, Module, file};
use node::{Node, Taken};
use page::Inspection;
use site::Site;

/// Something speaks against the hotfix.
const FOUND: u8 = 1;

/// Runs a command of `hotfix`.
///
/// # Errors
///
/// When the file is no module, cannot be read, or what was found cannot be written.
pub fn run(
    command: &HotfixCommand,
    color: ColorWhen,
    root: &Path,
    state_dir: &Path,
) -> anyhow::Result<ExitCode> {
    // Without links, which may lead elsewhere at the next use.
    let site = &Site::new(root, &state_dir::resolved(root, state_dir));
    if !matches!(
        command,
        HotfixCommand::Step(_) | HotfixCommand::Guard(_) | HotfixCommand::ShutDown
    ) {
        settle::look(site);
    }
    match command {
        HotfixCommand::Inspect(args) => inspect(args, site),
        HotfixCommand::Apply(args) => trial::run(args, color, site),
        HotfixCommand::Load(args) => match &args.file {
            Some(file) => load::run(file, args, site),
            None => all::load(args, site),
        },
        HotfixCommand::Unload(args) => match &args.name {
            Some(typed) => unload::run(typed, args, site),
            None => all::unload(args, site),
        },
        HotfixCommand::Status(args) => status::status(args.json, site),
        HotfixCommand::List(args) => list::run(args.json, site),
        HotfixCommand::Info(args) => info::run(args, site),
        HotfixCommand::Install(args) => install::run(args, site),
        HotfixCommand::Uninstall(args) => uninstall::run(args, site),
        HotfixCommand::Step(args) => Ok(step::run(args, &site.root)),
        HotfixCommand::Guard(args) => Ok(guard_process::run(args, site)),
        HotfixCommand::ShutDown => shut_down::run(site),
    }
}

/// Returns whether only root or this process's user could have put there what is at a path.
pub fn is_trusted(path: &Path) -> bool {
    let walked = walk::walk(Path::new("/"), path);
    walked.is_ok_and(|walked| walked.missing.is_empty() && walked.lasting.is_none())
}

/// Tells what a hotfix is and what speaks against it. Loads nothing.
fn inspect(args: &InspectArgs, site: &Site) -> anyhow::Result<ExitCode> {
    let shown = args.file.display();
    let bytes = file::read(&args.file).map_err(|error| anyhow::anyhow!("{shown} {error}"))?;
    let module = Module::parse(&bytes).map_err(|error| anyhow::anyhow!("{shown} {error}"))?;
    let sha256 = Digest::of(&bytes);
    let mut node = Node::read(site, &module, &sha256);
    if loaded::is_enabled(site, &module, &sha256) {
        node.name_taken = Taken::ByThisFile;
    }
    let inspection = Inspection::new(
        Origin::now(&site.root),
        shown.to_string(),
        sha256,
        module,
        &node,
    );
    output::print(|out| {
        if args.json {
            inspection.json(out)
        } else {
            inspection.text(out)
        }
    })?;
    Ok(if inspection.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FOUND)
    })
}
