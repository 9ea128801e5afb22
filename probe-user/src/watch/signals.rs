//! The signals that ask to end, or to go on after a stop.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag, low_level,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::tui;

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
    /// The first that asks to end only asks; the second ends us at once, should writing to a reader that does
    /// not read hold us up. The terminal is given back even so. The kernel takes the probes away with us.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a handler.
    pub fn new() -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let asked_before = Arc::clone(&asked);
            let end_at_once = move || {
                if asked_before.load(Ordering::SeqCst) {
                    tui::give_back_at_once();
                    low_level::exit(128 + signal);
                }
            };
            // SAFETY: reading an atomic, giving the terminal back so and `_exit` are async-signal-safe.
            unsafe { low_level::register(signal, end_at_once) }?;
            flag::register(signal, Arc::clone(&asked))?;
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
