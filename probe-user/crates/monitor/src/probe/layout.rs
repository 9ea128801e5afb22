//! Where the kernel keeps what the programs read, found in its memory where BTF does not tell.

use aya::{
    Ebpf,
    maps::{Array, MapData},
    programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _},
};
use probe_ebpf::{
    Offsets,
    peek::{Argument, PEEK_AT_ONCE, PEEK_BYTES},
};

use super::{ProbeError, load};
use host::{
    btf::Fields,
    estimation::Kind,
    kernel_memory::{KernelMemory, pointer},
    offsets::{
        self,
        derived::{self, Anchors},
        module_symbols,
    },
    prerequisites::{self, Layout, Ready},
};
use model::ESTIMATOR;

/// Returns the offsets of all fields that the programs read.
///
/// # Errors
///
/// When one has to be found in memory, and is not.
pub fn offsets(ready: &Ready) -> Result<Offsets, ProbeError> {
    match &ready.layout {
        Layout::Known(offsets) => Ok(*offsets),
        Layout::OfTheKernel(fields) => found(ready, fields),
    }
}

fn found(ready: &Ready, fields: &Fields) -> Result<Offsets, ProbeError> {
    let layout = |error: &dyn ToString| ProbeError::Layout(error.to_string());
    let mut peek = Peek::load()?;
    let known = offsets::of_the_kernel(fields).map_err(|error| layout(&error))?;
    let net = peek.net(&known).ok_or(ProbeError::Unreadable)?;
    let symbols =
        module_symbols::addresses(&ready.root, "ip_vs", &Kind::signs(), fields, &mut peek);
    let symbols = symbols.unwrap_or_default();
    let kind = Kind::of(symbols.keys().map(String::as_str));
    prerequisites::measurable(kind, &prerequisites::release(&ready.root))?;
    let address = symbols.get(ESTIMATOR).copied();
    let anchors = Anchors {
        net,
        estimation_timer: address.ok_or_else(|| layout(&"no address of estimation_timer"))?,
    };
    derived::derived(fields, anchors, &mut peek).map_err(|error| layout(&error))
}

/// Reads the kernel's memory by the program of this name.
struct Peek {
    map: Array<MapData, [u8; PEEK_BYTES]>,
    ebpf: Ebpf,
}

impl Peek {
    const PROGRAM: &str = "peek";

    fn load() -> Result<Self, ProbeError> {
        let mut ebpf = load::only(&Offsets::ABSENT, &[Self::PROGRAM])?;
        let map = load::map(&mut ebpf, "PEEK")?;
        Ok(Self { map, ebpf })
    }

    /// Returns the address of this process's `struct net`.
    fn net(&mut self, offsets: &Offsets) -> Option<u64> {
        let mut task = [0; 8];
        self.run(0, &mut task)?;
        let task = u64::from_ne_bytes(task);
        let nsproxy = pointer(self, task + u64::from(offsets.task_nsproxy))?;
        pointer(self, nsproxy + u64::from(offsets.nsproxy_net))
    }

    /// Fills `into`, which is not longer than one reading.
    fn run(&mut self, address: u64, into: &mut [u8]) -> Option<()> {
        let program: &mut RawTracePoint = load::program(&mut self.ebpf, Self::PROGRAM).ok()?;
        let mut options = RawTracePointRunOptions::new();
        options.args[Argument::Address as usize] = address;
        options.args[Argument::Length as usize] = into.len() as u64;
        let result = program.test_run(options).ok()?;
        let bytes = self.map.get(&0, 0).ok()?;
        into.copy_from_slice(bytes.get(..into.len())?);
        (result.return_value == 0).then_some(())
    }
}

impl KernelMemory for Peek {
    fn read(&mut self, address: u64, into: &mut [u8]) -> bool {
        let addresses = (address..).step_by(PEEK_AT_ONCE);
        let mut pieces = into.chunks_mut(PEEK_AT_ONCE).zip(addresses);
        pieces.all(|(piece, address)| address != 0 && self.run(address, piece).is_some())
    }
}
