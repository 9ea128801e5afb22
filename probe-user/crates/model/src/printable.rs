//! Names that others chose, made fit for a terminal and for a shell.

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

/// Whether a shell reads a name in a command as nothing but that name.
#[must_use]
pub fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@+".contains(&byte);
    !name.is_empty() && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(printable("a b~"), "a b~");
        assert_eq!(printable("\x1b]0;x\x07\r\n\u{9b}2J\x7f"), "?]0;x????2J?");
    }

    #[test]
    fn a_name_that_would_run_a_command_is_not_plain() {
        for (name, plain) in [
            ("cni-5f2a_1.x", true),
            ("eth0.100@if7", true),
            ("a;reboot", false),
            ("$(reboot)", false),
            ("a b", false),
            ("", false),
        ] {
            assert_eq!(is_plain(name), plain, "{name}");
        }
    }
}
