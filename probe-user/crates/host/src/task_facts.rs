//! What `/proc` says of one thread: its time on a CPU, its niceness, its CPUs.

use std::{fs, path::Path};

use crate::cpus;

/// Facts about a thread; `None` where the kernel does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFacts {
    /// Its name (`comm`).
    pub name: Option<String>,
    /// Time on a CPU since it began, in nanoseconds (`schedstat`).
    pub ran_ns: Option<u64>,
    /// Its niceness.
    pub nice: Option<i32>,
    /// The CPU that it last ran on.
    pub last_cpu: Option<u32>,
    /// The CPUs that it may run on, in their order.
    pub cpus: Option<Vec<u32>>,
}

/// Where `stat` has the niceness and the last CPU, counted from the state on, which follows the name
/// (`do_task_stat`, `fs/proc/array.c` of Linux 6.12).
const NICE: usize = 16;
const LAST_CPU: usize = 36;

impl TaskFacts {
    /// Reads those of the thread with this id.
    #[must_use]
    pub fn read(root: &Path, tid: u32) -> Self {
        let text = |file: &str| fs::read_to_string(root.join(format!("proc/{tid}/{file}"))).ok();
        let schedstat = text("schedstat").unwrap_or_default();
        let stat = text("stat").unwrap_or_default();
        // A name may have spaces and brackets.
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let status = text("status").unwrap_or_default();
        let allowed = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        Self {
            name: text("comm").map(|name| name.trim_end().to_owned()),
            ran_ns: schedstat
                .split_whitespace()
                .next()
                .and_then(|time| time.parse().ok()),
            nice: fields.get(NICE).and_then(|nice| nice.parse().ok()),
            last_cpu: fields.get(LAST_CPU).and_then(|cpu| cpu.parse().ok()),
            cpus: allowed.and_then(cpus::parse_list),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_of_a_thread_are_read_whatever_its_name() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proc/131");
        fs::create_dir_all(&folder).unwrap();
        let write = |file: &str, text: &str| fs::write(folder.join(file), text).unwrap();
        write("comm", "ipvs-e:0) 1:0\n");
        write("schedstat", "81234567 4321 99\n");
        write(
            "stat",
            "131 (ipvs-e:0) 1:0) I 2 0 0 0 -1 2129984 0 0 0 0 0 8 0 0 20 -5 1 0 612 0 0 18446744073709551615 0 0 0 0 0 0 0 \
             2147483647 0 0 0 0 17 3 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
        );
        write("status", "Name:\tx\nCpus_allowed_list:\t0-1,3\n");
        let facts = TaskFacts::read(root.path(), 131);
        assert_eq!(facts.name.as_deref(), Some("ipvs-e:0) 1:0"));
        assert_eq!(facts.ran_ns, Some(81_234_567));
        assert_eq!(facts.nice, Some(-5));
        assert_eq!(facts.last_cpu, Some(3));
        assert_eq!(facts.cpus, Some(vec![0, 1, 3]));
        assert_eq!(TaskFacts::read(root.path(), 132), TaskFacts::default());
    }
}
