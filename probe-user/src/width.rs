//! How wide text for people is: that of the terminal that it goes to.

use std::{
    io::{self, IsTerminal as _},
    sync::atomic::{AtomicUsize, Ordering},
};

use textwrap::{WordSeparator, WordSplitter, core::Word};

/// What is not on a terminal may be read anywhere.
const USUAL: usize = 100;

/// Sentences in less are hard to read.
const NARROWEST: usize = 60;

/// A terminal that does not know its width has this one.
const UNKNOWN: usize = 80;

/// Of standard output.
static COLUMNS: AtomicUsize = AtomicUsize::new(USUAL);

/// Of standard error.
static ERROR_COLUMNS: AtomicUsize = AtomicUsize::new(USUAL);

/// Looks at the terminal, once, before anything is written.
pub fn measure() {
    let streams = [
        (&COLUMNS, io::stdout().is_terminal()),
        (&ERROR_COLUMNS, io::stderr().is_terminal()),
    ];
    for (columns, is_terminal) in streams {
        let terminal = is_terminal.then(crossterm::terminal::size);
        let width = terminal.and_then(Result::ok).map(|(columns, _)| columns);
        columns.store(used_of(width), Ordering::Relaxed);
    }
}

/// Returns the columns that sentences are folded to.
pub fn columns() -> usize {
    COLUMNS.load(Ordering::Relaxed)
}

/// Returns text folded to [`columns`]: the first line begins with `begin`, the others with `indent`. Keeps words whole, and
/// text between backticks, which may be a path or a command to copy.
#[must_use]
pub fn folded(begin: &str, indent: &str, text: &str) -> String {
    folded_to(columns(), begin, indent, text)
}

fn folded_to(columns: usize, begin: &str, indent: &str, text: &str) -> String {
    let options = textwrap::Options::new(columns)
        .initial_indent(begin)
        .subsequent_indent(indent)
        .break_words(false)
        .word_separator(WordSeparator::Custom(words))
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::fill(text, options)
}

/// Cuts a line where it may be folded: at spaces that are not between backticks.
fn words(line: &str) -> Box<dyn Iterator<Item = Word<'_>> + '_> {
    let (mut words, mut begin) = (Vec::new(), 0);
    let (mut is_quoted, mut after_space) = (false, false);
    for (place, character) in line.char_indices() {
        if after_space && character != ' ' {
            words.push(Word::from(&line[begin..place]));
            begin = place;
        }
        is_quoted ^= character == '`';
        after_space = character == ' ' && !is_quoted;
    }
    words.push(Word::from(&line[begin..]));
    Box::new(words.into_iter())
}

/// Returns text for standard error: folded for a person, a single line for a log.
#[must_use]
pub fn for_stderr(text: &str) -> String {
    if io::stderr().is_terminal() {
        return folded_to(ERROR_COLUMNS.load(Ordering::Relaxed), "", "  ", text);
    }
    text.to_owned()
}

/// Returns a sentence for standard output: folded for a person, a single line for a pipe or a file.
#[must_use]
pub fn for_stdout(text: &str) -> String {
    if io::stdout().is_terminal() {
        return folded("", "  ", text);
    }
    text.to_owned()
}

fn used_of(terminal: Option<u16>) -> usize {
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
    fn words_stay_whole_where_text_is_folded() {
        let long = "/var/lib/".to_owned() + &"x".repeat(USUAL);
        let text = format!("{} {long}", "word ".repeat(30).trim_end());
        let folded = super::folded("note  ", "      ", &text);
        let lines: Vec<&str> = folded.lines().collect();
        assert_eq!(lines.len(), 3, "{folded}");
        assert!(lines[0].starts_with("note  word") && lines[1].starts_with("      word"));
        assert_eq!(lines[2].trim_start(), long);
        let command = format!("`sysctl -w {} and more`", "key=0 ".repeat(20).trim_end());
        let text = format!("{} {command}, then this", "word ".repeat(15).trim_end());
        let folded = super::folded("", "  ", &text);
        assert_eq!(folded.lines().nth(1), Some(&*format!("  {command},")));
        assert_eq!(super::folded("", "", "  two  spaces"), "  two  spaces");
        assert_eq!(super::folded("- ", "  ", ""), "- ");
    }

    #[test]
    fn text_is_as_wide_as_its_terminal_and_not_too_narrow() {
        let terminals = [None, Some(0), Some(20), Some(60), Some(80), Some(200)];
        assert_eq!(terminals.map(used_of), [100, 80, 60, 60, 80, 200]);
    }
}
