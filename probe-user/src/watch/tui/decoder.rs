//! Keys out of the bytes that a terminal sends.

use std::collections::VecDeque;

use terminput::{Event, KeyCode, KeyEvent};

/// Longer than any key's sequence: what grows beyond it is none.
const LONGEST_SEQUENCE: usize = 64;

/// Bytes that are not a whole key yet, and keys that nobody has asked for yet.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
    keys: VecDeque<KeyEvent>,
}

impl Decoder {
    /// Takes what one read gave. An Escape at its end is the key; one with more behind it begins a
    /// sequence.
    pub fn push(&mut self, bytes: &[u8]) {
        for (index, byte) in bytes.iter().enumerate() {
            self.pending.push(*byte);
            let more_follow = index + 1 < bytes.len();
            if self.pending == b"\x1b" && more_follow {
                continue;
            }
            match Event::parse_from(&self.pending) {
                Ok(Some(event)) => {
                    if let Event::Key(key) = event {
                        self.keys.push_back(key);
                    }
                    self.pending.clear();
                }
                Ok(None) if self.pending.len() < LONGEST_SEQUENCE => {}
                Ok(None) | Err(_) => self.pending.clear(),
            }
        }
    }

    /// The next key.
    pub fn pop(&mut self) -> Option<KeyEvent> {
        self.keys.pop_front()
    }
}

/// The character of a key that was pressed for its own sake.
#[must_use]
pub fn character(key: KeyEvent) -> Option<char> {
    let KeyCode::Char(letter) = key.code else {
        return None;
    };
    (key.modifiers - terminput::KeyModifiers::SHIFT)
        .is_empty()
        .then_some(letter)
}

#[cfg(test)]
mod tests {
    use terminput::KeyModifiers;

    use super::*;

    fn keys(reads: &[&[u8]]) -> Vec<KeyEvent> {
        let mut decoder = Decoder::default();
        for read in reads {
            decoder.push(read);
        }
        std::iter::from_fn(|| decoder.pop()).collect()
    }

    #[test]
    fn the_keys_of_common_terminals_are_known() {
        let plain = KeyEvent::new;
        let table: [(&[u8], KeyEvent); 12] = [
            (b"q", plain(KeyCode::Char('q'))),
            (b"\r", plain(KeyCode::Enter)),
            (b"\x1b", plain(KeyCode::Esc)),
            (b"\x1b[A", plain(KeyCode::Up)),
            (b"\x1bOA", plain(KeyCode::Up)),
            (b"\x1b[5~", plain(KeyCode::PageUp)),
            (b"\x1b[1~", plain(KeyCode::Home)),
            (b"\x1bOF", plain(KeyCode::End)),
            (b"\x7f", plain(KeyCode::Backspace)),
            (
                b"\x1b[Z",
                plain(KeyCode::Tab).modifiers(KeyModifiers::SHIFT),
            ),
            (
                b"\x03",
                plain(KeyCode::Char('c')).modifiers(KeyModifiers::CTRL),
            ),
            ("ä".as_bytes(), plain(KeyCode::Char('ä'))),
        ];
        for (bytes, key) in table {
            assert_eq!(keys(&[bytes]), [key], "{bytes:?}");
        }
    }

    #[test]
    fn keys_that_come_together_are_taken_apart_and_one_that_comes_in_pieces_is_put_together() {
        let down = KeyEvent::new(KeyCode::Down);
        let q = KeyEvent::new(KeyCode::Char('q'));
        assert_eq!(keys(&[b"\x1b[B\x1b[Bq"]), [down, down, q]);
        assert_eq!(
            keys(&["ä".as_bytes().split_at(1).0, "ä".as_bytes().split_at(1).1]).len(),
            1
        );
    }

    #[test]
    fn what_is_no_key_is_dropped_and_does_not_swallow_what_follows() {
        let q = KeyEvent::new(KeyCode::Char('q'));
        assert_eq!(keys(&[b"\xff", b"q"]), [q]);
        let endless = [b"\x1b[1".as_slice(), &[b';'; 100]].concat();
        assert_eq!(keys(&[&endless, b"~", b"q"]).last(), Some(&q));
        for byte in 0..=u8::MAX {
            keys(&[&[0x1b, byte, byte], &[byte, byte], b"\x1b[M", &[byte; 3]]);
        }
    }
}
