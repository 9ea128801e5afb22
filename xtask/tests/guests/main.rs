//! Tests that boot kernels: one binary, so that guests run side by side on every CPU.

mod bench;
mod check;
mod container;
mod hotfix;
mod kernels;
mod lab;
mod mechanisms;
mod steps;
mod systemd;
mod terminal;
mod threads;
mod tui;
mod watch;
