//! The eBPF object, handed to the kernel.

use std::{error::Error, io, iter, path::Path};

use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::{Map, MapError},
    programs::{Program, ProgramError, RawTracePoint},
};
use nix::{
    errno::Errno,
    sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit},
};
use probe_ebpf::{Offsets, threads::ThreadOffsets};

use super::{ProbeError, room::Room};
use host::prerequisites;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/estimator"));

/// The object with the programs for kernel threads.
static OF_THREADS: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/estimator-threads"));

/// Numbers of helpers (`include/uapi/linux/bpf.h`).
mod helper {
    pub const PROBE_READ: u32 = 4;
    pub const PROBE_READ_KERNEL: u32 = 113;
}

/// Loads the maps and the probes that follow the estimators, with `offsets` set and so much room.
pub fn programs(offsets: &Offsets, diagnostics: bool, room: Room) -> Result<Ebpf, ProbeError> {
    let mut ebpf = maps(offsets, diagnostics, room)?;
    probes(&mut ebpf)?;
    Ok(ebpf)
}

/// Loads the maps and the probes that follow kernel threads.
pub fn of_threads(offsets: &ThreadOffsets) -> Result<Ebpf, ProbeError> {
    let mut ebpf = loader()?
        .override_global("THREAD_OFFSETS", bytemuck::bytes_of(offsets), true)
        .load(OF_THREADS)
        .map_err(|error| no_maps(&error))?;
    probes(&mut ebpf)?;
    Ok(ebpf)
}

/// Loads every kprobe and kretprobe of an object.
fn probes(ebpf: &mut Ebpf) -> Result<(), ProbeError> {
    for (name, program) in ebpf.programs_mut() {
        if let Program::KProbe(program) = program {
            let loaded = program.load();
            loaded.map_err(|error| not_loaded(name, &error))?;
        }
    }
    Ok(())
}

/// Loads the maps, and of the programs these raw tracepoints alone.
pub fn only(offsets: &Offsets, names: &[&str]) -> Result<Ebpf, ProbeError> {
    let mut ebpf = maps(offsets, false, Room::NONE)?;
    for name in names {
        tracepoint(&mut ebpf, name)?;
    }
    Ok(ebpf)
}

/// Loads one raw tracepoint.
pub fn tracepoint(ebpf: &mut Ebpf, name: &str) -> Result<(), ProbeError> {
    let tracepoint: &mut RawTracePoint = program(ebpf, name)?;
    let loaded = tracepoint.load();
    loaded.map_err(|error| not_loaded(name, &error))
}

fn maps(offsets: &Offsets, diagnostics: bool, room: Room) -> Result<Ebpf, ProbeError> {
    let est_timer = u64::from(offsets.ipvs_est_timer);
    // A constant that the verifier sees: at 0 it drops every diagnostic from the programs.
    let level: u8 = if diagnostics { 5 } else { 0 };
    loader()?
        .override_global("OFFSETS", bytemuck::bytes_of(offsets), true)
        .override_global("EST_TIMER", &est_timer, true)
        .override_global(aya_log::LEVEL, &level, true)
        .map_max_entries("ESTIMATORS", room.estimators)
        .map_max_entries("EVENTS", room.events_bytes)
        .load(OBJECT)
        .map_err(|error| no_maps(&error))
}

/// What the kernel's refusal of the maps means. Linux before 5.11 counts their memory as locked memory of the user
/// (`bpf_map_charge_init`, `kernel/bpf/syscall.c` of Linux 5.10).
fn no_maps(error: &EbpfError) -> ProbeError {
    let limit = getrlimit(Resource::RLIMIT_MEMLOCK).map_or(RLIM_INFINITY, |(soft, _)| soft);
    match root_errno(error) {
        Some(Errno::EPERM)
            if limit != RLIM_INFINITY && prerequisites::counts_maps_as_locked(Path::new("/")) =>
        {
            ProbeError::LockedMemory { kib: limit / 1024 }
        }
        _ => refused("maps", error),
    }
}

/// The kernel's answer behind an error.
fn root_errno(error: &(dyn Error + 'static)) -> Option<Errno> {
    let errors = iter::successors(Some(error), |&error| error.source());
    let answers = errors.filter_map(|error| error.downcast_ref::<io::Error>()?.raw_os_error());
    answers.last().map(Errno::from_raw)
}

/// A loader that has not read the kernel's BTF.
///
/// aya 0.14's constructor reads and parses all of it, for relocations that our programs do not have: of 221
/// million instructions from start to attached it took 115, and tens of MiB. It goes on without where it
/// cannot open the file, so for that moment no file can be opened; no other thread is there yet.
fn loader() -> Result<EbpfLoader<'static>, ProbeError> {
    let limit = |error: nix::Error| refused("loader", &error);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(limit)?;
    setrlimit(Resource::RLIMIT_NOFILE, 0, hard).map_err(limit)?;
    let loader = EbpfLoader::new();
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).map_err(limit)?;
    Ok(loader)
}

/// What the kernel's refusal of a program means.
fn not_loaded(name: &str, error: &ProgramError) -> ProbeError {
    let log = match error {
        ProgramError::LoadError { verifier_log, .. } => verifier_log.to_string(),
        _ => String::new(),
    };
    if withholds(&log, helper::PROBE_READ_KERNEL) || withholds(&log, helper::PROBE_READ) {
        return ProbeError::Unreadable;
    }
    let cause = root_cause(error);
    ProbeError::Load(
        "program",
        match verdict(&log) {
            Some(verdict) => format!("{name}: {cause}; the verifier's reason is {verdict:?}"),
            None => format!("{name}: {cause}"),
        },
    )
}

/// Returns whether the kernel keeps a helper from this program, as when it is locked down: the verifier then writes
/// `unknown func NAME#NUMBER`. For a helper that this kernel lacks, Linux before 5.17 writes `invalid func unknown#NUMBER`
/// (`check_helper_call`, `kernel/bpf/verifier.c` of Linux 5.10 and 6.1).
fn withholds(log: &str, helper: u32) -> bool {
    let number = format!("#{helper}");
    log.lines().any(|line| {
        line.starts_with("unknown func ")
            && !line.starts_with("unknown func unknown#")
            && line.trim_end().ends_with(&number)
    })
}

/// Returns the line of the verifier's log that says why: the last, but for its statistics.
fn verdict(log: &str) -> Option<&str> {
    const STATISTICS: [&str; 3] = ["processed ", "verification time", "stack depth"];
    let mut lines = log.lines().map(str::trim).rev();
    lines.find(|line| {
        let is_statistics = STATISTICS.iter().any(|start| line.starts_with(start));
        !line.is_empty() && !is_statistics
    })
}

/// The map called `name`, as the type that it is.
pub fn map<T>(ebpf: &mut Ebpf, name: &str) -> Result<T, ProbeError>
where
    T: TryFrom<Map, Error = MapError>,
{
    let map = ebpf
        .take_map(name)
        .ok_or_else(|| ProbeError::Load("map", format!("{name} is not in the object")))?;
    T::try_from(map).map_err(|error| refused("map", &error))
}

/// The program called `name`, as the type that it is.
pub fn program<'a, T>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut T, ProbeError>
where
    &'a mut T: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let program = ebpf
        .program_mut(name)
        .ok_or_else(|| ProbeError::Load("program", format!("{name} is not in the object")))?;
    program
        .try_into()
        .map_err(|error| refused("program", &error))
}

/// A refusal with the innermost reason.
pub fn refused(what: &'static str, error: &(dyn Error + 'static)) -> ProbeError {
    ProbeError::Load(what, root_cause(error))
}

/// The innermost reason of an error, on one line: with aya, the kernel's own.
pub fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_that_is_withheld_is_told_from_one_that_the_kernel_lacks() {
        let lockdown =
            "0: (85) call bpf_probe_read_kernel#113\nunknown func bpf_probe_read_kernel#113\n";
        assert!(withholds(lockdown, helper::PROBE_READ_KERNEL));
        assert!(!withholds(lockdown, helper::PROBE_READ));
        for other in [
            // Linux 5.15 and 5.10, and what follows the reason there; Linux 6.1.
            "12: (85) call unknown#113\ninvalid func unknown#113\n",
            "invalid func unknown#113\nprocessed 13 insns (limit 1000000) max_states_per_insn 0\n",
            "12: (85) call bpf_probe_read_kernel#113\nR1 invalid mem access 'inv'",
        ] {
            assert!(!withholds(other, helper::PROBE_READ_KERNEL), "{other}");
        }
    }

    #[test]
    fn the_verifiers_reason_is_its_last_line_but_for_statistics() {
        let log = "3: (79) r1 = *(u64 *)(r1 +0)\nR1 invalid mem access 'scalar'\n\
                   processed 4 insns (limit 1000000) max_states_per_insn 0\n\n";
        assert_eq!(verdict(log), Some("R1 invalid mem access 'scalar'"));
        assert_eq!(verdict("\n"), None);
    }
}
