//! What speaks against a hotfix on this node, and what else is worth knowing: a file each.

mod absent_object;
mod already_loaded;
mod blacklisted;
mod callbacks;
mod crashed;
mod escape;
mod estimator_threads;
mod foreign_redirection;
mod ftrace_off;
mod livepatching;
mod lockdown;
mod mark;
mod modules_disabled;
mod name_unusable;
mod on_disk;
mod privilege;
mod rearm;
mod replaces_others;
mod side_effects;
mod sig_enforce;
mod symbol;
#[cfg(test)]
mod tests;
mod transition;
mod unchecked;
mod untraceable;
mod vermagic;

use serde::Serialize;

use super::node::{Node, Taken};
use livepatch_image::Module;

/// One thing found, under a name that does not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its name, as `--accept` takes it.
    pub name: &'static str,
    /// What it means, in a sentence or two.
    pub text: String,
}

impl Finding {
    fn new(name: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { name, text }
    }
}

pub use replaces_others::{may_replace, replace as replaces_atomically};

type Check = fn(&Module, &Node) -> Option<Finding>;

/// These hold for a file that is enabled, too: who may not load may not load it either, and where an address escapes the
/// node crashes, if not before the module is removed.
const ALWAYS: [Check; 2] = [privilege::blocker, escape::blocker];

/// With any of these a load fails, unless it has nothing to do.
const BLOCKERS: [Check; 18] = [
    name_unusable::blocker,
    mark::blocker,
    modules_disabled::blocker,
    sig_enforce::blocker,
    lockdown::blocker,
    blacklisted::blocker,
    livepatching::blocker,
    ftrace_off::blocker,
    vermagic::blocker,
    on_disk::blocker,
    absent_object::blocker,
    estimator_threads::blocker,
    symbol::blocker,
    untraceable::blocker,
    foreign_redirection::blocker,
    transition::blocker,
    already_loaded::blocker,
    already_loaded::unknown,
];

/// With any of these it is for a person to accept. A closed list.
const WARNINGS: [Check; 3] = [rearm::warning, replaces_others::warning, crashed::warning];

/// They refuse nothing.
const NOTES: [Check; 16] = [
    already_loaded::enabled,
    side_effects::unsigned,
    side_effects::signature_not_checked,
    side_effects::taint,
    side_effects::statistics,
    side_effects::long_period,
    side_effects::run_estimation,
    callbacks::note,
    replaces_others::note,
    already_loaded::note,
    escape::note,
    rearm::note,
    on_disk::note,
    crashed::note,
    unchecked::note,
    unchecked::addresses,
];

/// All that is found.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// The load would fail, or the node would crash.
    pub blockers: Vec<Finding>,
    /// Somebody has to accept these, by name.
    pub warnings: Vec<Finding>,
    /// Worth knowing.
    pub notes: Vec<Finding>,
}

impl Findings {
    /// Looks at a module on a node.
    #[must_use]
    pub fn of(module: &Module, node: &Node) -> Self {
        let all = |checks: &[Check]| {
            checks
                .iter()
                .filter_map(|check| check(module, node))
                .collect::<Vec<Finding>>()
        };
        let mut blockers = all(&ALWAYS);
        if node.name_taken != Taken::ByThisFile {
            blockers.extend(all(&BLOCKERS));
        }
        Self {
            blockers,
            warnings: all(&WARNINGS),
            notes: all(&NOTES),
        }
    }
}

/// `a`, `a and b`, `a, b and c`.
fn joined<T: AsRef<str>>(words: &[T]) -> String {
    match words {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}
