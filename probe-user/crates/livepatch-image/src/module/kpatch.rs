//! What a module of kpatch-build replaces. It makes its `klp_patch` while it is loaded, from an array in
//! the section `.kpatch.funcs` (`struct kpatch_patch_func`, `kmod/patch/kpatch-patch.h` of kpatch 0.9):
//! ```text
//! 0 new_addr   8 new_size   16 old_addr   24 old_size   32 sympos   40 name   48 objname
//! ```

use super::{
    image::{Image, Place, Relocation, Target},
    livepatch::{Callback, Replacement, When},
};

const FUNCTIONS: &str = ".kpatch.funcs";
const CALLBACKS: &str = ".kpatch.callbacks.";

/// What stands in the name of a symbol that is not exported, before its object and name:
/// `.klp.sym.OBJECT.NAME,POSITION` (`Documentation/livepatch/module-elf-format.rst`).
const HIDDEN_SYMBOL: &str = ".klp.sym.";

/// Whether a module is of kpatch-build's making.
pub fn is_one(image: &Image<'_>) -> bool {
    let mut names = image.sections.iter().map(|section| section.name);
    names.any(|name| name.starts_with(".kpatch."))
}

/// An entry, and its fields that are needed.
const ENTRY: u64 = 56;
const POSITION: u64 = 32;
const NAME: u64 = 40;
const OBJECT: u64 = 48;

/// More functions than any livepatch replaces.
const MOST: usize = 4096;

/// What it replaces; `None` where that cannot be read.
pub fn replacements(image: &Image<'_>) -> Option<Vec<Replacement>> {
    let (section, functions) = image
        .sections
        .iter()
        .enumerate()
        .find(|(_, section)| section.name == FUNCTIONS)?;
    let length = functions.bytes.len() as u64;
    let count = usize::try_from(length / ENTRY).ok()?;
    // Each field of an entry that is relocated, and no other, is one of these three.
    if !length.is_multiple_of(ENTRY) || count == 0 || count > MOST {
        return None;
    }
    if functions.relocations.len() != 3 * count {
        return None;
    }
    let entry = |number: u64| {
        let start = number * ENTRY;
        let at = |field| own(functions.relocation(start + field)?);
        image.budget.spend(64)?;
        Some(Replacement {
            object: image.text(at(OBJECT)?)?.to_owned(),
            function: image.text(at(NAME)?)?.to_owned(),
            position: image.word(Place {
                section,
                offset: start + POSITION,
            })?,
            code: at(0).filter(|code| image.is_code(*code))?,
        })
    };
    (0..length / ENTRY).map(entry).collect()
}

/// Returns the code that runs when it is loaded and unloaded: entries of a function and its object's name
/// (`struct kpatch_pre_patch_callback` and so on).
pub fn callbacks(image: &Image<'_>) -> Vec<Callback> {
    let mut found = Vec::new();
    for section in &image.sections {
        let Some(kind) = section.name.strip_prefix(CALLBACKS) else {
            continue;
        };
        let when = match kind {
            "pre_patch" => When::PrePatch,
            "post_patch" => When::PostPatch,
            "pre_unpatch" => When::PreUnpatch,
            "post_unpatch" => When::PostUnpatch,
            _ => continue,
        };
        let code = section.relocations.iter().filter_map(own);
        let code = code.filter(|place| image.is_code(*place)).take(MOST);
        found.extend(code.map(|code| Callback { when, code }));
    }
    found
}

fn own(field: &Relocation<'_>) -> Option<Place> {
    match field.target {
        Target::Own(_) => field.place(),
        Target::Foreign(_) => None,
    }
}

/// The kernel's own name of a symbol that a module uses.
pub fn plain_name(symbol: &str) -> &str {
    let hidden = symbol.strip_prefix(HIDDEN_SYMBOL);
    let name = hidden
        .and_then(|rest| rest.split_once('.'))
        .map(|(_, name)| name);
    name.map_or(symbol, |name| name.split(',').next().unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_that_is_not_exported_has_its_name_inside() {
        for (symbol, name) in [
            (".klp.sym.vmlinux.mod_timer,0", "mod_timer"),
            (
                ".klp.sym.ip_vs.ip_vs_read_cpu_stats,1",
                "ip_vs_read_cpu_stats",
            ),
            ("mod_timer", "mod_timer"),
            (".klp.sym.", ".klp.sym."),
        ] {
            assert_eq!(plain_name(symbol), name);
        }
    }
}
