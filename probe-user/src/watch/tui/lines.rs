//! What is on the terminal, and how it gets there line by line.

use std::{io, ops::Range};

use ratatui::{
    backend::Backend,
    buffer::{Buffer, Cell},
    layout::Rect,
};

/// What is on the terminal, and room to draw what is to be there.
///
/// Not ratatui's own pair of buffers: it draws and looks at every cell of a screen each time, which twice a second
/// with 200 columns and 60 lines costs more than all else. Here, lines that are as they were are done with at
/// once, and a part can be drawn without the rest.
#[derive(Debug, Default)]
pub struct Lines {
    shown: Buffer,
    next: Buffer,
    /// What is on the terminal is not known.
    unknown: bool,
}

impl Lines {
    /// Holds nothing of what was drawn to be still there.
    pub fn forget(&mut self) {
        self.unknown = true;
    }

    /// Whether a screen of `area` was drawn and is still there.
    #[must_use]
    pub fn shows(&self, area: Rect) -> bool {
        !self.unknown && self.shown.area == area
    }

    /// Draws a screen of `area` by `view` and writes what differs from what is shown.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be written to.
    pub fn draw<B: Backend<Error = io::Error>>(
        &mut self,
        backend: &mut B,
        area: Rect,
        view: impl FnOnce(&mut Buffer),
    ) -> io::Result<()> {
        if !self.shows(area) {
            backend.clear()?;
            self.shown = Buffer::empty(area);
            self.next = Buffer::empty(area);
            self.unknown = false;
        }
        self.draw_part(backend, 0..area.height, view)
    }

    /// Draws some lines of what [`Self::draw`] drew last, by a `view` that draws on no others.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be written to.
    pub fn draw_part<B: Backend<Error = io::Error>>(
        &mut self,
        backend: &mut B,
        lines: Range<u16>,
        view: impl FnOnce(&mut Buffer),
    ) -> io::Result<()> {
        let area = self.shown.area;
        for y in lines.clone() {
            let cells = line(area, y);
            self.next.content[cells].iter_mut().for_each(Cell::reset);
        }
        view(&mut self.next);
        for y in lines {
            let cells = line(area, y);
            let (shown, next) = (
                &mut self.shown.content[cells.clone()],
                &self.next.content[cells],
            );
            if *shown != *next {
                let [before, now] = [&*shown, next].map(|cells| Buffer {
                    area: Rect::new(0, y, area.width, 1),
                    content: cells.to_vec(),
                });
                backend.draw(before.diff(&now).into_iter())?;
                shown.clone_from_slice(next);
            }
        }
        backend.flush()
    }
}

/// Where the cells of one line are.
fn line(area: Rect, y: u16) -> Range<usize> {
    let width = usize::from(area.width);
    let first = usize::from(y) * width;
    first..first + width
}

#[cfg(test)]
mod tests {
    use ratatui::{backend::TestBackend, style::Style};

    use super::*;

    /// A backend's error that cannot be, as the error of one that can.
    fn draw(lines: &mut Lines, backend: &mut TestBackend, area: Rect, texts: &[&str]) {
        let mut bridge = Bridge(backend);
        lines
            .draw(&mut bridge, area, |buffer| {
                for (y, text) in (0..).zip(texts) {
                    buffer.set_string(0, y, text, Style::new());
                }
            })
            .unwrap();
    }

    struct Bridge<'b>(&'b mut TestBackend);

    impl Backend for Bridge<'_> {
        type Error = io::Error;

        fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
        where
            I: Iterator<Item = (u16, u16, &'a Cell)>,
        {
            self.0.draw(content).map_err(|error| match error {})
        }
        fn hide_cursor(&mut self) -> io::Result<()> {
            unreachable!("the cursor is hidden for good")
        }
        fn show_cursor(&mut self) -> io::Result<()> {
            unreachable!("the cursor is hidden for good")
        }
        fn get_cursor_position(&mut self) -> io::Result<ratatui::layout::Position> {
            unreachable!("a terminal may not answer")
        }
        fn set_cursor_position<P: Into<ratatui::layout::Position>>(
            &mut self,
            _: P,
        ) -> io::Result<()> {
            unreachable!("the cursor is hidden for good")
        }
        fn clear(&mut self) -> io::Result<()> {
            self.0.clear().map_err(|error| match error {})
        }
        fn clear_region(&mut self, _: ratatui::backend::ClearType) -> io::Result<()> {
            unreachable!("all is cleared or nothing")
        }
        fn size(&self) -> io::Result<ratatui::layout::Size> {
            unreachable!("the area is an argument")
        }
        fn window_size(&mut self) -> io::Result<ratatui::backend::WindowSize> {
            unreachable!("the area is an argument")
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn after_every_draw_the_terminal_shows_the_view_and_nothing_else() {
        let area = Rect::new(0, 0, 12, 3);
        let (mut lines, mut backend) = (Lines::default(), TestBackend::new(12, 3));
        let steps: [&[&str]; 4] = [
            &["ipvs-latency", "ACTIVE", "1 run"],
            &["ipvs-latency", "DEAD", "1 run"],
            &["no longer so", "", "2 runs"],
            &["x", "ACTIVE", "2 runs"],
        ];
        for texts in steps {
            draw(&mut lines, &mut backend, area, texts);
            let mut whole = Buffer::empty(area);
            for (y, text) in (0..).zip(texts) {
                whole.set_string(0, y, text, Style::new());
            }
            backend.assert_buffer(&whole);
        }
    }

    #[test]
    fn a_part_is_drawn_and_the_rest_stays() {
        let area = Rect::new(0, 0, 8, 3);
        let (mut lines, mut backend) = (Lines::default(), TestBackend::new(8, 3));
        draw(
            &mut lines,
            &mut backend,
            area,
            &["title", "in 1.2 s", "footer"],
        );
        assert!(lines.shows(area) && !lines.shows(Rect::new(0, 0, 9, 3)));
        for (countdown, told) in [("in 0.7 s", "in 0.7 s"), ("now", "now     ")] {
            let view = |buffer: &mut Buffer| {
                buffer.set_string(0, 1, countdown, Style::new());
            };
            lines
                .draw_part(&mut Bridge(&mut backend), 1..2, view)
                .unwrap();
            backend.assert_buffer_lines(["title   ", told, "footer  "]);
        }
        draw(&mut lines, &mut backend, area, &["", "in 2.0 s", "footer"]);
        backend.assert_buffer_lines(["        ", "in 2.0 s", "footer  "]);
    }

    #[test]
    fn what_was_written_over_is_drawn_anew_once_it_is_forgotten() {
        let area = Rect::new(0, 0, 8, 1);
        let (mut lines, mut backend) = (Lines::default(), TestBackend::new(8, 1));
        draw(&mut lines, &mut backend, area, &["ACTIVE"]);
        backend.clear().unwrap();
        draw(&mut lines, &mut backend, area, &["ACTIVE"]);
        backend.assert_buffer_lines(["        "]);
        lines.forget();
        draw(&mut lines, &mut backend, area, &["ACTIVE"]);
        backend.assert_buffer_lines(["ACTIVE  "]);
    }
}
