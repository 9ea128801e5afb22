//! `ipvs-latency watch`: every run of the estimator as it comes, and sums at the end.

mod bars;
mod beginning;
mod display;

mod findings;
mod grouped;
mod json;
mod marks;
mod namespace_name;
mod run;
mod shown;
mod signals;
mod sink;
mod stage;

mod table;
mod text;
mod threads;
mod timer;
mod tui;

pub use beginning::Beginning;
pub use grouped::grouped;
pub use json::Sums;
pub use namespace_name::{netns_name, netns_named, short_name};
pub use run::run;
pub use stage::{Stage, is_at_terminal};
pub use tui::BesideScreen;
