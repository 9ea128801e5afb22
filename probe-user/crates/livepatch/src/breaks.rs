//! What no longer works under a change of the estimator, or after it: sentences for whoever decides.

/// What no longer works while `run_estimation` is 0, and afterwards.
pub const BROKEN_BY_SWITCH: &str = "the counters and rates of `ipvsadm --stats` and `--rate`, of \
    /proc/net/ip_vs_stats, and of what reads them (node_exporter, keepalived) stand still, and the first rates afterwards \
    are wrong. /proc/net/ip_vs_stats_percpu goes on.";

/// What no longer works under a hotfix, and afterwards.
pub const BROKEN_BY_HOTFIX: &str = "The kernel is tainted until the node boots again. A hotfix that leaves the walk out \
    stops the same counters as run_estimation=0 does. One that does not set the timer again leaves estimators DEAD, even \
    after it is gone; one that sets it far ahead is felt until that time has come.";
