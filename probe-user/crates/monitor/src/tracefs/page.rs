//! A page of the buffer of trace events (`include/linux/ring_buffer.h`, `kernel/trace/ring_buffer.c` of Linux 3.10 to 6.1).

use host::tracefs::{Field, Format};

/// Where a page keeps what, as `events/header_page` says.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    timestamp: Field,
    commit: Field,
    data: Field,
}

/// What a page holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// Records before this page found no room.
    Missed,
    /// A record of an event, and when it was made.
    Record(u64, &'a [u8]),
}

/// The length of the data, in the number that also has the flags.
const LENGTH: u64 = 0xf_ffff;

/// Records before this page were overwritten or dropped (`RB_MISSED_EVENTS`).
const MISSED: u64 = 1 << 31;

/// Kinds of entries beside records (`enum ring_buffer_type`).
const PADDING: u32 = 29;
const TIME_EXTEND: u32 = 30;
const TIME_STAMP: u32 = 31;

/// Bits of the kind, in the number that an entry begins with; the others are the time since the entry before.
const KIND_BITS: u32 = 5;

/// How many bits of a time that entry has; the rest of a longer one follows.
const DELTA_BITS: u32 = 27;

impl Layout {
    /// Reads the text of `events/header_page`; `None` where it lacks a field.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fields = Format::fields(text)?;
        let field = |name: &str| fields.get(name).copied();
        Some(Self {
            timestamp: field("timestamp")?,
            commit: field("commit")?,
            data: field("data")?,
        })
    }

    /// Returns how many bytes a page has.
    #[must_use]
    pub fn page_bytes(&self) -> usize {
        self.data.offset.saturating_add(self.data.size)
    }

    /// Hands over what a page holds, in its order. What is cut short ends it.
    pub fn entries<'a>(&self, page: &'a [u8], mut into: impl FnMut(Entry<'a>)) {
        let (Some(begin_ns), Some(commit)) = (self.timestamp.of(page), self.commit.of(page)) else {
            return;
        };
        if commit & MISSED != 0 {
            into(Entry::Missed);
        }
        let length = usize::try_from(commit & LENGTH).unwrap_or(usize::MAX);
        let data = page.get(self.data.offset..).unwrap_or_default();
        let mut left = &data[..length.min(data.len())];
        let mut time_ns = begin_ns;
        while let Some((passed, record, behind)) = next(left) {
            time_ns = match passed {
                Passed::Since(delta_ns) => time_ns.wrapping_add(delta_ns),
                Passed::At(now_ns) => now_ns,
            };
            left = behind;
            if let Some(record) = record {
                into(Entry::Record(time_ns, record));
            }
        }
    }
}

/// How an entry tells the time.
enum Passed {
    Since(u64),
    At(u64),
}

/// An entry's time, its record if it is one, and what is behind it.
type Split<'a> = (Passed, Option<&'a [u8]>, &'a [u8]);

/// Splits the first entry off.
fn next(bytes: &[u8]) -> Option<Split<'_>> {
    let (head, behind) = number(bytes)?;
    let (kind, delta) = (head & ((1 << KIND_BITS) - 1), u64::from(head >> KIND_BITS));
    match kind {
        PADDING => {
            // Without a time, the rest of the page is empty.
            let (length, _) = (delta > 0).then(|| number(behind))??;
            let behind = behind.get(usize::try_from(length).ok()?..)?;
            Some((Passed::Since(delta), None, behind))
        }
        TIME_EXTEND | TIME_STAMP => {
            let (upper, behind) = number(behind)?;
            let time = delta | u64::from(upper) << DELTA_BITS;
            let passed = if kind == TIME_EXTEND {
                Passed::Since(time)
            } else {
                Passed::At(time)
            };
            Some((passed, None, behind))
        }
        // A long record has its length in bytes before it, with that number itself.
        0 => {
            let (length, behind) = number(behind)?;
            let length = usize::try_from(length).ok()?.checked_sub(4)?;
            let record = behind.get(..length)?;
            Some((
                Passed::Since(delta),
                Some(record),
                behind.get(length.next_multiple_of(4)..)?,
            ))
        }
        words => {
            let (record, behind) = behind.split_at_checked(usize::try_from(words).ok()? * 4)?;
            Some((Passed::Since(delta), Some(record), behind))
        }
    }
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (four, behind) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*four), behind))
}

#[cfg(test)]
mod tests;
