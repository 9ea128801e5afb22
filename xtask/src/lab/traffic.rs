//! Bytes between this process and a guest, each stream in a thread of its own.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};

use super::archive::Archive;
use super::event::Event;
use crate::wire::{self, CHUNK, Input, ToGuest, ToHost};

/// The way to tell the guest something, from any thread.
#[derive(Clone)]
pub struct Talk(Arc<Mutex<UnixStream>>);

impl Talk {
    /// Speaks on `line`, which something else listens to.
    pub fn new(line: &UnixStream) -> Result<Self> {
        Ok(Self(Arc::new(Mutex::new(
            line.try_clone().context("cannot share the control line")?,
        ))))
    }

    /// Tells the guest something; that it has just stopped is noticed elsewhere, by its line's end.
    pub fn say(&self, message: &ToGuest) {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = wire::send(&mut *line, message);
    }
}

/// Reads what the guest says: output goes straight on, everything else becomes an event.
pub fn hear(
    mut control: UnixStream,
    mut output: [Box<dyn Write + Send>; 2],
    talk: Talk,
    events: Sender<Event>,
) {
    thread::spawn(move || {
        loop {
            let event = match wire::receive(&mut control) {
                Ok(Some(ToHost::Output(stream, bytes))) => {
                    let sink = &mut output[stream as usize];
                    // Nobody reads it any more: what the command would be told on the host, it is told in the guest.
                    if sink.write_all(&bytes).and_then(|()| sink.flush()).is_err() {
                        talk.say(&ToGuest::Closed(stream));
                    }
                    continue;
                }
                Ok(Some(ToHost::Booted)) => Event::Booted,
                Ok(Some(ToHost::Filled)) => Event::Filled,
                Ok(Some(ToHost::Starting)) => Event::Starting,
                Ok(Some(ToHost::Ended { code, filled_in })) => Event::Exit { code, filled_in },
                Ok(Some(ToHost::Failed(why))) => Event::Failed(why),
                Ok(None) | Err(_) => Event::Gone,
            };
            let last = matches!(event, Event::Gone);
            if events.send(event).is_err() || last {
                return;
            }
        }
    });
}

/// Packs `files` into the guest.
///
/// A line into the guest stays open until the machine has stopped: QEMU drops what it has not passed on when it closes.
pub fn send_files(files: Vec<(PathBuf, String)>, line: UnixStream, events: Sender<Event>) {
    thread::spawn(move || {
        let pack = |line: &UnixStream| {
            let mut archive = Archive::new(line);
            files
                .iter()
                .try_for_each(|(source, name)| archive.add(source, name))?;
            archive.finish().map(|_| ())
        };
        let event = pack(&line).map_or_else(
            |error| Event::Failed(format!("{error:#}")),
            |()| Event::Sent(line),
        );
        let _ = events.send(event);
    });
}

/// Carries standard input to the guest, as fast as the command there takes it.
pub fn feed(input: Option<Box<dyn Read + Send>>, mut line: UnixStream, events: Sender<Event>) {
    thread::spawn(move || {
        let mut buffer = vec![0; CHUNK];
        let mut input = input.unwrap_or_else(|| Box::new(std::io::empty()));
        loop {
            let message = match input.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Ok(0) | Err(_) => Input::End,
                Ok(bytes) => Input::Data(buffer[..bytes].to_vec()),
            };
            let last = matches!(message, Input::End);
            if wire::send(&mut line, &message).is_err() || last {
                let _ = events.send(Event::Sent(line));
                return;
            }
        }
    });
}
