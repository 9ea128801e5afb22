//! What a run's streams are on the host: this process's own, or memory.

use std::io::{Write, stderr, stdin, stdout};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;

use super::conversation::{Ended, Listener};
use super::event::Event;
use super::progress::Progress;
use super::session::{Session, Streams};
use super::terminal::{self, Raw};
use super::{LabSpec, Outcome};
use crate::wire::Kind;

/// Runs with this process's own streams and signals; returns the exit code.
pub fn inherit(spec: &LabSpec, command: Vec<String>) -> Result<u8> {
    let kinds = terminal::kinds();
    let terminal = terminal::wanted(kinds);
    let streams = Streams {
        input: Some(Box::new(stdin())),
        output: [Box::new(stdout()), Box::new(stderr())],
        kinds,
        terminal,
    };
    let raw = terminal.is_some_and(|terminal| terminal.raw);
    let mut user = User {
        progress: Progress::on_terminal(),
        wants_raw: raw,
        raw: None,
    };
    let session = Session::prepare(spec, command, &mut user)?;
    // Only now: until here a signal simply ends this process, and a build with it.
    let (sender, receiver) = mpsc::channel();
    watch_signals(sender.clone())?;
    let ended = session.run(streams, (sender, receiver), &mut user);
    drop(user);
    if raw && ended.as_ref().map_or(true, |ended| ended.is_cut_off) {
        terminal::leave_screen();
    }
    let ended = ended?;
    if let Some(notice) = ended.notice {
        eprintln!("lab: {notice}");
    }
    Ok(ended.code)
}

/// The person at the terminal, if any.
struct User {
    progress: Progress,
    wants_raw: bool,
    raw: Option<Raw>,
}

impl Listener for User {
    fn say(&mut self, text: &str) {
        match text {
            "" => self.progress.clear(),
            text => self.progress.say(text),
        }
    }

    fn hand_over(&mut self) -> Result<()> {
        if self.wants_raw {
            self.raw = Some(Raw::enter()?);
        }
        Ok(())
    }
}

fn watch_signals(events: Sender<Event>) -> Result<()> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP, SIGWINCH]).context("cannot watch for signals")?;
    thread::spawn(move || {
        for signal in signals.forever() {
            let event = match signal {
                SIGWINCH => Event::Resize(terminal::size()),
                other => Event::Signal(other),
            };
            if events.send(event).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Runs with nothing on standard input and keeps what the command writes. A guest that hangs before its command
/// starts is given up, which is told, and another one is started.
pub fn capture(spec: &LabSpec, command: Vec<String>) -> Result<Outcome> {
    let (ended, outcome) = attempt(spec, command.clone())?;
    if !ended.has_hung_early() {
        return Ok(outcome);
    }
    eprintln!("lab: {}; started again", ended.notice.unwrap_or_default());
    attempt(spec, command).map(|(_, outcome)| outcome)
}

fn attempt(spec: &LabSpec, command: Vec<String>) -> Result<(Ended, Outcome)> {
    let session = Session::prepare(spec, command, &mut Nobody)?;
    let [out, err] = [Memory::default(), Memory::default()];
    let streams = Streams {
        input: None,
        output: [Box::new(out.clone()), Box::new(err.clone())],
        kinds: [Kind::Pipe; 3],
        terminal: None,
    };
    let ended = session.run(streams, mpsc::channel(), &mut Nobody)?;
    let outcome = Outcome {
        code: ended.code,
        notice: ended.notice.clone(),
        stdout: out.take(),
        stderr: err.take(),
        console: ended.console.clone(),
        filled_in: ended.filled_in,
    };
    Ok((ended, outcome))
}

/// No one to show anything to.
struct Nobody;

impl Listener for Nobody {
    fn say(&mut self, _: &str) {}

    fn hand_over(&mut self) -> Result<()> {
        Ok(())
    }
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
