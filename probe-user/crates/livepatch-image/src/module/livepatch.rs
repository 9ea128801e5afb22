//! What a module built from kernel headers replaces: its `klp_patch`, found by its relocations.
//!
//! Only the outer fields are needed, and these have not moved since Linux 5.1
//! (`include/linux/livepatch.h` of Linux 5.1 to 6.12):
//! ```text
//! klp_patch   mod, objs ..            klp_object   name, funcs ..      klp_func   old_name, new_func, old_sympos ..
//! ```
//! How long an entry is does differ. An array ends with its variable, and what of it is relocated
//! tells its entries apart.

use super::flow::LifePhase;
use super::image::{Image, Place, Reference, Relocation, THIS_MODULE, Target};

/// What is run once, when the module is loaded.
const INIT: &str = ".init.text";

const POINTER: u64 = 8;

/// More than any livepatch has, of each thing.
const MOST: usize = 128;

/// A function that a module puts in the place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The module whose function it is; `vmlinux` for the kernel itself.
    pub object: String,
    /// The function's name.
    pub function: String,
    /// Which of several functions of that name, from 1; 0: there is to be only one.
    pub position: u64,
    /// Where the new code begins.
    pub code: Place,
}

/// When a callback runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// Before the functions are replaced.
    PrePatch,
    /// Once they are.
    PostPatch,
    /// Before the kernel's own come back.
    PreUnpatch,
    /// Once they have.
    PostUnpatch,
}

impl When {
    /// Returns whether the livepatch is on its way out then.
    #[must_use]
    pub fn leaves(self) -> bool {
        self.phase() != LifePhase::Enabled
    }

    /// Returns what has become of the new functions by then.
    pub(super) fn phase(self) -> LifePhase {
        match self {
            Self::PrePatch | Self::PostPatch => LifePhase::Enabled,
            Self::PreUnpatch => LifePhase::Ending,
            Self::PostUnpatch => LifePhase::Unpatched,
        }
    }
}

/// Code of a module that the kernel runs besides the new functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Callback {
    /// When.
    pub when: When,
    /// Where it begins.
    pub code: Place,
}

/// Where the callbacks are in a `klp_object`, behind name and functions (Linux 4.15 to 6.12).
const CALLBACKS: [(u64, When); 4] = [
    (16, When::PrePatch),
    (24, When::PostPatch),
    (32, When::PreUnpatch),
    (40, When::PostUnpatch),
];

/// A module's `klp_patch`.
#[derive(Debug)]
pub struct Patch {
    /// Where it lies.
    pub place: Place,
    /// What it replaces.
    pub replacements: Vec<Replacement>,
    /// The fields that hold the addresses of the new functions.
    pub slots: Vec<Place>,
    /// What else runs.
    pub callbacks: Vec<Callback>,
}

/// The one `klp_patch` of a module; `None` where none is found, or more than one.
pub fn find(image: &Image<'_>) -> Option<Patch> {
    let mut found = Vec::new();
    for (section, content) in image.sections.iter().enumerate() {
        if content.code || content.name == THIS_MODULE {
            continue;
        }
        let of_module = content
            .relocations
            .iter()
            .filter(|field| is_this_module(image, field));
        for field in of_module.take(MOST) {
            let place = Place {
                section,
                offset: field.offset,
            };
            found.extend(patch_at(image, place));
        }
    }
    found.pop().filter(|_| found.is_empty())
}

fn is_this_module(image: &Image<'_>, field: &Relocation<'_>) -> bool {
    let at_start = |place: Place| {
        let section = image.section_of(place);
        place.offset == 0 && section.is_some_and(|section| section.name == THIS_MODULE)
    };
    field.reference == Reference::Absolute && field.place().is_some_and(at_start)
}

/// Returns the module's exit function, which is the last that its structure names: the first is for its beginning.
pub fn exit(image: &Image<'_>) -> Option<Place> {
    let section = image.section(THIS_MODULE)?;
    let named = section.relocations.iter().filter_map(Relocation::place);
    let mut code = named.filter(|place| image.is_code(*place));
    let (first, last) = (code.next()?, code.last());
    last.or_else(|| {
        let section = image.section_of(first)?;
        (section.name != INIT).then_some(first)
    })
}

/// Returns whether a function is one that the module's structure names: the loader calls it.
pub fn runs_once(image: &Image<'_>, code: Place) -> bool {
    let section = image.section(THIS_MODULE);
    // One names its first and its last function.
    let mut named = section
        .into_iter()
        .flat_map(|section| section.relocations.iter().take(MOST));
    named.any(|field| field.place() == Some(code))
}

fn patch_at(image: &Image<'_>, place: Place) -> Option<Patch> {
    let objects = data(image, after(place, POINTER)?)?;
    let mut patch = Patch {
        place,
        replacements: Vec::new(),
        slots: Vec::new(),
        callbacks: Vec::new(),
    };
    for field in fields(image, objects)? {
        // A name is followed by the address of the array of functions.
        if data(image, after(field, POINTER)?).is_some() {
            continue;
        }
        let entry = before(field, POINTER)?;
        let replaced = functions_at(image, data(image, field)?)?;
        let object = match image.section_of(entry)?.relocation(entry.offset) {
            Some(name) => image.text(name.place()?)?,
            None => "vmlinux",
        };
        for (offset, when) in CALLBACKS {
            let slot = after(entry, offset)?;
            if let Some(code) = pointer(image, slot).filter(|code| image.is_code(*code)) {
                patch.slots.push(slot);
                patch.callbacks.push(Callback { when, code });
            }
        }
        for (function, position, slot, code) in replaced {
            patch.slots.push(slot);
            patch.replacements.push(Replacement {
                object: object.to_owned(),
                function,
                position,
                code,
            });
        }
    }
    (!patch.replacements.is_empty()).then_some(patch)
}

type Function = (String, u64, Place, Place);

/// The entries of an array of `klp_func`: name, position, the field of the new address, the new address.
fn functions_at(image: &Image<'_>, array: Place) -> Option<Vec<Function>> {
    let mut functions = Vec::new();
    for field in fields(image, array)? {
        image.budget.spend(16)?;
        let name = data(image, field).and_then(|name| image.text(name))?;
        functions.push((name.to_owned(), field));
    }
    let entry = |(name, field): (String, Place)| {
        let slot = after(field, POINTER)?;
        let code = pointer(image, slot).filter(|code| image.is_code(*code))?;
        let position = image.word(after(slot, POINTER)?)?;
        Some((name, position, slot, code))
    };
    let functions: Option<Vec<_>> = functions.into_iter().map(entry).collect();
    functions.filter(|functions| !functions.is_empty())
}

/// The relocated fields of the variable that begins at `place`, but for those that point at code.
fn fields(image: &Image<'_>, place: Place) -> Option<Vec<Place>> {
    image.budget.spend(16)?;
    let extent = image.variable_at(place)?;
    let section = image.section_of(place)?;
    let relocations = section.relocations_in(extent.range());
    if relocations.len() > MOST {
        return None;
    }
    let at = |field: &Relocation<'_>| Place {
        section: place.section,
        offset: field.offset,
    };
    let fields = relocations.iter().map(at);
    Some(
        fields
            .filter(|field| data(image, *field).is_some())
            .collect(),
    )
}

/// What the field at `place` points at, if that is data of the module.
fn data(image: &Image<'_>, place: Place) -> Option<Place> {
    pointer(image, place).filter(|target| !image.is_code(*target))
}

fn pointer(image: &Image<'_>, place: Place) -> Option<Place> {
    let field = image.section_of(place)?.relocation(place.offset)?;
    let whole = field.reference == Reference::Absolute && matches!(field.target, Target::Own(_));
    whole.then(|| field.place())?
}

fn after(place: Place, bytes: u64) -> Option<Place> {
    let offset = place.offset.checked_add(bytes)?;
    Some(Place { offset, ..place })
}

fn before(place: Place, bytes: u64) -> Option<Place> {
    let offset = place.offset.checked_sub(bytes)?;
    Some(Place { offset, ..place })
}
