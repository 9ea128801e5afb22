//! What this program leaves out as if the kernel did not have it, so that tests run on any kernel what older ones need.

/// Names the variable: `bpf_loop`, `module_btf`, or both with a comma between them.
const WITHOUT: &str = "IPVS_LATENCY_WITHOUT";

/// Returns whether `what` is left out.
#[must_use]
pub fn is(what: &str) -> bool {
    std::env::var(WITHOUT).is_ok_and(|listed| listed.split(',').any(|one| one == what))
}
