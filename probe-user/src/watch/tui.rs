//! The screen of `watch`: everything at a glance, for whoever is on call.
//!
//! What it shows ([`app`]) and how ([`view`]) knows neither terminal nor clock; only [`terminal`] does.

mod app;
mod decoder;
mod keys;
mod layout;
mod lines;
mod look;
mod terminal;
mod threads;
mod timer_face;
mod view;

use std::{io, ops::Range};

use ratatui::{buffer::Buffer, layout::Rect};
use terminput::KeyEvent;

pub use look::Look;
pub use terminal::{BesideScreen, give_back_at_once};
pub use threads::ThreadScreen;

use self::{
    app::App,
    terminal::{Input, Terminal},
};
use host::netns_owners::NetnsOwners;
use model::{Course, Output, Overview};

/// The node that is measured.
#[derive(Debug, Clone)]
pub struct WatchedNode {
    /// The kernel's release.
    pub release: String,
    /// What it calls itself.
    pub hostname: String,
    /// CPUs that it can have: an estimator adds up the counters of each of them.
    pub possible_cpus: Option<u32>,
    /// Inode number of the root network namespace; 0 where it is not known.
    pub root_netns: u32,
}

/// What the event loop is to do for the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// End; with `keep`, the last screen stays in the terminal.
    Quit {
        /// To be given to [`Screen::close`].
        keep: bool,
    },
    /// Count from now on.
    Reset,
    /// Tell of this moment: a notice under the topic `mark`.
    Mark,
    /// Call [`Screen::suspend`].
    Suspend,
}

/// From this length on a run is in the screen's log, unless told otherwise: where funcgraph begins to call it slow.
pub const SLOW_NS: u64 = 100_000;

/// What a screen shows, and what keys do to it. It knows neither terminal nor clock.
pub trait Face {
    /// Does what a key asks for. Returns what the event loop is to do.
    fn press(&mut self, key: KeyEvent) -> Option<Request>;

    /// Takes a text that was pasted.
    fn paste(&mut self, text: &str);

    /// It is `now_ns`, in nanoseconds of `CLOCK_MONOTONIC`.
    fn tick(&mut self, now_ns: u64);

    /// Returns whether everything is to be drawn again, once.
    fn take_redraw(&mut self) -> bool;

    /// Draws everything.
    fn draw(&mut self, buffer: &mut Buffer);

    /// Returns the screen's area and the lines of it that change by themselves; `None` where all is to be drawn.
    fn countdown(&self) -> Option<(Rect, Range<u16>)>;

    /// Draws on those lines alone.
    fn draw_countdown(&self, buffer: &mut Buffer);

    /// Closes what was opened over the rest: the screen that is left shows the numbers.
    fn uncover(&mut self);
}

/// So many keys that come at once are one drawing; a key that is held down is drawn now and then.
const MOST_KEYS: usize = 1_000;

/// The terminal, taken until this is dropped, and what is shown on it.
pub struct Screen<F> {
    face: F,
    terminal: Terminal,
    /// More than the countdown may have changed since the last draw.
    is_stale: bool,
}

/// A screen on which the timer is watched.
pub type TimerScreen = Screen<App>;

impl TimerScreen {
    /// Takes the terminal. Calls of at least `slow_ns` nanoseconds are listed; all are on the timeline. A wait of over
    /// `max_ns` is a stall. To be called inside a tokio runtime with IO.
    ///
    /// # Errors
    ///
    /// When there is no terminal, or it cannot be set.
    pub fn open(host: WatchedNode, look: Look, slow_ns: u64, max_ns: u64) -> io::Result<Self> {
        let mut app = App::new(host, look, slow_ns);
        app.max_ns = max_ns;
        Self::of(app)
    }

    /// Takes what happened.
    pub fn feed(&mut self, outputs: &[Output]) {
        self.is_stale |= !outputs.is_empty();
        self.face.feed(outputs);
    }

    /// Takes the sums, once a second.
    pub fn show(&mut self, overview: Overview) {
        self.is_stale = true;
        self.face.show(overview);
    }

    /// Takes what is being done meanwhile, and how far it is.
    pub fn set_course(&mut self, course: Course) {
        self.is_stale = true;
        self.face.course = Some(course);
    }

    /// Takes who lives in which namespace.
    pub fn name(&mut self, owners: NetnsOwners) {
        self.is_stale = true;
        self.face.name(owners);
    }
}

impl<F: Face> Screen<F> {
    /// Takes the terminal for a face.
    fn of(face: F) -> io::Result<Self> {
        Ok(Self {
            face,
            terminal: Terminal::open()?,
            is_stale: true,
        })
    }

    /// Draws what changed. `now_ns` is in nanoseconds of `CLOCK_MONOTONIC`.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be written to: it is gone.
    pub fn draw(&mut self, now_ns: u64) -> io::Result<()> {
        self.face.tick(now_ns);
        if self.face.take_redraw() {
            self.terminal.forget();
        }
        let stale = std::mem::take(&mut self.is_stale);
        if !stale && self.draw_countdown()? {
            return Ok(());
        }
        let face = &mut self.face;
        self.terminal.draw(|buffer| face.draw(buffer))
    }

    /// Draws the lines that change by themselves; `false`: that will not do.
    fn draw_countdown(&mut self) -> io::Result<bool> {
        let Some((area, lines)) = self.face.countdown() else {
            return Ok(false);
        };
        let face = &self.face;
        let view = |buffer: &mut Buffer| face.draw_countdown(buffer);
        self.terminal.draw_part(area, lines, view)
    }

    /// Waits for a key or another size of the terminal, and does what it asks for; what the event loop
    /// is to do is returned. Then the screen is to be drawn. Nothing is lost when this is dropped before
    /// it is ready.
    ///
    /// # Errors
    ///
    /// When the terminal is gone.
    pub async fn input(&mut self) -> io::Result<Option<Request>> {
        let input = self.terminal.input().await?;
        self.is_stale = true;
        let mut request = self.take(input);
        // What is there already is drawn once.
        for _ in 1..MOST_KEYS {
            if request.is_some() {
                break;
            }
            match self.terminal.input_there()? {
                Some(input) => request = self.take(input),
                None => break,
            }
        }
        Ok(request)
    }

    fn take(&mut self, input: Input) -> Option<Request> {
        match input {
            Input::Key(key) => self.face.press(key),
            Input::Paste(text) => {
                self.face.paste(&text);
                None
            }
            Input::Resized => None,
            Input::Stop => Some(Request::Suspend),
        }
    }

    /// Gives the terminal back, stops this process and, once it goes on, takes the terminal again.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be set.
    pub fn suspend(&mut self) -> io::Result<()> {
        self.is_stale = true;
        self.terminal.suspend()
    }

    /// Takes the terminal again after a stop from outside, during which others may have used it.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be set.
    pub fn resume(&mut self) -> io::Result<()> {
        self.is_stale = true;
        self.terminal.take_again()
    }

    /// Gives the terminal back; with `keep`, the last screen stays in it.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be written to.
    pub fn close(mut self, keep: bool) -> io::Result<()> {
        let area = terminal::area();
        terminal::give_back();
        if !keep {
            return Ok(());
        }
        let mut buffer = Buffer::empty(area?);
        self.face.uncover();
        self.face.draw(&mut buffer);
        terminal::print(&buffer, &mut io::stdout().lock())
    }
}

#[cfg(test)]
mod tests;
