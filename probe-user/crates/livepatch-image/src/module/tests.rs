mod bounds;
mod damage;
mod escape;
mod objects;
mod paths;
mod real;
mod rearm;

use super::*;
use crate::samples::made::{Made, Piece};

fn read(made: &Made) -> Module {
    Module::parse(&made.bytes()).unwrap()
}

fn code() -> Piece {
    Piece::function()
}

#[test]
fn what_a_module_says_of_itself_is_read() {
    let module = read(&Made::livepatch(code().when(500).jump("mod_timer")));
    assert_eq!(module.name.as_deref(), Some("made"));
    assert_eq!(module.built_for(), Some("6.1.0-56-amd64"));
    assert!(module.marked && !module.signed);
    assert_eq!(module.layout, Layout::Headers);
    assert_eq!(module.address_escapes, Answer::No);
    let replaced = Replaced {
        object: "ip_vs".into(),
        function: "estimation_timer".into(),
        position: 0,
    };
    assert_eq!(module.replaces, [replaced]);
    let mut signed = Made::plain().bytes();
    signed.extend(SIGNATURE);
    assert!(Module::parse(&signed).unwrap().signed);
}

#[test]
fn every_function_of_every_object_is_read_with_its_position() {
    let second = Piece::zeros(304)
        .pointer(0, "name:reset")
        .pointer(8, "reset");
    let mut positioned = second.clone();
    positioned.set(16, 2);
    let made = Made::plain()
        .with(".text", "new", code().back())
        .with(".text", "reset", code().back())
        .with(
            ".data",
            "patch",
            Piece::zeros(200)
                .pointer(0, "__this_module")
                .pointer(8, "objects"),
        )
        .with(
            ".data",
            "objects",
            // The second has no name: it is the kernel itself.
            Piece::zeros(504)
                .pointer(0, "name:ip_vs")
                .pointer(8, "first")
                .pointer(176, "second"),
        )
        .with(
            ".data",
            "first",
            Piece::zeros(456)
                .pointer(0, "name:estimation_timer")
                .pointer(8, "new")
                .pointer(152, "name:reset")
                .pointer(160, "reset"),
        )
        .with(".data", "second", positioned)
        .named("ip_vs")
        .named("estimation_timer")
        .named("reset");
    let module = read(&made);
    let found: Vec<_> = module
        .replaces
        .iter()
        .map(|one| (one.object.as_str(), one.function.as_str(), one.position))
        .collect();
    assert_eq!(
        found,
        [
            ("ip_vs", "estimation_timer", 0),
            ("ip_vs", "reset", 0),
            ("vmlinux", "reset", 2)
        ]
    );
    assert_eq!(module.rearms, Rearms::No);
    assert_eq!(module.address_escapes, Answer::No);
}

#[test]
fn the_switch_is_read_at_the_offset_that_the_kernel_has_it_at() {
    let module = read(&Made::livepatch(code().back()));
    assert_eq!(module.switch(24), Some(false));
    assert_eq!(module.switch(200), None, "beyond the end");
}

#[test]
fn what_cannot_be_read_is_unknown() {
    let patch = || {
        Piece::zeros(200)
            .pointer(0, "__this_module")
            .pointer(8, "objects")
    };
    let table = [
        ("no livepatch at all", Made::plain()),
        (
            "two livepatches",
            Made::livepatch(code().back()).with(".data", "another", patch()),
        ),
        (
            "a function without a name",
            Made::plain()
                .with(".text", "new", code().back())
                .with(".data", "patch", patch())
                .with(
                    ".data",
                    "objects",
                    Piece::zeros(336)
                        .pointer(0, "name:ip_vs")
                        .pointer(8, "functions"),
                )
                .with(
                    ".data",
                    "functions",
                    Piece::zeros(304)
                        .pointer(0, "name_of_another")
                        .pointer(8, "new"),
                )
                .named("ip_vs"),
        ),
    ];
    for (what, made) in table {
        let module = read(&made);
        assert_eq!(module.layout, Layout::Unknown, "{what}");
        assert!(module.replaces.is_empty(), "{what}");
        assert_eq!(module.rearms, Rearms::Unknown, "{what}");
        assert_eq!(module.address_escapes, Answer::Unknown, "{what}");
        assert_eq!(module.switch(24), None, "{what}");
    }
}

/// Returns a module as kpatch-build makes it, whose new functions are all `code`, at the position 1.
fn kpatch(functions: &[&str], code: Piece) -> Made {
    let mut entries = Piece::zeros(56 * functions.len());
    let mut made = Made::plain().with(".text.new", "new", code).with(
        ".kpatch.strings",
        "name:ip_vs",
        Piece::default().then(b"ip_vs\0"),
    );
    for (number, function) in functions.iter().enumerate() {
        let start = 56 * number as u64;
        let name = format!("name:{function}");
        let text = Piece::default().then(function.as_bytes()).then(&[0]);
        made = made.with(".kpatch.strings", &name, text);
        entries.set(56 * number + 32, 1);
        entries = entries
            .pointer(start, "new")
            .pointer(start + 40, &name)
            .pointer(start + 48, "name:ip_vs");
    }
    made.with(".kpatch.funcs", "functions", entries)
}

#[test]
fn a_module_of_kpatch_build_tells_by_its_own_sections() {
    let module = read(&kpatch(
        &["estimation_timer", "ip_vs_in"],
        code().when(500).jump("mod_timer"),
    ));
    assert_eq!(module.layout, Layout::KpatchBuild);
    let replaced = |function: &str| Replaced {
        object: "ip_vs".into(),
        function: function.into(),
        position: 1,
    };
    assert_eq!(
        module.replaces,
        [replaced("estimation_timer"), replaced("ip_vs_in")]
    );
    assert_eq!(
        (module.rearms, module.period_jiffies),
        (Rearms::Yes, Some(500))
    );
    assert_eq!(module.address_escapes, Answer::No);
    assert_eq!(module.callbacks, []);
    assert_eq!(
        module.switch(24),
        None,
        "nothing says what its klp_patch is"
    );
    let unread = Made::plain().with(".kpatch.strings", "text", Piece::zeros(8));
    let unread = read(&unread);
    assert_eq!(
        (unread.layout, unread.rearms),
        (Layout::KpatchBuild, Rearms::Unknown)
    );
}

#[test]
fn only_a_list_of_whole_entries_is_read() {
    let whole = || kpatch(&["estimation_timer"], code().when(500).jump("mod_timer"));
    assert_eq!(read(&whole()).replaces.len(), 1);
    for (what, made) in [
        (
            "an entry, and a part of another",
            whole().with(".kpatch.funcs", "part", Piece::zeros(8)),
        ),
        (
            "a part of an entry",
            Made::plain().with(".kpatch.funcs", "part", Piece::zeros(8)),
        ),
        ("no entry", kpatch(&[], code().back())),
    ] {
        let module = read(&made);
        assert_eq!(module.layout, Layout::KpatchBuild, "{what}");
        assert!(module.replaces.is_empty(), "{what}");
        assert_eq!(module.rearms, Rearms::Unknown, "{what}");
        assert_eq!(module.address_escapes, Answer::Unknown, "{what}");
    }
}

/// `lpatch` is a variable that holds the address of the `klp_patch`.
fn enabling(piece: Piece) -> Made {
    kpatch(&["estimation_timer"], code().when(500).jump("mod_timer"))
        .with(".bss", "lpatch", Piece::zeros(8))
        .with(
            ".init.text",
            "init",
            piece
                .relative(&[0x48, 0x8b, 0x3d], "lpatch")
                .call("klp_enable_patch")
                .back(),
        )
}

#[test]
fn whether_others_are_replaced_is_read_from_what_is_written_into_the_patch() {
    let load = |piece: Piece| piece.relative(&[0x48, 0x8b, 0x05], "lpatch");
    // movb $N,24(%rax)
    let write = |piece: Piece, value: u8| piece.then(&[0xc6, 0x40, 24, value]);
    let made = || load(code());
    let table = [
        ("nothing", made(), None),
        ("no", write(made(), 0), Some(false)),
        ("yes", write(made(), 1), Some(true)),
        ("yes, twice", write(load(write(made(), 1)), 1), Some(true)),
        ("either", write(load(write(made(), 1)), 0), None),
        (
            "elsewhere: movb $1,25(%rax)",
            made().then(&[0xc6, 0x40, 25, 1]),
            None,
        ),
        (
            "unknown: mov %cl,24(%rax)",
            made().then(&[0x88, 0x48, 24]),
            None,
        ),
        (
            "over it: movq $1,20(%rax)",
            made().then(&[0x48, 0xc7, 0x40, 20, 1, 0, 0, 0]),
            None,
        ),
        (
            "behind another: movb $1,24(%rcx)",
            made().then(&[0xc6, 0x41, 24, 1]),
            None,
        ),
        (
            "as it was made: mov %rax,lpatch(%rip); movb $1,24(%rax)",
            write(
                code()
                    .call("__kmalloc")
                    .relative(&[0x48, 0x89, 0x05], "lpatch"),
                1,
            ),
            Some(true),
        ),
    ];
    for (what, piece, replaces) in table {
        assert_eq!(read(&enabling(piece)).switch(24), replaces, "{what}");
    }
    // A variable that code changes is not what it was.
    let made = |written: u8| {
        let mut piece = code().relative(&[0xc6, 0x05], "patch");
        piece.shift_last_field(23);
        Made::livepatch(code().back()).with(
            ".init.text",
            "init",
            piece
                .then(&[written])
                .absolute(&[0x48, 0xc7, 0xc7], "patch")
                .call("klp_enable_patch")
                .back(),
        )
    };
    assert_eq!(read(&made(1)).switch(24), Some(true));
    assert_eq!(read(&made(0)).switch(24), Some(false));
}

#[test]
fn code_that_runs_besides_the_new_functions_is_found_with_its_time() {
    let made = Made::livepatch(code().back()).with(".text", "run", code().back());
    assert_eq!(read(&made).callbacks, []);
    let with = |section: &'static str| {
        kpatch(&["estimation_timer"], code().back())
            .with(".text.run", "run", code().back())
            .with(section, "callback", Piece::zeros(16).pointer(0, "run"))
    };
    for (section, when) in [
        (".kpatch.callbacks.pre_patch", When::PrePatch),
        (".kpatch.callbacks.post_patch", When::PostPatch),
        (".kpatch.callbacks.pre_unpatch", When::PreUnpatch),
        (".kpatch.callbacks.post_unpatch", When::PostUnpatch),
    ] {
        assert_eq!(read(&with(section)).callbacks, [when], "{section}");
    }
    // kpatch-build makes the sections, with eight zeros, where there are no callbacks.
    let empty = kpatch(&["estimation_timer"], code().back()).with(
        ".kpatch.callbacks.pre_patch",
        "callback",
        Piece::zeros(8),
    );
    assert_eq!(read(&empty).callbacks, []);
    let made = Made::plain()
        .with(".text", "new", code().back())
        .with(".text", "run", code().back())
        .with(
            ".data",
            "patch",
            Piece::zeros(200)
                .pointer(0, "__this_module")
                .pointer(8, "objects"),
        )
        .with(
            ".data",
            "objects",
            Piece::zeros(336)
                .pointer(0, "name:ip_vs")
                .pointer(8, "functions")
                .pointer(24, "run")
                .pointer(40, "run"),
        )
        .with(
            ".data",
            "functions",
            Piece::zeros(304)
                .pointer(0, "name:estimation_timer")
                .pointer(8, "new"),
        )
        .named("ip_vs")
        .named("estimation_timer");
    let module = read(&made);
    assert_eq!(module.callbacks, [When::PostPatch, When::PostUnpatch]);
    assert_eq!(module.address_escapes, Answer::No);
}
