//! What the host and PID 1 of the guest say to each other.
//!
//! One virtio-serial device with three named ports: [`CONTROL`] carries messages both ways, [`STDIN`] the command's
//! standard input (apart, so that a command that does not read it never holds up a message), [`FILES`] a cpio archive
//! of what the run brings along. A message is its length, four bytes little-endian, and its postcard encoding.

use std::io::{self, Read, Write};
use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Name of the port that carries [`ToHost`] and [`ToGuest`].
pub const CONTROL: &str = "lab.control";
/// Name of the port that carries [`Input`].
pub const STDIN: &str = "lab.stdin";
/// Name of the port that carries the archive of files.
pub const FILES: &str = "lab.files";

/// The most bytes of a stream that one message carries.
pub const CHUNK: usize = 64 * 1024;
/// No message is longer: a larger length is a broken stream.
const LONGEST: usize = 16 * 1024 * 1024;

/// One of the command's output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What a standard stream of the command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The terminal of the run, because it is a terminal on the host.
    Terminal,
    /// A pipe.
    Pipe,
}

/// Rows and columns of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// The run's terminal, there when any standard stream is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    /// Its size when the command starts.
    pub size: Size,
    /// The host's terminal is raw, so the guest's does the echo, the line editing and the line ends.
    pub raw: bool,
}

/// What IPVS is to hold.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// Virtual services, in the first network namespace.
    pub services: u32,
    /// Destinations of each service.
    pub destinations: u32,
    /// Network namespaces beside the first, without services.
    pub namespaces: u32,
}

/// Everything PID 1 has to know about one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Program and arguments; never empty.
    pub command: Vec<String>,
    /// Variables added to the guest's own environment.
    pub environment: Vec<(String, String)>,
    /// Standard input, output and error.
    pub streams: [Kind; 3],
    /// The terminal, when one of the streams is one.
    pub terminal: Option<Terminal>,
    /// Whether a disk is to be mounted.
    pub disk: bool,
    /// Whether Debian's systemd is to become PID 1 before the command starts.
    pub systemd: bool,
    /// The time of day on the host, in seconds since 1970.
    pub now: i64,
}

/// A message of the guest.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToHost {
    /// PID 1 is up and waits for its [`Fill`].
    Booted,
    /// IPVS holds what it is to hold; PID 1 waits for its [`Run`].
    Filled,
    /// Everything is ready for the command, which now starts.
    Starting,
    /// Bytes of the command's output.
    Output(Stream, #[serde(with = "serde_bytes")] Vec<u8>),
    /// The command has ended; everything it wrote has been sent, and the disk is unmounted.
    Ended {
        /// Its exit code.
        code: u8,
        /// Guest time that filling IPVS took.
        filled_in: Duration,
    },
    /// PID 1 could not do what the run asks, in one sentence.
    Failed(String),
}

/// A message of the host.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToGuest {
    /// What to make first.
    Fill(Fill),
    /// What to do then.
    Run(Box<Run>),
    /// The terminal has another size now.
    Resize(Size),
    /// Send this signal to the command's process group.
    Signal(i32),
    /// Nobody reads this stream any more.
    Closed(Stream),
}

/// A message on the standard input port.
#[derive(Debug, Serialize, Deserialize)]
pub enum Input {
    /// Bytes for the command.
    Data(#[serde(with = "serde_bytes")] Vec<u8>),
    /// The host's standard input has ended.
    End,
}

/// Writes one message.
///
/// # Errors
/// When the other side is gone.
pub fn send<M: Serialize>(to: &mut impl Write, message: &M) -> io::Result<()> {
    let mut frame = postcard::to_extend(message, vec![0; 4]).map_err(io::Error::other)?;
    let length = u32::try_from(frame.len() - 4).map_err(io::Error::other)?;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    to.write_all(&frame)?;
    to.flush()
}

/// Reads one message; `None` when the other side has closed between two of them.
///
/// # Errors
/// When the stream ends inside a message or carries something else.
pub fn receive<M: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<M>> {
    let mut length = [0; 4];
    let first = from.read(&mut length)?;
    if first == 0 {
        return Ok(None);
    }
    from.read_exact(&mut length[first..])?;
    let length = u32::from_le_bytes(length) as usize;
    if length > LONGEST {
        return Err(io::Error::other(format!(
            "a message of {length} bytes is no message of ours"
        )));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    postcard::from_bytes(&body)
        .map(Some)
        .map_err(io::Error::other)
}

/// Reads a stream of each kind of message to its end: for the fuzz target, and for a test of its seeds.
#[cfg(any(test, fuzzing))]
pub fn feed(bytes: &[u8]) {
    fn all<M: DeserializeOwned>(mut from: &[u8]) {
        while let Ok(Some(message)) = receive::<M>(&mut from) {
            drop(std::hint::black_box(message));
        }
    }
    all::<ToHost>(bytes);
    all::<ToGuest>(bytes);
    all::<Input>(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kept_input_of_the_fuzz_target_is_read() {
        let seeds = crate::checkout::folder().unwrap().join("fuzz/seeds/wire");
        let files: Vec<_> = std::fs::read_dir(seeds).unwrap().collect();
        assert!(!files.is_empty());
        for file in files {
            feed(&std::fs::read(file.unwrap().path()).unwrap());
        }
    }

    #[test]
    fn a_message_comes_back_as_it_was_sent() {
        let mut pipe = Vec::new();
        send(&mut pipe, &ToHost::Output(Stream::Err, vec![0, 255, 10])).unwrap();
        send(&mut pipe, &ToHost::Filled).unwrap();
        let mut from = pipe.as_slice();
        let first = receive::<ToHost>(&mut from).unwrap();
        assert!(matches!(first, Some(ToHost::Output(Stream::Err, bytes)) if bytes == [0, 255, 10]));
        assert!(matches!(
            receive::<ToHost>(&mut from).unwrap(),
            Some(ToHost::Filled)
        ));
        assert!(receive::<ToHost>(&mut from).unwrap().is_none());
    }

    #[test]
    fn a_stream_that_breaks_off_inside_a_message_is_an_error() {
        let mut pipe = Vec::new();
        send(&mut pipe, &ToHost::Failed("no disk".into())).unwrap();
        pipe.pop();
        assert!(receive::<ToHost>(&mut pipe.as_slice()).is_err());
    }

    #[test]
    fn a_length_beyond_reason_is_refused_before_anything_is_allocated() {
        assert!(receive::<ToHost>(&mut [255; 8].as_slice()).is_err());
    }
}
