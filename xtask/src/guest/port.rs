//! The guest's ends of the virtio-serial ports.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::libc::O_NONBLOCK;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::wire::{self, ToGuest, ToHost};

/// How often a port that the host has not announced yet is looked for, and how long it rests in between.
const LOOKS: u32 = 6_000;
const REST: Duration = Duration::from_millis(5);

/// One port.
///
/// Opened without blocking, and waited for with `poll`: a blocking write to a port spins in the kernel with interrupts
/// off until the host has read, so a slow reader on the host would look like a lockup here.
pub struct Port(File);

impl Port {
    /// Opens the port the host named `name`, waiting for it to appear.
    pub fn open(name: &str) -> Result<Self> {
        for _ in 0..LOOKS {
            if let Some(device) = find(Path::new("/sys/class/virtio-ports"), name) {
                let file = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .custom_flags(O_NONBLOCK)
                    .open(&device);
                return Ok(Self(
                    file.with_context(|| format!("cannot open {}", device.display()))?,
                ));
            }
            std::thread::sleep(REST);
        }
        bail!("the host offers no port named {name}")
    }

    /// Waits for something to read without resting.
    ///
    /// Where guest time counts instructions, the time of a guest that rests runs ahead by seconds while the host does
    /// anything at all; kept busy, it stays where it is. For waits that are short on the host.
    pub fn spin(&self) -> io::Result<()> {
        while poll(
            &mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)],
            PollTimeout::ZERO,
        )? == 0
        {}
        Ok(())
    }

    fn wait(&self, flags: PollFlags) -> io::Result<()> {
        poll(&mut [PollFd::new(self.0.as_fd(), flags)], PollTimeout::NONE)?;
        Ok(())
    }
}

fn find(class: &Path, name: &str) -> Option<PathBuf> {
    fs::read_dir(class).ok()?.flatten().find_map(|entry| {
        let found = fs::read_to_string(entry.path().join("name")).ok()?;
        (found.trim_end() == name).then(|| Path::new("/dev").join(entry.file_name()))
    })
}

impl Read for &Port {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match (&self.0).read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait(PollFlags::POLLIN)?;
                }
                done => return done,
            }
        }
    }
}

impl Write for &Port {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match (&self.0).write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait(PollFlags::POLLOUT)?;
                }
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The control port, shared by everything that has something to tell the host.
pub struct HostLine {
    port: Port,
    speaking: Mutex<()>,
}

impl HostLine {
    /// Takes over the control port.
    pub fn new(port: Port) -> Self {
        Self {
            port,
            speaking: Mutex::new(()),
        }
    }

    /// Tells the host something; waits as long as the host does not read.
    pub fn tell(&self, message: &ToHost) -> io::Result<()> {
        let _turn = self.speaking.lock().unwrap_or_else(PoisonError::into_inner);
        wire::send(&mut &self.port, message)
    }

    /// Waits for a message that the host sends at once.
    pub fn listen_soon(&self) -> io::Result<Option<ToGuest>> {
        self.port.spin()?;
        self.listen()
    }

    /// Waits for the host's next message; `None` when it is gone. Only one thread at a time may listen.
    pub fn listen(&self) -> io::Result<Option<ToGuest>> {
        wire::receive(&mut &self.port)
    }
}
