//! Whose a timer is.
//!
//! A read of `ip_vs_stats` in a namespace shows the kernel's address of that namespace's own statistics (`tot_stats`). These
//! and the timer lie in one `struct netns_ipvs`, the timer behind the statistics, so that from the one to the other is
//! the same way in every namespace of a kernel (`include/net/ip_vs.h` of Linux 3.10 to 6.1). Each timer's statistics are
//! the nearest below it, if its namespace could be read; the shortest of the ways is that of all.

use std::collections::{BTreeMap, BTreeSet};

use model::NETNS_UNKNOWN;

/// No `struct netns_ipvs` is this long, in bytes.
const LONGEST: u64 = 1 << 16;

/// The namespaces that could be read, and the way from their statistics to their timers.
#[derive(Debug, Default)]
pub struct Whose {
    /// Namespaces by the address of their statistics.
    statistics: BTreeMap<u64, u32>,
    way: Option<u64>,
    /// What was found before: a timer's namespace stays its own, also once it cannot be read any more.
    found: BTreeMap<u64, u32>,
}

impl Whose {
    /// Sets the addresses of the statistics of all namespaces that were read now. One that is still `there` and was not read
    /// keeps its address: it cannot move.
    pub fn set_statistics(&mut self, mut statistics: BTreeMap<u64, u32>, there: &BTreeSet<u32>) {
        let read: BTreeSet<u32> = statistics.values().copied().collect();
        for (address, netns) in std::mem::take(&mut self.statistics) {
            if there.contains(&netns) && !read.contains(&netns) {
                statistics.entry(address).or_insert(netns);
            }
        }
        self.statistics = statistics;
    }

    /// Learns the way from the timers that were seen so far.
    pub fn learn(&mut self, timers: &BTreeSet<u64>) {
        let ways = timers.iter().filter_map(|timer| {
            let (below, _) = self.statistics.range(..timer).next_back()?;
            Some(timer - below).filter(|way| *way < LONGEST)
        });
        let way = ways.chain(self.way).min();
        if way != self.way {
            // By another way, something else was found.
            self.found.clear();
        }
        self.way = way;
        for timer in timers {
            if let Some(netns) = self.now(*timer) {
                self.found.insert(*timer, netns);
            }
        }
    }

    /// Forgets a timer, whose address may be another's next, with the statistics of its namespace.
    pub fn forget(&mut self, timer: u64) {
        self.found.remove(&timer);
        let statistics = self.way.and_then(|way| timer.checked_sub(way));
        statistics.map(|address| self.statistics.remove(&address));
    }

    fn now(&self, timer: u64) -> Option<u32> {
        let statistics = self.way.and_then(|way| timer.checked_sub(way))?;
        self.statistics.get(&statistics).copied()
    }

    /// Returns the inode number of a timer's namespace, or [`NETNS_UNKNOWN`].
    #[must_use]
    pub fn netns(&self, timer: u64) -> u32 {
        let found = || self.found.get(&timer).copied();
        self.now(timer).or_else(found).unwrap_or(NETNS_UNKNOWN)
    }

    /// Returns whether a timer's namespace is among those that can be read now.
    #[must_use]
    pub fn is_there(&self, timer: u64) -> bool {
        self.now(timer).is_some()
    }

    /// Returns the namespaces whose timer was not seen, with its address; while the way is not known, with that of their
    /// statistics.
    pub fn unseen<'a>(
        &'a self,
        timers: &'a BTreeSet<u64>,
    ) -> impl Iterator<Item = (u64, u32)> + 'a {
        let way = self.way.unwrap_or(0);
        let all = self.statistics.iter();
        let all = all.map(move |(address, netns)| (address.saturating_add(way), *netns));
        all.filter(|(timer, _)| !timers.contains(timer))
    }

    /// Returns the namespaces that can be read.
    pub fn namespaces(&self) -> impl Iterator<Item = u32> + '_ {
        self.statistics.values().copied()
    }

    /// Returns whether the timer of every namespace that can be read was seen.
    #[must_use]
    pub fn is_complete(&self, timers: &BTreeSet<u64>) -> bool {
        self.statistics.is_empty() || self.way.is_some() && self.unseen(timers).next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The addresses of a recorded Linux 5.15, but for the statistics: three structures 4 KiB apart.
    const WAY: u64 = 0x6a0;
    const STATISTICS: [u64; 3] = [
        0xffff_8880_5d13_f800,
        0xffff_8880_5d14_0800,
        0xffff_8880_5d14_1800,
    ];

    fn whose(seen: &[usize]) -> Whose {
        let mut whose = Whose::default();
        whose.set_statistics(
            STATISTICS.into_iter().zip([10, 20, 30]).collect(),
            &BTreeSet::new(),
        );
        whose.learn(&timers(seen));
        whose
    }

    fn timers(seen: &[usize]) -> BTreeSet<u64> {
        seen.iter().map(|index| STATISTICS[*index] + WAY).collect()
    }

    #[test]
    fn one_timer_tells_of_all() {
        let whose = whose(&[1]);
        let told = STATISTICS.map(|address| whose.netns(address + WAY));
        assert_eq!(told, [10, 20, 30]);
        assert_eq!(whose.netns(STATISTICS[0]), NETNS_UNKNOWN);
        let unseen: Vec<_> = whose.unseen(&timers(&[1])).collect();
        assert_eq!(
            unseen,
            [(STATISTICS[0] + WAY, 10), (STATISTICS[2] + WAY, 30)]
        );
        assert!(!whose.is_complete(&timers(&[1])));
        assert!(whose.is_complete(&timers(&[0, 1, 2])));
    }

    #[test]
    fn a_namespace_that_cannot_be_read_is_not_taken_for_its_neighbour() {
        let hidden = STATISTICS[2] + 0x1000 + WAY;
        let mut whose = whose(&[]);
        whose.learn(&[hidden].into());
        let mut seen = timers(&[0, 2]);
        seen.insert(hidden);
        whose.learn(&seen);
        assert_eq!(whose.netns(hidden), NETNS_UNKNOWN);
        assert_eq!(whose.netns(STATISTICS[2] + WAY), 30);
    }

    #[test]
    fn a_namespace_that_is_gone_is_known_until_its_timer_is_forgotten() {
        let mut whose = whose(&[0, 1, 2]);
        let timer = STATISTICS[2] + WAY;
        whose.set_statistics([(STATISTICS[0], 10)].into(), &[10, 20].into());
        assert_eq!(whose.netns(timer), 30);
        assert!(!whose.is_there(timer) && whose.is_there(STATISTICS[1] + WAY));
        whose.forget(timer);
        assert_eq!(whose.netns(timer), NETNS_UNKNOWN);
        // Another one was given its address.
        whose.set_statistics([(STATISTICS[2], 40)].into(), &[30, 40].into());
        assert_eq!(whose.netns(timer), 40);
    }

    #[test]
    fn nothing_is_told_before_a_timer_was_seen_or_of_one_far_off() {
        let mut none = whose(&[]);
        assert_eq!(none.netns(STATISTICS[0] + WAY), NETNS_UNKNOWN);
        let unseen: Vec<_> = none.unseen(&BTreeSet::new()).collect();
        assert_eq!(unseen[0], (STATISTICS[0], 10), "by the statistics");
        assert!(!none.is_complete(&BTreeSet::new()));
        none.learn(&[STATISTICS[2] + LONGEST, 5].into());
        assert_eq!(none.netns(STATISTICS[2] + LONGEST), NETNS_UNKNOWN);
        assert!(
            Whose::default().is_complete(&BTreeSet::new()),
            "no namespace can be read"
        );
    }
}
