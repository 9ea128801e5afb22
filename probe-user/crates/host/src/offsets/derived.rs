//! Where `ip_vs` keeps its fields on a kernel that has BTF of itself and none of its modules: Linux 5.10.
//!
//! Each offset is found in the kernel's memory by what the field must hold, in every network namespace that is looked
//! at, and never assumed: `struct netns_ipvs` differs between configurations and vendors.
//!
//! | field | found by |
//! |---|---|
//! | `net` | it points back to the namespace |
//! | `est_timer` | its `function` is `estimation_timer` |
//! | `est_list` | the list's head before the timer and the lock (`include/net/ip_vs.h` of Linux 2.6.39 to 6.1) |
//! | `gen` | the first field; another number in each namespace |
//! | `sysctl_run_estimation` | the namespace's table of switches (`ip_vs_control_net_init_sysctl`) names it |

use std::collections::BTreeSet;

use probe_ebpf::{Offsets, offsets::ABSENT};
use thiserror::Error;

use super::MissingField;
use crate::{
    btf::Fields,
    kernel_memory::{KernelMemory, is_pointer, pointer, says, word},
};

/// Structures beside [`super::STRUCTURES`] whose fields are needed.
pub const STRUCTURES: &[&str] = &["ctl_table"];

/// How much of a `struct netns_ipvs` is looked at, in bytes: it is larger than 2 KiB and smaller than 4 KiB, so that the
/// kernel's allocator gives it 4 KiB of its own.
const WINDOW: usize = 4096;

/// How many namespaces are looked at.
const NAMESPACES: usize = 16;

/// How often it is tried again: a namespace may go away while it is looked at.
const TRIES: u32 = 5;

/// How far before `est_timer` the head of `est_list` may lie, in bytes: a spinlock with all its debugging is smaller.
const LIST_WITHIN: u64 = 256;

/// The switch that every version has first in its table, and the one that is sought in it.
const FIRST_SWITCH: &str = "amemthresh";
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

/// What is known before.
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
/// When a field is not found. `gen` and `sysctl_run_estimation` may be missing: they are then `ABSENT`.
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
    let namespaces = namespaces(&offsets, anchors.net, memory);
    offsets.ipvs_net = common(&namespaces, |one| one.net).ok_or(not_found("net"))?;
    let function = common(&namespaces, |_| anchors.estimation_timer);
    let timer = function.and_then(|at| at.checked_sub(offsets.timer_function));
    offsets.ipvs_est_timer = timer.ok_or(not_found("est_timer"))?;
    let list = list_before(&namespaces, offsets.ipvs_est_timer, memory);
    offsets.ipvs_est_list = list.ok_or(not_found("est_list"))?;
    offsets.ipvs_gen = generation(&namespaces);
    offsets.ipvs_run_estimation = run_estimation(&namespaces, fields, memory).unwrap_or(ABSENT);
    Ok(offsets)
}

/// One namespace's `struct netns_ipvs`, as far as it was looked at.
struct Namespace {
    net: u64,
    ipvs: u64,
    bytes: Vec<u8>,
}

impl Namespace {
    /// Returns the offset of each aligned word, and the word.
    fn words(&self) -> impl Iterator<Item = (u32, u64)> {
        let words = self.bytes.chunks_exact(8).zip((0..).step_by(8));
        words.filter_map(|(bytes, at)| Some((at, u64::from_ne_bytes(bytes.try_into().ok()?))))
    }
}

/// Returns the namespaces that are linked from this one on. The circle's head belongs to none, and what follows it in
/// memory does not point back: it is left out here.
fn namespaces(offsets: &Offsets, first: u64, memory: &mut dyn KernelMemory) -> Vec<Namespace> {
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

fn look(net: u64, offsets: &Offsets, memory: &mut dyn KernelMemory) -> Option<Namespace> {
    let ipvs = pointer(memory, net + u64::from(offsets.net_ipvs))?;
    let mut bytes = vec![0; WINDOW];
    let one = memory
        .read(ipvs, &mut bytes)
        .then_some(Namespace { net, ipvs, bytes })?;
    let points_back = one.words().any(|(_, word)| word == net);
    points_back.then_some(one)
}

/// Returns the first offset at which each namespace holds what it must.
fn common(namespaces: &[Namespace], held: impl Fn(&Namespace) -> u64) -> Option<u32> {
    let places = |one: &Namespace| -> BTreeSet<u32> {
        let wanted = held(one);
        let found = one.words().filter(|(_, word)| *word == wanted);
        found.map(|(at, _)| at).collect()
    };
    let (first, rest) = namespaces.split_first()?;
    let mut everywhere = places(first);
    for one in rest {
        let places = places(one);
        everywhere.retain(|at| places.contains(at));
    }
    everywhere.first().copied()
}

/// Returns the offset of the nearest head of a list before the timer that is one in every namespace.
fn list_before(namespaces: &[Namespace], timer: u32, memory: &mut dyn KernelMemory) -> Option<u32> {
    let nearest = u64::from(timer).checked_sub(16)?;
    let farthest = nearest.saturating_sub(LIST_WITHIN);
    let mut places = (farthest..=nearest).rev().step_by(8);
    let place = places.find(|at| namespaces.iter().all(|one| is_list(one.ipvs + at, memory)))?;
    u32::try_from(place).ok()
}

/// Returns whether a list that is not empty has its head here: `est_list` has the namespace's total at least.
fn is_list(head: u64, memory: &mut dyn KernelMemory) -> bool {
    let next = pointer(memory, head).filter(|next| *next != head);
    let previous = pointer(memory, head + 8);
    let (Some(next), Some(previous)) = (next, previous) else {
        return false;
    };
    word(memory, next + 8) == Some(head) && word(memory, previous) == Some(head)
}

/// Returns the offset of `gen`, unless two namespaces have the same number there.
fn generation(namespaces: &[Namespace]) -> u32 {
    /// Namespaces that one boot makes.
    const MOST: u32 = 1 << 30;
    let numbers = namespaces.iter().filter_map(|one| {
        let four = one.bytes.first_chunk::<4>()?;
        Some(u32::from_ne_bytes(*four)).filter(|number| *number < MOST)
    });
    let different: BTreeSet<u32> = numbers.collect();
    if different.len() == namespaces.len() {
        0
    } else {
        ABSENT
    }
}

/// Returns the offset of the switch, if a namespace's table of switches names it.
fn run_estimation(
    namespaces: &[Namespace],
    fields: &Fields,
    memory: &mut dyn KernelMemory,
) -> Option<u32> {
    let entry = u64::from(fields.size("ctl_table")?);
    let name = u64::from(fields.offset("ctl_table", "procname")?);
    let data = u64::from(fields.offset("ctl_table", "data")?);
    for one in namespaces {
        let pointers = one.words().map(|(_, word)| word);
        for table in pointers.filter(|word| is_pointer(*word)) {
            let is_table = word(memory, table + name)
                .is_some_and(|text| text != 0 && says(memory, text, FIRST_SWITCH));
            if !is_table {
                continue;
            }
            let places = (0..MAX_SWITCHES).map(|place| table + place * entry);
            for place in places {
                let Some(text) = word(memory, place + name).filter(|text| *text != 0) else {
                    break;
                };
                if says(memory, text, RUN_ESTIMATION) {
                    let at = word(memory, place + data)?.checked_sub(one.ipvs)?;
                    return u32::try_from(at).ok().filter(|at| (*at as usize) < WINDOW);
                }
            }
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests;
