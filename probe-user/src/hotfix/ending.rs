//! How a change of this node ended, and how that is told.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

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
}

impl Ending {
    /// An error amid a change leaves the node half way.
    pub fn of(ended: anyhow::Result<Self>, name: &str) -> Self {
        ended.unwrap_or_else(|error| {
            Self::LeftToGuard(format!(
                "{name} was left half way ({error:#}), and a process that outlives this one takes it back: see \
                 `ipvs-latency hotfix status`"
            ))
        })
    }

    /// Tells it.
    pub fn tell(&self, drive: &mut Drive) {
        match self {
            Self::Done(text) => {
                let _ = writeln!(io::stdout(), "{text}.");
            }
            Self::GivenBack(text)
            | Self::Refused(text)
            | Self::HalfDone(text)
            | Self::LeftToGuard(text) => {
                drive.say_log();
                say(&format!("error: {text}"));
            }
        }
    }

    /// The exit code.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Done(_) => 0,
            Self::GivenBack(_) => 1,
            Self::Refused(_) => 2,
            Self::HalfDone(_) | Self::LeftToGuard(_) => 3,
        })
    }
}
