//! `ipvs-latency watch`: every run of the estimator as it comes, and sums at the end.

mod bars;
pub mod durations;
mod findings;
mod json;
mod marks;
mod namespace_name;
mod run;
mod sink;
mod table;
mod text;

pub use run::{TICK, run};
