//! Branches that the instructions alone do not show: jump labels, which the kernel switches between a jump and nothing,
//! warnings, which are an invalid instruction, tables of a `switch`, and instructions that may fault.

use std::collections::{HashMap, HashSet};

use super::{
    code::Line,
    image::{Image, Place, Reference, Relocation, Section, Target},
};

/// `struct jump_entry` (`include/linux/jump_label.h` of Linux 4.19 to 6.12): code, target, key.
const JUMP_TABLE: &str = "__jump_table";
const JUMP_ENTRY: u64 = 16;
const JUMP_TARGET: u64 = 4;

/// `struct exception_table_entry` (`arch/x86/include/asm/extable.h` of Linux 4.6 to 6.12): instruction, where code
/// continues, and how.
const FAULT_TABLE: &str = "__ex_table";
const FAULT_ENTRY: u64 = 12;
const FAULT_TARGET: u64 = 4;

/// `struct bug_entry` with relative pointers and file names (`include/asm-generic/bug.h` of Linux 5.10 to 6.12).
const BUG_TABLE: &str = "__bug_table";
const BUG_ENTRY: u64 = 12;
const BUG_FLAGS: usize = 10;
const IS_WARNING: u8 = 1;

/// More cases than a `switch` of a livepatch has.
const MOST_CASES: usize = 1024;

/// The hidden branches of a module.
#[derive(Debug, Default)]
pub struct Branches {
    /// Where else a jump label may lead.
    labels: HashMap<Place, Place>,
    warnings: HashSet<Place>,
    /// Where code continues behind an instruction that faults.
    faults: HashMap<Place, Place>,
}

impl Branches {
    /// Reads them; `None` if that takes too much work.
    pub fn of(image: &Image<'_>) -> Option<Self> {
        let mut found = Self::default();
        for section in &image.sections {
            match section.name {
                JUMP_TABLE => {
                    read_ways(image, section, (JUMP_ENTRY, JUMP_TARGET), &mut found.labels)?;
                }
                FAULT_TABLE => {
                    read_ways(
                        image,
                        section,
                        (FAULT_ENTRY, FAULT_TARGET),
                        &mut found.faults,
                    )?;
                }
                BUG_TABLE => found.read_warnings(image, section)?,
                _ => {}
            }
        }
        Some(found)
    }

    fn read_warnings(&mut self, image: &Image<'_>, section: &Section<'_>) -> Option<()> {
        for field in &section.relocations {
            image.budget.spend(4)?;
            let flags = usize::try_from(field.offset).ok();
            let flags = flags.and_then(|entry| section.bytes.get(entry + BUG_FLAGS));
            let goes_on = flags.is_some_and(|flags| flags & IS_WARNING != 0);
            if field.offset.is_multiple_of(BUG_ENTRY)
                && goes_on
                && let Some(place) = field.place()
            {
                self.warnings.insert(place);
            }
        }
        Some(())
    }

    /// Returns where the code at a place leads if the kernel has made a jump of it.
    pub fn label(&self, place: Place) -> Option<Place> {
        self.labels.get(&place).copied()
    }

    /// Returns where code continues if the instruction at a place faults.
    pub fn fault(&self, place: Place) -> Option<Place> {
        self.faults.get(&place).copied()
    }

    /// Returns whether code continues behind the invalid instruction at a place.
    pub fn goes_on(&self, place: Place) -> bool {
        self.warnings.contains(&place)
    }
}

/// Reads entries of such a length: a place in code, and so many bytes on another one.
fn read_ways(
    image: &Image<'_>,
    section: &Section<'_>,
    (entry, second): (u64, u64),
    ways: &mut HashMap<Place, Place>,
) -> Option<()> {
    for field in &section.relocations {
        image.budget.spend(4)?;
        if !field.offset.is_multiple_of(entry) || field.reference != Reference::Relative {
            continue;
        }
        let target = section.relocation(field.offset + second);
        if let (Some(from), Some(to)) = (field.place(), target.and_then(Relocation::place)) {
            ways.insert(from, to);
        }
    }
    Some(())
}

/// Returns where `jmp *table(,%register,8)` may lead: as far as the table's entries are places in the same function;
/// `None` where it is no such jump.
pub fn cases(image: &Image<'_>, line: &Line<'_>, section: usize) -> Option<Vec<Place>> {
    let at = Place {
        section,
        offset: line.instruction.ip(),
    };
    let function = image.function(at)?;
    let Target::Own(table) = line.variable(section)? else {
        return None;
    };
    let mut cases = Vec::new();
    let mut offset = table.offset;
    let content = image.section_of(table)?;
    while cases.len() < MOST_CASES {
        image.budget.spend(2)?;
        let entry = content
            .relocation(offset)
            .filter(|entry| entry.reference == Reference::Absolute);
        let place = entry.and_then(Relocation::place);
        let Some(place) = place.filter(|place| {
            image
                .function(*place)
                .is_some_and(|of| of.place == function.place)
        }) else {
            break;
        };
        cases.push(place);
        offset = offset.checked_add(8)?;
    }
    cases.sort_unstable();
    cases.dedup();
    (!cases.is_empty()).then_some(cases)
}
