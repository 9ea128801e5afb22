//! Snapshots: taken by the program of this name, page by page.

use aya::{
    Ebpf,
    programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _},
};
use probe_ebpf::{
    Snapshot, SnapshotKind,
    snapshot::{Argument, Outcome, PAGE_RECORDS, PAGE_STEPS, WalkLists},
};

use super::{ProbeError, load, records::Records};

/// How often a snapshot begins again because the namespace at which a page ended was gone. The time between two
/// pages is that of one system call.
const BEGINNINGS: u32 = 100;

/// Pages of one snapshot: a bound for the case that the kernel's list never ends.
const MAX_PAGES: u32 = 1 << 17;

/// Makes pages smaller, for tests: `RECORDS,STEPS`.
const PAGE: &str = "IPVS_LATENCY_PAGE";

/// How much one page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Page {
    records: u64,
    steps: u64,
}

impl Page {
    const WHOLE: Self = Self {
        records: PAGE_RECORDS,
        steps: PAGE_STEPS,
    };

    /// Reads `RECORDS,STEPS`, each at least 1 and no more than the usual.
    fn parse(text: &str) -> Option<Self> {
        let (records, steps) = text.split_once(',')?;
        let usual = Self::WHOLE;
        Some(Self {
            records: records.parse::<u64>().ok()?.clamp(1, usual.records),
            steps: steps.parse::<u64>().ok()?.clamp(1, usual.steps),
        })
    }
}

/// What takes snapshots.
pub struct Snapshots {
    ring: Records<Snapshot>,
    page: Page,
}

impl Snapshots {
    /// Takes the maps of the programs' object.
    pub fn of(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        let smaller = std::env::var(PAGE).ok();
        Ok(Self {
            ring: Records::take(ebpf, "SNAPSHOTS")?,
            page: smaller
                .and_then(|text| Page::parse(&text))
                .unwrap_or(Page::WHOLE),
        })
    }

    /// Looks at every namespace's estimator. A snapshot that is whole ends with the record of the end, and one
    /// that was cut short has none.
    pub fn take(&mut self, ebpf: &mut Ebpf, lists: WalkLists) -> Result<Vec<Snapshot>, ProbeError> {
        let program: &mut RawTracePoint = load::program(ebpf, load::SNAPSHOT)?;
        let mut records = Vec::new();
        for _ in 0..BEGINNINGS {
            records.clear();
            match self.pages(program, lists, &mut records)? {
                Outcome::Unreadable => return Err(ProbeError::Unreadable),
                Outcome::Moved => {}
                Outcome::Whole | Outcome::CutShort | Outcome::More => break,
            }
        }
        Ok(records)
    }

    /// Takes pages until the circle is closed, or no further page can follow.
    fn pages(
        &mut self,
        program: &mut RawTracePoint,
        lists: WalkLists,
        records: &mut Vec<Snapshot>,
    ) -> Result<Outcome, ProbeError> {
        let mut outcome = Outcome::More;
        for page in 0..MAX_PAGES {
            let mut options = RawTracePointRunOptions::new();
            options.args[Argument::Lists as usize] = lists as u64;
            options.args[Argument::PageRecords as usize] = self.page.records;
            options.args[Argument::PageSteps as usize] = self.page.steps;
            options.args[Argument::Resume as usize] = u64::from(page > 0);
            let result = program
                .test_run(options)
                .map_err(|error| ProbeError::Snapshot(load::root_cause(&error)))?;
            self.ring.drain(|record| records.push(record));
            outcome = Outcome::from_number(result.return_value).unwrap_or(Outcome::CutShort);
            if outcome != Outcome::More {
                break;
            }
        }
        Ok(outcome)
    }
}

/// Returns whether a snapshot has every namespace.
#[must_use]
pub fn is_whole(records: &[Snapshot]) -> bool {
    let last = records.last();
    last.is_some_and(|end| end.kind == SnapshotKind::End as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_never_empty_nor_larger_than_the_ring_buffer() {
        let page = |records, steps| Some(Page { records, steps });
        assert_eq!(Page::parse("8,64"), page(8, 64));
        assert_eq!(Page::parse("0,0"), page(1, 1));
        assert_eq!(
            Page::parse("4000000000,4000000000"),
            page(PAGE_RECORDS, PAGE_STEPS)
        );
        for text in ["", "8", "8,", "-1,5", "a,b"] {
            assert_eq!(Page::parse(text), None, "{text:?}");
        }
    }
}
