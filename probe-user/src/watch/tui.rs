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
mod view;

use std::io;

use ratatui::{buffer::Buffer, layout::Rect};

pub use look::Look;
pub use terminal::{BesideScreen, give_back_at_once};

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

/// So many keys that come at once are one drawing; a key that is held down is drawn now and then.
const MOST_KEYS: usize = 1_000;

/// The terminal, taken until this is dropped.
pub struct Screen {
    app: App,
    terminal: Terminal,
    /// More than the countdown may have changed since the last draw.
    is_stale: bool,
}

impl Screen {
    /// Takes the terminal. Calls of at least `slow_ns` nanoseconds are listed; all are on the timeline. A wait of over
    /// `max_ns` is a stall. To be called inside a tokio runtime with IO.
    ///
    /// # Errors
    ///
    /// When there is no terminal, or it cannot be set.
    pub fn open(host: WatchedNode, look: Look, slow_ns: u64, max_ns: u64) -> io::Result<Self> {
        let mut app = App::new(host, look, slow_ns);
        app.max_ns = max_ns;
        Ok(Self {
            app,
            terminal: Terminal::open()?,
            is_stale: true,
        })
    }

    /// Takes what happened.
    pub fn feed(&mut self, outputs: &[Output]) {
        self.is_stale |= !outputs.is_empty();
        self.app.feed(outputs);
    }

    /// Takes the sums, once a second.
    pub fn show(&mut self, overview: Overview) {
        self.is_stale = true;
        self.app.show(overview);
    }

    /// Takes what is being done meanwhile, and how far it is.
    pub fn set_course(&mut self, course: Course) {
        self.is_stale = true;
        self.app.course = Some(course);
    }

    /// Takes who lives in which namespace.
    pub fn name(&mut self, owners: NetnsOwners) {
        self.is_stale = true;
        self.app.name(owners);
    }

    /// Draws what changed. `now_ns` is in nanoseconds of `CLOCK_MONOTONIC`.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be written to: it is gone.
    pub fn draw(&mut self, now_ns: u64) -> io::Result<()> {
        self.app.tick(now_ns);
        if self.app.take_redraw() {
            self.terminal.forget();
        }
        let stale = std::mem::take(&mut self.is_stale);
        if !stale && self.draw_countdown()? {
            return Ok(());
        }
        let app = &mut self.app;
        self.terminal.draw(|buffer| {
            app.resize(buffer.area.width, buffer.area.height);
            view::draw(buffer, app);
        })
    }

    /// Draws the lines that change by themselves; `false`: that will not do.
    fn draw_countdown(&mut self) -> io::Result<bool> {
        let (columns, lines) = self.app.size;
        let area = Rect::new(0, 0, columns, lines);
        let Some(lines) = view::countdown_lines(area, &self.app) else {
            return Ok(false);
        };
        let app = &self.app;
        let view = |buffer: &mut Buffer| view::draw_countdown(buffer, app);
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
            Input::Key(key) => self.app.press(key),
            Input::Paste(text) => {
                self.app.paste(&text);
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
        let mut buffer = ratatui::buffer::Buffer::empty(area?);
        self.app.help = false;
        self.app.asks_reset = false;
        self.app.prompt = None;
        view::draw(&mut buffer, &self.app);
        terminal::print(&buffer, &mut io::stdout().lock())
    }
}

#[cfg(test)]
mod tests;
