//! `ipvs-latency watch`: every run of the estimator as it comes, and sums at the end.

mod bars;
mod durations;
mod findings;
mod json;
mod marks;
mod namespace_name;
mod run;
mod sink;
mod table;
mod text;
#[allow(dead_code, reason = "the event loop does not open it yet")]
mod tui;

pub use run::{TICK, run};
