//! What surrounds a change of the node: one at a time, written down, guarded, and reported.

pub mod change;
pub mod cure;
pub mod guard;
pub mod guard_process;
pub mod journal;
pub mod left_behind;
pub mod livepatches;
pub mod loaded;
pub mod lock;
pub mod outcome;
pub mod report;
pub mod settle;
pub mod switch;
pub mod undo;
pub mod unfinished;
