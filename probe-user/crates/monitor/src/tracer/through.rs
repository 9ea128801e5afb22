//! The ways in which trace events are read.

use std::{collections::BTreeMap, io, path::Path};

use host::netns_owners::NetnsOwners;

use super::TraceError;
use crate::{
    perf,
    traced::{Events, Formats, Functions, STATISTICS},
    tracefs,
};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Through {
    /// `perf_event_open`.
    Perf,
    /// An instance of tracefs.
    Tracefs,
}

impl Through {
    /// Opens the events of timers that call a function.
    ///
    /// # Errors
    ///
    /// When the kernel refuses them.
    pub fn open(
        self,
        root: &Path,
        formats: Formats,
        estimator: u64,
        functions: Functions,
    ) -> io::Result<Box<dyn Events>> {
        Ok(match self {
            Self::Perf => Box::new(perf::Rings::open(root, formats, estimator, functions)?),
            Self::Tracefs => Box::new(tracefs::Pipes::open(root, formats, estimator)?),
        })
    }

    /// Returns the address of the statistics of every namespace that can be read, with its inode number.
    ///
    /// # Errors
    ///
    /// When the kernel refuses the probe.
    pub fn statistics(
        self,
        root: &Path,
        owners: &NetnsOwners,
        functions: Functions,
        meanwhile: &mut dyn FnMut(),
    ) -> io::Result<BTreeMap<u64, u32>> {
        match self {
            Self::Perf => {
                let hidden =
                    || io::Error::other(format!("the address of {STATISTICS} is not shown"));
                perf::statistics::read(
                    root,
                    owners,
                    functions.statistics.ok_or_else(hidden)?,
                    meanwhile,
                )
            }
            Self::Tracefs => tracefs::statistics::read(root, owners, meanwhile),
        }
    }

    /// Says what an error is about.
    pub fn error(self, error: io::Error) -> TraceError {
        match self {
            Self::Perf => TraceError::Perf(error),
            Self::Tracefs => TraceError::Tracefs(error),
        }
    }
}
