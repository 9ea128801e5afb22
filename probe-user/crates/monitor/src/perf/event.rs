//! An event of perf, opened.

use std::{
    ffi::{CString, c_ulong},
    fs::{self, File},
    io,
    os::fd::{AsRawFd as _, FromRawFd as _},
    path::Path,
};

use nix::libc::CLOCK_MONOTONIC;
use perf_event_open_sys::{
    bindings::{
        PERF_FLAG_FD_CLOEXEC, PERF_SAMPLE_REGS_INTR, PERF_TYPE_TRACEPOINT, perf_event_attr,
    },
    ioctls, perf_event_open,
};

use super::sample::SAMPLE_TYPE;

/// An event, which records once it is enabled.
#[derive(Debug)]
pub struct Event(File);

/// What `perf_event_open` takes for them.
const EVERY_TASK: i32 = -1;
const THIS_THREAD: i32 = 0;
const ANY_CPU: i32 = -1;
const NO_GROUP: i32 = -1;

/// The register that has a function's second argument, in perf's numbering (`PERF_REG_X86_SI`, `PERF_REG_ARM64_X1`).
const SECOND_ARGUMENT: u64 = if cfg!(target_arch = "x86_64") { 4 } else { 1 };

impl Event {
    /// Opens a trace event, by its number, on a CPU.
    ///
    /// # Errors
    ///
    /// When the kernel refuses it: to this user, without the clock, or because that CPU is offline (`ENODEV`).
    pub fn tracepoint(id: u64, cpu: u32) -> io::Result<Self> {
        let mut attributes = perf_event_attr::default();
        attributes.type_ = PERF_TYPE_TRACEPOINT;
        attributes.config = id;
        attributes.sample_type = u64::from(SAMPLE_TYPE);
        attributes.clockid = CLOCK_MONOTONIC;
        attributes.set_use_clockid(1);
        attributes.__bindgen_anon_1.sample_period = 1;
        Self::open(
            attributes,
            EVERY_TASK,
            i32::try_from(cpu).map_err(io::Error::other)?,
        )
    }

    /// Opens a probe at the beginning of a function, by its address, for this thread alone. Its samples have the function's
    /// second argument.
    ///
    /// # Errors
    ///
    /// When the kernel has no such probes, or refuses it to this user.
    pub fn second_argument(root: &Path, function: u64) -> io::Result<Self> {
        let mut attributes = perf_event_attr::default();
        attributes.type_ = probe_type(root)?;
        attributes.sample_type = u64::from(PERF_SAMPLE_REGS_INTR);
        attributes.sample_regs_intr = 1 << SECOND_ARGUMENT;
        attributes.__bindgen_anon_1.sample_period = 1;
        // Without a name, the kernel takes the address (`perf_kprobe_init`, `kernel/trace/trace_event_perf.c`).
        attributes.__bindgen_anon_4.kprobe_addr = function;
        Self::open(attributes, THIS_THREAD, ANY_CPU)
    }

    /// Opens a probe at the beginning of a function, by its address, on a CPU. Its samples are empty: that there is one, tells.
    ///
    /// # Errors
    ///
    /// As [`Self::second_argument`].
    pub fn hits(root: &Path, function: u64, cpu: u32) -> io::Result<Self> {
        let mut attributes = perf_event_attr::default();
        attributes.type_ = probe_type(root)?;
        attributes.__bindgen_anon_1.sample_period = 1;
        attributes.__bindgen_anon_4.kprobe_addr = function;
        Self::open(
            attributes,
            EVERY_TASK,
            i32::try_from(cpu).map_err(io::Error::other)?,
        )
    }

    fn open(mut attributes: perf_event_attr, task: i32, cpu: i32) -> io::Result<Self> {
        attributes.size = u32::try_from(size_of::<perf_event_attr>()).unwrap_or(u32::MAX);
        // The kernel wakes readers no earlier than when the ring is full, and none sleeps.
        attributes.__bindgen_anon_2.wakeup_watermark = u32::MAX;
        attributes.set_watermark(1);
        attributes.set_disabled(1);
        let flags = c_ulong::from(PERF_FLAG_FD_CLOEXEC);
        // SAFETY: the attributes are whole, and live until the call returns.
        let descriptor =
            unsafe { perf_event_open(&raw mut attributes, task, cpu, NO_GROUP, flags) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just opened this descriptor, and no one else has it.
        Ok(Self(unsafe { File::from_raw_fd(descriptor) }))
    }

    /// The open event.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.0
    }

    /// Lets the kernel record those alone that fit a filter, as `function==0x...`. An event takes one filter.
    ///
    /// # Errors
    ///
    /// When the kernel does not take it: it is longer than a page, or names no field.
    pub fn filter(&self, filter: &str) -> io::Result<()> {
        let filter = CString::new(filter)?;
        // SAFETY: the text ends with a NUL, and lives until the call returns; the kernel only reads it.
        answer(unsafe { ioctls::SET_FILTER(self.0.as_raw_fd(), filter.as_ptr().cast_mut()) })
    }

    /// Lets the kernel write the records into the ring of another event on the same CPU.
    ///
    /// # Errors
    ///
    /// When the other has another clock, or is on another CPU.
    pub fn write_into(&self, other: &Self) -> io::Result<()> {
        // SAFETY: both descriptors are open.
        answer(unsafe { ioctls::SET_OUTPUT(self.0.as_raw_fd(), other.0.as_raw_fd()) })
    }

    /// Begins to record.
    ///
    /// # Errors
    ///
    /// When the kernel refuses it.
    pub fn enable(&self) -> io::Result<()> {
        // SAFETY: the descriptor is open.
        answer(unsafe { ioctls::ENABLE(self.0.as_raw_fd(), 0) })
    }
}

/// Returns the number that events of probes have on this kernel.
fn probe_type(root: &Path) -> io::Result<u32> {
    let kind = fs::read_to_string(root.join("sys/bus/event_source/devices/kprobe/type"))?;
    kind.trim().parse().map_err(io::Error::other)
}

fn answer(result: i32) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
