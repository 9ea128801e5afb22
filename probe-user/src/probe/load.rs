//! The eBPF object, handed to the kernel.

use std::error::Error;

use aya::{
    Ebpf, EbpfLoader,
    maps::{Map, MapError},
    programs::{Program, ProgramError},
};
use probe_ebpf::Offsets;

use super::ProbeError;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/estimator"));

/// Loads maps and programs, with `offsets` set.
pub fn programs(offsets: &Offsets, diagnostics: bool) -> Result<Ebpf, ProbeError> {
    let est_timer = u64::from(offsets.ipvs_est_timer);
    // A constant that the verifier sees: at 0 it drops every diagnostic from the programs.
    let level: u8 = if diagnostics { 5 } else { 0 };
    let mut ebpf = EbpfLoader::new()
        .override_global("OFFSETS", bytemuck::bytes_of(offsets), true)
        .override_global("EST_TIMER", &est_timer, true)
        .override_global(aya_log::LEVEL, &level, true)
        .load(OBJECT)
        .map_err(|error| refused("maps", &error))?;
    for (name, program) in ebpf.programs_mut() {
        match program {
            Program::KProbe(program) => program.load(),
            Program::RawTracePoint(program) => program.load(),
            _ => Ok(()),
        }
        .map_err(|error| ProbeError::Load("program", format!("{name}: {}", root_cause(&error))))?;
    }
    Ok(ebpf)
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
    program.try_into().map_err(|error| refused("program", &error))
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
