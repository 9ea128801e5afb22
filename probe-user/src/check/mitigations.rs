//! What can be done on this node: each with its command, what it breaks, and how to take it back.

mod masks;

use super::page::{Measured, Mitigation, Namespace};
use crate::headline::seconds;
use host::{estimation::Kind, steering::Steering};
use livepatch::breaks::{BROKEN_BY_HOTFIX, BROKEN_BY_SWITCH};
use livepatch_image::Name;
use model::State;
use model::{durations, shell::inside_namespace};

/// Runs and blackouts up to this long are left alone: Linux 6.2 and later size the steps of their own kernel
/// threads to about as much (`ip_vs_est_calc_limits`, `net/netfilter/ipvs/ip_vs_est.c` of Linux 6.2).
pub const CALM_NS: u64 = 100_000;

/// What a mitigation depends on.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    /// The kernel's release.
    pub release: &'a str,
    /// What estimates.
    pub kind: Option<Kind>,
    /// The namespaces.
    pub namespaces: &'a [Namespace],
    /// What was seen, where something could be.
    pub measured: Option<&'a Measured>,
    /// The kernel can be livepatched.
    pub livepatching: bool,
    /// An enabled livepatch that replaces the estimator's function.
    pub hotfix: Option<&'a Name>,
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
        let reload = dead.then(|| reload(self.namespaces));
        let mut open: Vec<Mitigation> = reload.into_iter().collect();
        if !self.needs_something() {
            return open;
        }
        let busiest = self.busiest();
        open.extend(busiest.and_then(run_estimation));
        open.extend(
            self.stalled_cpu()
                .and_then(|cpu| masks::without(self.steering, cpu)),
        );
        open.extend(
            self.livepatching
                .then(|| self.hotfix.map_or_else(hotfix, enabled_hotfix)),
        );
        open.extend(busiest.map(|busiest| fewer_entries(busiest, self.measured)));
        open.push(newer_kernel(self.release));
        open
    }

    /// Where nothing could be measured, a list is taken for reason enough.
    fn needs_something(&self) -> bool {
        match self.measured {
            Some(measured) => measured.worst_ns() > measured.max_ns.min(CALM_NS),
            None => self.busiest().is_some(),
        }
    }

    /// The namespace with the longest list that is walked, if there is one with more than the entry that all have.
    fn busiest(&self) -> Option<&Namespace> {
        let walked = |one: &&Namespace| !matches!(one.state, Some(State::Dead | State::Skipping));
        let listed = |one: &&Namespace| {
            one.estimators
                .map_or(one.entries() > Some(0), |length| length > 1)
        };
        let lists = self.namespaces.iter().filter(walked).filter(listed);
        lists.max_by_key(|one| (one.entries(), std::cmp::Reverse(one.netns)))
    }

    /// Timers stay on their CPU.
    fn stalled_cpu(&self) -> Option<u32> {
        let worst = || Some(self.measured?.longest_blackout.as_ref()?.cpu);
        self.busiest()
            .and_then(|busiest| busiest.next_cpu)
            .or_else(worst)
    }
}

fn run_estimation(busiest: &Namespace) -> Option<Mitigation> {
    let value = busiest.run_estimation.filter(|value| *value != 0)?;
    let enter = busiest.enter.as_ref()?;
    let set = |value| {
        let command = format!("sysctl -w net.ipv4.vs.run_estimation={value}");
        inside_namespace(enter, busiest.netns, command)
    };
    Some(Mitigation {
        name: "run_estimation",
        does: format!(
            "At 0, the timer of netns {} still runs{}, but visits no estimator. Every namespace has a switch of its own, \
             which is 1 again when ip_vs is loaded again.",
            busiest.netns,
            busiest.period_ns.map_or(String::new(), |period_ns| format!(
                " every {}",
                seconds(period_ns)
            ))
        ),
        trial: Some(format!(
            "ipvs-latency hotfix apply --run-estimation off --netns {} --trial",
            busiest.netns
        )),
        command: set(0),
        breaks: format!("There, {BROKEN_BY_SWITCH}"),
        undo: set(value),
    })
}

/// Returns what comes before a command in a namespace that changes nothing, or where it does not matter.
fn entering(enter: Option<&String>) -> String {
    let door = enter.filter(|door| !door.is_empty());
    door.map_or_else(String::new, |door| format!("nsenter --net={door} "))
}

fn hotfix() -> Mitigation {
    Mitigation {
        name: "hotfix",
        does: "A livepatch of estimation_timer, built for exactly this kernel, takes its place in every namespace."
            .into(),
        trial: Some("ipvs-latency hotfix apply HOTFIX.ko --trial".into()),
        command: "ipvs-latency hotfix apply HOTFIX.ko  # keeps it only if it is better".into(),
        breaks: BROKEN_BY_HOTFIX.into(),
        undo: "ipvs-latency hotfix unload HOTFIX".into(),
    }
}

/// What is measured is measured under that livepatch.
fn enabled_hotfix(name: &Name) -> Mitigation {
    Mitigation {
        name: "hotfix",
        does: format!(
            "The livepatch {name} is enabled and replaces the estimator: all that was measured here was measured \
             under it. To measure without, or to try another one, unload it."
        ),
        trial: None,
        command: format!("ipvs-latency hotfix unload {}", name.typed()),
        breaks: "What the livepatch changes is as the kernel has it again. A timer that it set far ahead is felt until \
                 that time has come."
            .into(),
        undo: "ipvs-latency hotfix load HOTFIX.ko  # the file that it was loaded from".into(),
    }
}

fn fewer_entries(busiest: &Namespace, measured: Option<&Measured>) -> Mitigation {
    let half = measured
        .and_then(|measured| measured.half_ns)
        .map(|half_ns| {
            let half = busiest.entries().unwrap_or(0) / 2;
            let took = durations::readable(half_ns);
            format!(" With half of them, {half}, it would take about {took} here.")
        });
    let enter = entering(busiest.enter.as_ref());
    Mitigation {
        name: "fewer_entries",
        does: format!(
            "A run takes as long as the list of services and destinations makes it.{} {}",
            half.unwrap_or_default(),
            managed(busiest)
        ),
        trial: None,
        command: match &busiest.enter {
            Some(_) => format!(
                "{enter}ipvsadm -Ln  # lists them; then remove the unneeded ones in the configuration of what programs them"
            ),
            None => format!(
                "# no path opens netns {}: run `ipvsadm -Ln` inside it; then remove the unneeded ones in the configuration of \
                 what programs them",
                busiest.netns
            ),
        },
        breaks: "What is removed no longer answers.".into(),
        undo: format!(
            "# restore the former configuration; only where nothing programs them: {enter}ipvsadm -R < RULES, saved before \
             with {enter}ipvsadm -Sn > RULES"
        ),
    }
}

/// Returns what programs the services of a namespace, as far as its door tells, and how it is asked for fewer.
fn managed(busiest: &Namespace) -> &'static str {
    let door = busiest.named.door.as_deref().unwrap_or_default();
    let of_swarm = ["/docker/netns/ingress_sbox", "/docker/netns/lb_"];
    // Every docker container has a file in that folder; these are Swarm's own.
    if of_swarm.iter().any(|name| door.contains(name)) {
        return "Docker Swarm restores what you remove by hand: each task of a service is a destination, and `docker service \
                scale` or `docker service rm` makes the list shorter.";
    }
    "What programs them (kube-proxy, keepalived) restores what you remove by hand. With kube-proxy, a NodePort is a service \
     for every address of the node, each with all destinations: nodePortAddresses in its configuration says for which."
}

fn newer_kernel(release: &str) -> Mitigation {
    Mitigation {
        name: "newer_kernel",
        does: "From Linux 6.2 on, kernel threads (ipvs-e:*) estimate in short steps, and softirqs do not.".into(),
        trial: None,
        command: "reboot  # into Linux 6.2 or later".into(),
        breaks: "The node is away while it boots, and the threads take their time of its CPUs. A livepatch for this \
                 kernel does not fit that one."
            .into(),
        undo: format!("reboot  # into {release}"),
    }
}

/// How many namespaces with rules a command names: more are no command that a person reads.
const NAMED: usize = 3;

/// The module cannot be removed as long as any namespace has a service.
fn reload(namespaces: &[Namespace]) -> Mitigation {
    let has_rules = |one: &&Namespace| {
        let listed = one.estimators.map(|length| length > 1);
        listed.unwrap_or(one.entries() != Some(0))
    };
    let (named, left): (Vec<_>, Vec<_>) = namespaces
        .iter()
        .filter(has_rules)
        .partition(|one| one.enter.is_some());
    let left = left.len() + named.len().saturating_sub(NAMED);
    let mut places: Vec<(String, String)> = named
        .iter()
        .take(NAMED)
        .map(|one| (entering(one.enter.as_ref()), format!("RULES-{}", one.netns)))
        .collect();
    match &mut places[..] {
        [] => places.push((String::new(), "RULES".into())),
        [first, ..] => first.1 = "RULES".into(),
    }
    let each = |form: &dyn Fn(&str, &str) -> String, between: &str| {
        let commands: Vec<String> = places
            .iter()
            .map(|(enter, file)| form(enter, file))
            .collect();
        commands.join(between)
    };
    let save = each(
        &|enter, file| format!("{enter}ipvsadm -Sn > {file}"),
        " && ",
    );
    let clear = each(&|enter, _| format!("{enter}ipvsadm -C"), " && ");
    let restore = each(&|enter, file| format!("{enter}ipvsadm -R < {file}"), "; ");
    let others = match left {
        0 => String::new(),
        1 => " One other namespace has rules, too: save and clear them, or delete its pod, which its owner then creates again.".into(),
        left => format!(
            " {left} other namespaces have rules, too: save and clear them, or delete their pods, which their owners then create again."
        ),
    };
    Mitigation {
        name: "reload_ip_vs",
        does: format!(
            "When ip_vs is loaded again, it sets the timer of every namespace: the kernel has no milder way. First stop \
             kube-proxy, and unload the livepatch that the timer was lost to.{others}"
        ),
        trial: None,
        // Nothing is cleared that was not saved, and what was saved comes back whatever fails.
        command: format!(
            "{save} && {{ {clear} && rmmod $(ls /sys/module/ip_vs/holders) ip_vs && modprobe ip_vs; {restore}; }}"
        ),
        breaks:
            "All services and connections of every namespace are gone until the rules are back."
                .into(),
        undo: format!("{restore}  # the rules; connections do not come back"),
    }
}

#[cfg(test)]
mod tests;
