//! Whether a function sets a timer again, and for when.
//!
//! Every call that can be reached from it inside the module is followed. What the timer is, and whether
//! the call is made on every path, is not looked at: `estimation_timer` has one timer, and all that a
//! reader can tell with certainty is that a function never sets any.

use std::collections::BTreeSet;

use super::{
    code::{self, Way},
    image::{Extent, Image, Place},
    kpatch::plain_name,
    period,
};

/// Functions that queue a timer (`include/linux/timer.h` of Linux 5.10 to 6.12).
const STARTERS: [&str; 7] = [
    "add_timer",
    "add_timer_global",
    "add_timer_local",
    "add_timer_on",
    "mod_timer",
    "mod_timer_pending",
    "timer_reduce",
];

/// Those of them whose second argument is when.
const TIMED_STARTERS: [&str; 3] = ["mod_timer", "mod_timer_pending", "timer_reduce"];

/// Functions of the kernel that queue no timer of their caller's. Any other one might.
const HARMLESS: [&str; 17] = [
    "__fentry__",
    "__stack_chk_fail",
    "__warn_printk",
    "__x86_return_thunk",
    "___ratelimit",
    "__rcu_read_lock",
    "__rcu_read_unlock",
    "_printk",
    "cpumask_next",
    "klp_shadow_get",
    "ktime_get",
    "ktime_get_mono_fast_ns",
    "local_clock",
    "memcpy",
    "memset",
    "printk",
    "sched_clock",
];

/// Families of such functions, by how their names begin.
const HARMLESS_FAMILIES: [&str; 5] = [
    "_find_",
    "_raw_read_",
    "_raw_spin_",
    "_raw_write_",
    "pv_ops",
];

/// More functions than a replacement of the estimator calls.
const MOST_FUNCTIONS: usize = 64;

/// Whether something is so, as far as reading a module tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// Reading cannot tell.
    Unknown,
}

/// What a function does about timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rearm {
    /// Whether it sets one.
    pub rearms: Answer,
    /// For how many jiffies from now, where all places that set one agree on a constant.
    pub jiffies: Option<u64>,
}

impl Rearm {
    /// Where nothing can be read.
    pub const UNKNOWN: Self = Self {
        rearms: Answer::Unknown,
        jiffies: None,
    };
}

/// Follows a function that begins at `place`.
pub fn of(image: &Image<'_>, place: Place) -> Rearm {
    let (functions, whole) = reachable(image, place);
    let mut hidden = !whole;
    let mut starts = Vec::new();
    for function in &functions {
        let Some(lines) = code::body(image, *function) else {
            hidden = true;
            continue;
        };
        let periods = period::at_calls(&lines, *function, &TIMED_STARTERS);
        for (index, line) in lines.iter().enumerate() {
            match line.way(function.place.section) {
                Some(Way::Foreign(name)) if STARTERS.contains(&plain_name(name)) => {
                    starts.push(periods.get(&index).copied().flatten());
                }
                Some(Way::Foreign(name)) => hidden |= !is_harmless(name),
                Some(Way::Hidden) => hidden = true,
                _ => {}
            }
            // Code that is handed to somebody may be called by him.
            let taken = line.takes(image, function.place.section);
            hidden |=
                taken.is_some_and(|taken| !functions.iter().any(|known| known.place == taken));
        }
    }
    let rearms = match (starts.is_empty(), hidden) {
        (false, _) => Answer::Yes,
        (true, false) => Answer::No,
        (true, true) => Answer::Unknown,
    };
    let first = starts.first().copied().flatten();
    let jiffies = first.filter(|_| !hidden && starts.iter().all(|start| *start == first));
    Rearm { rearms, jiffies }
}

fn is_harmless(symbol: &str) -> bool {
    // What is not exported keeps its prefix, and is not known here.
    HARMLESS.contains(&symbol)
        || HARMLESS_FAMILIES
            .iter()
            .any(|family| symbol.starts_with(family))
}

/// The functions of the module that can be reached from `place`, it included, and whether these are all.
pub fn reachable(image: &Image<'_>, place: Place) -> (Vec<Extent>, bool) {
    let mut whole = true;
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    let mut open: Vec<_> = vec![place];
    while let Some(place) = open.pop() {
        // A jump may lead into the middle of a function, as back from its part that is seldom needed.
        let Some(function) = image.function(place) else {
            whole = false;
            continue;
        };
        if !seen.insert(function.place) {
            continue;
        }
        if seen.len() > MOST_FUNCTIONS {
            return (found, false);
        }
        found.push(function);
        let section = function.place.section;
        let lines = code::body(image, function).unwrap_or_default();
        open.extend(lines.iter().filter_map(|line| match line.way(section) {
            Some(Way::Own(to)) => Some(to),
            _ => None,
        }));
    }
    (found, whole)
}
