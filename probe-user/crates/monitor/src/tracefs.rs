//! Trace events read through tracefs: in an instance of our own, whose buffers and filters are no one else's.
//!
//! What a process leaves behind that was killed is found by its name, and removed by the next one.

mod instance;
mod page;
mod pipes;
pub mod statistics;

pub use pipes::Pipes;
