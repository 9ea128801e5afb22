//! The signals that ask to end, or to go on after a stop.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    low_level,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::tui;
use host::time;

/// Two signals within this time are one: `timeout` sends one to its command and one to all of its group.
const ONE_NS: u64 = 1_000_000_000;

/// What a signal that asks to end leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The event loop is asked.
    Ask,
    /// There is no time for that.
    EndAtOnce,
}

/// The signals that asked to end. Async-signal-safe.
#[derive(Debug, Default)]
struct Counted {
    number: AtomicUsize,
    first_ns: AtomicU64,
}

impl Counted {
    fn count(&self, now_ns: u64) -> Step {
        match self.number.fetch_add(1, Ordering::SeqCst) {
            0 => {
                self.first_ns.store(now_ns, Ordering::SeqCst);
                Step::Ask
            }
            1 => {
                // 0: the first is being counted by another thread at this moment.
                let first_ns = self.first_ns.load(Ordering::SeqCst);
                if first_ns == 0 || now_ns.saturating_sub(first_ns) < ONE_NS {
                    Step::Ask
                } else {
                    Step::EndAtOnce
                }
            }
            _ => Step::EndAtOnce,
        }
    }
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To end.
    End,
    /// To go on, on a terminal that others may have used meanwhile.
    GoOn,
}

/// The signals that are listened to.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    go_on: Signal,
}

impl Signals {
    /// The first that asks to end only asks; a second a second later, or a third, ends us at once, should writing to a reader that does
    /// not read hold us up. The terminal is given back even so. The kernel takes the probes away with us.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a handler.
    pub fn new() -> io::Result<Self> {
        let asked = Arc::new(Counted::default());
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let asked_before = Arc::clone(&asked);
            let end_at_once = move || {
                // Without a clock, a second signal counts as part of the first.
                let now_ns = time::monotonic_ns().unwrap_or(1);
                if asked_before.count(now_ns) == Step::EndAtOnce {
                    tui::give_back_at_once();
                    low_level::exit(128 + signal);
                }
            };
            // SAFETY: atomics, `clock_gettime`, giving the terminal back so and `_exit` are async-signal-safe.
            unsafe { low_level::register(signal, end_at_once) }?;
        }
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            go_on: signal(SignalKind::from_raw(signal_hook::consts::SIGCONT))?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::End,
            _ = self.terminate.recv() => Asked::End,
            _ = self.hangup.recv() => Asked::End,
            _ = self.go_on.recv() => Asked::GoOn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_signals_within_a_second_are_one_and_a_later_or_third_ends_at_once() {
        use Step::{Ask, EndAtOnce};
        for (times_ns, steps) in [
            (&[5, 6][..], &[Ask, Ask][..]),
            (&[5, 6, 7], &[Ask, Ask, EndAtOnce]),
            (&[5, ONE_NS + 5], &[Ask, EndAtOnce]),
            (&[5, 6, 3 * ONE_NS], &[Ask, Ask, EndAtOnce]),
        ] {
            let counted = Counted::default();
            let counted = times_ns.iter().map(|now_ns| counted.count(*now_ns));
            assert_eq!(counted.collect::<Vec<_>>(), steps, "{times_ns:?}");
        }
    }
}
