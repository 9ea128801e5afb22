//! What happens in a run of a guest, and where the run is.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::wire::Size;

/// Something that happened, for the thread that decides.
pub enum Event {
    /// PID 1 waits for what to make.
    Booted,
    /// IPVS is filled, and PID 1 waits for what to run.
    Filled,
    /// The command is about to start.
    Starting,
    /// The command has ended.
    Exit {
        /// Its exit code.
        code: u8,
        /// Guest time that filling IPVS took.
        filled_in: Duration,
    },
    /// PID 1 cannot do what was asked.
    Failed(String),
    /// The machine has stopped.
    Gone,
    /// Everything has gone into this line, which is now to be kept open.
    Sent(UnixStream),
    /// This process was sent a signal.
    Signal(i32),
    /// The user's terminal has another size.
    Resize(Size),
}

/// Where a guest's run is: what to show, what to say to PID 1 next, and what a signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The kernel boots; PID 1 has not spoken yet.
    Boot,
    /// PID 1 makes services and namespaces, or is about to.
    Fill,
    /// PID 1 makes what else the run asks for, or is about to.
    Ready,
    /// The command runs.
    Command,
}

impl Stage {
    /// Returns the same in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Boot => "while it booted",
            Self::Fill => "while IPVS was filled",
            Self::Ready => "before its command started",
            Self::Command => "while its command ran",
        }
    }
}
