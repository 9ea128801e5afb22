//! The kernel's memory, read by a program that this process runs.

use std::error::Error;

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
use host::kernel_memory::{KernelMemory, pointer};

/// Reads the kernel's memory by the program of this name.
pub struct Peek {
    map: Array<MapData, [u8; PEEK_BYTES]>,
    /// The first error of the system calls, as against an address that holds nothing.
    trouble: Option<ProbeError>,
    ebpf: Ebpf,
}

impl Peek {
    const PROGRAM: &str = "peek";

    /// Loads the program.
    ///
    /// # Errors
    ///
    /// When the kernel refuses it.
    pub fn load() -> Result<Self, ProbeError> {
        let mut ebpf = load::only(&Offsets::ABSENT, &[Self::PROGRAM])?;
        let map = load::map(&mut ebpf, "PEEK")?;
        Ok(Self {
            map,
            trouble: None,
            ebpf,
        })
    }

    /// Returns why the program could not be run, if that happened.
    pub fn trouble(&mut self) -> Option<ProbeError> {
        self.trouble.take()
    }

    /// Returns the address of this thread's `task_struct`.
    pub fn task(&mut self) -> Option<u64> {
        let mut task = [0; 8];
        self.run(0, &mut task)?;
        Some(u64::from_ne_bytes(task))
    }

    /// Returns the address of this process's `struct net`.
    pub fn net(&mut self, offsets: &Offsets) -> Option<u64> {
        let task = self.task()?;
        let nsproxy = pointer(self, task + u64::from(offsets.task_nsproxy))?;
        pointer(self, nsproxy + u64::from(offsets.nsproxy_net))
    }

    /// Fills `into`, which is not longer than one reading.
    fn run(&mut self, address: u64, into: &mut [u8]) -> Option<()> {
        match self.read_once(address, into) {
            Ok(is_read) => is_read.then_some(()),
            Err(error) => {
                self.trouble.get_or_insert(error);
                None
            }
        }
    }

    /// Returns whether there is memory at the address.
    fn read_once(&mut self, address: u64, into: &mut [u8]) -> Result<bool, ProbeError> {
        let program: &mut RawTracePoint = load::program(&mut self.ebpf, Self::PROGRAM)?;
        let mut options = RawTracePointRunOptions::new();
        options.args[Argument::Address as usize] = address;
        options.args[Argument::Length as usize] = into.len() as u64;
        let refused = |error: &(dyn Error + 'static)| load::refused("peek", error);
        let result = program.test_run(options).map_err(|error| refused(&error))?;
        let bytes = self.map.get(&0, 0).map_err(|error| refused(&error))?;
        if let Some(bytes) = bytes.get(..into.len()) {
            into.copy_from_slice(bytes);
        }
        Ok(result.return_value == 0)
    }
}

impl KernelMemory for Peek {
    fn read(&mut self, address: u64, into: &mut [u8]) -> bool {
        if address == 0 || address.checked_add(into.len() as u64).is_none() {
            return false;
        }
        let addresses = (address..).step_by(PEEK_AT_ONCE);
        let mut pieces = into.chunks_mut(PEEK_AT_ONCE).zip(addresses);
        pieces.all(|(piece, address)| self.run(address, piece).is_some())
    }
}
