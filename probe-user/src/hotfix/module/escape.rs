//! Whether the address of new code gets to where it outlives the module: in a timer, a list, a queue of
//! work. The kernel then jumps to it after the module is gone, and crashes.

use super::{
    code::{self, Line},
    image::{Extent, Image, Place, Reference, Target},
    rearm::{Answer, reachable},
};

/// Sections in which a build lists places in code, for the loader to work on.
const LISTS: [&str; 22] = [
    "__mcount_loc",
    "__patchable_function_entries",
    "__bug_table",
    "__ex_table",
    "__jump_table",
    "_kprobe_blacklist",
    ".altinstructions",
    ".BTF",
    ".call_sites",
    ".cfi_sites",
    ".discard",
    ".eh_frame",
    ".ibt_endbr_seal",
    ".klp.",
    ".kpatch.",
    ".note",
    ".orc_unwind",
    ".parainstructions",
    ".retpoline_sites",
    ".return_sites",
    ".smp_locks",
    ".static_call_sites",
];

/// Judges new functions, whose addresses rightly stand in `slots`.
///
/// - yes: an address of theirs stands in other data or is taken by code, or code writes the address of any
///   function of the module into memory that is not its own;
/// - unknown: code that they reach takes the address of a function, to hand it to somebody; or not all can
///   be read.
pub fn of(image: &Image<'_>, new: &[Place], slots: &[Place]) -> Answer {
    let verdicts = [
        in_data(image, new, slots),
        taken_by_code(image, new),
        handed_on(image, new),
    ];
    if verdicts.contains(&Answer::Yes) {
        Answer::Yes
    } else if verdicts.contains(&Answer::Unknown) {
        Answer::Unknown
    } else {
        Answer::No
    }
}

fn in_data(image: &Image<'_>, new: &[Place], slots: &[Place]) -> Answer {
    let mut answer = Answer::No;
    for (section, content) in image.sections.iter().enumerate() {
        if content.code || LISTS.iter().any(|list| content.name.starts_with(list)) {
            continue;
        }
        for field in &content.relocations {
            let slot = Place {
                section,
                offset: field.offset,
            };
            let Some(place) = field.place().filter(|_| !slots.contains(&slot)) else {
                continue;
            };
            if new.contains(&place) && field.reference != Reference::Unknown {
                return Answer::Yes;
            }
            if field.reference == Reference::Unknown && matches!(field.target, Target::Own(_)) {
                answer = Answer::Unknown;
            }
        }
    }
    answer
}

fn taken_by_code(image: &Image<'_>, new: &[Place]) -> Answer {
    let mut answer = Answer::No;
    for (section, _) in image
        .sections
        .iter()
        .enumerate()
        .filter(|(_, one)| one.code)
    {
        let Some(lines) = code::all(image, section) else {
            answer = Answer::Unknown;
            continue;
        };
        let left_behind = |line: &Line<'_>| {
            line.takes(image, section).is_some_and(|place| {
                new.contains(&place) || (line.stores() && image.function_at(place).is_some())
            })
        };
        if lines.iter().any(left_behind) {
            return Answer::Yes;
        }
    }
    answer
}

fn handed_on(image: &Image<'_>, new: &[Place]) -> Answer {
    for place in new {
        let (functions, whole) = reachable(image, *place);
        let hands_on = |function: &Extent| {
            let lines = code::body(image, *function).unwrap_or_default();
            lines
                .iter()
                .any(|line| line.takes(image, function.place.section).is_some())
        };
        if !whole || functions.iter().any(hands_on) {
            return Answer::Unknown;
        }
    }
    Answer::No
}
