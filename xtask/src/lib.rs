//! What `cargo xtask` does, as a library that tests can use too.

pub mod bench;
pub mod cache;
pub mod checkout;
pub mod cli;
pub mod demo;
pub mod emulator;
pub mod fuzz;
pub mod ground_truth;
pub mod guest;
pub mod hotfix_modules;
pub mod kernel;
pub mod kernels;
pub mod lab;
pub mod lint;
pub mod mutants;
pub mod packages;
pub mod programs;
pub mod scenario;
pub mod setup;
pub mod test;
pub mod userland;
pub mod wire;
