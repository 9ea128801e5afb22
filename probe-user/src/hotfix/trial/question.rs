//! The question before anything is changed.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::bail;

use crate::width;

/// Asks on the terminal whether to go on.
///
/// # Errors
///
/// When the answer is no, or nobody is there to answer.
pub fn ask(what: &str) -> anyhow::Result<()> {
    if !io::stdin().is_terminal() {
        bail!("{what}? Nobody can be asked, as standard input is no terminal: say --yes to go on");
    }
    let mut err = io::stderr().lock();
    let text = width::for_stderr(&format!("{what}? [y/N]"));
    let _ = write!(err, "{text} ").and_then(|()| err.flush());
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if !matches!(answer.trim(), "y" | "Y" | "yes") {
        bail!("nothing was changed, for the answer was no");
    }
    Ok(())
}
