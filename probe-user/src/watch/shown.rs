//! What the event loop of `watch` drives: something that is watched, and the form in which it is shown.

use super::tui::Request;

/// How a watch came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The screen goes.
    Away,
    /// The last screen stays on the terminal.
    KeepScreen,
}

/// Something that is watched and shown. All of it fails where the probes cannot be read or the output cannot be written.
pub trait Shown {
    /// Returns whether it is shown on a screen, which moves while nothing happens.
    fn has_screen(&self) -> bool;

    /// Reads the probes, and shows what happened.
    fn tick(&mut self) -> anyhow::Result<()>;

    /// Sums up an interval, where that is wanted.
    fn interval(&mut self) -> anyhow::Result<()>;

    /// Waits for a key that asks for something, which only a screen has.
    async fn input(&mut self) -> anyhow::Result<Option<Request>>;

    /// Does what a key asked for.
    fn answer(&mut self, request: Request) -> anyhow::Result<()>;

    /// Sets up the screen again, which others may have used.
    fn resume(&mut self) -> anyhow::Result<()>;

    /// Draws the screen, if it is one, as of `now_ns` of `CLOCK_MONOTONIC`.
    fn draw(&mut self, now_ns: u64) -> anyhow::Result<()>;

    /// Sums up, and leaves.
    fn end(self, ended: Ended) -> anyhow::Result<()>;
}
