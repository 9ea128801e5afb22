//! A buffer to write on that neither overflows nor shows what the terminal cannot.

use std::borrow::Cow;

use ratatui::{buffer::Buffer, layout::Rect, style::Style, text::Span};

use crate::watch::tui::Look;

/// A part of the screen. Places are relative to its upper left corner; what lies outside is not written.
pub struct Canvas<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
    /// What the terminal can show.
    pub look: Look,
}

impl<'a> Canvas<'a> {
    /// The part of `buffer` that `area` is.
    pub fn new(buffer: &'a mut Buffer, area: Rect, look: Look) -> Self {
        let area = area.intersection(buffer.area);
        Self { buffer, area, look }
    }

    /// A part of this one.
    pub fn part(&mut self, x: u16, y: u16, width: u16, height: u16) -> Canvas<'_> {
        let wanted = Rect {
            x: self.area.x.saturating_add(x),
            y: self.area.y.saturating_add(y),
            width,
            height,
        };
        let area = if wanted.x >= self.area.right() || wanted.y >= self.area.bottom() {
            Rect::default()
        } else {
            wanted.intersection(self.area)
        };
        Canvas {
            buffer: self.buffer,
            area,
            look: self.look,
        }
    }

    /// Columns.
    pub fn width(&self) -> u16 {
        self.area.width
    }

    /// Lines.
    pub fn height(&self) -> u16 {
        self.area.height
    }

    /// Writes from `x` on, at most `width` columns; a text that is longer ends with a sign of that.
    /// Returns where it ended.
    pub fn put(&mut self, x: u16, y: u16, width: u16, text: &str, style: Style) -> u16 {
        if x >= self.area.width || y >= self.area.height || width == 0 {
            return x;
        }
        let width = width.min(self.area.width - x);
        let room = usize::from(width);
        if text.len() <= room && is_plain(text) {
            return self.put_plain(x, y, text, style);
        }
        let text = self.shown(text);
        let (left, top) = (self.area.x + x, self.area.y + y);
        if Span::raw(text.as_ref()).width() <= room {
            let (end, _) = self.buffer.set_stringn(left, top, text, room, style);
            return end - self.area.x;
        }
        let (end, _) = self.buffer.set_stringn(left, top, text, room - 1, style);
        let cut = self.look.glyphs().cut;
        let (end, _) = self.buffer.set_stringn(end, top, cut, 1, style);
        end - self.area.x
    }

    /// Writes a text of one column a byte, that fits.
    fn put_plain(&mut self, x: u16, y: u16, text: &str, style: Style) -> u16 {
        let mut column = x;
        for letter in text.chars() {
            let place = (self.area.x + column, self.area.y + y);
            self.buffer[place].set_char(letter).set_style(style);
            column += 1;
        }
        column
    }

    /// Writes from `x` to the right end.
    pub fn write(&mut self, x: u16, y: u16, text: &str, style: Style) -> u16 {
        self.put(x, y, u16::MAX, text, style)
    }

    /// Writes so that the text ends before column `x + width`.
    pub fn put_right(&mut self, x: u16, y: u16, width: u16, text: &str, style: Style) {
        let columns = columns(text);
        let indent = width.saturating_sub(columns);
        self.put(x.saturating_add(indent), y, width - indent, text, style);
    }

    /// Repeats a glyph of one column.
    pub fn fill(&mut self, x: u16, y: u16, width: u16, glyph: &str, style: Style) {
        if y >= self.area.height {
            return;
        }
        for column in x..x.saturating_add(width).min(self.area.width) {
            self.buffer[(self.area.x + column, self.area.y + y)]
                .set_symbol(glyph)
                .set_style(style);
        }
    }

    /// Draws a bar upwards from line `bottom`, so many eighths of a line high.
    pub fn bar(&mut self, x: u16, bottom: u16, width: u16, eighths: u16, style: Style) {
        let glyphs = self.look.glyphs().eighths;
        for line in 0..eighths.div_ceil(8) {
            let Some(y) = bottom.checked_sub(line) else {
                return;
            };
            let filled = (eighths - line * 8).min(8);
            self.fill(x, y, width, glyphs[usize::from(filled) - 1], style);
        }
    }

    /// Gives a line's columns a style on top of what they have.
    pub fn restyle(&mut self, y: u16, style: Style) {
        let line = Rect {
            y: self.area.y.saturating_add(y),
            height: 1,
            ..self.area
        };
        self.buffer.set_style(line.intersection(self.area), style);
    }

    /// Blanks everything.
    pub fn clear(&mut self) {
        for y in 0..self.area.height {
            for x in 0..self.area.width {
                self.buffer[(self.area.x + x, self.area.y + y)].reset();
            }
        }
    }

    /// Names of others' making may hold anything.
    fn shown<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !self.look.ascii || text.is_ascii() {
            return text.into();
        }
        let ascii = |letter: char| if letter.is_ascii() { letter } else { '?' };
        text.chars().map(ascii).collect::<String>().into()
    }
}

/// How high a bar is that stands for a share of `full` eighths of a line: what is there is seen.
pub fn eighths(share: f64, full: u16) -> u16 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the conversion stays between 0 and the largest number there is"
    )]
    let eighths = (share * f64::from(full)).round() as u16;
    eighths.clamp(1, full.max(1))
}

/// Whether every byte of a text is a character of one column: most texts are, and need not be looked
/// through for characters that belong together.
fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// Columns that a text takes.
pub fn columns(text: &str) -> u16 {
    if is_plain(text) {
        return u16::try_from(text.len()).unwrap_or(u16::MAX);
    }
    u16::try_from(Span::raw(text).width()).unwrap_or(u16::MAX)
}
