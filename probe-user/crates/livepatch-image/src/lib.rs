//! A livepatch's file: bytes in, facts out. Nothing here looks at a host.

mod digest;
pub mod file;
mod module;
mod name;
#[cfg(any(test, feature = "samples"))]
pub mod samples;

pub use digest::Digest;
pub use module::{Answer, ImageError, Layout, Module, Rearms, Reason, Replaced, When};
pub use name::{MOST as LONGEST_NAME, Name};
