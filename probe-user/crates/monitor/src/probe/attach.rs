//! Probes put on `ip_vs`'s functions.

use std::{error::Error, fs, io, path::Path};

use aya::{
    Ebpf,
    programs::{KProbe, kprobe::KProbeLinkId},
};

use super::{ProbeError, load};
use host::{
    prerequisites::{Ready, ThreadsReady},
    symbols,
};

/// Whose functions are probed.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    module: Option<&'static str>,
    root: &'a Path,
}

impl<'a> From<&'a Ready> for Target<'a> {
    fn from(ready: &'a Ready) -> Self {
        Self {
            module: ready.module,
            root: &ready.root,
        }
    }
}

impl<'a> From<&'a ThreadsReady> for Target<'a> {
    fn from(ready: &'a ThreadsReady) -> Self {
        Self {
            module: ready.module,
            root: &ready.root,
        }
    }
}

/// Probes on single estimators coming and going.
pub fn lifetimes(ebpf: &mut Ebpf, ready: &Ready) -> Result<(), ProbeError> {
    pair(
        ebpf,
        ready,
        "ip_vs_start_estimator",
        ["start_return", "start_enter"],
    )?;
    pair(
        ebpf,
        ready,
        "ip_vs_stop_estimator",
        ["stop_return", "stop_enter"],
    )
}

/// Probes on the estimator's runs.
pub fn runs(ebpf: &mut Ebpf, ready: &Ready) -> Result<(), ProbeError> {
    pair(ebpf, ready, "estimation_timer", ["est_return", "est_enter"])
}

fn pair(
    ebpf: &mut Ebpf,
    ready: &Ready,
    function: &str,
    programs: [&str; 2],
) -> Result<(), ProbeError> {
    for name in programs {
        attach(load::program(ebpf, name)?, ready.into(), function)?;
    }
    Ok(())
}

/// By `module:function`: a livepatch brings a second function of the same bare name. Stable kernels of
/// 2023 and 2024 refuse the qualified name with ENOENT; there, by address.
pub fn attach(
    program: &mut KProbe,
    target: Target<'_>,
    function: &str,
) -> Result<KProbeLinkId, ProbeError> {
    let name = match target.module {
        Some(module) => format!("{module}:{function}"),
        None => function.to_owned(),
    };
    let error = match program.attach(&name, 0) {
        Ok(link) => return Ok(link),
        Err(error) => error,
    };
    if is(io::ErrorKind::PermissionDenied, &error)
        && let Some(level) = paranoid(target.root)
    {
        return Err(ProbeError::Paranoid(level));
    }
    let refused = |reason: String| ProbeError::Attach {
        function: name.clone(),
        reason,
    };
    let Some(module) = target
        .module
        .filter(|_| is(io::ErrorKind::NotFound, &error))
    else {
        return Err(refused(load::root_cause(&error)));
    };
    let address = symbols::address(target.root, module, function)
        .map_err(|error| refused(format!("/proc/kallsyms: {error}")))?
        .ok_or_else(|| refused("its address is hidden, which CAP_SYSLOG would show".into()))?;
    // With no name, the kernel takes the offset for the address.
    program
        .attach("", address)
        .map_err(|error| refused(format!("at {address:#x}: {}", load::root_cause(&error))))
}

/// The level of `perf_event_paranoid`, if it is one that Debian's kernels add to the documented ones, at which
/// `CAP_PERFMON` does not do.
fn paranoid(root: &Path) -> Option<u32> {
    let level = fs::read_to_string(root.join("proc/sys/kernel/perf_event_paranoid")).ok()?;
    level.trim().parse().ok().filter(|level| *level >= 3)
}

fn is(kind: io::ErrorKind, error: &(dyn Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(current) = error {
        if let Some(io) = current.downcast_ref::<io::Error>() {
            return io.kind() == kind;
        }
        error = current.source();
    }
    false
}
