//! `hotfix status`.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    ops::Range,
    path::Path,
    process::ExitCode,
};

use serde::Serialize;

use crate::{output, record::Origin, watch::netns_named, width};
use ::livepatch::{
    preflight::period,
    site::Site,
    transaction::{
        livepatches::{self, ListedLivepatch},
        unfinished::{self, Unfinished},
    },
    transition::{
        reason::Reasons,
        stalled::{self, Stalled, Towards},
        timer_references,
    },
};
use host::{
    livepatch,
    netns_owners::{Named, NetnsOwners},
};
use livepatch_image::Name;
use model::{ESTIMATOR, State, Timer};

/// Something is on its way, left behind, or without effect.
const FOUND: u8 = 1;

/// Nothing was found, and not all could be looked at.
const UNKNOWN: u8 = 2;

/// The document of `status --json`.
#[derive(Debug, Serialize)]
struct Status {
    schema: u32,
    #[serde(flatten)]
    origin: Origin,
    /// `None` where they cannot be seen.
    livepatches: Option<Vec<ListedLivepatch>>,
    /// The tasks that keep the transition that runs, if one does.
    stalled: Vec<Stalled>,
    /// Changes that are not over; `None` where the journal cannot be read.
    unfinished: Option<Vec<Unfinished>>,
    /// Every estimator's timer; `None` where they cannot be seen.
    estimators: Option<Vec<Estimator>>,
    /// Why something above is `None`, or the module that a timer calls is.
    unknown: Vec<String>,
    /// Whether something above is `None`.
    #[serde(skip)]
    is_unseen: bool,
}

/// An estimator's timer, and whose code it calls.
#[derive(Debug, Serialize)]
struct Estimator {
    #[serde(flatten)]
    timer: Timer,
    /// Who lives in its namespace, and the path that opens it: for the document alone.
    #[serde(flatten)]
    named: Named,
    /// The module of a livepatch, which must not be removed then; `None` where it is none of these.
    calls: Option<Name>,
}

/// Tells how far each livepatch is, and which tasks keep it.
///
/// # Errors
///
/// When this kernel has no livepatching, or what was found cannot be written.
pub fn status(json: bool, site: &Site) -> anyhow::Result<ExitCode> {
    let status = Status::read(json, site)?;
    output::print(|out| write(&status, json, out))?;
    Ok(ExitCode::from(status.code()))
}

impl Status {
    fn read(json: bool, site: &Site) -> anyhow::Result<Self> {
        let mut unknown = Vec::new();
        let livepatches = match livepatches::entries(&site.root) {
            Ok(entries) => Some(entries),
            Err(error) if matches!(livepatch::read(&site.root), Ok(None)) => return Err(error),
            Err(error) => {
                unknown.push(format!("{error:#}"));
                None
            }
        };
        let unfinished = unfinished::read(site)
            .map_err(|error| unknown.push(error.to_string()))
            .ok();
        let timers = site
            .estimators()
            .timers()
            .map_err(|error| unknown.push(format!("the estimators cannot be seen: {error:#}")))
            .ok();
        // Where the kernel hides addresses it does so for good, and a healthy livepatch is not in doubt for that.
        let is_unseen = !unknown.is_empty();
        let code = code(
            &site.root,
            livepatches.as_deref().unwrap_or_default(),
            &mut unknown,
        );
        // It takes a look at every process, and only the document says who lives where.
        let owners = json.then(|| NetnsOwners::read(&site.root));
        let described = |timer: Timer| {
            let named = owners.as_ref().map(|all| all.named(timer.netns));
            described(timer, named.unwrap_or_default(), &code)
        };
        let estimators = timers.map(|timers| timers.into_iter().map(described));
        Ok(Self {
            schema: 1,
            origin: Origin::now(&site.root),
            stalled: stalled(&site.root),
            livepatches,
            unfinished,
            estimators: estimators.map(Iterator::collect),
            unknown,
            is_unseen,
        })
    }
}

/// Returns the tasks that keep the transition that runs.
fn stalled(root: &Path) -> Vec<Stalled> {
    let patches = livepatch::read(root).ok().flatten().unwrap_or_default();
    let moving = patches.iter().find(|patch| patch.transition == Some(true));
    moving.map_or_else(Vec::new, |patch| {
        let towards = match patch.enabled {
            Some(false) => Towards::Unpatched,
            _ => Towards::Patched,
        };
        stalled::tasks(root, towards, &Reasons::default())
    })
}

/// Returns where the code of each livepatch lies.
fn code(
    root: &Path,
    livepatches: &[ListedLivepatch],
    unknown: &mut Vec<String>,
) -> Vec<(Name, Range<u64>)> {
    let mut code = Vec::new();
    for ListedLivepatch { name, .. } in livepatches {
        match timer_references::code_of(root, name) {
            Ok(range) => code.push((name.clone(), range)),
            Err(error) => unknown.push(format!(
                "whether a timer calls code of {name} cannot be seen (/proc/modules: {error})"
            )),
        }
    }
    code
}

fn described(timer: Timer, named: Named, code: &[(Name, Range<u64>)]) -> Estimator {
    let mut code = code.iter();
    let called = code.find(|(_, range)| range.contains(&timer.function));
    Estimator {
        calls: called.map(|(name, _)| name.clone()),
        timer,
        named,
    }
}

impl Status {
    fn code(&self) -> u8 {
        match (self.is_clean(), self.is_unseen) {
            (false, _) => FOUND,
            (true, true) => UNKNOWN,
            (true, false) => 0,
        }
    }

    /// As far as it could be seen.
    fn is_clean(&self) -> bool {
        self.livepatches
            .iter()
            .flatten()
            .all(ListedLivepatch::is_in_force)
            && self.unfinished.as_ref().is_none_or(Vec::is_empty)
            && self.troubled().is_empty()
    }

    /// Returns whether a livepatch replaces the estimator, which explains why the estimator is late.
    fn is_replaced(&self) -> bool {
        let entries = self.livepatches.iter().flatten();
        let mut objects = entries.flat_map(|entry| &entry.objects);
        objects.any(|object| object.has(ESTIMATOR))
    }

    /// Estimators that are dead, or are late without a livepatch in force that would explain it.
    fn troubled(&self) -> Vec<&Timer> {
        let is_replaced = self.is_replaced();
        self.timers()
            .filter(|timer| match timer.state {
                State::Dead => true,
                State::Slowed => !is_replaced,
                _ => false,
            })
            .collect()
    }

    fn timers(&self) -> impl Iterator<Item = &Timer> {
        let estimators = self.estimators.iter().flatten();
        estimators.map(|estimator| &estimator.timer)
    }
}

fn write(status: &Status, json: bool, mut out: impl Write) -> io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut out, status)?;
        return writeln!(out);
    }
    let mut text = Vec::new();
    write_text(status, &mut text)?;
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines();
    lines.try_for_each(|line| writeln!(out, "{}", width::for_stdout(line)))
}

fn write_text(status: &Status, mut out: impl Write) -> io::Result<()> {
    if status.livepatches.as_ref().is_some_and(Vec::is_empty) {
        writeln!(out, "no livepatch is loaded")?;
    }
    for entry in status.livepatches.iter().flatten() {
        writeln!(out, "{}: {}", entry.name, entry.state)?;
        for object in &entry.objects {
            let patched = match object.patched {
                Some(true) => "patched",
                Some(false) => "not patched, for it is not loaded",
                None => "whether it is patched this kernel does not say",
            };
            writeln!(
                out,
                "  {} of {}: {patched}",
                object.functions.join(", "),
                object.name
            )?;
        }
    }
    for task in &status.stalled {
        writeln!(out, "  not through: {task}")?;
    }
    for change in status.unfinished.iter().flatten() {
        writeln!(out, "{change}")?;
    }
    write_estimators(status, &mut out)?;
    let mut unknown = status.unknown.iter();
    unknown.try_for_each(|why| writeln!(out, "unknown: {why}"))
}

fn write_estimators(status: &Status, mut out: impl Write) -> io::Result<()> {
    let Some(estimators) = &status.estimators else {
        return Ok(());
    };
    let troubled = status.troubled();
    let is_late = |timer: &&Timer| matches!(timer.state, State::Dead | State::Slowed);
    let under = if status.is_replaced() {
        ", under a livepatch that replaces the estimator"
    } else {
        ""
    };
    let late = status.timers().filter(is_late);
    let (dead, slowed): (Vec<&Timer>, Vec<&Timer>) =
        late.partition(|timer| timer.next_run_in_ns.is_none());
    let named = |timers: &[&Timer]| netns_named(timers.iter().map(|timer| timer.netns));
    if let Some(netns) = named(&dead) {
        writeln!(
            out,
            "the estimator of {netns} is DEAD: its timer is not pending, and only loading ip_vs anew revives it"
        )?;
    }
    let latest = slowed.iter().filter_map(|timer| timer.next_run_in_ns).max();
    if let (Some(netns), Some(latest_ns)) = (named(&slowed), latest) {
        let within = if slowed.len() == 1 { "in" } else { "within" };
        writeln!(
            out,
            "the estimator of {netns} is SLOWED: due {within} {}, by its own timer{under}",
            period::shown(latest_ns)
        )?;
    }
    write_calls(estimators, &mut out)?;
    write_switched_off(estimators, &mut out)?;
    let next = status.timers().filter_map(|timer| timer.next_run_in_ns);
    match (next.max(), estimators.len()) {
        (Some(latest_ns), 1) if troubled.is_empty() => {
            let latest = period::shown(latest_ns);
            writeln!(out, "the estimator is due within {latest}")
        }
        (Some(latest_ns), count) if troubled.is_empty() => {
            let latest = period::shown(latest_ns);
            writeln!(out, "{count} estimators, all due within {latest}")
        }
        _ => Ok(()),
    }
}

/// Reports a livepatch whose code a timer calls: its module must not be removed.
fn write_calls(estimators: &[Estimator], mut out: impl Write) -> io::Result<()> {
    let mut calling: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for estimator in estimators {
        if let Some(module) = &estimator.calls {
            let netns = calling.entry(module.to_string()).or_default();
            netns.push(estimator.timer.netns);
        }
    }
    for (module, netns) in calling {
        if let Some(netns) = netns_named(netns.into_iter()) {
            writeln!(
                out,
                "the timer of {netns} calls code of the module {module}: the node crashes if that module is removed"
            )?;
        }
    }
    Ok(())
}

/// Nobody remembers who switched it off: an administrator, or a trial that was killed together with its guard.
fn write_switched_off(estimators: &[Estimator], mut out: impl Write) -> io::Result<()> {
    let timers = estimators.iter().map(|estimator| &estimator.timer);
    let off = timers.filter(|timer| timer.run_estimation == Some(0));
    match netns_named(off.map(|timer| timer.netns)) {
        None => Ok(()),
        Some(netns) => writeln!(
            out,
            "run_estimation of {netns} is 0: statistics stand still there until it is set to 1"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(timers: impl Iterator<Item = Timer>) -> String {
        let estimators = timers.map(|timer| Estimator {
            timer,
            named: Named::default(),
            calls: None,
        });
        let status = Status {
            schema: 1,
            origin: Origin::now(std::path::Path::new("/")),
            livepatches: None,
            stalled: Vec::new(),
            unfinished: None,
            estimators: Some(estimators.collect()),
            unknown: Vec::new(),
            is_unseen: false,
        };
        let mut out = Vec::new();
        write(&status, false, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_the_same_for_many_namespaces_is_one_line() {
        let timer = |netns, next_run_in_ns, state| Timer {
            netns,
            state,
            run_estimation: Some(0),
            next_run_in_ns,
            function: 0,
        };
        let late = |netns| timer(netns, Some(u64::from(netns) * 1_000_000_000), State::Slowed);
        let many = text((1..=61).map(late));
        assert_eq!(many.lines().count(), 2, "{many}");
        assert!(
            many.contains("each of 61 netns (1, 2, 3, ...) is SLOWED: due within 61 s"),
            "{many}"
        );
        let dead = text((7..=8).map(|netns| timer(netns, None, State::Dead)));
        assert!(dead.contains("each of 2 netns (7, 8) is DEAD"), "{dead}");
        let one = text(std::iter::once(late(5)));
        assert!(
            one.contains("the estimator of netns 5 is SLOWED: due in 5 s"),
            "{one}"
        );
    }
}
