//! For how long a hotfix sets the timer, in units of time.

use super::{module::Module, node::Node};

/// The timer wheel's levels: each is eight times as coarse as the one before, and takes over where that
/// one ends (`LVL_CLK_SHIFT`, `LVL_START`, `kernel/time/timer.c` of Linux 4.8 to 6.12).
const FIRST_LEVEL: u64 = 63;
const COARSER: u32 = 3;
const LEVELS: u32 = 9;

/// The period in nanoseconds; `None` where it, or the length of this kernel's jiffy, is not known.
pub fn of(module: &Module, node: &Node) -> Option<u64> {
    in_ns(module.period_jiffies?, module, node)
}

/// When such a timer expires at the latest: the wheel rounds up.
pub fn latest(module: &Module, node: &Node) -> Option<u64> {
    let jiffies = module.period_jiffies?;
    let level = (0..LEVELS - 1).find(|level| jiffies < FIRST_LEVEL << (COARSER * level));
    let coarseness = 1 << (COARSER * level.unwrap_or(LEVELS - 1));
    in_ns(jiffies.checked_add(coarseness)?, module, node)
}

fn in_ns(jiffies: u64, module: &Module, node: &Node) -> Option<u64> {
    let jiffy_ns = node.jiffy_ns.filter(|_| node.is_kernel_of(module))?;
    jiffies.checked_mul(jiffy_ns)
}

/// `2 s`, `316.4 s`, `5 ms`.
pub fn shown(nanoseconds: u64) -> String {
    let (unit, name) = if nanoseconds < 1_000_000_000 {
        (1_000_000, "ms")
    } else {
        (1_000_000_000, "s")
    };
    let tenths = nanoseconds / (unit / 10);
    match tenths % 10 {
        0 => format!("{} {name}", tenths / 10),
        rest => format!("{}.{rest} {name}", tenths / 10),
    }
}
