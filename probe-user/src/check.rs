//! `ipvs-latency check`: what this node is, what state its estimators are in, and what can be done.

mod message;
mod mitigations;
mod nagios;
mod page;
mod replaced;
mod survey;
mod text;

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::bail;

use self::{
    message::Evidence,
    mitigations::Node,
    nagios::Thresholds,
    page::{Kernel, Livepatches, Measured, Namespace, Page, SCHEMA, Verdict},
    replaced::Replaced,
    survey::Survey,
};
use crate::{
    cli::{CheckArgs, CheckFormat},
    headline,
    kernel_threads::{self, SeenThreads},
    mechanism, output,
    record::{Source, WorstStall},
    signals,
};
use host::{
    cpus::Cpus,
    estimation::Kind,
    livepatch::{self, Livepatch},
    netns,
    netns_owners::{self, NetnsOwners},
    prerequisites::{self, Refusal},
    steering::Steering,
    time,
};
use model::{Span, WallTime, Worst};
use monitor::{
    Measurement, Observed, SourceError, Time,
    mechanism::{Chosen, Mechanism},
};

/// Looks at the host and tells.
///
/// # Errors
///
/// When the arguments do not go together, or what was found cannot be written.
pub fn run(args: &CheckArgs, root: &Path) -> anyhow::Result<ExitCode> {
    let format = if args.json {
        CheckFormat::Json
    } else {
        args.format
    };
    let time = time(args)?;
    let thresholds = thresholds(args, format)?;
    let page = look(root, args.via, time, thresholds.critical_ns)?;
    let answer = answer(&page, format, thresholds)?;
    output::print(|out| out.write_all(&answer))?;
    Ok(ExitCode::from(match (format, page.verdict) {
        (CheckFormat::Nagios, _) => nagios::status(&page, thresholds).code(),
        (_, Verdict::Ok) => 0,
        (_, Verdict::Problem) => 1,
        (_, Verdict::Unknown) => crate::CANNOT_TELL,
    }))
}

fn answer(page: &Page, format: CheckFormat, thresholds: Thresholds) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    match format {
        CheckFormat::Text => text::write(&mut text, page)?,
        CheckFormat::Json => {
            serde_json::to_writer_pretty(&mut text, page)?;
            text.push(b'\n');
        }
        CheckFormat::Nagios => writeln!(text, "{}", nagios::line(page, thresholds))?,
    }
    Ok(text)
}

fn time(args: &CheckArgs) -> anyhow::Result<Time> {
    let least = monitor::LEAST;
    match args.duration {
        Some(duration) if duration < least => bail!(
            "--duration {} is too short, for an estimator runs every 2 s: give {} or more",
            humantime::format_duration(duration),
            humantime::format_duration(least),
        ),
        Some(duration) => Ok(Time {
            least: duration,
            most: duration,
        }),
        None => Ok(Time {
            least,
            most: monitor::MOST,
        }),
    }
}

fn thresholds(args: &CheckArgs, format: CheckFormat) -> anyhow::Result<Thresholds> {
    if format != CheckFormat::Nagios && (args.warning.is_some() || args.critical.is_some()) {
        bail!("--warning and --critical are for --format nagios\nhint: use --max");
    }
    let nanoseconds = |limit: Duration| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    let critical = args.critical.or(args.max).map(nanoseconds);
    let critical_ns = critical.unwrap_or(headline::DEFAULT_MAX_NS);
    let warning_ns = args.warning.map_or(critical_ns / 10, nanoseconds);
    if warning_ns > critical_ns {
        let shown = |limit_ns| humantime::format_duration(Duration::from_nanos(limit_ns));
        bail!(
            "cannot use --warning {}: it is over what is CRITICAL, {}\nhint: use a shorter --warning",
            shown(warning_ns),
            shown(critical_ns)
        );
    }
    Ok(Thresholds {
        warning_ns,
        critical_ns,
    })
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
        let brief = "the kernel refused to be measured".into();
        match error.downcast_ref() {
            Some(SourceError::Refused(refusal)) => Self::missing(std::slice::from_ref(refusal)),
            Some(SourceError::NoMechanism(unavailable)) => Self {
                brief,
                sentences: unavailable.iter().map(mechanism::not_available).collect(),
            },
            None => Self {
                brief,
                sentences: vec![format!("{error:#}")],
            },
        }
    }

    /// Says what eBPF lacks in few words, and in sentences all of it.
    fn with(mut self, missing: &[Refusal]) -> Self {
        let Some((first, others)) = missing.split_first() else {
            return self;
        };
        self.brief = first.brief().into();
        self.sentences
            .extend(others.iter().map(ToString::to_string));
        self
    }
}

/// What was found of the timers and runs, in the order of finding.
struct Found {
    at: WallTime,
    now_ns: u64,
    root_netns: Option<u32>,
    namespaces: Vec<Namespace>,
    /// The mechanism that measured.
    chosen: Option<Chosen>,
    measured: Option<Measured>,
    threads: Option<SeenThreads>,
    worst: Option<Worst>,
    /// A signal ended the measurement early.
    is_cut_short: bool,
}

/// What files tell of the host. Read first, so that the timers are told as of the moment of telling.
struct HostFacts {
    source: Source,
    release: String,
    cpus: Cpus,
    owners: NetnsOwners,
    steering: Steering,
    livepatches: io::Result<Option<Vec<Livepatch>>>,
}

impl HostFacts {
    fn read(root: &Path) -> Self {
        Self {
            source: Source::here(root),
            release: prerequisites::release(root),
            cpus: Cpus::read(root),
            owners: NetnsOwners::read(root),
            steering: Steering::read(root),
            livepatches: livepatch::read(root),
        }
    }
}

fn look(root: &Path, via: Option<Mechanism>, time: Time, max_ns: u64) -> anyhow::Result<Page> {
    let mut host = HostFacts::read(root);
    let survey = prerequisites::survey(root);
    let mut kind = match &survey {
        Ok(_) => Some(Kind::Timer),
        Err(missing) => kind_of(root, missing),
    };
    let missing = survey.err().unwrap_or_default();
    let tried = if by_threads(&missing) {
        let seen = observe(root, &mut host.owners, time);
        seen.map_err(|error| Obstacle::refused(&error))
    } else if missing.iter().all(Refusal::is_of_ebpf) {
        let measured = measure(root, via, &mut host.owners, time, max_ns);
        measured.map_err(|error| {
            // Without BTF of ip_vs, what estimates is known once its functions are read from memory.
            if let Some(SourceError::Refused(refusal)) = error.downcast_ref() {
                kind = kind_of(root, std::slice::from_ref(refusal));
            }
            let obstacle = Obstacle::refused(&error);
            // What eBPF lacks is no reason where a person chose another mechanism.
            match via {
                None | Some(Mechanism::Bpf) => obstacle.with(&missing),
                Some(_) => obstacle,
            }
        })
    } else {
        Err(Obstacle::missing(&missing))
    };
    Ok(match tried {
        Ok(found) => page(host, kind, found, None),
        Err(obstacle) => {
            let found = unmeasured(root, &host.owners, kind)?;
            page(host, kind, found, Some(obstacle))
        }
    })
}

fn page(host: HostFacts, kind: Option<Kind>, mut found: Found, obstacle: Option<Obstacle>) -> Page {
    let mut doubts = survey::doubt(&mut found.namespaces);
    let unseen = host.livepatches.as_ref().err();
    doubts.extend(unseen.map(|error| {
        format!("Which livepatches are loaded cannot be seen (/sys/kernel/livepatch: {error}).")
    }));
    let unseen = unseen.is_some();
    let replaced = Replaced::of(&host.livepatches);
    let livepatches = host.livepatches.unwrap_or_default();
    let evidence = Evidence {
        namespaces: &found.namespaces,
        measured: found.measured.as_ref(),
        threads: found.threads.as_ref(),
        worst: found.worst.as_ref(),
        obstacle: obstacle.as_ref().map(|obstacle| obstacle.brief.as_str()),
        root_netns: found.root_netns,
        replaced: &replaced,
        is_cut_short: found.is_cut_short,
    };
    let (verdict, message) = evidence.judge();
    let node = Node {
        release: &host.release,
        kind,
        namespaces: &found.namespaces,
        measured: found.measured.as_ref(),
        livepatching: livepatches.is_some(),
        hotfix: replaced.name(),
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
        worst: found.worst.map(|worst| {
            let named = survey::named(&found.namespaces, worst.netns);
            WorstStall::of(&worst, named)
        }),
        mechanism: found.chosen.as_ref().map(|chosen| chosen.mechanism),
        cannot: found
            .chosen
            .as_ref()
            .map_or(&[], |chosen| chosen.mechanism.cannot()),
        unavailable: found.chosen.map_or(Vec::new(), |chosen| chosen.unavailable),
        measured: found.measured,
        threads: found.threads,
        namespaces: found.namespaces,
        missing: missing(obstacle, host.owners.told_hidden(), doubts),
        livepatch: Livepatches {
            supported: livepatches.is_some() || unseen,
            patches: livepatches.unwrap_or_default(),
            unseen,
        },
    }
}

/// Returns whether kernel threads estimate, and nothing is missing to look at them: that takes no probe.
fn by_threads(missing: &[Refusal]) -> bool {
    let is_of_threads = |one: &Refusal| matches!(one, Refusal::Threads(_));
    let is_of_probes = |one: &Refusal| {
        matches!(
            one,
            Refusal::NoKprobes(_) | Refusal::NoSysfs(_) | Refusal::KprobesOff
        )
    };
    missing.iter().any(is_of_threads)
        && missing
            .iter()
            .all(|one| is_of_threads(one) || is_of_probes(one))
}

/// What is missing says what estimates; where it does not, the kernel's functions do.
fn kind_of(root: &Path, missing: &[Refusal]) -> Option<Kind> {
    let told = missing.iter().find_map(|refusal| match refusal {
        Refusal::Threads(_) => Some(Kind::Kthread),
        Refusal::Vendor(_) => Some(Kind::Vendor),
        Refusal::NoIpvs(_) => Some(Kind::Absent),
        _ => None,
    });
    told.or_else(|| Kind::read(root))
}

/// The last look at the timers comes after all else that takes time.
fn measure(
    root: &Path,
    via: Option<Mechanism>,
    owners: &mut NetnsOwners,
    time: Time,
    max_ns: u64,
) -> anyhow::Result<Found> {
    let asked_to_end = asked_to_end()?;
    let mut measurement = Measurement::start(root, via)?;
    let chosen = measurement.chosen().clone();
    let is_whole = measurement.observe(time, &asked_to_end)?;
    let root_netns = measurement.root_netns().or_else(|| root_netns(root));
    if let Some(netns) = root_netns {
        owners.set_root_netns(netns);
    }
    let survey = Survey {
        root,
        owners,
        root_netns,
    };
    let described = survey.measured(&measurement.namespaces()?);
    let observed: Observed = measurement.finish()?;
    if chosen.mechanism == Mechanism::Bpf && prerequisites::kprobes_are_off(root) {
        // Since when is unknown, and so is what was not seen.
        return Err(Refusal::KprobesOff.into());
    }
    let namespaces = survey::complete(described, &observed.overview);
    Ok(Found {
        at: observed.overview.at,
        now_ns: observed.overview.now_ns,
        root_netns,
        chosen: Some(chosen),
        measured: Some(survey::measured(&observed, &namespaces, max_ns)),
        threads: None,
        namespaces,
        worst: observed.overview.worst(Span::All, max_ns),
        is_cut_short: !is_whole,
    })
}

/// Looks at kernel threads that estimate.
fn observe(root: &Path, owners: &mut NetnsOwners, time: Time) -> anyhow::Result<Found> {
    let asked_to_end = asked_to_end()?;
    let seen = monitor::threads::observe(root, time.least, &asked_to_end)?;
    let root_netns = root_netns(root);
    if let Some(netns) = root_netns {
        owners.set_root_netns(netns);
    }
    let survey = Survey {
        root,
        owners,
        root_netns,
    };
    let now_ns = time::monotonic_ns()?;
    Ok(Found {
        at: WallTime(now_ns.saturating_add(time::wall_offset_ns()?)),
        now_ns,
        root_netns,
        namespaces: survey.by_threads(&seen.namespaces),
        chosen: None,
        measured: None,
        threads: Some(kernel_threads::told(root, &seen, owners)),
        worst: None,
        is_cut_short: !seen.is_whole,
    })
}

/// A signal to end is answered with what was measured until then.
fn asked_to_end() -> io::Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in signals::ending()? {
        signal_hook::flag::register(signal, Arc::clone(&asked))?;
    }
    Ok(asked)
}

fn unmeasured(root: &Path, owners: &NetnsOwners, kind: Option<Kind>) -> anyhow::Result<Found> {
    let root_netns = root_netns(root);
    let survey = Survey {
        root,
        owners,
        root_netns,
    };
    let namespaces = survey.unmeasured(kind);
    let now_ns = time::monotonic_ns()?;
    Ok(Found {
        at: WallTime(now_ns.saturating_add(time::wall_offset_ns()?)),
        now_ns,
        root_netns,
        namespaces,
        chosen: None,
        measured: None,
        threads: None,
        worst: None,
        is_cut_short: false,
    })
}

/// Of the host's first process. A container's own tells nothing.
fn root_netns(root: &Path) -> Option<u32> {
    netns_owners::sees_host(root)
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
