//! The namespaces of the timers: which is whose, and how long its list is.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use host::{estimation, netns::doors::Doors, netns_owners::NetnsOwners, services};
use model::NETNS_UNKNOWN;
use probe_ebpf::{Event, Snapshot, event::ESTIMATORS_UNKNOWN, snapshot::NO_SWITCH};

use super::through::Through;
use crate::traced::Whose;

/// What is known of the namespaces.
#[derive(Debug)]
pub struct Namespaces {
    through: Through,
    whose: Whose,
    lengths: BTreeMap<u32, u32>,
    switches: BTreeMap<u32, i32>,
}

impl Namespaces {
    /// Looks for all of them.
    pub fn read(root: &Path, through: Through) -> Self {
        let mut namespaces = Self {
            through,
            whose: Whose::default(),
            lengths: BTreeMap::new(),
            switches: BTreeMap::new(),
        };
        namespaces.read_again(root, &BTreeSet::new());
        namespaces
    }

    /// Looks for them again, now that these timers are known.
    pub fn read_again(&mut self, root: &Path, timers: &BTreeSet<u64>) {
        let owners = NetnsOwners::read(root);
        match self.through.statistics(root, &owners) {
            Ok(statistics) => self.whose.set_statistics(statistics),
            Err(error) => log::debug!("whose a timer is cannot be told: {error}"),
        }
        self.learn(timers);
        self.count(root, owners.doors());
        self.read_switches(root, owners.doors());
    }

    fn read_switches(&mut self, root: &Path, doors: &Doors) {
        if estimation::run_estimation(root).is_none() {
            return;
        }
        let switches = self.whose.namespaces().filter_map(|netns| {
            let read = || Ok(estimation::run_estimation(root));
            Some((netns, doors.inside(netns, read).ok()??))
        });
        self.switches = switches.collect();
    }

    /// Returns the namespaces whose timer was not seen, with its address.
    pub fn unseen<'a>(
        &'a self,
        timers: &'a BTreeSet<u64>,
    ) -> impl Iterator<Item = (u64, u32)> + 'a {
        self.whose.unseen(timers)
    }

    fn count(&mut self, root: &Path, doors: &Doors) {
        let counted = self.whose.namespaces().filter_map(|netns| {
            let counted = services::count(root, doors, netns, None).ok()?;
            let entries = counted.services.checked_add(counted.destinations?)?;
            // One for the total.
            Some((netns, entries.checked_add(1)?))
        });
        self.lengths = counted.collect();
    }

    /// Learns from the timers that were seen.
    pub fn learn(&mut self, timers: &BTreeSet<u64>) {
        self.whose.learn(timers);
    }

    /// Returns whether the timers of all namespaces are among these.
    pub fn are_all_seen(&self, timers: &BTreeSet<u64>) -> bool {
        self.whose.is_complete(timers)
    }

    /// Returns whether the namespace of one of these timers is not known.
    pub fn is_one_missing(&self, timers: &BTreeSet<u64>) -> bool {
        timers.iter().any(|timer| !self.is_there(*timer))
    }

    /// Returns whether the namespace of a timer was found at the last look.
    pub fn is_there(&self, timer: u64) -> bool {
        self.whose.netns(timer) != NETNS_UNKNOWN
    }

    /// Adds whose a timer is to a look at it.
    pub fn add_to(&self, look: Snapshot) -> Snapshot {
        let netns = self.whose.netns(look.ipvs);
        let length = self.lengths.get(&netns);
        Snapshot {
            netns,
            run_estimation: self.switches.get(&netns).copied().unwrap_or(NO_SWITCH),
            seeded: u32::from(length.is_some()),
            counted: length.map_or(look.counted, |length| i64::from(*length)),
            ..look
        }
    }

    /// Adds whose it is to a run.
    pub fn add_to_run(&self, run: &mut Event) {
        run.netns = self.whose.netns(run.ipvs);
        let length = self.lengths.get(&run.netns);
        let length = length.and_then(|length| i32::try_from(*length).ok());
        run.estimators = length.unwrap_or(ESTIMATORS_UNKNOWN);
    }
}
