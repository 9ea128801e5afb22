//! For how long a hotfix sets the timer, in units of time.

use super::node::Node;
use livepatch_image::Module;

/// The timer wheel's levels: each is eight times as coarse as the one before, and takes over where that
/// one ends (`LVL_CLK_SHIFT`, `LVL_START`, `kernel/time/timer.c` of Linux 4.8 to 6.12).
const FIRST_LEVEL: u64 = 63;
const COARSER: u32 = 3;
const LEVELS: u32 = 9;

/// The period in nanoseconds; `None` where it, or the length of this kernel's jiffy, is not known.
#[must_use]
pub fn period_ns(module: &Module, node: &Node) -> Option<u64> {
    in_ns(module.period_jiffies?, module, node)
}

/// When such a timer expires at the latest: the wheel rounds up.
#[must_use]
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

/// `2 s`, `316.4 s`, `5 ms`: rounded up, as what is promised is a latest time.
#[must_use]
pub fn shown(nanoseconds: u64) -> String {
    let (unit, name) = if nanoseconds < 1_000_000_000 {
        (1_000_000, "ms")
    } else {
        (1_000_000_000, "s")
    };
    let tenths = nanoseconds.div_ceil(unit / 10);
    match tenths % 10 {
        0 => format!("{} {name}", tenths / 10),
        rest => format!("{}.{rest} {name}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livepatch_image::samples::sample;

    fn node() -> Node {
        Node {
            release: "6.1.0-56-amd64".into(),
            jiffy_ns: Some(4_000_000),
            ..Node::default()
        }
    }

    #[test]
    fn jiffies_are_those_of_the_kernel_that_the_module_is_for() {
        assert_eq!(period_ns(&sample(), &node()), Some(2_000_000_000));
        let other = Node {
            release: "6.12.1".into(),
            ..node()
        };
        assert_eq!(period_ns(&sample(), &other), None);
        let unknown = Node {
            jiffy_ns: None,
            ..node()
        };
        assert_eq!(period_ns(&sample(), &unknown), None);
    }

    #[test]
    fn the_wheel_is_the_coarser_the_longer_a_timer_waits() {
        // At 250 Hz, by the table at the head of kernel/time/timer.c of Linux 6.1.
        for (jiffies, slack) in [
            (10, 1),
            (62, 1),
            (63, 8),
            (503, 8),
            (504, 64),
            (4_031, 64),
            (5_000, 512),
            (75_000, 4_096),
            (200_000_000, 1 << 24),
            (2_000_000_000, 1 << 24),
        ] {
            let mut module = sample();
            module.period_jiffies = Some(jiffies);
            assert_eq!(
                latest(&module, &node()),
                Some((jiffies + slack) * 4_000_000),
                "{jiffies}"
            );
        }
    }

    #[test]
    fn lengths_are_shown_to_a_tenth() {
        for (nanoseconds, text) in [
            (2_000_000_000, "2 s"),
            (1_000_000_000, "1 s"),
            (999_900_001, "1000 ms"),
            (316_384_000_000, "316.4 s"),
            (5_000_000, "5 ms"),
            (4_500_000, "4.5 ms"),
        ] {
            assert_eq!(shown(nanoseconds), text);
        }
    }
}
