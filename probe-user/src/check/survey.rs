//! The facts about the namespaces of a node, put together.

use std::{collections::BTreeSet, path::Path};

use super::{
    measure::{self, Longest, Observed},
    page::{Blackout, Measured, Namespace, Run},
};
use crate::{
    kernel::{
        estimation::{self, Kind},
        inhabitants::{self, Inhabitants},
        netns,
        printable::typed,
        services::{self, Counted},
    },
    model::{NamespaceView, Overview, SLOW_PERIOD_NS, State},
};

/// What tells about namespaces.
pub struct Survey<'a> {
    pub root: &'a Path,
    pub inhabitants: &'a Inhabitants,
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
        let known: BTreeSet<u32> = self
            .inhabitants
            .namespaces()
            .chain(self.root_netns)
            .collect();
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
            who: self.who(netns),
            services: services.map(|counted| counted.services),
            destinations: services.map(|counted| counted.destinations),
            estimators,
            pieces: services.is_some_and(|counted| counted.pieces),
            enter: self.enter(netns),
            ..Namespace::default()
        }
    }

    /// A list of one has the total alone. Otherwise by the file that a process, or a name, gives access to.
    fn services(&self, netns: u32, estimators: Option<u32>) -> Option<Counted> {
        if estimators.is_some_and(|length| length <= 1) {
            return Some(Counted::default());
        }
        let process = self.inhabitants.process(netns);
        let counted = process.and_then(|pid| services::of_process(self.root, pid, netns).ok());
        counted.or_else(|| {
            let name = self.inhabitants.ip_netns_name(netns)?;
            services::of_name(self.root, name, netns).ok()
        })
    }

    fn who(&self, netns: u32) -> Option<String> {
        let nobody = || self.inhabitants.sees_all().then_some("no process");
        let who = self.inhabitants.who(netns).or_else(nobody)?;
        Some(who.to_owned())
    }

    fn enter(&self, netns: u32) -> Option<String> {
        if self.root_netns == Some(netns) {
            if netns::own_inode(self.root) == Some(netns) {
                return Some(String::new());
            }
            return typed(self.root, "proc/1/ns/net");
        }
        let name = self.inhabitants.ip_netns_name(netns);
        let by_name = name.and_then(|name| typed(self.root, &format!("run/netns/{name}")));
        by_name.or_else(|| {
            let pid = self.inhabitants.process(netns)?;
            // It may have gone elsewhere since.
            let lives_there = inhabitants::lives_in(self.root, pid, netns);
            lives_there.then(|| typed(self.root, &format!("proc/{pid}/ns/net")))?
        })
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
        let due = measure::ahead(view, overview);
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

/// Takes back what `/proc/net/ip_vs` told where it cannot be all, and says so: in whole sentences.
///
/// With a list at hand, that has the say; without one, whether others have services.
pub fn doubt(namespaces: &mut [Namespace]) -> Vec<String> {
    let with_services = namespaces
        .iter()
        .filter(|one| one.services > Some(0))
        .count();
    let mut doubts = Vec::new();
    let uncounted = namespaces
        .iter()
        .filter(|one| one.services.is_none() && one.state != Some(State::Absent))
        .count();
    if uncounted > 0 {
        let plural = if uncounted == 1 { "" } else { "s" };
        doubts.push(format!(
            "the services of {uncounted} network namespace{plural} could not be counted, for want of a process there, or \
             of a name of `ip netns` by which to enter, which needs the capability CAP_SYS_ADMIN"
        ));
    }
    for one in namespaces {
        let (Some(services), Some(destinations)) = (one.services, one.destinations) else {
            continue;
        };
        let told = services.saturating_add(destinations);
        let against = match one.estimators {
            Some(length) if length == told.saturating_add(1) => continue,
            Some(length) => {
                format!("its list has {length} estimators, one for each and one for the total")
            }
            None if one.pieces && with_services > 1 => {
                "other namespaces have services too".to_owned()
            }
            None => continue,
        };
        (one.services, one.destinations) = (None, None);
        doubts.push(format!(
            "/proc/net/ip_vs of netns {} tells of {services} services and {destinations} destinations, which is not \
             certain, for {against}: they may have changed meanwhile, and the kernel miscounts in that file where \
             several namespaces have services",
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

/// What was seen of the runs.
pub fn measured(observed: &Observed, max_ns: u64) -> Measured {
    let Overview {
        all,
        cost,
        observed_ns,
        ..
    } = &observed.overview;
    let Longest { run, blackout } = &observed.longest;
    let half = |cost: &crate::model::Cost| cost.projected_ns(u64::from(cost.estimators / 2));
    Measured {
        observed_ns: *observed_ns,
        max_ns,
        runs: all.calls,
        lost: all.lost,
        missed: all.missed,
        longest_run: run.as_ref().map(|call| Run {
            duration_ns: call.duration_ns,
            cpu: call.cpu,
            netns: call.netns,
            estimators: call.estimators,
        }),
        longest_blackout: blackout.as_ref().and_then(|call| {
            let blackout = call.blackout?;
            Some(Blackout {
                duration_ns: blackout.duration_ns,
                calls: blackout.calls,
                cpu: call.cpu,
                netns: call.netns,
            })
        }),
        half_ns: cost.as_ref().map(half),
    }
}

#[cfg(test)]
mod tests;
