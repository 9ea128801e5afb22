//! Facts about this host. Each is read from a file under a root folder (`/` in production), so that
//! tests hand over folders of their own.

pub mod boot;
pub mod btf;
mod cgroup;
pub mod cpus;
pub mod estimation;
pub mod estimator_threads;
#[cfg(any(test, fuzzing, feature = "testing"))]
pub mod fuzzed;
pub mod hostname;
pub mod instances;
pub mod kernel_memory;
pub mod livepatch;
pub mod module;
pub mod netns;
pub mod netns_owners;
pub mod offsets;
pub mod prerequisites;
pub mod services;
pub mod steering;
pub mod symbols;
pub mod task_facts;
pub mod tasks;
pub mod time;
pub mod tracefs;
pub mod typed;
pub mod withheld;
