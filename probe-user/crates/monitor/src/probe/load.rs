//! The eBPF object, handed to the kernel.

use std::error::Error;

use aya::{
    Ebpf, EbpfLoader,
    maps::{Map, MapError},
    programs::{Program, ProgramError, RawTracePoint},
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use probe_ebpf::Offsets;

use super::{ProbeError, room::Room};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/estimator"));

/// The program that takes snapshots.
pub const SNAPSHOT: &str = "snapshot";

/// Loads the maps and the programs that follow the estimators, with `offsets` set and so much room.
pub fn programs(offsets: &Offsets, diagnostics: bool, room: Room) -> Result<Ebpf, ProbeError> {
    let mut ebpf = maps(offsets, diagnostics, room)?;
    for (name, program) in ebpf.programs_mut() {
        if let Program::KProbe(program) = program {
            let loaded = program.load();
            loaded.map_err(|error| not_loaded(name, &error))?;
        }
    }
    tracepoints(&mut ebpf, &[SNAPSHOT])?;
    Ok(ebpf)
}

/// Loads the maps, and of the programs these raw tracepoints alone.
pub fn only(offsets: &Offsets, names: &[&str]) -> Result<Ebpf, ProbeError> {
    let mut ebpf = maps(offsets, false, Room::NONE)?;
    tracepoints(&mut ebpf, names)?;
    Ok(ebpf)
}

fn tracepoints(ebpf: &mut Ebpf, names: &[&str]) -> Result<(), ProbeError> {
    for name in names {
        let tracepoint: &mut RawTracePoint = program(ebpf, name)?;
        let loaded = tracepoint.load();
        loaded.map_err(|error| not_loaded(name, &error))?;
    }
    Ok(())
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
        .map_err(|error| refused("maps", &error))
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

/// What the verifier's refusal of a program means.
fn not_loaded(name: &str, error: &ProgramError) -> ProbeError {
    let log = match error {
        ProgramError::LoadError { verifier_log, .. } => verifier_log.to_string(),
        _ => String::new(),
    };
    judged(&log)
        .unwrap_or_else(|| ProbeError::Load("program", format!("{name}: {}", root_cause(error))))
}

/// The refusals that the verifier's log tells: helpers that it does not know are not offered by a kernel
/// that is too old, or too locked down.
fn judged(log: &str) -> Option<ProbeError> {
    let unknown = |helper| {
        log.lines()
            .any(|line| line.contains("unknown func") && line.contains(helper))
    };
    if unknown("bpf_probe_read_kernel#") || unknown("bpf_probe_read#") {
        Some(ProbeError::Unreadable)
    } else if unknown("bpf_loop#") {
        Some(ProbeError::TooOld)
    } else {
        None
    }
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
    fn an_unknown_helper_is_told_as_what_it_means() {
        let lockdown =
            "0: (85) call bpf_probe_read_kernel#113\nunknown func bpf_probe_read_kernel#113\n";
        assert!(matches!(judged(lockdown), Some(ProbeError::Unreadable)));
        let old = "12: (85) call unknown#181\nunknown func bpf_loop#181\n";
        assert!(matches!(judged(old), Some(ProbeError::TooOld)));
        assert!(judged("R1 invalid mem access 'inv'").is_none());
    }
}
