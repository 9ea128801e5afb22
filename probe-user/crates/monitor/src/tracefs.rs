//! Trace events read through tracefs: in an instance of our own, whose buffers and filters are no one else's.
//!
//! What a process leaves behind that was killed is found by its name, and removed by the next one.

mod changes;
mod instance;
mod page;
mod pipes;
mod probe;
pub mod statistics;

pub use instance::remove_stale;
pub use pipes::Pipes;
