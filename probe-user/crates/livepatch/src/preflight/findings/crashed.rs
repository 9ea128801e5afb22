//! The node went down under this file before.

use super::{Finding, Module, Node};
use crate::{preflight::node::CrashHistory, transaction::journal::Phase};

/// By the journal: the load of a hotfix that crashes the node is a crash again.
pub fn warning(_: &Module, node: &Node) -> Option<Finding> {
    let CrashHistory::WentDown(entry) = &node.past else {
        return None;
    };
    let when = match entry.phase {
        Phase::Loading => "while it was being loaded",
        Phase::Unloading => "while it was being taken back",
        Phase::Left => "while it was out of force, with its module still loaded",
        Phase::Gone => "minutes after its module was removed",
        Phase::InForce | Phase::ShutDown => "while it was in force",
    };
    Some(Finding::new(
        "crashed-here-before",
        format!(
            "this node went down under this very file ({}, as {}), {when} ({}), and not in good order as far as is \
             on record: look for the crash in what the kernel left behind (/sys/fs/pstore, /var/crash, a serial console)",
            entry.file,
            entry.name,
            entry.since()
        ),
    ))
}

/// Where the journal cannot be asked.
pub fn note(_: &Module, node: &Node) -> Option<Finding> {
    let CrashHistory::Unknown(why) = &node.past else {
        return None;
    };
    Some(Finding::new(
        "past-unknown",
        format!("whether this node went down under this file before could not be told: {why}"),
    ))
}
