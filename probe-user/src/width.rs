//! How wide text for people is: that of the terminal that it goes to.

use std::{
    io::{self, IsTerminal as _},
    sync::atomic::{AtomicUsize, Ordering},
};

/// What is not on a terminal may be read anywhere.
const USUAL: usize = 100;

/// Sentences in less are hard to read.
const NARROWEST: usize = 60;

/// A terminal that does not know its width has this one.
const UNKNOWN: usize = 80;

static COLUMNS: AtomicUsize = AtomicUsize::new(USUAL);

/// Looks at the terminal, once, before anything is written.
pub fn measure() {
    let terminal = io::stdout().is_terminal().then(crossterm::terminal::size);
    let width = terminal.and_then(Result::ok).map(|(columns, _)| columns);
    COLUMNS.store(of(width), Ordering::Relaxed);
}

/// Returns the columns that sentences are folded to.
pub fn columns() -> usize {
    COLUMNS.load(Ordering::Relaxed)
}

fn of(terminal: Option<u16>) -> usize {
    match terminal {
        None => USUAL,
        Some(0) => UNKNOWN,
        Some(columns) => usize::from(columns).max(NARROWEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_as_wide_as_its_terminal_and_not_too_narrow() {
        let terminals = [None, Some(0), Some(20), Some(60), Some(80), Some(200)];
        assert_eq!(terminals.map(of), [100, 80, 60, 60, 80, 200]);
    }
}
