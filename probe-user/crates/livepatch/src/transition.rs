//! A change of the node step by step: what is asked of the kernel, what it shows and logs, when to wait and when to turn
//! back.

pub mod decision;
pub mod drive;
pub mod kernel_log;
pub mod proof;
pub mod reason;
pub mod refusal;
pub mod rollback;
pub mod rollout;
pub mod run_observer;
pub mod stalled;
pub mod timer_references;
