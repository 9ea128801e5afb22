//! The address of the new code is left behind when the module goes.

use super::{Finding, Module, Node, replaces_others};
use livepatch_image::Answer;

/// Seen on Linux 6.1: the module is taken back cleanly, and the next expiry of the timer is a panic.
pub fn blocker(module: &Module, _: &Node) -> Option<Finding> {
    if module.address_escapes != Answer::Yes {
        return None;
    }
    Some(Finding::new(
        "address-escapes",
        "the address of its code, or one of its own timers, is stored where the kernel keeps it (as a timer's \
         function, work, an RCU callback), and nothing takes it out again before the module is removed: the kernel \
         then jumps to where the code was and crashes. Leave the kernel's own pointers alone, or cancel what was \
         started (del_timer_sync, cancel_work_sync, rcu_barrier) in a post_unpatch callback or the exit function",
    ))
}

/// A guess would be worse.
pub fn note(module: &Module, node: &Node) -> Option<Finding> {
    if module.escapes(replaces_others::replace(module, node)) != Answer::Unknown
        || module.replaces.is_empty()
    {
        return None;
    }
    Some(Finding::new(
        "address-unknown",
        "whether an address of its code is left behind when the module is removed cannot be told from the \
         file: make sure that none is, or leave the module loaded after it is disabled",
    ))
}
