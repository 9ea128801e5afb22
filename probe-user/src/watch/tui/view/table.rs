//! Columns of a table: where they stand, their headings on the pane's rule, and cells.

use ratatui::style::{Modifier, Style};

use super::canvas::{Canvas, columns};

/// Columns between two columns of a table.
const GAP: u16 = 2;

/// How wide a name's column grows.
const WIDEST_NAME: u16 = 60;

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// What stands on top of it.
    pub heading: &'static str,
    /// Columns of the screen.
    pub width: u16,
    /// Where its cells are put.
    pub side: Side,
    /// Rows are sorted by it.
    pub is_sorted: bool,
}

/// Where cells are put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
    /// Names, which take what room is left.
    Name,
}

impl Column {
    /// A column of words.
    pub const fn words(heading: &'static str, width: u16) -> Self {
        Self::new(heading, width, Side::Left)
    }

    /// A column of numbers.
    pub const fn numbers(heading: &'static str, width: u16) -> Self {
        Self::new(heading, width, Side::Right)
    }

    /// A column of names: at least so wide.
    pub const fn names(heading: &'static str, width: u16) -> Self {
        Self::new(heading, width, Side::Name)
    }

    const fn new(heading: &'static str, width: u16, side: Side) -> Self {
        Self {
            heading,
            width,
            side,
            is_sorted: false,
        }
    }

    /// The same, if rows are sorted by it.
    pub const fn sorted(self, is_sorted: bool) -> Self {
        Self { is_sorted, ..self }
    }
}

/// Columns in their places.
pub struct Table {
    columns: Vec<(u16, Column)>,
}

impl Table {
    /// Puts columns next to each other on a canvas so wide. A number and the name that explains it stand
    /// closer.
    pub fn new(columns: Vec<Column>, width: u16) -> Self {
        let gap = |next: Option<&Column>| match next {
            Some(next) if next.side == Side::Name => 1,
            _ => GAP,
        };
        let taken: u16 = (0..)
            .zip(&columns)
            .map(|(place, column)| {
                let gap = if place == 0 { 0 } else { gap(Some(column)) };
                gap + column.width
            })
            .sum();
        let spare = width.saturating_sub(taken);
        let mut x = 0;
        let mut placed = Vec::with_capacity(columns.len());
        for (place, column) in columns.iter().enumerate() {
            let width = match column.side {
                Side::Name => (column.width + spare).min(WIDEST_NAME),
                _ => column.width,
            };
            placed.push((x, Column { width, ..*column }));
            x += width + gap(columns.get(place + 1));
        }
        Self { columns: placed }
    }

    /// Writes the headings on the pane's rule, as far as its title leaves room.
    pub fn headings(&self, canvas: &mut Canvas<'_>, from: u16) {
        let glyphs = canvas.look.glyphs();
        for (x, column) in &self.columns {
            let (mark, style) = if column.is_sorted {
                (glyphs.sorted, Style::new().add_modifier(Modifier::BOLD))
            } else {
                (" ", Style::new())
            };
            let text = format!("{mark}{} ", column.heading);
            let width = columns(&text);
            let x = match column.side {
                Side::Right => (x + column.width + 1).saturating_sub(width),
                Side::Left | Side::Name => x.saturating_sub(1),
            };
            if x + 1 >= from && !column.heading.is_empty() {
                let fits = x + width <= canvas.width();
                let text = if fits { &text } else { text.trim_end() };
                canvas.put(x, 0, width, text, style);
            }
        }
    }

    /// Writes a cell.
    pub fn cell(&self, canvas: &mut Canvas<'_>, place: usize, y: u16, text: &str, style: Style) {
        let Some((x, column)) = self.columns.get(place) else {
            return;
        };
        if column.side == Side::Right {
            canvas.put_right(*x, y, column.width, text, style);
        } else {
            canvas.put(*x, y, column.width, text, style);
        }
    }

    /// Writes from a column to the right end.
    pub fn rest(&self, canvas: &mut Canvas<'_>, place: usize, y: u16, text: &str, style: Style) {
        if let Some((x, _)) = self.columns.get(place) {
            canvas.write(*x, y, text, style);
        }
    }
}
