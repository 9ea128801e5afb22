//! The screen for kernel threads that estimate: what it shows, and what keys do to it.

mod view;

use std::{collections::VecDeque, io, ops::Range};

use ratatui::{buffer::Buffer, layout::Rect};
use terminput::KeyEvent;

use super::{
    Face, Look, Request, Screen, WatchedNode, decoder,
    keys::{self, Action, Scroll},
};
use crate::watch::threads::ThreadPeriod;
use model::threads::ThreadOutput;

/// Entries of the log that are kept.
const KEPT: usize = 1_000;

/// A screen on which kernel threads are watched.
pub type ThreadScreen = Screen<ThreadFace>;

impl ThreadScreen {
    /// Takes the terminal. Runs of at least `slow_ns` nanoseconds are listed. To be called inside a tokio runtime with IO.
    ///
    /// # Errors
    ///
    /// When there is no terminal, or it cannot be set.
    pub fn open(node: WatchedNode, look: Look, slow_ns: u64) -> io::Result<Self> {
        Self::of(ThreadFace::new(node, look, slow_ns))
    }

    /// Takes what happened.
    pub fn feed(&mut self, outputs: &[ThreadOutput]) {
        self.is_stale |= !outputs.is_empty();
        self.face.feed(outputs);
    }

    /// Takes the sums, once a second.
    pub fn show(&mut self, period: ThreadPeriod) {
        self.is_stale = true;
        self.face.live.period = Some(period);
    }
}

/// What the screen shows.
pub struct ThreadFace {
    node: WatchedNode,
    look: Look,
    slow_ns: u64,
    live: Data,
    frozen: Option<Box<Data>>,
    /// Entries of the log below those in sight.
    scrolled: usize,
    help: bool,
    asks_reset: bool,
    redraw: bool,
    /// Lines of the log in sight, as of the last drawing.
    log_lines: usize,
}

/// What was measured.
#[derive(Debug, Clone, Default)]
struct Data {
    period: Option<ThreadPeriod>,
    /// The newest last.
    log: VecDeque<ThreadOutput>,
}

impl ThreadFace {
    fn new(node: WatchedNode, look: Look, slow_ns: u64) -> Self {
        Self {
            node,
            look,
            slow_ns,
            live: Data::default(),
            frozen: None,
            scrolled: 0,
            help: false,
            asks_reset: false,
            redraw: false,
            log_lines: 1,
        }
    }

    fn feed(&mut self, outputs: &[ThreadOutput]) {
        for output in outputs {
            let is_quick =
                matches!(output, ThreadOutput::Run(run) if run.duration_ns < self.slow_ns);
            if is_quick {
                continue;
            }
            if self.live.log.len() == KEPT {
                self.live.log.pop_front();
            }
            self.live.log.push_back(output.clone());
            // What is looked at stays where it is.
            if self.scrolled > 0 && self.frozen.is_none() {
                self.scrolled += 1;
            }
        }
    }

    fn data(&self) -> &Data {
        self.frozen.as_deref().unwrap_or(&self.live)
    }

    fn update(&mut self, action: Action) -> Option<Request> {
        match action {
            Action::Help => self.help = !self.help,
            Action::Back => self.help = false,
            Action::Quit => return Some(Request::Quit { keep: false }),
            Action::QuitKeeping => return Some(Request::Quit { keep: true }),
            Action::Suspend => return Some(Request::Suspend),
            Action::Mark => return Some(Request::Mark),
            Action::Reset => self.asks_reset = true,
            Action::Redraw => self.redraw = true,
            Action::Pause => self.pause(),
            Action::Scroll(scroll) => self.scroll(scroll),
            // They are for panes that this screen does not have.
            Action::NextPane
            | Action::PreviousPane
            | Action::Choose(_)
            | Action::Alone
            | Action::Sort
            | Action::Filter
            | Action::ZoomIn
            | Action::ZoomOut
            | Action::BarScale
            | Action::Scope
            | Action::OtherTable => {}
        }
        None
    }

    fn pause(&mut self) {
        self.frozen = match self.frozen {
            None => Some(Box::new(self.live.clone())),
            Some(_) => None,
        };
        self.scrolled = 0;
    }

    fn scroll(&mut self, scroll: Scroll) {
        let most = self.data().log.len().saturating_sub(self.log_lines);
        let page = self.log_lines.max(1);
        let scrolled = match scroll {
            Scroll::LineUp => self.scrolled + 1,
            Scroll::LineDown => self.scrolled.saturating_sub(1),
            Scroll::PageUp => self.scrolled + page,
            Scroll::PageDown => self.scrolled.saturating_sub(page),
            Scroll::First => most,
            Scroll::Last => 0,
        };
        self.scrolled = scrolled.min(most);
    }

    fn confirm_reset(&mut self, key: KeyEvent) -> Option<Request> {
        self.asks_reset = false;
        let is_confirmed = matches!(decoder::character(key), Some('r' | 'y'));
        is_confirmed.then_some(Request::Reset)
    }
}

impl Face for ThreadFace {
    fn press(&mut self, key: KeyEvent) -> Option<Request> {
        let action = keys::action(key);
        let is_letter = decoder::character(key).is_some();
        if self.asks_reset && (is_letter || action != Some(Action::Quit)) {
            return self.confirm_reset(key);
        }
        if self.help && decoder::character(key) == Some('q') {
            self.help = false;
            return None;
        }
        action.and_then(|action| self.update(action))
    }

    fn paste(&mut self, _text: &str) {}

    fn tick(&mut self, _now_ns: u64) {}

    fn take_redraw(&mut self) -> bool {
        std::mem::take(&mut self.redraw)
    }

    fn draw(&mut self, buffer: &mut Buffer) {
        self.log_lines = view::draw(buffer, self);
    }

    fn countdown(&self) -> Option<(Rect, Range<u16>)> {
        // Nothing moves between two ticks.
        None
    }

    fn draw_countdown(&self, _buffer: &mut Buffer) {}

    fn uncover(&mut self) {
        self.help = false;
        self.asks_reset = false;
    }
}

#[cfg(test)]
mod tests;
