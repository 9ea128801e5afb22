//! Kernel features that this program ignores on request, so that tests run the code for older kernels on any kernel.

/// Names the variable: `bpf_loop`, `module_btf`, or both with a comma between them.
const WITHOUT: &str = "IPVS_LATENCY_WITHOUT";

/// Returns whether `what` is left out.
#[must_use]
pub fn is(what: &str) -> bool {
    std::env::var(WITHOUT).is_ok_and(|listed| listed.split(',').any(|one| one == what))
}
