//! Sections that the build makes and the loader uses up.

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

/// Returns whether a section is one of these, by its name.
pub fn is_list(section: &str) -> bool {
    LISTS.iter().any(|list| section.starts_with(list))
}
