//! `hotfix apply`: a change of the estimator, tried, and what it did as a document.

mod document;
mod picture;
mod request;
mod side_effects;
mod text;

use std::{io, path::Path, process::ExitCode};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use self::{document::Document, request::Request};
use crate::{
    cli::ApplyArgs,
    record::{self, Origin},
};
use livepatch::{
    site::Site,
    trial::{
        intervention::{Intervention, Wanted},
        plan::Plan,
        trial_runner::TrialRunner,
    },
};
use livepatch_image::{Digest, file};
use model::printable::printable;

/// Applies a hotfix, or the switch, and tells what it did.
///
/// # Errors
///
/// When it is refused, and nothing was changed; or when what was found cannot be written.
pub fn run(args: &ApplyArgs, site: &Site) -> anyhow::Result<ExitCode> {
    if let Err(error) = open_as_many_as_allowed() {
        site.say(&format!(
            "warning: cannot raise the limit of open files: {error}; namespaces beyond it are left as they are"
        ));
    }
    let request = request(args, &site.root);
    let plan = plan(args);
    let wanted = match &args.file {
        Some(file) => Wanted::Hotfix {
            file,
            accept: &args.accept,
        },
        None => Wanted::Switches(&args.netns),
    };
    let trial = Intervention::of(&wanted, site)
        .and_then(|intervention| TrialRunner::prepare(&plan, intervention, args.yes, site));
    let document = match trial {
        Ok(runner) => Document::of(request, runner.carry_out(), &plan),
        Err(error) if args.json => {
            // Whoever reads documents gets one; the sentence is where it always is.
            tell(
                site,
                &Document::refused(request, &format!("{error:#}")),
                true,
            );
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    tell(site, &document, args.json);
    Ok(ExitCode::from(document.code()))
}

/// Returns what the command line asks for.
fn plan(args: &ApplyArgs) -> Plan {
    Plan {
        runs: args.runs as usize,
        trial: args.trial,
        keep: args.keep,
        timeout: args.timeout,
        max_wait: args.max_wait,
        min_effect_percent: args.min_effect,
    }
}

/// What was asked for, where, when and by whom. The file may be refused, and is recognised by its content all the same.
fn request(args: &ApplyArgs, root: &Path) -> Request {
    let file = args.file.as_ref();
    Request {
        origin: Origin::now(root),
        command: record::command_line(),
        file: file.map(|file| {
            let path = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            printable(&path.to_string_lossy())
        }),
        sha256: file
            .and_then(|file| file::read(file).ok())
            .map(|bytes| Digest::of(&bytes)),
        user: record::user(root),
    }
}

/// Raises the limit of open files as far as this process may: each namespace that is switched stays open, here and in the
/// guard, which inherits the limit.
fn open_as_many_as_allowed() -> nix::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
}

/// Tells it on standard output. What was done is done, also where the report cannot be written there.
fn tell(site: &Site, document: &Document, json: bool) {
    let mut report = Vec::new();
    let written = if json {
        serde_json::to_writer_pretty(&mut report, document).map_err(io::Error::from)
    } else {
        text::write(document, &mut report)
    };
    match written {
        Ok(()) => site
            .progress()
            .report_line(String::from_utf8_lossy(&report).trim_end()),
        Err(error) => site.say(&format!(
            "warning: cannot make the report: {error}; `ipvs-latency hotfix status` says how this node is"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a process of its own, as the limit is of the whole process.
    #[test]
    fn more_namespaces_can_be_open_than_a_login_allows() {
        const CHILD: &str = "IPVS_LATENCY_TEST_OPEN_FILES";
        if std::env::var_os(CHILD).is_none() {
            let status = std::process::Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "hotfix::apply::tests::more_namespaces_can_be_open_than_a_login_allows",
                ])
                .env(CHILD, "1")
                .status()
                .unwrap();
            assert!(status.success());
            return;
        }
        setrlimit(Resource::RLIMIT_NOFILE, 64, 256).unwrap();
        open_as_many_as_allowed().unwrap();
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (256, 256));
    }
}
