//! Where `ip_vs` keeps its fields on a kernel that has BTF of itself and none of its modules: Linux 5.10.
//!
//! Each offset is found in the kernel's memory by what the field must hold, in every network namespace that is looked
//! at, and never assumed: `struct netns_ipvs` differs between configurations and vendors.
//!
//! | field | found by |
//! |---|---|
//! | `net` | it points back to the namespace, and no other word does |
//! | `est_timer` | its `function` is `estimation_timer`, or other code of the kernel in namespaces that a hotfix changed |
//! | `est_list` | the list's head before the timer and the lock (`include/net/ip_vs.h` of Linux 2.6.39 to 6.1), whose last entry, the total, lies in the structure itself |
//! | `gen` | assumed to be the first field; used only if it rises from namespace to namespace |
//! | `sysctl_run_estimation` | the namespace's table of switches (`ip_vs_control_net_init_sysctl`) names it |

use probe_ebpf::{Offsets, offsets::ABSENT};
use thiserror::Error;

use super::MissingField;
use crate::{
    btf::Fields,
    kernel_memory::{KernelMemory, is_address, is_pointer, pointer, says, word},
};

/// Structures beside [`super::STRUCTURES`] whose fields are needed.
pub const STRUCTURES: &[&str] = &["ctl_table"];

/// How much of a `struct netns_ipvs` is looked at, in bytes: it is larger than 2 KiB and smaller than 4 KiB, so that the
/// kernel's allocator gives it 4 KiB of its own.
const WINDOW: usize = 4096;

/// How many namespaces are looked at.
const NAMESPACES: usize = 16;

/// How many searches are made: a namespace may go away during one.
const TRIES: u32 = 5;

/// How far before `est_timer` the head of `est_list` may lie, in bytes: a spinlock with all its debugging is smaller.
const LIST_WITHIN: u64 = 256;

/// The first switch in the table of every version.
const FIRST_SWITCH: &str = "amemthresh";

/// The switch that is searched for.
const RUN_ESTIMATION: &str = "run_estimation";

/// A table of switches has fewer entries.
const MAX_SWITCHES: u64 = 64;

/// Why an offset could not be found.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Underivable {
    /// The kernel's own BTF lacks a field.
    #[error("this kernel has no field {0}")]
    Field(#[from] MissingField),
    /// No place in every `struct netns_ipvs` holds what the field holds.
    #[error("no place in memory looks like netns_ipvs.{0}")]
    NotFound(&'static str),
}

/// What the search starts from.
#[derive(Debug, Clone, Copy)]
pub struct Anchors {
    /// The address of a `struct net` that has `ip_vs`.
    pub net: u64,
    /// The address of `estimation_timer`.
    pub estimation_timer: u64,
}

/// Finds the offsets of all fields that the programs read.
///
/// # Errors
///
/// When a field is not found. `gen` is `ABSENT` where it cannot be told from others, and `sysctl_run_estimation` where the
/// namespaces' tables do not name it.
pub fn derived(
    fields: &Fields,
    anchors: Anchors,
    memory: &mut dyn KernelMemory,
) -> Result<Offsets, Underivable> {
    let mut found = Err(Underivable::NotFound("net"));
    for _ in 0..TRIES {
        found = once(fields, anchors, memory);
        if !matches!(found, Err(Underivable::NotFound(_))) {
            break;
        }
    }
    found
}

fn once(
    fields: &Fields,
    anchors: Anchors,
    memory: &mut dyn KernelMemory,
) -> Result<Offsets, Underivable> {
    let mut offsets = super::of_the_kernel(fields)?;
    let not_found = Underivable::NotFound;
    let specimens = specimens(&offsets, anchors.net, memory);
    offsets.ipvs_net = back_pointer(&specimens).ok_or(not_found("net"))?;
    let function = function(&specimens, anchors.estimation_timer);
    let timer = function.and_then(|at| at.checked_sub(offsets.timer_function));
    offsets.ipvs_est_timer = timer.ok_or(not_found("est_timer"))?;
    let list = list_before(&specimens, offsets.ipvs_est_timer, memory);
    offsets.ipvs_est_list = list.ok_or(not_found("est_list"))?;
    offsets.ipvs_gen = generation(&specimens);
    offsets.ipvs_run_estimation = run_estimation(&specimens, fields, memory)?.unwrap_or(ABSENT);
    Ok(offsets)
}

/// One namespace's `struct netns_ipvs`, as far as it was read.
struct Specimen {
    net: u64,
    ipvs: u64,
    bytes: Vec<u8>,
}

impl Specimen {
    /// Returns the offset of each aligned word, and the word.
    fn words(&self) -> impl Iterator<Item = (u32, u64)> {
        let words = self.bytes.chunks_exact(8).zip((0..).step_by(8));
        words.filter_map(|(bytes, at)| Some((at, u64::from_ne_bytes(bytes.try_into().ok()?))))
    }

    /// Returns the offsets of the words that are `wanted`.
    fn places(&self, wanted: u64) -> impl Iterator<Item = u32> {
        let places = self.words().filter(move |(_, word)| *word == wanted);
        places.map(|(at, _)| at)
    }

    fn word(&self, at: u32) -> Option<u64> {
        let bytes = self.bytes.get(at as usize..)?.first_chunk()?;
        Some(u64::from_ne_bytes(*bytes))
    }

    /// Returns where in this structure an address is.
    fn place_of(&self, address: u64) -> Option<u64> {
        let at = address.checked_sub(self.ipvs)?;
        (at < WINDOW as u64).then_some(at)
    }
}

/// Returns the namespaces that are linked from this one on. The circle's head belongs to none, and what follows it in
/// memory does not point back: it is left out here.
fn specimens(offsets: &Offsets, first: u64, memory: &mut dyn KernelMemory) -> Vec<Specimen> {
    let list = u64::from(offsets.net_list);
    let mut found = Vec::new();
    let mut one = first;
    for _ in 0..NAMESPACES {
        found.extend(look(one, offsets, memory));
        let Some(next) = pointer(memory, one + list) else {
            break;
        };
        one = next.wrapping_sub(list);
        if one == first {
            break;
        }
    }
    found
}

fn look(net: u64, offsets: &Offsets, memory: &mut dyn KernelMemory) -> Option<Specimen> {
    let ipvs = pointer(memory, net + u64::from(offsets.net_ipvs))?;
    let mut bytes = vec![0; WINDOW];
    let one = memory
        .read(ipvs, &mut bytes)
        .then_some(Specimen { net, ipvs, bytes })?;
    let points_back = one.places(net).next().is_some();
    points_back.then_some(one)
}

/// Returns the only one of `places`, if there is one.
fn only(mut places: impl Iterator<Item = u32>) -> Option<u32> {
    let first = places.next()?;
    places.next().is_none().then_some(first)
}

/// Returns the only offset at which every structure points to its own namespace.
fn back_pointer(specimens: &[Specimen]) -> Option<u32> {
    let (first, rest) = specimens.split_first()?;
    let is_everywhere = |at: &u32| rest.iter().all(|one| one.word(*at) == Some(one.net));
    only(first.places(first.net).filter(is_everywhere))
}

/// The lowest address of the kernel's and its modules' code (`Documentation/x86/x86_64/mm.rst` of Linux 6.1).
const CODE: u64 = 0xffff_ffff_8000_0000;

/// Returns the only offset that holds the address of `estimation_timer` in some namespace, and code in all.
fn function(specimens: &[Specimen], estimation_timer: u64) -> Option<u32> {
    let is_code = |word: u64| (CODE..u64::MAX - 0xffff).contains(&word);
    if !is_code(estimation_timer) {
        return None;
    }
    let places = specimens
        .iter()
        .flat_map(|one| one.places(estimation_timer));
    let mut places: Vec<u32> = places.collect();
    places.sort_unstable();
    places.dedup();
    places.retain(|at| {
        let mut words = specimens.iter().map(|one| one.word(*at));
        words.all(|word| word.is_some_and(is_code))
    });
    only(places.into_iter())
}

/// Returns the offset of the nearest list before the timer whose last entry is at one place of every structure.
fn list_before(specimens: &[Specimen], timer: u32, memory: &mut dyn KernelMemory) -> Option<u32> {
    let nearest = u64::from(timer).checked_sub(16)?;
    let farthest = nearest.saturating_sub(LIST_WITHIN);
    let mut places = (farthest..=nearest).rev().step_by(8);
    let place = places.find(|at| {
        let mut totals = specimens.iter().map(|one| total(one, *at, memory));
        let first = totals.next().flatten();
        first.is_some() && totals.all(|total| total == first)
    })?;
    u32::try_from(place).ok()
}

/// Returns where in the structure the last entry of the list is whose head is at `at`, if that is a list that is not
/// empty: the first estimator that joined, which is the namespace's total.
fn total(one: &Specimen, at: u64, memory: &mut dyn KernelMemory) -> Option<u64> {
    let head = one.ipvs + at;
    let next = pointer(memory, head).filter(|next| *next != head)?;
    let last = pointer(memory, head + 8)?;
    let is_list = word(memory, next + 8) == Some(head) && word(memory, last) == Some(head);
    one.place_of(last).filter(|_| is_list)
}

/// Returns the offset of `gen`, if the numbers there rise from namespace to namespace: each gets the next one, and joins
/// at the end of the circle, which may have been entered anywhere.
fn generation(specimens: &[Specimen]) -> u32 {
    /// Namespaces that one boot makes.
    const MOST: u32 = 1 << 30;
    let numbers = specimens.iter().filter_map(|one| {
        let four = one.bytes.first_chunk::<4>()?;
        Some(u32::from_ne_bytes(*four)).filter(|number| *number < MOST)
    });
    let numbers: Vec<u32> = numbers.collect();
    let pairs = || numbers.iter().zip(numbers.iter().skip(1));
    let are_different = pairs().all(|(one, next)| one != next);
    let descents = pairs().filter(|(one, next)| one > next).count();
    if numbers.len() == specimens.len() && numbers.len() > 1 && are_different && descents <= 1 {
        0
    } else {
        ABSENT
    }
}

/// Returns the offset of the switch; `None` if the namespaces have tables of switches, and none names it.
fn run_estimation(
    specimens: &[Specimen],
    fields: &Fields,
    memory: &mut dyn KernelMemory,
) -> Result<Option<u32>, Underivable> {
    let field = |field| super::at(fields, "ctl_table", field).map(u64::from);
    let table = Table {
        entry: u64::from(fields.size("ctl_table").unwrap_or_default()),
        name: field("procname")?,
        data: field("data")?,
    };
    for one in specimens {
        let pointers = one.words().map(|(_, word)| word);
        for begin in pointers.filter(|word| is_pointer(*word)) {
            if table.name(begin, memory, FIRST_SWITCH) == Some(true) {
                return table.find(begin, one, memory);
            }
        }
    }
    Ok(None)
}

/// Where a `struct ctl_table` has its fields.
struct Table {
    entry: u64,
    name: u64,
    data: u64,
}

impl Table {
    /// Returns whether the entry at `place` has this name; `None` where it has none.
    fn name(&self, place: u64, memory: &mut dyn KernelMemory, wanted: &str) -> Option<bool> {
        let text = word(memory, place + self.name)?;
        is_address(text).then(|| says(memory, text, wanted))
    }

    /// Returns the offset of what the switch sets; `None` where no entry has its name.
    fn find(
        &self,
        begin: u64,
        one: &Specimen,
        memory: &mut dyn KernelMemory,
    ) -> Result<Option<u32>, Underivable> {
        let not_found = || Underivable::NotFound("sysctl_run_estimation");
        for place in (0..MAX_SWITCHES).map(|place| begin + place * self.entry) {
            if word(memory, place + self.name).ok_or_else(not_found)? == 0 {
                break;
            }
            if self.name(place, memory, RUN_ESTIMATION) == Some(true) {
                let data = word(memory, place + self.data);
                let at = data.and_then(|data| one.place_of(data));
                let at = at.and_then(|at| u32::try_from(at).ok());
                return at.map(Some).ok_or_else(not_found);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
