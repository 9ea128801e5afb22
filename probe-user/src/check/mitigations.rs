//! What can be done on this node: each with its command, what it breaks, and how to take it back.

mod masks;

use super::page::{Measured, Mitigation, Namespace};
use crate::{
    kernel::{estimation::Kind, steering::Steering},
    model::State,
    watch::durations,
};

/// Runs and blackouts up to this long are left alone: Linux 6.2 and later size the steps of their own kernel
/// threads to about as much (`ip_vs_est_calc_limits`, `net/netfilter/ipvs/ip_vs_est.c` of Linux 6.2).
pub const CALM_NS: u64 = 100_000;

/// What a mitigation depends on.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    /// What estimates.
    pub kind: Option<Kind>,
    /// The namespaces.
    pub namespaces: &'a [Namespace],
    /// What was seen, where something could be.
    pub measured: Option<&'a Measured>,
    /// The kernel can be livepatched.
    pub livepatching: bool,
    /// Who takes in packets.
    pub steering: &'a Steering,
}

impl Node<'_> {
    /// What is open to this node: nothing where nothing needs doing.
    #[must_use]
    pub fn mitigations(&self) -> Vec<Mitigation> {
        if self.kind != Some(Kind::Timer) {
            return Vec::new();
        }
        let dead = self
            .namespaces
            .iter()
            .any(|one| one.state == Some(State::Dead));
        let mut open: Vec<Mitigation> = dead.then(reload).into_iter().collect();
        if !self.needs_something() {
            return open;
        }
        let busiest = self.busiest();
        open.extend(busiest.and_then(run_estimation));
        open.extend(
            self.stalled_cpu()
                .and_then(|cpu| masks::without(self.steering, cpu)),
        );
        open.extend(self.livepatching.then(hotfix));
        open.extend(busiest.map(|busiest| fewer_entries(busiest, self.measured)));
        open.push(newer_kernel());
        open
    }

    /// Where nothing could be measured, a list is taken for reason enough.
    fn needs_something(&self) -> bool {
        match self.measured {
            Some(measured) => {
                let calm_ns = measured
                    .max_ns
                    .map_or(CALM_NS, |max_ns| max_ns.min(CALM_NS));
                measured.worst_ns() > calm_ns
            }
            None => self.busiest().is_some(),
        }
    }

    /// The namespace with the longest list, if there is one with more than the entry that all have.
    fn busiest(&self) -> Option<&Namespace> {
        let listed = |one: &&Namespace| {
            one.estimators
                .map_or(one.entries() > Some(0), |length| length > 1)
        };
        let lists = self.namespaces.iter().filter(listed);
        lists.max_by_key(|one| (one.entries(), std::cmp::Reverse(one.netns)))
    }

    /// Timers stay on their CPU.
    fn stalled_cpu(&self) -> Option<u32> {
        let worst = || Some(self.measured?.longest_blackout?.cpu);
        self.busiest()
            .and_then(|busiest| busiest.next_cpu)
            .or_else(worst)
    }
}

fn run_estimation(busiest: &Namespace) -> Option<Mitigation> {
    let value = busiest.run_estimation.filter(|value| *value != 0)?;
    let enter = busiest.enter.as_ref()?;
    let set = |value| format!("{enter}sysctl -w net.ipv4.vs.run_estimation={value}");
    Some(Mitigation {
        name: "run_estimation",
        command: set(0),
        breaks: format!(
            "In netns {}, the counters and rates of `ipvsadm --stats` and `--rate`, of /proc/net/ip_vs_stats and of \
             what reads them (node_exporter, keepalived) stand still; /proc/net/ip_vs_stats_percpu goes on. The \
             timer still runs every 2 s, over nothing. Other namespaces have switches of their own.",
            busiest.netns
        ),
        undo: format!(
            "{}; it also comes back when ip_vs is loaded again. The first rates after it are wrong.",
            set(value)
        ),
    })
}

fn hotfix() -> Mitigation {
    Mitigation {
        name: "hotfix",
        command: "kpatch load HOTFIX.ko, or insmod HOTFIX.ko: a livepatch that you have for exactly this kernel"
            .into(),
        breaks: "The kernel is tainted until it boots again. A hotfix that leaves the walk out freezes the same \
                 counters as run_estimation=0, in every namespace; one that does not set the timer again leaves \
                 estimators DEAD, also after it is gone."
            .into(),
        undo: "kpatch unload HOTFIX, or echo 0 > /sys/kernel/livepatch/HOTFIX/enabled and then rmmod HOTFIX. A timer \
               that it had set far ahead runs only when that time has come."
            .into(),
    }
}

fn fewer_entries(busiest: &Namespace, measured: Option<&Measured>) -> Mitigation {
    let half = measured
        .and_then(|measured| measured.half_ns)
        .map(|half_ns| {
            let half = busiest.entries().unwrap_or(0) / 2;
            let took = durations::readable(half_ns);
            format!(" With half of them, {half}, a run would take about {took} here.")
        });
    Mitigation {
        name: "fewer_entries",
        command: "kubectl -n kube-system edit configmap kube-proxy: set nodePortAddresses to one range, for a \
                  NodePort is a service for every address of the node, each with all destinations; elsewhere, \
                  ipvsadm -D what is no longer used"
            .into(),
        breaks: format!(
            "NodePorts no longer answer on the node's other addresses.{}",
            half.unwrap_or_default()
        ),
        undo: "put the present nodePortAddresses back, and restart kube-proxy".into(),
    }
}

fn newer_kernel() -> Mitigation {
    Mitigation {
        name: "newer_kernel",
        command: "boot Linux 6.2 or later, where kernel threads (ipvs-e:*) estimate in short steps and softirqs do not"
            .into(),
        breaks: "Services are away while the node boots; a livepatch for this kernel does not fit that one.".into(),
        undo: "boot the present kernel again".into(),
    }
}

fn reload() -> Mitigation {
    Mitigation {
        name: "reload_ip_vs",
        command: "ipvsadm -Sn > /root/ipvs.rules; ipvsadm -C; modprobe -r SCHEDULERS ip_vs; modprobe ip_vs; \
                  ipvsadm -R < /root/ipvs.rules: with kube-proxy stopped, and after the livepatch that stopped the \
                  timer is gone; a namespace that is not the root one comes back with its pod as well"
            .into(),
        breaks: "All services and connections of every namespace are dropped until the rules are back. Nothing \
                 milder sets a timer again that is not pending."
            .into(),
        undo: "nothing to undo once the rules are back".into(),
    }
}

#[cfg(test)]
mod tests;
