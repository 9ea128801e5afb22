//! The real terminal: taken, read, written to, and given back whatever happens.

mod at_once;

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal as _, Write},
    ops::Range,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use crossterm::{
    cursor::{Hide, Show},
    event::{DisableBracketedPaste, EnableBracketedPaste},
    execute, queue,
    style::{Attribute, ContentStyle, Print, SetAttribute, SetStyle},
    terminal::{
        EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
    },
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction},
    unistd::read,
};
use ratatui::{
    backend::{CrosstermBackend, IntoCrossterm as _},
    buffer::{Buffer, Cell},
    layout::Rect,
    style::Style,
};
use terminput::KeyEvent;
use tokio::{
    io::{Interest, unix::AsyncFd},
    signal::unix::{self, SignalKind, signal},
};

pub use self::at_once::give_back as give_back_at_once;

use super::{
    decoder::{Decoder, Typed},
    lines::Lines,
};

/// The terminal is ours at the moment, and to be given back.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// What came from the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A key was pressed.
    Key(KeyEvent),
    /// A text was pasted.
    Paste(String),
    /// It has another size.
    Resized,
    /// We are told to stop by someone else than the terminal, whose Ctrl-Z is a key.
    Stop,
}

/// The terminal, taken until this is dropped.
pub struct Terminal {
    backend: CrosstermBackend<BufWriter<File>>,
    lines: Lines,
    keyboard: Keyboard,
    resized: unix::Signal,
    stop: unix::Signal,
}

impl Terminal {
    /// Takes the terminal: keys come as they are pressed, on a screen of its own without a cursor.
    pub fn open() -> io::Result<Self> {
        let terminal = Self {
            backend: CrosstermBackend::new(BufWriter::new(output()?)),
            lines: Lines::default(),
            // Standard input is a terminal where a screen is wanted.
            keyboard: Keyboard::new(io::stdin().as_fd().try_clone_to_owned()?)?,
            resized: signal(SignalKind::window_change())?,
            stop: signal(SignalKind::from_raw(Signal::SIGTSTP as i32))?,
        };
        give_back_on_panic();
        take()?;
        Ok(terminal)
    }

    /// Writes what differs from what was drawn before.
    pub fn draw(&mut self, view: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        self.lines.draw(&mut self.backend, area()?, view)
    }

    /// Draws some lines of a screen of `area` anew, by a view that draws on no others; `false`: no such screen is
    /// there, and it is to be drawn whole.
    pub fn draw_part(
        &mut self,
        area: Rect,
        lines: Range<u16>,
        view: impl FnOnce(&mut Buffer),
    ) -> io::Result<bool> {
        let there = self.lines.shows(area);
        if there {
            self.lines.draw_part(&mut self.backend, lines, view)?;
        }
        Ok(there)
    }

    /// Holds nothing of what was drawn to be still there.
    pub fn forget(&mut self) {
        self.lines.forget();
    }

    /// The next key, change of size or wish to stop us. Nothing is lost when this is dropped.
    pub async fn input(&mut self) -> io::Result<Input> {
        tokio::select! {
            typed = self.keyboard.typed() => Ok(typed?.into()),
            _ = self.resized.recv() => Ok(Input::Resized),
            _ = self.stop.recv() => Ok(Input::Stop),
        }
    }

    /// Returns the next key that is there already, without waiting.
    pub fn input_there(&mut self) -> io::Result<Option<Input>> {
        Ok(self.keyboard.typed_there()?.map(Input::from))
    }

    /// Gives the terminal back and stops, as the shell's Ctrl-Z does; takes it again when told to go on.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        stop()?;
        self.take_again()
    }

    /// Takes the terminal as it is now, whatever others have made of it.
    pub fn take_again(&mut self) -> io::Result<()> {
        give_back();
        take()?;
        self.forget();
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

impl From<Typed> for Input {
    fn from(typed: Typed) -> Self {
        match typed {
            Typed::Key(key) => Self::Key(key),
            Typed::Paste(text) => Self::Paste(text),
        }
    }
}

/// What a terminal has that does not know its size: a serial console, or `kubectl exec`.
const USUAL: (u16, u16) = (80, 24);

fn known((columns, lines): (u16, u16)) -> (u16, u16) {
    if columns == 0 || lines == 0 {
        USUAL
    } else {
        (columns, lines)
    }
}

/// All of the terminal.
pub fn area() -> io::Result<Rect> {
    let (columns, lines) = known(size()?);
    Ok(Rect::new(0, 0, columns, lines))
}

/// Standard output without its lock and buffer: whoever panics may hold them.
fn output() -> io::Result<File> {
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

/// Stops this process until `SIGCONT` comes. Not by `SIGSTOP`, which stops even where there is no shell that could
/// let us go on.
fn stop() -> io::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action runs no code of ours.
    let ours = unsafe { sigaction(Signal::SIGTSTP, &default) }?;
    // To this thread: by its default action the signal stops all of us before this returns. Sent to the
    // process, another thread might take it a moment later, and the shell would find the terminal as we
    // need it.
    let raised = raise(Signal::SIGTSTP);
    // SAFETY: it is the handler that was there before, and is good for any moment.
    unsafe { sigaction(Signal::SIGTSTP, &ours) }?;
    Ok(raised?)
}

fn take() -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    at_once::is_about_to_change()?;
    enable_raw_mode()?;
    execute!(output()?, EnterAlternateScreen, Hide, EnableBracketedPaste)
}

/// Gives the terminal back if it is taken. There is nobody to tell if it cannot be: it is gone then.
pub fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let reset = SetAttribute(Attribute::Reset);
    let _gone = output().and_then(|mut out| {
        execute!(
            out,
            DisableBracketedPaste,
            reset,
            Show,
            LeaveAlternateScreen
        )
    });
    let _gone = disable_raw_mode();
    at_once::is_as_found();
}

/// Standard error, on which nothing appears while a screen is open on the same terminal: it would stand in the
/// midst of the screen.
#[derive(Debug)]
pub struct BesideScreen;

impl Write for BesideScreen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stderr = io::stderr();
        if TAKEN.load(Ordering::SeqCst) && stderr.is_terminal() {
            return Ok(bytes.len());
        }
        stderr.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

/// What a panic has to say is to be read on the ordinary screen.
fn give_back_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            before(info);
        }));
    });
}

/// Keys of a terminal. Not crossterm's: its reader never returns once the terminal is gone, and takes a
/// CPU for itself.
struct Keyboard {
    file: AsyncFd<OwnedFd>,
    decoder: Decoder,
}

impl Keyboard {
    fn new(file: OwnedFd) -> io::Result<Self> {
        // SAFETY: an `OwnedFd` is open, and the same file, until it is dropped; nothing takes it out.
        let file = unsafe { AsyncFd::register_with_interest(file, Interest::READABLE) }?;
        Ok(Self {
            file,
            decoder: Decoder::default(),
        })
    }

    /// Returns what comes next of what is there, without waiting.
    fn typed_there(&mut self) -> io::Result<Option<Typed>> {
        if let Some(typed) = self.decoder.pop() {
            return Ok(Some(typed));
        }
        let mut bytes = [0; 256];
        if let Some(bytes) = read_what_is_there(self.file.get_ref().as_fd(), &mut bytes)? {
            self.decoder.push(bytes);
        }
        Ok(self.decoder.pop())
    }

    async fn typed(&mut self) -> io::Result<Typed> {
        loop {
            if let Some(typed) = self.decoder.pop() {
                return Ok(typed);
            }
            let mut ready = self.file.readable().await?;
            let mut bytes = [0; 256];
            match read_what_is_there(ready.get_inner().as_fd(), &mut bytes)? {
                Some(bytes) => self.decoder.push(bytes),
                None => ready.clear_ready(),
            }
        }
    }
}

/// Reads without waiting; `None`: nothing is there. The file is not set to do so by itself, since it is
/// shared with the shell that started us.
fn read_what_is_there<'b>(
    file: BorrowedFd<'_>,
    bytes: &'b mut [u8],
) -> io::Result<Option<&'b [u8]>> {
    let gone = || io::Error::new(io::ErrorKind::UnexpectedEof, "the terminal is gone");
    let mut polled = [PollFd::new(file, PollFlags::POLLIN)];
    match poll(&mut polled, PollTimeout::ZERO) {
        Ok(0) | Err(Errno::EINTR | Errno::EAGAIN) => return Ok(None),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let events = polled[0].revents().unwrap_or(PollFlags::empty());
    if !events.contains(PollFlags::POLLIN) {
        return Err(gone());
    }
    match read(file, bytes) {
        Ok(0) | Err(Errno::EIO) => Err(gone()),
        Ok(length) => Ok(Some(&bytes[..length])),
        Err(Errno::EINTR | Errno::EAGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Writes what was drawn as lines of text, with its styles.
pub fn print(buffer: &Buffer, out: &mut impl Write) -> io::Result<()> {
    let area = buffer.area;
    for y in 0..area.height {
        let mut style = ContentStyle::default();
        for x in 0..line_end(buffer, y) {
            let cell = &buffer[(x, y)];
            let wanted: ContentStyle = visible(cell.style()).into_crossterm();
            if wanted != style {
                queue!(out, SetAttribute(Attribute::Reset), SetStyle(wanted))?;
                style = wanted;
            }
            queue!(out, Print(cell.symbol()))?;
        }
        if style != ContentStyle::default() {
            queue!(out, SetAttribute(Attribute::Reset))?;
        }
        writeln!(out)?;
    }
    out.flush()
}

/// A style without what is as it always is.
fn visible(style: Style) -> Style {
    let chosen = |colour| Some(colour).filter(|colour| *colour != ratatui::style::Color::Reset);
    Style {
        fg: style.fg.and_then(chosen),
        bg: style.bg.and_then(chosen),
        underline_color: None,
        ..style
    }
}

/// Where the blanks at the end of a line begin.
fn line_end(buffer: &Buffer, y: u16) -> u16 {
    let blank = |x: &u16| {
        let cell = &buffer[(*x, y)];
        *cell == Cell::EMPTY
    };
    let width = buffer.area.width;
    let blanks = (0..width).rev().take_while(blank).count();
    width - u16::try_from(blanks).unwrap_or(width)
}

#[cfg(test)]
mod tests;
