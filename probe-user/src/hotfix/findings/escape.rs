//! The address of the new code is left behind when the module goes.

use super::{Finding, Module, Node};
use crate::hotfix::module::Answer;

/// Seen on Linux 6.1: the module is taken back cleanly, and the next expiry of the timer is a panic.
pub fn blocker(module: &Module, _: &Node) -> Option<Finding> {
    if module.address_escapes != Answer::Yes {
        return None;
    }
    Some(Finding::new(
        "address-escapes",
        "the new function's own address is stored where the kernel keeps it (as a timer's function, say): \
         once the module is removed, the kernel jumps to where it was and crashes. Leave the pointer to the \
         kernel's function alone",
    ))
}

/// A guess would be worse.
pub fn note(module: &Module, _: &Node) -> Option<Finding> {
    if module.address_escapes != Answer::Unknown || module.replaces.is_empty() {
        return None;
    }
    Some(Finding::new(
        "address-unknown",
        "whether an address of its code is left behind when the module is removed cannot be told from the \
         file: make sure that none is, or leave the module loaded after it is disabled",
    ))
}
