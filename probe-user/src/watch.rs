//! `ipvs-latency watch`: every run of the estimator as it comes, and sums at the end.

mod bars;
mod display;
pub mod durations;
mod findings;
mod grouped;
mod json;
mod marks;
mod namespace_name;
mod run;
mod signals;
mod sink;
mod stage;
mod surroundings;
mod table;
mod text;
mod tui;
mod watcher;

pub use grouped::grouped;
pub use json::Sums;
pub use namespace_name::{netns_name, netns_named, short_name};
pub use run::{beginning, run};
pub use stage::{Stage, is_at_terminal};
pub use tui::{BesideScreen, Course};
pub use watcher::{TICK, Watcher};
