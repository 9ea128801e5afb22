//! What the kernel writes to its log from a moment on (`Documentation/ABI/testing/dev-kmsg` of Linux 6.1).

mod complaint;

use std::io;

use crate::ports::{Kernel, Log};
use complaint::is_complaint;

/// No record is longer (`CONSOLE_EXT_LOG_MAX`, `kernel/printk/printk.c`).
const RECORD: usize = 8_192;

/// Lines that are kept: a transition that is kept for hours writes one a second and more.
const MOST: usize = 1_000;

/// The log from the moment on in which this was opened.
pub struct KernelLog {
    records: Option<Box<dyn Log>>,
    lines: Vec<String>,
    /// The first line by which the kernel complained of itself, kept or not.
    complaint: Option<String>,
    /// Why there is nothing to read, or not all of it.
    trouble: Option<String>,
}

impl KernelLog {
    /// Begins here. Where the log cannot be read, that is told in place of its lines.
    pub fn from_now(kernel: &dyn Kernel) -> Self {
        let opened = kernel.log();
        let trouble = opened.as_ref().err();
        Self {
            trouble: trouble.map(|error| format!("(/dev/kmsg cannot be read: {error})")),
            records: opened.ok(),
            lines: Vec::new(),
            complaint: None,
        }
    }

    /// Takes in what has come since.
    pub fn read(&mut self) {
        let mut record = vec![0; RECORD];
        while let Some(records) = &mut self.records {
            match records.next(&mut record) {
                Ok(length @ 1..) => self.keep(message(&record[..length])),
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    self.trouble = Some("(older lines were overwritten)".into());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    self.trouble = Some(format!("(/dev/kmsg cannot be read: {error})"));
                    return;
                }
                Ok(_) | Err(_) => return,
            }
        }
    }

    fn keep(&mut self, message: Option<Message>) {
        // The kernel did not write this record: a process did.
        let Some(message) = message.filter(|message| message.is_kernels) else {
            return;
        };
        if self.complaint.is_none() && message.is_whole && is_complaint(&message.text) {
            self.complaint = Some(message.text.clone());
        }
        self.lines.push(message.text);
        if self.lines.len() > MOST {
            self.lines.drain(..MOST / 2);
            self.trouble = Some("(older lines are left out)".into());
        }
    }

    /// The lines so far, oldest first.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The first line by which the kernel complained of itself.
    #[must_use]
    pub fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    /// Why lines are missing, if some are.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}

/// Returns the text of a record that the kernel wrote: `prefix,fields;text`, and lines that begin with a space for its
/// dictionary.
///
/// The prefix is facility and level (`facility << 3 | level`). A process that writes to `/dev/kmsg` gets a facility of
/// users: it cannot name 0, which is the kernel's (`devkmsg_write`, `kernel/printk/printk.c` of Linux 6.1). Bytes that
/// are no printable ASCII are escaped by the kernel, line ends included.
fn message(record: &[u8]) -> Option<Message> {
    let record = String::from_utf8_lossy(record);
    let (fields, rest) = record.split_once(';')?;
    let mut fields = fields.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    // `-`, or `c` and `+` for a record that continues a line.
    let is_whole = fields.nth(2) == Some("-");
    Some(Message {
        is_kernels: priority >> 3 == 0,
        is_whole,
        text: rest.lines().next().unwrap_or_default().to_owned(),
    })
}

/// What a record says.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    /// The kernel wrote it, and no process.
    is_kernels: bool,
    /// It is the beginning of a line.
    is_whole: bool,
    text: String,
}

#[cfg(test)]
pub(crate) mod tests;
