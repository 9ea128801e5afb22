//! How a change of this node ended, and how that is told.

use super::drive::{Drive, say};

/// The ends.
#[derive(Debug)]
pub enum Ending {
    /// As asked, and proven.
    Done(String),
    /// Not as asked, and the node is as it was.
    GivenBack(String),
    /// The kernel refused; nothing was changed.
    Refused(String),
    /// The node was changed and needs a person.
    HalfDone(String),
    /// The kernel has not let go yet; the guard finishes when it does.
    LeftToGuard(String),
    /// The kernel has not let go yet, and no guard is there to finish.
    LeftAlone(String),
}

impl Ending {
    /// An error amid a change leaves the node half way.
    pub fn of(ended: anyhow::Result<Self>, drive: &mut Drive) -> Self {
        ended.unwrap_or_else(|error| {
            let what = format!("{} was left half way ({error:#})", drive.name);
            drive.left(&what, |pid| {
                format!(
                    "Process {pid} outlives this one and rolls it back: see `ipvs-latency hotfix status`"
                )
            })
        })
    }

    /// Returns whether the change is half way and this process does not finish it. A process that holds probes must not
    /// wait for the kernel then.
    pub fn is_left(&self) -> bool {
        matches!(self, Self::LeftToGuard(_) | Self::LeftAlone(_))
    }

    /// Tells what went wrong, with what the kernel wrote to its log.
    pub fn tell(&self, drive: &mut Drive) {
        if !matches!(self, Self::Done(_)) {
            drive.say_log();
            say(&format!("error: {}", self.text()));
        }
    }

    /// What is said of it.
    pub fn text(&self) -> &str {
        match self {
            Self::Done(text)
            | Self::GivenBack(text)
            | Self::Refused(text)
            | Self::HalfDone(text)
            | Self::LeftToGuard(text)
            | Self::LeftAlone(text) => text,
        }
    }

    /// It in a word, as JSON has it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::GivenBack(_) => "given_back",
            Self::Refused(_) => "refused",
            Self::HalfDone(_) | Self::LeftAlone(_) => "half_done",
            Self::LeftToGuard(_) => "left_to_guard",
        }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Done(_) => 0,
            Self::GivenBack(_) => 1,
            Self::Refused(_) => 2,
            Self::HalfDone(_) | Self::LeftToGuard(_) | Self::LeftAlone(_) => 3,
        }
    }
}
