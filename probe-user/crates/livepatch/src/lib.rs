//! The engine that changes a node: livepatches of the estimator checked, loaded, tried and rolled back.
//!
//! It asks three ports ([`ports`]) and knows nothing else of the world but files under the node's folders: no terminal, no
//! command line, no probe.

pub mod breaks;
#[cfg(any(test, feature = "testing"))]
pub mod fuzzed;
#[cfg(any(test, feature = "testing"))]
pub mod made_node;
pub mod operations;
pub mod ports;
pub mod preflight;
pub mod running_kernel;
pub mod site;
pub mod step;
pub mod store;
pub mod transaction;
pub mod transition;
pub mod trial;
