//! What is said while a change is under way: on standard error, or on the screen where one is in the way.

use std::{
    cell::Cell,
    io::{self, Write as _},
};

use crate::width;

thread_local! {
    /// What was said while a screen is in the way of standard error, and is not shown on it yet; this thread alone
    /// speaks.
    static HEARD: Cell<Vec<String>> = const { Cell::new(Vec::new()) };
    static IS_ON_STAGE: Cell<bool> = const { Cell::new(false) };
    /// All that was said on stage: the screen goes, and it is told once more.
    static TOLD: Cell<Vec<String>> = const { Cell::new(Vec::new()) };
}

/// From here on what is said goes to the screen, or no longer.
pub fn speak_on_stage(on_stage: bool) {
    IS_ON_STAGE.set(on_stage);
    if !on_stage {
        HEARD.take();
        TOLD.take().iter().for_each(|text| say(text));
    }
}

/// Tells on standard error. That nobody reads it must not end us half way.
pub fn say(text: &str) {
    if IS_ON_STAGE.get() {
        for kept in [&HEARD, &TOLD] {
            let mut texts = kept.take();
            texts.push(text.to_owned());
            kept.set(texts);
        }
        return;
    }
    let _ = writeln!(io::stderr(), "{}", width::for_stderr(text));
}

/// Returns what was said and is not shown on the screen yet.
pub fn heard() -> Vec<String> {
    HEARD.take()
}
