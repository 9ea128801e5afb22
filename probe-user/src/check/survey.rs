//! The facts about the namespaces of a node, put together.

use std::{collections::BTreeSet, path::Path};

use super::page::{Blackout, Measured, Namespace, Run};
use host::{
    estimation::{self, Kind},
    estimator_threads::Estimation,
    netns,
    netns_owners::{Named, NetnsOwners},
    services::{self, Counted},
};
use model::{NamespaceView, Overview, SLOW_PERIOD_NS, State, known_netns};
use monitor::{self, Longest, Observed};

/// What tells about namespaces.
pub struct Survey<'a> {
    pub root: &'a Path,
    pub owners: &'a NetnsOwners,
    pub root_netns: Option<u32>,
}

impl Survey<'_> {
    /// The namespaces without their timers: what files alone tell.
    pub fn unmeasured(&self, kind: Option<Kind>) -> Vec<Namespace> {
        let state = match kind {
            Some(Kind::Kthread) => Some(State::Kthread),
            Some(Kind::Absent) => Some(State::Absent),
            Some(Kind::Timer | Kind::Vendor) | None => None,
        };
        let known: BTreeSet<u32> = self.owners.namespaces().chain(self.root_netns).collect();
        // The switch in sight is that of the namespace that we are in.
        let own = netns::own_inode(self.root);
        let namespaces = known.into_iter().map(|netns| Namespace {
            state,
            run_estimation: (own == Some(netns))
                .then(|| estimation::run_estimation(self.root))
                .flatten(),
            ..self.described(netns, None)
        });
        let mut namespaces: Vec<Namespace> = namespaces.collect();
        worst_first(&mut namespaces);
        namespaces
    }

    /// Returns the namespaces in which kernel threads estimate.
    pub fn by_threads(&self, seen: &[Estimation]) -> Vec<Namespace> {
        let namespaces = seen.iter().map(|one| {
            let described = self.described(one.netns, None);
            let counted = described.services.zip(described.destinations);
            let in_threads = one.threads.iter().map(|thread| thread.estimators).sum();
            Namespace {
                state: Some(State::Kthread),
                run_estimation: Some(one.run_estimation),
                // One for the total. Before a thread has them, they wait in a list of their own.
                estimators: counted.map_or(
                    (one.chain_max > 0).then_some(in_threads),
                    |(services, destinations)| {
                        Some(services.saturating_add(destinations).saturating_add(1))
                    },
                ),
                ..described
            }
        });
        let mut namespaces: Vec<Namespace> = namespaces.collect();
        worst_first(&mut namespaces);
        namespaces
    }

    /// The namespaces as they were measured. What of it depends on the time of telling is left to
    /// [`complete`].
    pub fn measured(&self, views: &[NamespaceView]) -> Vec<Namespace> {
        let there = views
            .iter()
            .filter(|view| view.state != Some(State::Absent));
        there
            .map(|view| self.described(view.netns, view.estimators))
            .collect()
    }

    fn described(&self, netns: u32, estimators: Option<u32>) -> Namespace {
        let services = self.services(netns, estimators);
        Namespace {
            netns,
            is_empty: self.owners.sees_all() && self.owners.who(netns).is_none(),
            named: self.owners.named(netns),
            services: services.map(|counted| counted.services),
            destinations: services.and_then(|counted| counted.destinations),
            estimators,
            enter: self.enter(netns),
            ..Namespace::default()
        }
    }

    /// A list of one has the total alone. Where the kernel has no IPVS, or cannot be asked, nothing is known.
    fn services(&self, netns: u32, estimators: Option<u32>) -> Option<Counted> {
        if estimators.is_some_and(|length| length <= 1) {
            return Some(Counted {
                services: 0,
                destinations: Some(0),
            });
        }
        services::count(self.root, self.owners.doors(), netns, estimators)
            .inspect_err(|error| log::debug!("services of netns {netns}: {error}"))
            .ok()
    }

    /// A person types the command where this runs, which may be in the namespace: of the root namespace that is sure to be
    /// so then too, and another may have no door.
    fn enter(&self, netns: u32) -> Option<String> {
        let is_own = netns::own_inode(self.root) == Some(netns);
        if is_own && self.root_netns == Some(netns) {
            return Some(String::new());
        }
        let door = self.owners.doors().plain(netns);
        door.or_else(|| is_own.then(String::new))
    }
}

/// Adds what was measured to the namespaces described before, and orders them.
pub fn complete(described: Vec<Namespace>, overview: &Overview) -> Vec<Namespace> {
    let find = |netns| {
        let views = &overview.namespaces;
        let place = views
            .binary_search_by_key(&netns, |view: &NamespaceView| view.netns)
            .ok()?;
        Some(&views[place]).filter(|view| view.state != Some(State::Absent))
    };
    let complete = described.into_iter().filter_map(|namespace| {
        let view = find(namespace.netns)?;
        let due = monitor::ahead(view, overview);
        Some(Namespace {
            estimators: view.estimators,
            run_estimation: view.run_estimation,
            state: state(view),
            period_ns: view.period_ns,
            next_run_in_ns: due.map(|run| run.due_ns - overview.now_ns),
            next_cpu: due.map(|run| run.cpu),
            runs: view.calls,
            ..namespace
        })
    });
    let mut namespaces: Vec<Namespace> = complete.collect();
    worst_first(&mut namespaces);
    namespaces
}

/// Takes back what was counted where the list of estimators says otherwise, and says so: in whole sentences.
pub fn doubt(namespaces: &mut [Namespace]) -> Vec<String> {
    let mut doubts = Vec::new();
    let uncounted = namespaces
        .iter()
        .filter(|one| one.services.is_none() && one.state != Some(State::Absent))
        .count();
    if uncounted > 0 {
        let plural = if uncounted == 1 { "" } else { "s" };
        doubts.push(format!(
            "the services of {uncounted} network namespace{plural} could not be counted: that takes a path that opens the \
             namespace, the capability CAP_SYS_ADMIN to enter it, and CAP_NET_ADMIN to ask IPVS, for /proc/net/ip_vs leaves \
             some out where several namespaces have services"
        ));
    }
    for one in namespaces {
        let (Some(services), Some(destinations)) = (one.services, one.destinations) else {
            continue;
        };
        let told = services.saturating_add(destinations);
        let Some(length) = one
            .estimators
            .filter(|length| *length != told.saturating_add(1))
        else {
            continue;
        };
        (one.services, one.destinations) = (None, None);
        doubts.push(format!(
            "netns {} was counted to have {services} services and {destinations} destinations, and its list has {length} \
             estimators, one for each and one for the total: they changed meanwhile, and are left out",
            one.netns
        ));
    }
    doubts
}

/// Two runs may be too few to tell a slow period by; the times that the timer was set to will do.
fn state(view: &NamespaceView) -> Option<State> {
    let slow = view
        .period_ns
        .is_some_and(|period_ns| period_ns > SLOW_PERIOD_NS);
    match view.state {
        Some(State::Active | State::Skipping) if slow => Some(State::Slowed),
        state => state,
    }
}

fn worst_first(namespaces: &mut [Namespace]) {
    let rank = |namespace: &Namespace| match namespace.state {
        Some(State::Dead) => 0,
        Some(State::Slowed) => 1,
        _ => 2,
    };
    namespaces.sort_by_cached_key(|namespace| {
        let entries = std::cmp::Reverse(namespace.entries());
        (rank(namespace), entries, namespace.netns)
    });
}

/// Returns what the survey found of who lives in a namespace, and where it opens.
pub fn named(namespaces: &[Namespace], netns: u32) -> Named {
    let found = namespaces.iter().find(|one| one.netns == netns);
    found.map_or_else(Named::default, |one| one.named.clone())
}

/// What was seen of the runs of these namespaces.
pub fn measured(observed: &Observed, namespaces: &[Namespace], max_ns: u64) -> Measured {
    let Overview {
        all,
        cost,
        observed_ns,
        ..
    } = &observed.overview;
    let Longest { run, blackout } = &observed.longest;
    let half = |cost: &model::Cost| cost.projected_ns(u64::from(cost.estimators / 2));
    Measured {
        observed_ns: *observed_ns,
        max_ns,
        runs: all.calls,
        lost: all.lost,
        missed: all.missed,
        longest_run: run.as_ref().map(|call| Run {
            duration_ns: call.duration_ns,
            cpu: call.cpu,
            netns: known_netns(call.netns),
            named: named(namespaces, call.netns),
            estimators: call.estimators,
        }),
        longest_blackout: blackout.as_ref().and_then(|call| {
            let blackout = call.blackout?;
            Some(Blackout {
                duration_ns: blackout.duration_ns,
                calls: blackout.calls,
                cpu: call.cpu,
                netns: known_netns(call.netns),
                named: named(namespaces, call.netns),
            })
        }),
        half_ns: cost.as_ref().map(half),
    }
}

#[cfg(test)]
mod tests;
