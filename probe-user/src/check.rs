//! `ipvs-latency check`: what this node is, what state its estimators are in, and what can be done.

mod measure;
mod message;
mod mitigations;
mod page;
mod survey;
mod text;

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};

pub use self::mitigations::{BROKEN_BY_HOTFIX, BROKEN_BY_SWITCH, inside};
use self::{
    measure::{Measurement, Observed},
    message::Evidence,
    mitigations::Node,
    page::{Kernel, Livepatches, Measured, Namespace, Page, SCHEMA, Verdict},
    survey::Survey,
};
use crate::{
    cli::CheckArgs,
    kernel::{
        cpus::Cpus,
        estimation::Kind,
        inhabitants::{self, Inhabitants},
        livepatch::{self, Livepatch},
        netns,
        prerequisites::{self, Ready, Refusal},
        steering::Steering,
        time,
    },
    model::WallTime,
    record::Source,
};

/// Looks at the host and tells.
///
/// # Errors
///
/// When the arguments do not go together, or what was found cannot be written.
pub fn run(args: &CheckArgs, root: &Path) -> anyhow::Result<ExitCode> {
    let duration = duration(args)?;
    let max_ns = args
        .max
        .map(|max| u64::try_from(max.as_nanos()).unwrap_or(u64::MAX));
    let page = look(root, duration, max_ns)?;
    let mut text = Vec::new();
    if args.json {
        serde_json::to_writer_pretty(&mut text, &page)?;
        text.push(b'\n');
    } else {
        text::write(&mut text, &page)?;
    }
    let mut stdout = io::stdout().lock();
    match stdout.write_all(&text).and_then(|()| stdout.flush()) {
        // Whoever read the first line has enough of it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.context("standard output cannot be written")?,
    }
    Ok(ExitCode::from(match page.verdict {
        Verdict::Ok => 0,
        Verdict::Problem => 1,
        Verdict::Unknown => crate::CANNOT_TELL,
    }))
}

fn duration(args: &CheckArgs) -> anyhow::Result<Duration> {
    let least = measure::LEAST;
    match args.duration {
        Some(duration) if duration < least => bail!(
            "--duration {} is too short, for an estimator runs every 2 s: give {} or more",
            humantime::format_duration(duration),
            humantime::format_duration(least),
        ),
        Some(duration) => Ok(duration),
        None if args.max.is_some() => Ok(measure::TO_JUDGE),
        None => Ok(least),
    }
}

/// Why nothing could be measured: in a few words, and in whole sentences.
struct Obstacle {
    brief: String,
    sentences: Vec<String>,
}

impl Obstacle {
    fn missing(refusals: &[Refusal]) -> Self {
        Self {
            brief: refusals.first().map_or("", Refusal::brief).into(),
            sentences: refusals.iter().map(ToString::to_string).collect(),
        }
    }

    fn refused(error: &anyhow::Error) -> Self {
        Self {
            brief: "the kernel refused to be measured".into(),
            sentences: vec![format!("{error:#}")],
        }
    }
}

/// What was found of the timers and runs, in the order of finding.
struct Found {
    at: WallTime,
    now_ns: u64,
    root_netns: Option<u32>,
    namespaces: Vec<Namespace>,
    measured: Option<Measured>,
}

/// What files tell of the host. Read first, so that the timers are told as of the moment of telling.
struct Host {
    source: Source,
    release: String,
    cpus: Cpus,
    inhabitants: Inhabitants,
    steering: Steering,
    livepatches: io::Result<Option<Vec<Livepatch>>>,
}

impl Host {
    fn read(root: &Path) -> Self {
        Self {
            source: Source::here(root),
            release: prerequisites::release(root),
            cpus: Cpus::read(root),
            inhabitants: Inhabitants::read(root),
            steering: Steering::read(root),
            livepatches: livepatch::read(root),
        }
    }
}

fn look(root: &Path, duration: Duration, max_ns: Option<u64>) -> anyhow::Result<Page> {
    let mut host = Host::read(root);
    let survey = prerequisites::survey(root);
    let kind = match &survey {
        Ok(_) => Some(Kind::Timer),
        Err(missing) => kind(root, missing),
    };
    let tried = survey
        .map_err(|missing| Obstacle::missing(&missing))
        .and_then(|ready| {
            let found = measure(&ready, &mut host.inhabitants, duration, max_ns);
            found.map_err(|error| Obstacle::refused(&error))
        });
    Ok(match tried {
        Ok(found) => page(host, kind, found, None),
        Err(obstacle) => {
            let found = unmeasured(root, &host.inhabitants, kind)?;
            page(host, kind, found, Some(obstacle))
        }
    })
}

fn page(host: Host, kind: Option<Kind>, mut found: Found, obstacle: Option<Obstacle>) -> Page {
    let mut doubts = survey::doubt(&mut found.namespaces);
    let unseen = host.livepatches.as_ref().err();
    doubts.extend(unseen.map(|error| {
        format!("Which livepatches are loaded cannot be seen (/sys/kernel/livepatch: {error}).")
    }));
    let unseen = unseen.is_some();
    let livepatches = host.livepatches.unwrap_or_default();
    let evidence = Evidence {
        namespaces: &found.namespaces,
        measured: found.measured.as_ref(),
        obstacle: obstacle.as_ref().map(|obstacle| obstacle.brief.as_str()),
        root_netns: found.root_netns,
    };
    let (verdict, message) = evidence.judge();
    let node = Node {
        release: &host.release,
        kind,
        namespaces: &found.namespaces,
        measured: found.measured.as_ref(),
        livepatching: livepatches.is_some(),
        steering: &host.steering,
    };
    Page {
        record: "check",
        schema: SCHEMA,
        source: host.source,
        verdict,
        message,
        mitigations: node.mitigations(),
        kernel: Kernel {
            release: host.release,
            estimator: kind,
            possible_cpus: host.cpus.possible,
            online_cpus: host.cpus.online,
        },
        at: found.at.to_string(),
        now_ns: found.now_ns,
        root_netns: found.root_netns,
        measured: found.measured,
        namespaces: found.namespaces,
        missing: missing(obstacle, host.inhabitants.told_hidden(), doubts),
        livepatch: Livepatches {
            supported: livepatches.is_some() || unseen,
            patches: livepatches.unwrap_or_default(),
            unseen,
        },
    }
}

/// What is missing says what estimates; where it does not, the kernel's functions do.
fn kind(root: &Path, missing: &[Refusal]) -> Option<Kind> {
    let told = missing.iter().find_map(|refusal| match refusal {
        Refusal::Threads(_) => Some(Kind::Kthread),
        Refusal::NoIpvs(_) => Some(Kind::Absent),
        _ => None,
    });
    told.or_else(|| Kind::read(root))
}

/// The last look at the timers comes after all else that takes time.
fn measure(
    ready: &Ready,
    inhabitants: &mut Inhabitants,
    duration: Duration,
    max_ns: Option<u64>,
) -> anyhow::Result<Found> {
    let mut measurement = Measurement::start(ready)?;
    measurement.observe(duration)?;
    let root_netns = measurement.root_netns().or_else(|| root_netns(&ready.root));
    if let Some(netns) = root_netns {
        inhabitants.set_root_netns(netns);
    }
    let survey = Survey {
        root: &ready.root,
        inhabitants,
        root_netns,
    };
    let described = survey.measured(&measurement.namespaces()?);
    let observed: Observed = measurement.finish()?;
    Ok(Found {
        at: observed.overview.at,
        now_ns: observed.overview.now_ns,
        root_netns,
        namespaces: survey::complete(described, &observed.overview),
        measured: Some(survey::measured(&observed, max_ns)),
    })
}

fn unmeasured(root: &Path, inhabitants: &Inhabitants, kind: Option<Kind>) -> anyhow::Result<Found> {
    let root_netns = root_netns(root);
    let survey = Survey {
        root,
        inhabitants,
        root_netns,
    };
    let namespaces = survey.unmeasured(kind);
    let now_ns = time::monotonic_ns()?;
    Ok(Found {
        at: WallTime(now_ns.saturating_add(time::wall_offset_ns()?)),
        now_ns,
        root_netns,
        namespaces,
        measured: None,
    })
}

/// Of the host's first process. A container's own tells nothing.
fn root_netns(root: &Path) -> Option<u32> {
    inhabitants::sees_host(root)
        .then(|| netns::root_inode(root).ok())
        .flatten()
}

fn missing(obstacle: Option<Obstacle>, hidden: Option<String>, doubts: Vec<String>) -> Vec<String> {
    let mut missing = obstacle
        .map(|obstacle| obstacle.sentences)
        .unwrap_or_default();
    missing.extend(hidden);
    missing.extend(doubts);
    missing
}

#[cfg(test)]
mod tests;
