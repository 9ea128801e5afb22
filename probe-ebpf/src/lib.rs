//! The contract between the eBPF programs and user space: the records that cross over, the slots of
//! the in-kernel histogram and the structure offsets that user space finds.
//!
//! Everything here is plain data and arithmetic, compiled into both sides and tested on the host.

#![no_std]

pub mod event;
pub mod histogram;
pub mod offsets;
pub mod peek;
pub mod snapshot;
pub mod softirq;
pub mod threads;

pub use event::{Event, EventKind};
pub use offsets::Offsets;
pub use snapshot::{Snapshot, SnapshotKind};
pub use softirq::SoftirqTime;

/// How many network namespaces with an estimator are followed at once, unless user space finds so many that it makes
/// the map larger. Memory of the map of estimators: about 128 bytes each.
pub const USUAL_ESTIMATORS: u32 = 8192;

/// How many the map of estimators is ever made for: 16 MiB of it.
pub const MAX_ESTIMATORS: u32 = 1 << 17;

/// How many calls of `ip_vs_start_estimator` and `ip_vs_stop_estimator` may be in flight at once and
/// still be timed. Each is held by a task that is inside a netlink request or a namespace's end.
pub const MAX_IN_FLIGHT: u32 = 1024;

/// Bytes of the ring buffer that carries the [`Event`]s of runs: room for 9,362 of them. User space makes it larger
/// where there are many namespaces.
pub const EVENTS_BYTES: u32 = 512 * 1024;

/// Bytes of the ring buffer that carries the [`Event`]s of starts and stops: a flood of them, as when all
/// services go at once, takes no room from the runs.
pub const OPERATIONS_BYTES: u32 = 128 * 1024;

/// Bytes of the ring buffer that carries [`Snapshot`]s, a page of them at a time ([`snapshot::PAGE_RECORDS`]).
pub const SNAPSHOTS_BYTES: u32 = 256 * 1024;

/// Start and stop calls shorter than this are not recorded: they did not wait for the list's lock.
///
/// A run over few estimators holds `est_lock` for about a microsecond; a wait worth telling is one
/// that funcgraph would mark with `+`.
pub const LOCK_WAIT_MIN_NS: u64 = 10_000;
