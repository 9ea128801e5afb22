//! The records in a ring (`perf_output_sample`, `kernel/events/core.c` of Linux 3.10 to 6.1).

use perf_event_open_sys::bindings::{
    PERF_RECORD_LOST, PERF_RECORD_SAMPLE, PERF_SAMPLE_CPU, PERF_SAMPLE_ID, PERF_SAMPLE_RAW,
    PERF_SAMPLE_TID, PERF_SAMPLE_TIME,
};

/// What each sample tells: all else costs a run more instructions. The CPU is that of the ring, and the raw record has the task.
pub const SAMPLE_TYPE: u32 = PERF_SAMPLE_TIME | PERF_SAMPLE_RAW;

/// Parts of eight bytes before and behind the time, in their order.
const BEFORE_TIME: [u32; 1] = [PERF_SAMPLE_TID];
const BEHIND_TIME: [u32; 2] = [PERF_SAMPLE_ID, PERF_SAMPLE_CPU];

/// Where no registers follow (`PERF_SAMPLE_REGS_ABI_NONE`).
const NO_REGISTERS: u64 = 0;

/// Bytes of `struct perf_event_header`: type, miscellaneous, size.
const HEADER: usize = 8;

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// An event happened.
    Sample(Sample<'a>),
    /// So many samples found the ring full.
    Lost(u64),
}

/// An event, as its sample has it.
#[derive(Debug, PartialEq, Eq)]
pub struct Sample<'a> {
    /// When, in nanoseconds of the clock that was asked for.
    pub time_ns: u64,
    /// The record of the trace event.
    pub raw: &'a [u8],
}

/// Returns the records in bytes that were read from a ring of samples of that type. What is cut short is none, nor is what
/// follows it.
pub fn entries(bytes: &[u8], sample_type: u32) -> impl Iterator<Item = Entry<'_>> {
    let mut left = bytes;
    std::iter::from_fn(move || {
        loop {
            let (kind, body, behind) = split(left)?;
            left = behind;
            if let Some(entry) = entry(kind, body, sample_type) {
                return Some(entry);
            }
        }
    })
}

fn split(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let header = bytes.first_chunk::<HEADER>()?;
    let [k0, k1, k2, k3, _, _, s0, s1] = *header;
    let size = usize::from(u16::from_le_bytes([s0, s1]));
    let body = bytes.get(HEADER..size)?;
    let kind = u32::from_le_bytes([k0, k1, k2, k3]);
    Some((kind, body, bytes.get(size..)?))
}

fn entry(kind: u32, body: &[u8], sample_type: u32) -> Option<Entry<'_>> {
    match kind {
        PERF_RECORD_SAMPLE => sample(body, sample_type).map(Entry::Sample),
        // Which event it was, and how many.
        PERF_RECORD_LOST => number(body, 8).map(Entry::Lost),
        _ => None,
    }
}

fn sample(body: &[u8], sample_type: u32) -> Option<Sample<'_>> {
    let bytes = |parts: &[u32]| {
        let there = parts.iter().filter(|part| sample_type & **part != 0);
        there.count() * 8
    };
    let time = bytes(&BEFORE_TIME);
    let raw = time + 8 + bytes(&BEHIND_TIME);
    let length = usize::try_from(half(body, raw)?).ok()?;
    Some(Sample {
        time_ns: number(body, time)?,
        raw: body.get(raw + 4..)?.get(..length)?,
    })
}

/// Returns the registers in bytes that were read from the ring of an event that samples one register alone.
pub fn registers(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let mut left = bytes;
    std::iter::from_fn(move || {
        loop {
            let (kind, body, behind) = split(left)?;
            left = behind;
            // The convention of the registers comes first; it is none where there are no registers.
            if kind == PERF_RECORD_SAMPLE && number(body, 0) != Some(NO_REGISTERS) {
                return number(body, 8);
            }
        }
    })
}

fn number(bytes: &[u8], offset: usize) -> Option<u64> {
    let eight = bytes.get(offset..)?.first_chunk()?;
    Some(u64::from_le_bytes(*eight))
}

fn half(bytes: &[u8], offset: usize) -> Option<u32> {
    let four = bytes.get(offset..)?.first_chunk()?;
    Some(u32::from_le_bytes(*four))
}

#[cfg(test)]
mod tests;
