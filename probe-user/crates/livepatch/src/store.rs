//! What is kept over reboots: installed livepatches and their units, in folders that only root can change.

pub mod folder;
pub mod installed;
pub mod state_dir;
pub mod walk;
