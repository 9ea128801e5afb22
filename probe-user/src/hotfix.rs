//! `ipvs-latency hotfix`: what a livepatch for the estimator would do to this node.
//!
//! ```text
//! FILE.ko -> Module (what it says of itself)    \
//! /proc, /sys, /lib/modules -> Node (this host)  > Findings -> Inspection -> text | JSON
//! ```

mod apply;
mod estimators;
mod info;
mod list;
mod page;
mod report;
mod status;
mod terminal;

use std::{
    ffi::OsStr,
    io::{self, Read as _},
    path::Path,
    process::ExitCode,
    rc::Rc,
};

use nix::sys::prctl;

use crate::{
    cli::{
        ColorWhen, GuardArgs, HotfixCommand, InspectArgs, InstallArgs, LoadArgs, StepArgs,
        UninstallArgs, UnloadArgs,
    },
    output,
    record::Origin,
};
use estimators::Monitored;
use livepatch::{
    operations::{
        Settled, all, install,
        load::{self, Asked},
        shut_down,
        uninstall::{self, Kernels},
        unload,
    },
    ports::{Ports, Progress},
    preflight::{
        named,
        node::{Node, Taken},
    },
    running_kernel::RunningKernel,
    site::Site,
    step::{self, StepKind},
    store::{state_dir, walk},
    transaction::{
        guard_process::{self, Guarded},
        loaded,
        report::Report,
        settle,
    },
};
use livepatch_image::{Digest, Module, Name, file};
use page::Inspection;
use report::Reports;
use terminal::Terminal;

/// Something speaks against the hotfix.
const FOUND: u8 = 1;

/// The host was changed, and needs a person.
const HALF_DONE: u8 = 3;

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
    let state_dir = state_dir::resolved(root, state_dir);
    let site = &Site::new(root, &state_dir, ports(command, color, root));
    if !matches!(
        command,
        HotfixCommand::Step(_) | HotfixCommand::Guard(_) | HotfixCommand::ShutDown
    ) {
        settle::look(site);
    }
    match command {
        HotfixCommand::Inspect(args) => inspect(args, site),
        HotfixCommand::Apply(args) => apply::run(args, site),
        HotfixCommand::Load(args) => match &args.file {
            Some(file) => load(file, args, site),
            None => load_all(args, site),
        },
        HotfixCommand::Unload(args) => match &args.name {
            Some(typed) => unload(typed, args, site),
            None => unload_all(args, site),
        },
        HotfixCommand::Status(args) => status::status(args.json, site),
        HotfixCommand::List(args) => list::run(args.json, site),
        HotfixCommand::Info(args) => info::run(args, site),
        HotfixCommand::Install(args) => install(args, site),
        HotfixCommand::Uninstall(args) => uninstall(args, site),
        HotfixCommand::Step(args) => Ok(step(args, &site.root)),
        HotfixCommand::Guard(args) => Ok(guard(args, site)),
        HotfixCommand::ShutDown => {
            let noted = shut_down::run(site)?;
            terminal::print(&format!("{noted}."));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Returns what the engine is connected to for a command.
fn ports(command: &HotfixCommand, color: ColorWhen, root: &Path) -> Ports {
    let progress: Rc<dyn Progress> = match command {
        HotfixCommand::Apply(args) if !args.json => Rc::new(Terminal::with_screen(color)),
        _ => Rc::new(Terminal::new()),
    };
    Ports {
        kernel: Rc::new(RunningKernel::new(root)),
        estimators: Rc::new(Monitored::new(root)),
        progress,
    }
}

fn load(file: &Path, args: &LoadArgs, site: &Site) -> anyhow::Result<ExitCode> {
    let asked = Asked {
        file,
        kept: None,
        accept: &args.accept,
        timeout: args.timeout,
    };
    report::alone(load::one(asked, site), args.json, &site.root)
}

fn unload(typed: &OsStr, args: &UnloadArgs, site: &Site) -> anyhow::Result<ExitCode> {
    let report = match named::meant(typed, &site.root) {
        Ok(name) => unload::one(&name, args.timeout, site),
        Err(error) => Report::new("unload").ended(Err(error)),
    };
    report::alone(report, args.json, &site.root)
}

fn load_all(args: &LoadArgs, site: &Site) -> anyhow::Result<ExitCode> {
    let mut reports = Reports::new("load", args.json);
    let none = all::load(args.timeout, site, &mut |each| reports.add(each))?;
    Ok(reports.end(&none, &site.root))
}

fn unload_all(args: &UnloadArgs, site: &Site) -> anyhow::Result<ExitCode> {
    let mut reports = Reports::new("unload", args.json);
    let none = all::unload(args.timeout, site, &mut |each| reports.add(each))?;
    Ok(reports.end(&none, &site.root))
}

fn install(args: &InstallArgs, site: &Site) -> anyhow::Result<ExitCode> {
    let asked = install::Asked {
        file: &args.file,
        accept: &args.accept,
    };
    install::run(&asked, site).map(code)
}

fn uninstall(args: &UninstallArgs, site: &Site) -> anyhow::Result<ExitCode> {
    let kernels = match &args.kernel {
        _ if args.all_kernels => Kernels::All,
        Some(release) => Kernels::One(release),
        None => Kernels::Running,
    };
    let asked = uninstall::Asked {
        name: &args.name,
        kernels,
    };
    uninstall::run(&asked, site).map(code)
}

fn code(settled: Settled) -> ExitCode {
    match settled {
        Settled::Whole => ExitCode::SUCCESS,
        Settled::Half => ExitCode::from(HALF_DONE),
    }
}

/// Makes one call into the kernel; the exit code is its errno.
fn step(args: &StepArgs, root: &Path) -> ExitCode {
    // The kernel's log names who was refused, and would say `exe`.
    let _ = prctl::set_name(c"ipvs-latency");
    let mut module = Vec::new();
    let read = match args.what {
        StepKind::Insert => io::stdin().read_to_end(&mut module).map(|_| ()),
        _ => Ok(()),
    };
    let name = Name::from(args.name.clone());
    let made = read.and_then(|()| step::make(args.what, &name, &module, root));
    let code = match made {
        Ok(()) => 0,
        Err(error) => error.raw_os_error().unwrap_or(nix::libc::EIO),
    };
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

fn guard(args: &GuardArgs, site: &Site) -> ExitCode {
    let guarded = Guarded {
        name: args.name.clone().map(Name::from),
        switches: args.switch.clone(),
    };
    match guard_process::watch(&guarded, site) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
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
