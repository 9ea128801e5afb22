//! What the terminal can show: colours, and characters beyond ASCII.

use std::io::{self, IsTerminal as _};

use ratatui::style::{Color, Modifier, Style};

use crate::{cli::ColorWhen, watch::marks};
use model::State;

/// Terminals, the kernel's own console among them, whose fonts lack the eighths of a block.
const WITHOUT_BLOCKS: [&str; 9] = [
    "linux",
    "vt100",
    "vt102",
    "vt220",
    "vt320",
    "ansi",
    "dumb",
    "cons25",
    "xterm-mono",
];

/// Terminals without colours.
const WITHOUT_COLOURS: [&str; 6] = ["vt100", "vt102", "vt220", "vt320", "dumb", "xterm-mono"];

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Nothing but ASCII.
    pub ascii: bool,
    /// Colours too. They are never the only carrier of a meaning.
    pub colour: bool,
}

impl Look {
    /// As the options and the variables `NO_COLOR`, `TERM` and those of the locale have it.
    #[must_use]
    pub fn from_environment(ascii: bool, colour: ColorWhen) -> Self {
        let is_terminal = io::stdout().is_terminal();
        Self::new(ascii, colour, is_terminal, |name| {
            let value = std::env::var_os(name)?;
            Some(value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
        })
    }

    /// `variable` gives the value of a variable that is set and not empty. A locale that names no
    /// character set is that of most containers, and says nothing of the terminal.
    fn new(
        ascii: bool,
        colour: ColorWhen,
        is_terminal: bool,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let term = variable("TERM").unwrap_or_default();
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(&variable);
        let utf8 = locale.is_none_or(|locale| {
            let locale = locale.to_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        Self {
            ascii: ascii || !utf8 || WITHOUT_BLOCKS.contains(&term.as_str()),
            colour: match colour {
                ColorWhen::Always => true,
                ColorWhen::Never => false,
                ColorWhen::Auto => {
                    is_terminal
                        && variable("NO_COLOR").is_none()
                        && !WITHOUT_COLOURS.contains(&term.as_str())
                }
            },
        }
    }

    /// The characters to draw with.
    #[must_use]
    pub fn glyphs(self) -> &'static Glyphs {
        if self.ascii { &ASCII } else { &BLOCKS }
    }

    /// In this colour, where there are colours.
    #[must_use]
    pub fn fg(self, colour: Color) -> Style {
        if self.colour {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    /// For what is there to be overlooked: the terminal's own colour, dimmed. Palettes give bright black and blue
    /// to their backgrounds.
    #[must_use]
    pub fn faint(self) -> Style {
        if self.colour {
            Style::new().add_modifier(Modifier::DIM)
        } else {
            Style::new()
        }
    }

    /// The colour of a duration's mark, as the line mode has it.
    #[must_use]
    pub fn duration(self, duration_ns: u64) -> Style {
        match marks::sign(duration_ns) {
            '$' | '@' => self.fg(Color::Magenta).add_modifier(Modifier::BOLD),
            '*' => self.fg(Color::Red).add_modifier(Modifier::BOLD),
            '#' => self.fg(Color::Red),
            '!' => self.fg(Color::Yellow),
            '+' => self.fg(Color::Cyan),
            _ => Style::new(),
        }
    }

    /// A state's word.
    #[must_use]
    pub fn state(self, state: State) -> Style {
        match state {
            State::Active => self.fg(Color::Green),
            State::Skipping | State::Slowed => self.fg(Color::Yellow).add_modifier(Modifier::BOLD),
            State::Dead => self.fg(Color::Red).add_modifier(Modifier::BOLD),
            State::Kthread | State::Absent => self.faint(),
        }
    }
}

/// Characters to draw with, a column each.
#[derive(Debug)]
pub struct Glyphs {
    /// A bar's column, filled by so many eighths less one.
    pub eighths: [&'static str; 8],
    /// Across.
    pub rule: &'static str,
    /// Between columns.
    pub wall: &'static str,
    /// Corners: top left, top right, bottom left, bottom right.
    pub corners: [&'static str; 4],
    /// Before the chosen pane's title.
    pub chosen: &'static str,
    /// Before the column that rows are sorted by.
    pub sorted: &'static str,
    /// Below a column, towards it.
    pub pointer: &'static str,
    /// A moment that was observed and has nothing to tell.
    pub quiet: &'static str,
    /// In place of what does not fit.
    pub cut: &'static str,
}

const BLOCKS: Glyphs = Glyphs {
    eighths: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    rule: "─",
    wall: "│",
    corners: ["┌", "┐", "└", "┘"],
    chosen: "▸",
    sorted: "▾",
    pointer: "▴",
    quiet: "·",
    cut: "…",
};

const ASCII: Glyphs = Glyphs {
    eighths: [".", ".", ".", ":", ":", ":", "#", "#"],
    rule: "-",
    wall: "|",
    corners: ["+", "+", "+", "+"],
    chosen: ">",
    sorted: "*",
    pointer: "^",
    quiet: ".",
    cut: "~",
};

#[cfg(test)]
mod tests {
    use super::*;

    fn look(variables: &[(&str, &str)]) -> (bool, bool) {
        let look = Look::new(false, ColorWhen::Auto, true, |name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        (look.ascii, look.colour)
    }

    #[test]
    fn the_environment_tells_what_the_terminal_can_show() {
        let xterm = ("TERM", "xterm-256color");
        for (variables, ascii, colour) in [
            (&[xterm, ("LANG", "C.UTF-8")][..], false, true),
            (&[xterm][..], false, true),
            (&[xterm, ("LANG", "C")][..], true, true),
            (
                &[xterm, ("LANG", "C"), ("LC_ALL", "en_GB.utf8")][..],
                false,
                true,
            ),
            (&[xterm, ("NO_COLOR", "1")][..], false, false),
            (&[("TERM", "linux"), ("LANG", "C.UTF-8")][..], true, true),
            (&[("TERM", "vt100")][..], true, false),
        ] {
            assert_eq!(look(variables), (ascii, colour), "{variables:?}");
        }
    }

    #[test]
    fn what_is_asked_for_goes_before_what_is_found() {
        let vt100 = |name: &str| (name == "TERM").then(|| "vt100".to_owned());
        let always = Look::new(true, ColorWhen::Always, false, vt100);
        assert!(always.colour && always.ascii);
        let never = Look::new(false, ColorWhen::Never, true, |_| None);
        assert!(!never.colour && !never.ascii);
    }
}
