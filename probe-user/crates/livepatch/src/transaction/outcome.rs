//! How a change of this node ended.

/// The ends.
#[derive(Debug)]
pub enum Outcome {
    /// As asked, and proven.
    Done(String),
    /// Not as asked, and the node is as it was.
    RolledBack(String),
    /// The kernel refused; nothing was changed.
    Refused(String),
    /// The node was changed and needs a person.
    HalfDone(String),
    /// The kernel has not let go yet; the guard finishes when it does.
    LeftToGuard(String),
    /// The kernel has not let go yet, and no guard is there to finish.
    LeftAlone(String),
}

impl Outcome {
    /// Returns whether the change is half way and this process does not finish it. A process that holds probes must not
    /// wait for the kernel then.
    #[must_use]
    pub fn is_left(&self) -> bool {
        matches!(self, Self::LeftToGuard(_) | Self::LeftAlone(_))
    }

    /// What is said of it.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Done(text)
            | Self::RolledBack(text)
            | Self::Refused(text)
            | Self::HalfDone(text)
            | Self::LeftToGuard(text)
            | Self::LeftAlone(text) => text,
        }
    }

    /// It in a word, as JSON has it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::RolledBack(_) => "given_back",
            Self::Refused(_) => "refused",
            Self::HalfDone(_) | Self::LeftAlone(_) => "half_done",
            Self::LeftToGuard(_) => "left_to_guard",
        }
    }

    /// The exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Done(_) => 0,
            Self::RolledBack(_) => 1,
            Self::Refused(_) => 2,
            Self::HalfDone(_) | Self::LeftToGuard(_) | Self::LeftAlone(_) => 3,
        }
    }
}
