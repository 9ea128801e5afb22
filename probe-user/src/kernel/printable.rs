//! Names that others chose, made fit for a terminal.

/// A process may call itself what it likes, control characters for a terminal included: whatever is no printable
/// ASCII becomes `?`.
#[must_use]
pub fn printable(name: &str) -> String {
    let shown = |character: char| match character {
        ' '..='~' => character,
        _ => '?',
    };
    name.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(printable("a b~"), "a b~");
        assert_eq!(printable("\x1b]0;x\x07\r\n\u{9b}2J\x7f"), "?]0;x????2J?");
    }
}
