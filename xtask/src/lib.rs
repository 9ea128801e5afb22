//! What `cargo xtask` does, as a library that tests can use too.

pub mod cache;
pub mod cli;
pub mod guest;
pub mod kernel;
pub mod lab;
pub mod packages;
pub mod setup;
pub mod userland;
pub mod wire;
