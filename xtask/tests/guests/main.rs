//! Tests that boot kernels: one binary, so that guests run side by side on every CPU.

mod bench;
mod hotfix;
mod lab;
mod watch;
