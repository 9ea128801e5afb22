//! The trace events of timers, and their records read.
//!
//! | event | Linux | fields |
//! |---|---|---|
//! | `timer_expire_entry` | 3.10 to 6.1 | `timer`, `now`, `function`; from 5.3 on `baseclk` |
//! | `timer_expire_exit` | 3.10 to 6.1 | `timer` |
//! | `timer_start` | 3.10 to 6.1 | `timer`, `function`, `expires`, `now`; later `flags` with the CPU and the bucket |
//!
//! (`include/trace/events/timer.h`.)

use std::{io, path::Path};

use host::tracefs::{self, Field, Format};
use model::wheel;

use super::{Due, Record, What};

/// The events, in the order of [`Formats`].
pub const EVENTS: [&str; 3] = [
    "timer/timer_expire_entry",
    "timer/timer_expire_exit",
    "timer/timer_start",
];

/// The number of the CPU in a timer's flags (`TIMER_CPUMASK`, `include/linux/timer.h` of Linux 4.8 to 6.1).
const CPU_MASK: u64 = 0x3_ffff;

/// Where the number of the bucket begins in them (`TIMER_ARRAYSHIFT`).
const BUCKET_SHIFT: u32 = 22;

/// What this kernel's records of timers look like.
#[derive(Debug)]
pub struct Formats {
    /// Every event's record has the task that was running, as the kernel numbers it.
    task: Field,
    entry: Entry,
    exit: Exit,
    start: Start,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    timer: Field,
    now: Field,
}

#[derive(Debug)]
struct Exit {
    id: u64,
    timer: Field,
}

#[derive(Debug)]
struct Start {
    id: u64,
    timer: Field,
    expires: Field,
    now: Field,
    /// `None` before Linux 4.2, whose timers expire when they say and not by the bucket of a wheel.
    flags: Option<Field>,
    /// The flags have the bucket that the timer is queued in (Linux 5.3 on).
    has_bucket: bool,
}

impl Formats {
    /// Reads those of this kernel.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or lacks a field.
    pub fn read(tracefs: &Path) -> io::Result<Self> {
        let format = |event: &str| tracefs::format(tracefs, event);
        let [entry, exit, start] = EVENTS;
        Self::of(&format(entry)?, &format(exit)?, &format(start)?)
            .ok_or_else(|| io::Error::other("the trace events of timers have no such fields"))
    }

    fn of(entry: &Format, exit: &Format, start: &Format) -> Option<Self> {
        Some(Self {
            task: entry.field("common_pid")?,
            entry: Entry {
                id: entry.id,
                timer: entry.field("timer")?,
                now: entry.field("now")?,
            },
            exit: Exit {
                id: exit.id,
                timer: exit.field("timer")?,
            },
            start: Start {
                id: start.id,
                timer: start.field("timer")?,
                expires: start.field("expires")?,
                now: start.field("now")?,
                flags: start.field("flags"),
                has_bucket: entry.field("baseclk").is_some(),
            },
        })
    }

    /// Returns the numbers of the events, in the order of [`EVENTS`].
    #[must_use]
    pub fn ids(&self) -> [u64; 3] {
        [self.entry.id, self.exit.id, self.start.id]
    }

    /// Reads a record as the kernel wrote it on a CPU; `None` for one of another event, or that is cut short.
    #[must_use]
    pub fn read_record(&self, cpu: u32, time_ns: u64, record: &[u8]) -> Option<Record> {
        let id = u64::from(u16::from_le_bytes(*record.first_chunk()?));
        let what = if id == self.entry.id {
            What::Entered {
                timer: self.entry.timer.of(record)?,
                jiffies: self.entry.now.of(record)?,
            }
        } else if id == self.exit.id {
            let timer = self.exit.timer.of(record)?;
            What::Left { timer }
        } else if id == self.start.id {
            self.start.read(record)?
        } else {
            return None;
        };
        Some(Record {
            time_ns,
            cpu,
            tid: u32::try_from(self.task.of(record)?).ok()?,
            what,
        })
    }
}

impl Start {
    fn read(&self, record: &[u8]) -> Option<What> {
        let expires = self.expires.of(record)?;
        let jiffies = self.now.of(record)?;
        let due = match self.flags {
            Some(flags) => self.due(expires, jiffies, flags.of(record)?),
            // Such a timer is run in the very jiffy: one before it ends the wait for it.
            None => Due {
                expires: expires.saturating_sub(1),
                level: 0,
                cpu: None,
            },
        };
        Some(What::Set {
            timer: self.timer.of(record)?,
            jiffies,
            due,
        })
    }

    fn due(&self, expires: u64, jiffies: u64, flags: u64) -> Due {
        let bucket = u32::try_from(flags >> BUCKET_SHIFT).unwrap_or(0);
        let level = if self.has_bucket {
            wheel::level_of_bucket(bucket)
        } else {
            wheel::level(expires.saturating_sub(jiffies))
        };
        Due {
            expires,
            level,
            cpu: u32::try_from(flags & CPU_MASK).ok(),
        }
    }
}

#[cfg(test)]
mod tests;
