//! Snapshots: taken by the program of this name, or by the one for kernels without `bpf_loop`, page by page.

use aya::{
    Ebpf,
    programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _},
};
use probe_ebpf::{
    Snapshot, SnapshotKind,
    snapshot::{Argument, BOUNDED_STEPS, Outcome, PAGE_RECORDS, PAGE_STEPS, WalkLists},
};

use super::{ProbeError, load, records::Records};
use host::withheld;

/// How often a snapshot begins again because the namespace at which a page ended was gone. The time between two
/// pages is that of one system call.
const BEGINNINGS: u32 = 100;

/// Pages of one snapshot: a bound for the case that the kernel's list never ends.
const MAX_PAGES: u32 = 1 << 17;

/// Makes pages smaller, for tests: `RECORDS,STEPS`.
const PAGE: &str = "IPVS_LATENCY_PAGE";

/// The program that takes the snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    /// With `bpf_loop`.
    Whole,
    /// With a loop that the verifier follows to its end.
    Bounded,
}

impl Walk {
    fn program(self) -> &'static str {
        match self {
            Self::Whole => "snapshot",
            Self::Bounded => "snapshot_bounded",
        }
    }

    fn page(self) -> Page {
        let steps = match self {
            Self::Whole => PAGE_STEPS,
            Self::Bounded => BOUNDED_STEPS,
        };
        Page {
            records: PAGE_RECORDS,
            steps,
        }
    }

    /// Loads the program that this kernel accepts.
    ///
    /// The kernels without `bpf_loop` refuse the first in different words: those before 5.13 do not know a callback, and
    /// the others do not know the helper. Any other fault appears with the second program too.
    fn load(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        let (whole, bounded) = (Self::Whole, Self::Bounded);
        if withheld::is("bpf_loop") {
            log::debug!("bpf_loop is left out: snapshots come in bounded pages");
        } else {
            match load::tracepoint(ebpf, whole.program()) {
                Ok(()) => return Ok(whole),
                Err(error) => log::debug!("snapshots come in bounded pages: {error}"),
            }
        }
        load::tracepoint(ebpf, bounded.program()).map(|()| bounded)
    }
}

/// How much one page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Page {
    records: u64,
    steps: u64,
}

impl Page {
    /// Reads `RECORDS,STEPS`, each at least 1 and no more than of this page.
    fn smaller(self, text: &str) -> Option<Self> {
        let (records, steps) = text.split_once(',')?;
        Some(Self {
            records: records.parse::<u64>().ok()?.clamp(1, self.records),
            steps: steps.parse::<u64>().ok()?.clamp(1, self.steps),
        })
    }
}

/// What takes snapshots.
pub struct Snapshots {
    ring: Records<Snapshot>,
    walk: Walk,
    page: Page,
}

impl Snapshots {
    /// Loads the program, and takes its map.
    pub fn load(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        let walk = Walk::load(ebpf)?;
        let smaller = std::env::var(PAGE).ok();
        let smaller = smaller.and_then(|text| walk.page().smaller(&text));
        Ok(Self {
            ring: Records::take(ebpf, "SNAPSHOTS")?,
            walk,
            page: smaller.unwrap_or(walk.page()),
        })
    }

    /// Looks at every namespace's estimator. A snapshot that is whole ends with the record of the end, and one
    /// that was cut short has none.
    pub fn take(&mut self, ebpf: &mut Ebpf, lists: WalkLists) -> Result<Vec<Snapshot>, ProbeError> {
        let program: &mut RawTracePoint = load::program(ebpf, self.walk.program())?;
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
    fn a_page_is_never_empty_nor_larger_than_the_ring_buffer_or_than_the_verifier_takes() {
        let page = |records, steps| Some(Page { records, steps });
        let whole = Walk::Whole.page();
        assert_eq!(whole.smaller("8,64"), page(8, 64));
        assert_eq!(whole.smaller("0,0"), page(1, 1));
        let many = "4000000000,4000000000";
        assert_eq!(whole.smaller(many), page(PAGE_RECORDS, PAGE_STEPS));
        assert_eq!(
            Walk::Bounded.page().smaller(many),
            page(PAGE_RECORDS, BOUNDED_STEPS)
        );
        for text in ["", "8", "8,", "-1,5", "a,b"] {
            assert_eq!(whole.smaller(text), None, "{text:?}");
        }
    }
}
