//! How a change of this node ended, and how that is told.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use super::drive::{Drive, say};

/// The four ends.
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
}

impl Ending {
    /// Tells it. An error amid a change leaves the node half way.
    pub fn told(ended: anyhow::Result<Self>, drive: &mut Drive) -> Self {
        let ending = ended.unwrap_or_else(|error| {
            Self::HalfDone(format!(
                "{} was left half way ({error:#}): see `ipvs-latency hotfix status`",
                drive.name
            ))
        });
        match &ending {
            Self::Done(text) => {
                let _ = writeln!(io::stdout(), "{text}.");
            }
            Self::GivenBack(text) | Self::Refused(text) | Self::HalfDone(text) => {
                drive.say_log();
                say(&format!("error: {text}"));
            }
        }
        ending
    }

    /// The exit code.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Done(_) => 0,
            Self::GivenBack(_) => 1,
            Self::Refused(_) => 2,
            Self::HalfDone(_) => 3,
        })
    }
}
