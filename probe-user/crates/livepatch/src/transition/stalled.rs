//! The tasks that keep a transition from its end (`Documentation/livepatch/livepatch.rst`: `patch_state`).

use std::{fmt, fs, path::Path};

use serde::Serialize;

use super::reason::Reasons;
use model::printable::printable;

/// Frames of a stack that are shown.
const FRAMES: usize = 8;

/// Where the processor is among the fields that follow the name in `/proc/TID/stat` (`proc(5)`: the 39th of all).
const PROCESSOR: usize = 39 - 3;

/// Where a transition goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Towards {
    /// The new code.
    Patched,
    /// The old code.
    Unpatched,
}

impl Towards {
    /// The way back.
    #[must_use]
    pub fn back(self) -> Self {
        match self {
            Self::Patched => Self::Unpatched,
            Self::Unpatched => Self::Patched,
        }
    }

    /// The `patch_state` of a task that is not there yet.
    fn behind(self) -> &'static str {
        match self {
            Self::Patched => "0",
            Self::Unpatched => "1",
        }
    }
}

/// A task that is still on the other side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stalled {
    /// Number of the thread.
    pub tid: u32,
    /// What it is called.
    pub comm: String,
    /// The CPU that it is on now; `None` for one that does not run.
    pub running_on: Option<u32>,
    /// Where it sleeps in the kernel, innermost first; nothing where that is not told.
    pub stack: Vec<String>,
    /// The kernel's own reason.
    pub reason: Option<String>,
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (tid {})", self.comm, self.tid)?;
        if let Some(cpu) = self.running_on {
            write!(f, " on CPU {cpu}")?;
        }
        if let Some(reason) = &self.reason {
            write!(f, " {reason}")?;
        }
        if !self.stack.is_empty() {
            write!(f, ", stack: {}", self.stack.join(" < "))?;
        }
        Ok(())
    }
}

/// All of them, in the order of their numbers. Idle CPUs, which can stall too, have no entry in `/proc`.
#[must_use]
pub fn tasks(root: &Path, towards: Towards, reasons: &Reasons) -> Vec<Stalled> {
    let processes = numbers(&root.join("proc"));
    let threads = processes.flat_map(|pid| {
        let folder = root.join(format!("proc/{pid}/task"));
        numbers(&folder).map(move |tid| (tid, folder.join(tid.to_string())))
    });
    let behind = threads.filter(|(_, folder)| {
        let state = fs::read_to_string(folder.join("patch_state"));
        state.is_ok_and(|state| state.trim() == towards.behind())
    });
    let mut stalled: Vec<Stalled> = behind
        .map(|(tid, folder)| task(tid, &folder, reasons.reason_of(tid)))
        .collect();
    stalled.sort_by_key(|task| task.tid);
    stalled
}

fn task(tid: u32, folder: &Path, reason: Option<&str>) -> Stalled {
    let read = |file: &str| {
        let bytes = fs::read(folder.join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Stalled {
        tid,
        comm: printable(read("comm").trim_end()),
        running_on: running_on(&read("stat")),
        stack: stack(&read("stack")),
        reason: reason.map(str::to_owned),
    }
}

/// The CPU of a task in state R.
fn running_on(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    (*fields.first()? == "R").then(|| fields.get(PROCESSOR)?.parse().ok())?
}

/// `[<0>] msleep+0x2d/0x40`: the functions alone, as fit for a terminal, for a module names its own as it likes.
fn stack(text: &str) -> Vec<String> {
    let functions = text.lines().filter_map(|line| {
        let (_, place) = line.split_once("] ")?;
        let name = place.split(['+', ' ']).next()?;
        Some(printable(name))
    });
    functions.take(FRAMES).collect()
}

fn numbers(folder: &Path) -> impl Iterator<Item = u32> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_on_the_other_side_are_told_with_where_they_are() {
        let root = tempfile::tempdir().unwrap();
        let rest = " 0".repeat(PROCESSOR - 1);
        for (tid, state, comm, letter) in [
            (7, "0", "spin (x) y", "R"),
            (8, "0", "n\x1b[2Jap", "D"),
            (9, "1", "through", "S"),
            (10, "-1", "none", "S"),
        ] {
            let folder = root.path().join(format!("proc/{tid}/task/{tid}"));
            fs::create_dir_all(&folder).unwrap();
            let stat = format!("{tid} ({comm}) {letter}{rest} 3 0\n");
            let stack = "[<0>] msleep+0x2d/0x40\n[<0>] hold_nap+0x1/0x2 [hold]\n";
            let stack = if letter == "R" { "" } else { stack };
            for (file, text) in [
                ("patch_state", format!("{state}\n")),
                ("comm", format!("{comm}\n")),
                ("stat", stat),
                ("stack", stack.into()),
            ] {
                fs::write(folder.join(file), text).unwrap();
            }
        }
        let lines =
            ["livepatch: klp_try_switch_task: nap:8 is sleeping on function hold_nap".to_owned()];
        let told = |towards| -> Vec<String> {
            let tasks = tasks(root.path(), towards, &Reasons::parse(&lines));
            tasks.iter().map(Stalled::to_string).collect()
        };
        assert_eq!(
            told(Towards::Patched),
            [
                "spin (x) y (tid 7) on CPU 3",
                "n?[2Jap (tid 8) is sleeping on function hold_nap, stack: msleep < hold_nap"
            ]
        );
        assert_eq!(
            told(Towards::Unpatched),
            ["through (tid 9), stack: msleep < hold_nap"]
        );
    }
}
