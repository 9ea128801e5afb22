//! The face of a screen on which the timer is watched.

use std::ops::Range;

use ratatui::{buffer::Buffer, layout::Rect};
use terminput::KeyEvent;

use super::{Face, Request, app::App, view};

impl Face for App {
    fn press(&mut self, key: KeyEvent) -> Option<Request> {
        Self::press(self, key)
    }

    fn paste(&mut self, text: &str) {
        Self::paste(self, text);
    }

    fn tick(&mut self, now_ns: u64) {
        Self::tick(self, now_ns);
    }

    fn take_redraw(&mut self) -> bool {
        Self::take_redraw(self)
    }

    fn draw(&mut self, buffer: &mut Buffer) {
        self.resize(buffer.area.width, buffer.area.height);
        view::draw(buffer, self);
    }

    fn countdown(&self) -> Option<(Rect, Range<u16>)> {
        let (columns, lines) = self.size;
        let area = Rect::new(0, 0, columns, lines);
        Some((area, view::countdown_lines(area, self)?))
    }

    fn draw_countdown(&self, buffer: &mut Buffer) {
        view::draw_countdown(buffer, self);
    }

    fn uncover(&mut self) {
        self.help = false;
        self.asks_reset = false;
        self.prompt = None;
    }
}
