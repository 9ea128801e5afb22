//! What the command writes, on its way to the host.

use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::port::HostLine;
use crate::wire::{CHUNK, Stream, ToHost};

/// Which of the streams nobody on the host reads any more.
#[derive(Default)]
pub struct Closed([AtomicBool; 2]);

impl Closed {
    /// Notes that `stream` is not read any more.
    pub fn close(&self, stream: Stream) {
        self.0[stream as usize].store(true, Ordering::Relaxed);
    }

    fn is_closed(&self, stream: Stream) -> bool {
        self.0[stream as usize].load(Ordering::Relaxed)
    }
}

/// Carries everything that `from` yields to the host, until its end or until nobody reads it there.
///
/// `from` is then dropped: a command that goes on writing into a pipe gets SIGPIPE, as it would on the host.
pub fn carry(
    mut from: impl Read + Send + 'static,
    stream: Stream,
    host: Arc<HostLine>,
    closed: Arc<Closed>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = vec![0; CHUNK];
        while !closed.is_closed(stream) {
            let bytes = match from.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // A terminal whose last process has gone says EIO instead of an end of file.
                Ok(0) | Err(_) => return,
                Ok(bytes) => bytes,
            };
            if host
                .tell(&ToHost::Output(stream, buffer[..bytes].to_vec()))
                .is_err()
            {
                return;
            }
        }
    })
}
