//! What a module of kpatch-build replaces. It makes its `klp_patch` while it is loaded, from an array in
//! the section `.kpatch.funcs`; each entry begins with the new function's address, and names first the
//! function and then its object (`struct kpatch_patch_func`, `kmod/patch/kpatch-patch.h`). What lies
//! between has changed with kpatch's versions, and is not needed.

use super::{
    image::{Image, Place, Relocation, Target},
    livepatch::Replacement,
};

const FUNCTIONS: &str = ".kpatch.funcs";

/// What stands in the name of a symbol that is not exported, before its object and name:
/// `.klp.sym.OBJECT.NAME,POSITION` (`Documentation/livepatch/module-elf-format.rst`).
const HIDDEN_SYMBOL: &str = ".klp.sym.";

/// Whether a module is of kpatch-build's making.
pub fn is_one(image: &Image<'_>) -> bool {
    let mut names = image.sections.iter().map(|section| &section.name);
    names.any(|name| name.starts_with(".kpatch."))
}

/// What it replaces; `None` where that cannot be read.
pub fn replacements(image: &Image<'_>) -> Option<Vec<Replacement>> {
    let mut entries: Vec<(Place, Vec<&str>)> = Vec::new();
    for field in &image.section(FUNCTIONS)?.relocations {
        let place = own(field)?;
        if image.is_code(place) {
            entries.push((place, Vec::new()));
        } else {
            entries.last_mut()?.1.push(image.text(place)?);
        }
    }
    let replacement = |(code, names): (Place, Vec<&str>)| match names.as_slice() {
        [function, object] => Some(Replacement {
            object: (*object).to_owned(),
            function: (*function).to_owned(),
            position: 0,
            code,
        }),
        _ => None,
    };
    let found: Option<Vec<_>> = entries.into_iter().map(replacement).collect();
    found.filter(|found| !found.is_empty())
}

fn own(field: &Relocation) -> Option<Place> {
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
