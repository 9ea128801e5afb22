//! `ipvs-latency watch`: every run of the estimator as it comes, and sums at the end.

mod bars;
mod display;
pub mod durations;
mod findings;
mod json;
mod marks;
mod namespace_name;
mod run;
mod signals;
mod sink;
mod surroundings;
mod table;
mod text;
mod tui;
mod watcher;

pub use run::run;
pub use tui::BesideScreen;
pub use watcher::{TICK, Watcher};
