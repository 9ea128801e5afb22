//! `hotfix apply`: a change of the estimator, measured before, under it, and where it is taken back, after it.
//!
//! ```text
//! Plan + Subject -> before -> put in place -> after -> Verdict -> kept | taken back (-> rolled back) -> Document
//! ```
//! A livepatch and the switch `run_estimation` are two subjects of one engine.

mod conduct;
pub(super) mod counters;
mod document;
mod figures;
mod head;
mod judge;
mod outcome;
mod picture;
mod plan;
mod question;
mod side;
mod side_effects;
mod subject;
mod surroundings;
mod text;
mod verdict;
mod visits;

use std::{io, path::Path, process::ExitCode};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use self::{conduct::Conduct, document::Document, head::Request, plan::Plan, subject::Subject};
use super::{progress::say, report, site::Site, witness::Run};
use crate::{
    cli::{ApplyArgs, ColorWhen},
    record::{self, Origin},
};
use livepatch_image::{Digest, file};
use model::{State, printable::printable};

/// Applies a hotfix, or the switch, and tells what it did.
///
/// # Errors
///
/// When it is refused, and nothing was changed; or when what was found cannot be written.
pub fn run(args: &ApplyArgs, color: ColorWhen, site: &Site) -> anyhow::Result<ExitCode> {
    if let Err(error) = open_as_many_as_allowed() {
        say(&format!(
            "warning: cannot raise the limit of open files: {error}; namespaces beyond it are left as they are"
        ));
    }
    let request = request(args, &site.root);
    let plan = Plan::of(args);
    let trial = Subject::of(args, site)
        .and_then(|subject| Conduct::prepare(&plan, subject, args.yes, color, site));
    let document = match trial {
        Ok(conduct) => conduct.carry_out(request),
        Err(error) if args.json => {
            // Whoever reads documents gets one; the sentence is where it always is.
            tell(&Document::refused(request, &format!("{error:#}")), true);
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    tell(&document, args.json);
    Ok(ExitCode::from(document.code()))
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
fn tell(document: &Document, json: bool) {
    let mut report = Vec::new();
    let written = if json {
        serde_json::to_writer_pretty(&mut report, document).map_err(io::Error::from)
    } else {
        text::write(document, &mut report)
    };
    match written {
        Ok(()) => report::print(String::from_utf8_lossy(&report).trim_end()),
        Err(error) => say(&format!(
            "warning: cannot make the report: {error}; `ipvs-latency hotfix status` says how this node is"
        )),
    }
}

/// A network namespace in the phases that are compared.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// Its inode number.
    pub netns: u32,
    /// Without the change.
    pub before: Phase,
    /// Under it.
    pub after: Phase,
}

/// What was seen of one namespace's estimator in one phase.
#[derive(Debug, Clone, Default)]
pub struct Phase {
    /// Its runs, those alone that began in the phase and have a record.
    pub runs: Vec<Run>,
    /// How long it was watched, in nanoseconds.
    pub length_ns: u64,
    /// How far apart the timer sets its runs, in nanoseconds: what tells of the period where fewer than two runs
    /// came. `None` where nothing is known of a run to come either.
    pub period_ns: Option<u64>,
    /// Its timer was not pending at the end: it will not run again by itself.
    pub dead: bool,
    /// Its runs skip the walk of the list, by all of them.
    pub skips: bool,
    /// Its state, by all the runs.
    pub state: Option<State>,
}

impl Phase {
    /// How long its runs took, in nanoseconds.
    fn durations_ns(&self) -> Vec<u64> {
        self.runs.iter().map(|run| run.duration_ns).collect()
    }

    /// Neither a run, nor a timer that is set for one.
    fn is_still(&self) -> bool {
        self.dead || (self.runs.is_empty() && self.period_ns.is_none())
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
                    "hotfix::trial::tests::more_namespaces_can_be_open_than_a_login_allows",
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
