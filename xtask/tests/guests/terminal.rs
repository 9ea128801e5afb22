//! A terminal in the guest and what a user saw on it: `terminal/terminal.sh` records there, and the
//! recording is played here to a terminal emulator.

use xtask::{checkout, lab::Copy, scenario::Sections};

/// Where the guest finds the script.
pub const SCRIPT: &str = "/root/terminal.sh";

/// The script, for `LabSpec::copies`.
pub fn script() -> Copy {
    Copy {
        source: checkout::file("xtask/tests/guests/terminal/terminal.sh"),
        destination: Some(SCRIPT.into()),
    }
}

/// Everything that was written on a terminal.
#[derive(Debug)]
pub struct Recording {
    bytes: Vec<u8>,
    marks: Vec<Mark>,
}

/// A moment of a recording.
#[derive(Debug)]
struct Mark {
    name: String,
    /// How much had been written by then.
    offset: usize,
    rows: u16,
    columns: u16,
}

impl Recording {
    /// The recording that `terminal_shows` printed under this name.
    pub fn of(sections: &Sections, name: &str) -> Self {
        let (mut bytes, mut marks) = (Vec::new(), Vec::new());
        for line in sections.text(name).unwrap().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["mark", name, offset, columns, rows] = words[..] {
                marks.push(Mark {
                    name: name.to_owned(),
                    offset: offset.parse().unwrap(),
                    rows: rows.parse().unwrap(),
                    columns: columns.parse().unwrap(),
                });
            } else {
                bytes.extend(
                    words
                        .iter()
                        .map(|byte| u8::from_str_radix(byte, 16).unwrap()),
                );
            }
        }
        assert!(!bytes.is_empty(), "nothing was written on {name}");
        Self { bytes, marks }
    }

    fn mark(&self, name: &str) -> &Mark {
        let mark = self.marks.iter().find(|mark| mark.name == name);
        mark.unwrap_or_else(|| panic!("no mark {name} among {:?}", self.marks))
    }

    /// What the user saw at the moment of that mark.
    pub fn at(&self, name: &str) -> Screen {
        let last = self.mark(name);
        let first = &self.marks[0];
        let mut parser = vt100::Parser::new(first.rows, first.columns, 0);
        let mut written = 0;
        // A size holds from its mark on.
        for mark in &self.marks {
            if mark.offset > last.offset {
                break;
            }
            parser.process(&self.bytes[written..mark.offset]);
            parser.screen_mut().set_size(mark.rows, mark.columns);
            written = mark.offset;
            if std::ptr::eq(mark, last) {
                break;
            }
        }
        Screen(parser)
    }

    /// What was written between two marks.
    pub fn written(&self, from: &str, to: &str) -> &[u8] {
        &self.bytes[self.mark(from).offset..self.mark(to).offset]
    }

    /// The colours chosen between two marks: parameters of SGR that are not the default colours.
    pub fn colours(&self, from: &str, to: &str) -> Vec<u16> {
        let written = String::from_utf8_lossy(self.written(from, to));
        let mut colours = Vec::new();
        for sequence in written.split("\x1b[").skip(1) {
            let end = sequence.find(|letter: char| ('@'..='~').contains(&letter));
            if let Some((parameters, "m")) =
                end.and_then(|end| Some((&sequence[..end], sequence.get(end..=end)?)))
            {
                let numbers = parameters
                    .split([';', ':'])
                    .filter_map(|one| one.parse().ok());
                colours.extend(
                    numbers.filter(
                        |code: &u16| matches!(code, 30..=38 | 40..=48 | 90..=97 | 100..=107),
                    ),
                );
            }
        }
        colours
    }
}

/// A terminal's screen at one moment.
pub struct Screen(vt100::Parser);

impl Screen {
    /// All of its lines.
    pub fn text(&self) -> String {
        self.0.screen().contents()
    }

    /// Whether it is the alternate screen, on which programs draw.
    pub fn is_alternate(&self) -> bool {
        self.0.screen().alternate_screen()
    }

    /// Asserts that each of the words is to be seen.
    pub fn shows(&self, words: &[&str]) {
        for word in words {
            assert!(
                self.text().contains(word),
                "no {word:?} on:\n{}",
                self.text()
            );
        }
    }

    /// Asserts that the terminal is as a shell wants it: normal screen, cursor to be seen, no colour, no
    /// mouse reports.
    pub fn is_left_clean(&self) {
        let screen = self.0.screen();
        let text = self.text();
        assert!(
            !screen.alternate_screen(),
            "still the alternate screen:\n{text}"
        );
        assert!(!screen.hide_cursor(), "the cursor is hidden:\n{text}");
        assert_eq!(screen.fgcolor(), vt100::Color::Default, "{text}");
        assert_eq!(screen.bgcolor(), vt100::Color::Default, "{text}");
        assert!(!screen.bold() && !screen.inverse(), "{text}");
        assert_eq!(
            screen.mouse_protocol_mode(),
            vt100::MouseProtocolMode::None,
            "{text}"
        );
    }
}
