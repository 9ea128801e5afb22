//! What a module built from kernel headers replaces: its `klp_patch`, found by its relocations.
//!
//! Only the outer fields are needed, and these have not moved since Linux 5.1
//! (`include/linux/livepatch.h` of Linux 5.1 to 6.12):
//! ```text
//! klp_patch   mod, objs ..            klp_object   name, funcs ..      klp_func   old_name, new_func, old_sympos ..
//! ```
//! How long an entry is does differ. An array ends with its variable, and what of it is relocated
//! tells its entries apart.

use super::image::{Image, Place, Reference, Relocation, Target};

/// The section of `THIS_MODULE`.
pub const THIS_MODULE: &str = ".gnu.linkonce.this_module";

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

/// A module's `klp_patch`.
#[derive(Debug)]
pub struct Patch {
    /// Where it lies.
    pub place: Place,
    /// What it replaces.
    pub replacements: Vec<Replacement>,
    /// The fields that hold the addresses of the new functions.
    pub slots: Vec<Place>,
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

fn is_this_module(image: &Image<'_>, field: &Relocation) -> bool {
    let at_start = |place: Place| {
        let section = image.section_of(place);
        place.offset == 0 && section.is_some_and(|section| section.name == THIS_MODULE)
    };
    field.reference == Reference::Absolute && field.place().is_some_and(at_start)
}

fn patch_at(image: &Image<'_>, place: Place) -> Option<Patch> {
    let objects = data(image, after(place, POINTER)?)?;
    let mut patch = Patch {
        place,
        replacements: Vec::new(),
        slots: Vec::new(),
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
    let extent = image.variable_at(place)?;
    let section = image.section_of(place)?;
    let relocations = section.relocations_in(extent.range());
    if relocations.len() > MOST {
        return None;
    }
    let at = |field: &Relocation| Place {
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
