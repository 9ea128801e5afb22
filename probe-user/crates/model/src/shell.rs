//! Commands as a person can type them in a shell.

use std::ffi::OsStr;

use crate::printable::printable;

/// Returns a word as it can be typed in a shell; what a terminal would obey is `?`.
#[must_use]
pub fn quoted(word: &OsStr) -> String {
    let word = printable(&word.to_string_lossy());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@+/=,%".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word;
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Returns a command for a shell that changes something in a namespace. It opens the namespace once, and checks from
/// inside that it is the intended one: by the time a person types this, a process may have ended or moved, its number may
/// belong to another, and a file may have another namespace mounted on it.
#[must_use]
pub fn inside_namespace(door: &str, netns: u32, command: String) -> String {
    if door.is_empty() {
        return command;
    }
    format!(
        "nsenter --net={door} sh -c '[ \"$(stat -Lc %i /proc/self/ns/net)\" = \"{netns}\" ] && {command}'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_typed_again_and_writes_nothing_to_the_terminal() {
        for (word, shown) in [
            ("/root/est_skip.ko", "/root/est_skip.ko"),
            ("--timeout=30s", "--timeout=30s"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(reboot)", "'$(reboot)'"),
            ("", "''"),
            ("\x1b[2J", "'?[2J'"),
        ] {
            assert_eq!(quoted(OsStr::new(word)), shown);
        }
    }
}
