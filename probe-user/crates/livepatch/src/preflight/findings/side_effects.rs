//! What else comes with a hotfix.

use super::{Finding, Module, Node, rearm::forbids_run_estimation};
use crate::preflight::period;
use model::SLOW_PERIOD_NS;

/// Refused where `sig_enforce` or lockdown is told as a blocker; elsewhere a matter of taint.
pub fn unsigned(module: &Module, _: &Node) -> Option<Finding> {
    let text = "it is not signed: kernels that insist on signatures refuse it";
    (!module.signed).then(|| Finding::new("unsigned", text))
}

/// By whose key is in the signature; whether the kernel has that key, only the kernel knows.
pub fn signature_not_checked(module: &Module, _: &Node) -> Option<Finding> {
    let text = "it is signed: whether by a key that this kernel trusts, only the kernel can tell";
    module
        .signed
        .then(|| Finding::new("signature-not-checked", text))
}

/// Flag K, and for a module of one's own O and E (`Documentation/admin-guide/tainted-kernels.rst`).
pub fn taint(module: &Module, _: &Node) -> Option<Finding> {
    let text = "loading it taints the kernel (/proc/sys/kernel/tainted), and taking it back does not clear \
                that: a reboot does. Nothing else of a load outlives a reboot";
    module.marked.then(|| Finding::new("taint", text))
}

/// `kstats` is filled by the timer alone (`ip_vs_read_cpu_stats`, Linux 6.1).
pub fn statistics(module: &Module, _: &Node) -> Option<Finding> {
    if !module.replaces_estimator() {
        return None;
    }
    Some(Finding::new(
        "statistics",
        "the estimator also refreshes the counters that `ipvsadm --stats` and /proc/net/ip_vs_stats show: as \
         far as this hotfix leaves its work out, rates and counters stand still \
         (/proc/net/ip_vs_stats_percpu goes on)",
    ))
}

/// Seen on Linux 6.1: a timer that is set for so long is not set back when the hotfix goes.
pub fn long_period(module: &Module, node: &Node) -> Option<Finding> {
    let period_ns = period::period_ns(module, node).filter(|period| *period > SLOW_PERIOD_NS)?;
    let latest_ns = period::latest(module, node)?;
    Some(Finding::new(
        "long-period",
        format!(
            "it sets the timer for {} where the kernel does for 2 s: after it is taken back, the estimator \
             comes back when that time is over, up to {} later, and its first rates are too high, for the \
             kernel divides by 2 s whatever has passed",
            period::shown(period_ns),
            period::shown(latest_ns)
        ),
    ))
}

/// Linux 5.16 on (2232642ec3fb), and vendors' backports.
pub fn run_estimation(module: &Module, node: &Node) -> Option<Finding> {
    if !(node.run_estimation && module.replaces_estimator()) {
        return None;
    }
    let text = "this kernel can do without the estimator's work and without any hotfix: `sysctl -w \
                net.ipv4.vs.run_estimation=0`, for each network namespace, and 1 to undo it";
    let instead = if forbids_run_estimation(module) {
        ". Do that instead of loading this hotfix, and never while it is loaded: see rearm-some-paths"
    } else {
        ""
    };
    Some(Finding::new("run-estimation", format!("{text}{instead}")))
}
