//! Keys out of the bytes that a terminal sends.

use std::collections::VecDeque;

use terminput::{Event, KeyCode, KeyEvent, KeyModifiers};

/// What stands before a text that is pasted, and behind it.
const PASTE: (&[u8], &[u8]) = (b"\x1b[200~", b"\x1b[201~");

/// So much of a pasted text is kept.
const LONGEST_PASTE: usize = 1_024;

/// Ends a paste whose end does not come.
const CTRL_C: u8 = 3;

/// What was typed or pasted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// A key.
    Key(KeyEvent),
    /// A text.
    Paste(String),
}

/// Longer than any key's sequence: what grows beyond it is none.
const LONGEST_SEQUENCE: usize = 64;

/// Bytes that are not a whole key yet, and keys that nobody has asked for yet.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
    /// What was pasted until now, where its end has not come.
    pasted: Option<Vec<u8>>,
    typed: VecDeque<Typed>,
}

impl Decoder {
    /// Takes what one read gave. An Escape at its end is the key; one with more behind it begins a
    /// sequence.
    pub fn push(&mut self, bytes: &[u8]) {
        for (index, byte) in bytes.iter().enumerate() {
            if self.pasted.is_some() {
                self.push_pasted(*byte);
                continue;
            }
            self.pending.push(*byte);
            if self.pending == PASTE.0 {
                self.pending.clear();
                self.pasted = Some(Vec::new());
                continue;
            }
            let more_follow = index + 1 < bytes.len();
            if self.pending == b"\x1b" && more_follow {
                continue;
            }
            match Event::parse_from(&self.pending) {
                Ok(Some(event)) => {
                    if let Event::Key(key) = event {
                        self.typed.push_back(Typed::Key(key));
                    }
                    self.pending.clear();
                }
                Ok(None) if self.pending.len() < LONGEST_SEQUENCE => {}
                Ok(None) | Err(_) => self.pending.clear(),
            }
        }
    }

    fn push_pasted(&mut self, byte: u8) {
        let Some(pasted) = &mut self.pasted else {
            return;
        };
        if byte == CTRL_C {
            self.pasted = None;
            let key = KeyEvent::new(KeyCode::Char('c')).modifiers(KeyModifiers::CTRL);
            self.typed.push_back(Typed::Key(key));
            return;
        }
        pasted.push(byte);
        if let Some(text) = pasted.strip_suffix(PASTE.1) {
            let text = String::from_utf8_lossy(&text[..text.len().min(LONGEST_PASTE)]).into_owned();
            self.typed.push_back(Typed::Paste(text));
            self.pasted = None;
        } else if pasted.len() > LONGEST_PASTE + PASTE.1.len() {
            // Its end is still to be known.
            pasted.remove(LONGEST_PASTE);
        }
    }

    /// The next key or pasted text.
    pub fn pop(&mut self) -> Option<Typed> {
        self.typed.pop_front()
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
    use super::*;

    fn keys(reads: &[&[u8]]) -> Vec<KeyEvent> {
        let mut decoder = Decoder::default();
        for read in reads {
            decoder.push(read);
        }
        let typed = std::iter::from_fn(|| decoder.pop());
        typed
            .map(|typed| match typed {
                Typed::Key(key) => key,
                Typed::Paste(text) => panic!("{text:?} was pasted"),
            })
            .collect()
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
    fn a_paste_is_a_text_and_no_keys_however_long_and_in_whatever_pieces() {
        for (pasted, kept) in [("rq\nQ".to_owned(), 4), ("q".repeat(5_000), LONGEST_PASTE)] {
            let bytes = [PASTE.0, pasted.as_bytes(), PASTE.1, b"x"].concat();
            for pieces in [1, 2, 7, 256] {
                let mut decoder = Decoder::default();
                bytes.chunks(pieces).for_each(|piece| decoder.push(piece));
                // An Escape that ends a read is the key: pieces of one byte are keys.
                if pieces == 1 {
                    continue;
                }
                let typed: Vec<_> = std::iter::from_fn(|| decoder.pop()).collect();
                let x = KeyEvent::new(KeyCode::Char('x'));
                let text = pasted[..kept].to_owned();
                assert_eq!(typed, [Typed::Paste(text), Typed::Key(x)], "{pieces}");
            }
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
