//! Files that are no modules, or were once.

use super::*;

#[test]
fn files_that_are_no_modules_are_refused_in_a_sentence() {
    let whole = Made::livepatch(code().back()).bytes();
    let mut arm = whole.clone();
    arm[18] = 183;
    let mut linked = whole.clone();
    linked[16] = 2;
    let nothing = Made::default().with(".text", "new", code().back()).bytes();
    let own = Piece::zeros(24).then(b"other").then(&[0; 100]);
    let renamed = Made::default()
        .with(".modinfo", "info", Piece::default().then(b"name=made\0"))
        .with(".gnu.linkonce.this_module", "__this_module", own)
        .bytes();
    for (bytes, words) in [
        (Vec::new(), "not an ELF file"),
        (b"#!/bin/sh\n".to_vec(), "not an ELF file"),
        (whole[..whole.len() / 2].to_vec(), "cut off or damaged"),
        (arm, "another architecture (Aarch64)"),
        (linked, "relocatable"),
        (nothing, ".gnu.linkonce.this_module"),
        (renamed, "two names, made in .modinfo and other"),
    ] {
        let error = Module::parse(&bytes).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

/// The kernel applies relocations whatever table of symbols they name, so that none may pass unseen.
#[test]
fn relocations_of_another_table_of_symbols_are_refused() {
    let whole = Made::livepatch(code().when(500).jump("mod_timer")).bytes();
    assert!(Module::parse(&whole).is_ok());
    let number = |at: usize, length: usize| {
        let bytes = &whole[at..at + length];
        bytes
            .iter()
            .rev()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    };
    // Where the headers of sections are, and how many; in each, its kind and the section that it links to.
    let (headers, count) = (number(40, 8), number(60, 2));
    let tables = (0..count).map(|section| headers + 64 * section);
    let tables: Vec<usize> = tables.filter(|header| number(header + 4, 4) == 4).collect();
    assert!(!tables.is_empty());
    for header in tables {
        let mut hidden = whole.clone();
        hidden[header + 40..header + 44].fill(0);
        let error = Module::parse(&hidden).unwrap_err().to_string();
        assert!(error.contains("another table of symbols"), "{error}");
    }
}

/// Nothing but an answer is expected: no panic, no endless work.
#[test]
fn damage_of_any_kind_at_any_place_is_survived() {
    let entry = Piece::zeros(56)
        .pointer(0, "new")
        .pointer(40, "name:estimation_timer");
    let made = Made::livepatch(code().when(500).near(&[0xe8], "again").jump("mod_timer"))
        .with(".text", "again", code().back())
        .with("__mcount_loc", "list", Piece::zeros(8).pointer(0, "new"));
    for made in [made.clone().with(".kpatch.funcs", "entry", entry), made] {
        let whole = made.bytes();
        for length in 0..whole.len() {
            let _ = Module::parse(&whole[..length]);
        }
        for at in 0..whole.len() {
            for value in [0, 0xff, 0x80, whole[at] ^ 1, whole[at].wrapping_add(8)] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                let _ = Module::parse(&damaged);
            }
            let mut damaged = whole.clone();
            let end = (at + 8).min(whole.len());
            damaged[at..end].fill(0xff);
            let _ = Module::parse(&damaged);
        }
    }
}

#[test]
fn a_linked_program_is_said_to_be_linked() {
    for (kind, said) in [(2, "linked"), (3, "linked"), (4, "strange")] {
        let mut file = Made::plain().bytes();
        // `e_type`, behind the sixteen bytes of `e_ident`.
        file[16] = kind;
        let error = Module::parse(&file).unwrap_err();
        assert!(format!("{error:?}").contains(said), "{error:?}");
    }
}
