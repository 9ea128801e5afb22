//! The namespaces of the timers: which is whose, and how long its list is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use host::{estimation, netns::doors::Doors, netns_owners::NetnsOwners, prerequisites, services};
use model::NETNS_UNKNOWN;
use probe_ebpf::{
    Event, Snapshot,
    event::ESTIMATORS_UNKNOWN,
    snapshot::{LENGTH_UNKNOWN, NO_SWITCH},
};

use super::{
    lengths::{Counted, Lengths, Look},
    through::Through,
};
use crate::{
    statistics,
    traced::{Events, Functions, Record, Whose},
};

/// What is known of the namespaces.
#[derive(Debug)]
pub struct Namespaces {
    root: PathBuf,
    through: Through,
    functions: Functions,
    whose: Whose,
    /// Those that had a process or a name when their statistics were read last, and the timers that were known then.
    seen: Option<BTreeSet<u32>>,
    timers: BTreeSet<u64>,
    /// Timers whose namespace was not found then.
    not_found: BTreeSet<u64>,
    doors: Doors,
    lengths: Lengths,
    switches: BTreeMap<u32, i32>,
}

impl Namespaces {
    /// Begins without any.
    pub fn new(root: &Path, through: Through, functions: Functions) -> Self {
        Self {
            root: root.to_owned(),
            through,
            functions,
            whose: Whose::default(),
            seen: None,
            timers: BTreeSet::new(),
            not_found: BTreeSet::new(),
            doors: Doors::default(),
            lengths: Lengths::default(),
            switches: BTreeMap::new(),
        }
    }

    /// Looks at them at a check, and in between for the namespace of a timer that came. Records that are made meanwhile are
    /// `held`: with many namespaces that takes longer than a ring holds them.
    pub fn look(
        &mut self,
        look: Look,
        timers: &BTreeSet<u64>,
        events: &mut dyn Events,
        held: &mut Vec<Record>,
    ) {
        let came = timers.difference(&self.timers);
        let is_one_unknown = came.copied().any(|timer| !self.is_there(timer));
        if look == Look::Check || is_one_unknown {
            self.find(timers, events, held);
            self.read_switches(events, held);
        }
        if self.lengths.are_wanted(look) {
            self.count(events, held);
        }
    }

    fn count(&mut self, events: &mut dyn Events, held: &mut Vec<Record>) {
        let before = self.changes(events);
        let (root, doors) = (&self.root, &self.doors);
        let namespaces: Vec<u32> = self.whose.namespaces().collect();
        let count = || {
            let began = Instant::now();
            let lengths = namespaces.iter();
            let lengths = lengths.filter_map(|netns| Some((*netns, length(root, doors, *netns)?)));
            Ok(Counted {
                lengths: lengths.collect(),
                took: began.elapsed(),
            })
        };
        let counted = statistics::in_a_thread(count, &mut || hold(events, held));
        let counted = counted.unwrap_or_else(|error| {
            log::debug!("the lengths of lists cannot be counted: {error}");
            Counted::default()
        });
        let after = self.changes(events);
        self.lengths.take(counted, [before, after]);
    }

    /// Notes whether estimators started or stopped since the last look: runs since then have no known length.
    pub fn note_changes(&mut self, events: &mut dyn Events) {
        let changes = self.changes(events);
        self.lengths.note(changes);
    }

    /// Returns how many changes there were; `None` where kprobes, which see them, are off.
    fn changes(&self, events: &mut dyn Events) -> Option<u64> {
        if prerequisites::kprobes_are_off(&self.root) || ftrace_is_off(&self.root) {
            return None;
        }
        let changes = events.changes();
        changes.unwrap_or_else(|error| {
            log::debug!("how often estimators start and stop cannot be read: {error}");
            None
        })
    }

    /// Finds whose each timer is. What was found stays while no namespace comes or goes.
    pub fn find(
        &mut self,
        timers: &BTreeSet<u64>,
        events: &mut dyn Events,
        held: &mut Vec<Record>,
    ) {
        let owners = NetnsOwners::read(&self.root);
        let seen: BTreeSet<u32> = owners.namespaces().collect();
        let unknown = timers
            .iter()
            .copied()
            .filter(|timer| !self.is_there(*timer));
        let unknown: BTreeSet<u64> = unknown.collect();
        // What was not found once is not found the next time either.
        if self.seen.as_ref() != Some(&seen) || !unknown.is_subset(&self.not_found) {
            let found = self
                .through
                .statistics(&self.root, &owners, self.functions, &mut || {
                    hold(events, held);
                });
            match found {
                Ok(statistics) => self.whose.set_statistics(statistics, &seen),
                Err(error) => log::debug!("whose a timer is cannot be told: {error}"),
            }
        }
        self.seen = Some(seen);
        self.timers.clone_from(timers);
        self.doors = owners.doors().clone();
        self.learn(timers);
        let unknown = timers
            .iter()
            .copied()
            .filter(|timer| !self.is_there(*timer));
        self.not_found = unknown.collect();
    }

    fn read_switches(&mut self, events: &mut dyn Events, held: &mut Vec<Record>) {
        if estimation::run_estimation(&self.root).is_none() {
            return;
        }
        let (root, doors) = (&self.root, &self.doors);
        let namespaces: Vec<u32> = self.whose.namespaces().collect();
        let read = || {
            let switches = namespaces.iter().filter_map(|netns| {
                let read = || Ok(estimation::run_estimation(root));
                Some((*netns, doors.inside(*netns, read).ok()??))
            });
            Ok(switches.collect())
        };
        let switches = statistics::in_a_thread(read, &mut || hold(events, held));
        self.switches = switches.unwrap_or_default();
    }

    /// Learns from the timers that were seen.
    pub fn learn(&mut self, timers: &BTreeSet<u64>) {
        self.whose.learn(timers);
    }

    /// Returns the namespaces whose timer was not seen, with its address.
    pub fn unseen<'a>(
        &'a self,
        timers: &'a BTreeSet<u64>,
    ) -> impl Iterator<Item = (u64, u32)> + 'a {
        self.whose.unseen(timers)
    }

    /// Returns whether the timers of all namespaces are among these.
    pub fn are_all_seen(&self, timers: &BTreeSet<u64>) -> bool {
        self.whose.is_complete(timers)
    }

    /// Returns whether the namespace of a timer was found at the last look.
    pub fn is_there(&self, timer: u64) -> bool {
        self.whose.is_there(timer)
    }

    /// Forgets a timer.
    pub fn forget(&mut self, timer: u64) {
        self.whose.forget(timer);
        self.timers.remove(&timer);
        self.not_found.remove(&timer);
    }

    /// Adds whose a timer is to a look at it.
    pub fn add_to(&self, look: Snapshot) -> Snapshot {
        let netns = match look.netns {
            NETNS_UNKNOWN => self.whose.netns(look.ipvs),
            netns => netns,
        };
        let length = self.lengths.of(netns);
        Snapshot {
            netns,
            run_estimation: self.switches.get(&netns).copied().unwrap_or(NO_SWITCH),
            seeded: u32::from(length.is_some()),
            counted: length.map_or(LENGTH_UNKNOWN, i64::from),
            ..look
        }
    }

    /// Adds whose it is to a run.
    pub fn add_to_run(&self, run: &mut Event) {
        run.netns = self.whose.netns(run.ipvs);
        let length = self.lengths.of(run.netns);
        let length = length.and_then(|length| i32::try_from(length).ok());
        run.estimators = length.unwrap_or(ESTIMATORS_UNKNOWN);
    }
}

/// Reads the records that are there, so that their room is free.
fn hold(events: &mut dyn Events, held: &mut Vec<Record>) {
    if let Err(error) = events.read(held) {
        log::debug!("the trace events cannot be read: {error}");
    }
}

/// Returns whether ftrace, which most kprobes need, is disabled.
fn ftrace_is_off(root: &Path) -> bool {
    let switch = fs::read_to_string(root.join("proc/sys/kernel/ftrace_enabled"));
    switch.is_ok_and(|switch| switch.trim() == "0")
}

/// Counts the entries of a namespace's list: services, destinations, and one for the total.
fn length(root: &Path, doors: &Doors, netns: u32) -> Option<u32> {
    let counted = services::count(root, doors, netns, None);
    let counted = counted
        .inspect_err(|error| log::debug!("services of netns {netns}: {error}"))
        .ok()?;
    let entries = counted.services.checked_add(counted.destinations?)?;
    entries.checked_add(1)
}
