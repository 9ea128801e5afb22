//! Whether a namespace's statistics move: the estimator alone refreshes the plain ones, while those of each CPU go on by
//! themselves (`ip_vs_stats_show`, `ip_vs_stats_percpu_show`, `net/netfilter/ipvs/ip_vs_ctl.c` of Linux 6.1).

use std::{fs, path::Path};

use serde::Serialize;

use host::{netns::doors::Doors, netns_owners};

/// Both kinds at one moment: connections and packets together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    plain: u64,
    of_cpus: u64,
}

/// What the statistics did in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistics {
    /// They were refreshed.
    Live,
    /// There was traffic, and they stood still.
    Frozen,
}

impl Counters {
    /// Returns those of a namespace, where they can be read: through a process that lives there, or in the namespace.
    #[must_use]
    pub fn read(root: &Path, doors: &Doors, netns: u32) -> Option<Self> {
        let texts = |process: &str| {
            let read = |file| fs::read_to_string(root.join(format!("proc/{process}/net/{file}")));
            Ok((read("ip_vs_stats")?, read("ip_vs_stats_percpu")?))
        };
        let through = doors.process(netns).and_then(|pid| {
            netns_owners::while_in(root, pid, netns, || texts(&pid.to_string())).ok()
        });
        let (plain, of_cpus) =
            through.or_else(|| doors.inside(netns, || texts("thread-self")).ok())?;
        Some(Self {
            plain: sum(&plain)?,
            of_cpus: sum(&of_cpus)?,
        })
    }

    /// Connections and packets until `later`.
    #[must_use]
    pub fn traffic_until(self, later: Self) -> u64 {
        later.of_cpus.saturating_sub(self.of_cpus)
    }

    /// What happened until `later`; `None` without traffic.
    #[must_use]
    pub fn until(self, later: Self) -> Option<Statistics> {
        if later.plain != self.plain {
            return Some(Statistics::Live);
        }
        (later.of_cpus != self.of_cpus).then_some(Statistics::Frozen)
    }
}

/// The sum of the line of totals: the first without words in `ip_vs_stats`, the one of `~` in `ip_vs_stats_percpu`. Its
/// first three numbers are connections and packets, in hexadecimal.
fn sum(text: &str) -> Option<u64> {
    let numbers = |line: &str| -> Option<Vec<u64>> {
        let words = line.trim_start_matches([' ', '~']).split_whitespace();
        words
            .map(|word| u64::from_str_radix(word, 16).ok())
            .collect()
    };
    let totals = text
        .lines()
        .find(|line| line.trim_start().starts_with('~'))
        .and_then(numbers);
    let first = || {
        text.lines()
            .filter_map(numbers)
            .find(|found| found.len() >= 5)
    };
    let totals = totals.or_else(first)?;
    Some(
        totals
            .iter()
            .take(3)
            .fold(0, |sum, number| sum.wrapping_add(*number)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "\
   Total Incoming Outgoing         Incoming         Outgoing
   Conns  Packets  Packets            Bytes            Bytes
      1F       A0        1              B00                0

 Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
       0        0        0                0                0
";
    const OF_CPUS: &str = "\
       Total Incoming Outgoing         Incoming         Outgoing
CPU    Conns  Packets  Packets            Bytes            Bytes
  0       1F       A0        1              B00                0
  1        0        0        0                0                0
  ~       1F       A0        1              B00                0

     Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
           0        0        0                0                0
";

    #[test]
    fn both_files_are_told_by_their_totals() {
        assert_eq!(sum(PLAIN), Some(0x1f + 0xa0 + 1));
        assert_eq!(sum(OF_CPUS), sum(PLAIN));
        assert_eq!(sum("no numbers\n"), None);
    }

    #[test]
    fn statistics_that_stand_still_under_traffic_are_frozen() {
        let counters = |plain, of_cpus| Counters { plain, of_cpus };
        let before = counters(7, 9);
        assert_eq!(before.until(counters(7, 9)), None);
        assert_eq!(before.until(counters(7, 10)), Some(Statistics::Frozen));
        assert_eq!(before.until(counters(8, 10)), Some(Statistics::Live));
    }

    #[test]
    fn a_namespace_is_read_through_a_process_of_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proc/7/net");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("ip_vs_stats"), PLAIN).unwrap();
        fs::create_dir_all(root.path().join("proc/7/ns")).unwrap();
        let link = root.path().join("proc/7/ns/net");
        std::os::unix::fs::symlink("net:[5]", link).unwrap();
        let read = |netns| {
            let mut doors = Doors::read(root.path());
            doors.add_process(netns, 7);
            Counters::read(root.path(), &doors, netns)
        };
        assert_eq!(read(5), None);
        fs::write(folder.join("ip_vs_stats_percpu"), OF_CPUS).unwrap();
        assert!(read(5).is_some());
        assert_eq!(read(6), None, "it lives elsewhere");
    }
}
