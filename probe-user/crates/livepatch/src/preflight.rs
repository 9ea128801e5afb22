//! Before anything is changed: what this node is, which livepatch is meant, and whether it may be loaded here.

pub mod admission;
pub mod findings;
pub mod named;
pub mod node;
pub mod period;
