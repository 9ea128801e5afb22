mod made;

use super::*;
use made::{Made, Piece};

/// A hotfix that nothing speaks against on 6.1.0-56-amd64.
pub fn sample() -> Module {
    read(&Made::livepatch(code().when(500).jump("mod_timer")))
}

/// Its file, under a name of four letters, and with another period.
pub fn sample_file(name: &str, jiffies: u32) -> Vec<u8> {
    let file = Made::livepatch(code().when(jiffies).jump("mod_timer")).bytes();
    renamed(file, name)
}

/// The file of one that never sets the timer again.
pub fn sample_that_kills(name: &str) -> Vec<u8> {
    renamed(Made::livepatch(code().back()).bytes(), name)
}

fn renamed(mut file: Vec<u8>, name: &str) -> Vec<u8> {
    let key = b"\0name=made\0";
    let at = file
        .windows(key.len())
        .position(|bytes| bytes == key)
        .unwrap()
        + b"\0name=".len();
    file[at..at + 4].copy_from_slice(name.as_bytes());
    file
}

impl Module {
    /// Switches something on in its `klp_patch`.
    pub fn set_switch(&mut self, offset: usize) {
        self.patch[offset] = 1;
    }
}

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
fn a_timer_is_told_with_its_period_where_that_is_a_constant() {
    // The opcodes: mov jiffies(%rip),%rax; lea 500(%rax),%rsi; and so on, as named beside them.
    let table = [
        ("a jump at the end", code().when(500).jump("mod_timer"), 500),
        (
            "a call",
            code().when(75_000).call("timer_reduce").back(),
            75_000,
        ),
        (
            "lea 500(%rax),%rsi",
            code()
                .relative(&[0x48, 0x8b, 0x05], "jiffies")
                .then(&[0x48, 0x8d, 0xb0, 0xf4, 1, 0, 0])
                .jump("mod_timer"),
            500,
        ),
        (
            "mov $500,%esi; add jiffies(%rip),%rsi",
            code()
                .then(&[0xbe, 0xf4, 1, 0, 0])
                .relative(&[0x48, 0x03, 0x35], "jiffies_64")
                .jump("mod_timer"),
            500,
        ),
        (
            "mov jiffies,%rsi; sub $-500,%rsi",
            code()
                .absolute(&[0x48, 0x8b, 0x34, 0x25], "jiffies")
                .then(&[0x48, 0x81, 0xee, 0x0c, 0xfe, 0xff, 0xff])
                .jump("mod_timer"),
            500,
        ),
        (
            "kept in %rbx over a call",
            code()
                .relative(&[0x48, 0x8b, 0x1d], "jiffies")
                .then(&[0x48, 0x81, 0xc3, 0xf4, 1, 0, 0])
                .call("_raw_spin_unlock")
                .then(&[0x48, 0x89, 0xde])
                .jump("mod_timer"),
            500,
        ),
        (
            "twice the same",
            code()
                .when(500)
                .call("mod_timer")
                .when(500)
                .jump("mod_timer"),
            500,
        ),
        (
            "not exported",
            code().when(500).jump(".klp.sym.vmlinux.mod_timer,0"),
            500,
        ),
    ];
    for (what, code, jiffies) in table {
        let module = read(&Made::livepatch(code));
        assert_eq!(module.rearms, Answer::Yes, "{what}");
        assert_eq!(module.period_jiffies, Some(jiffies), "{what}");
    }
}

#[test]
fn a_period_that_is_no_constant_on_every_way_is_not_guessed() {
    let table = [
        ("add_timer", code().call("add_timer").back()),
        (
            "lost in a call",
            code().when(500).call("_raw_spin_unlock").jump("mod_timer"),
        ),
        (
            "jiffies alone on one of two ways: je over the add",
            code()
                .relative(&[0x48, 0x8b, 0x35], "jiffies")
                .then(&[0x74, 7, 0x48, 0x81, 0xc6, 0xf4, 1, 0, 0])
                .jump("mod_timer"),
        ),
        (
            "half of a register",
            code().when(500).then(&[0x89, 0xf6]).jump("mod_timer"),
        ),
        ("the past", code().when(0xffff_ffff).jump("mod_timer")),
        (
            "no constant",
            code()
                .relative(&[0x48, 0x8b, 0x35], "when")
                .jump("mod_timer"),
        ),
        (
            "not jiffies itself",
            code().field_after("jiffies").jump("mod_timer"),
        ),
        (
            "two periods",
            code()
                .when(500)
                .call("mod_timer")
                .when(750)
                .jump("mod_timer"),
        ),
    ];
    for (what, code) in table {
        let module = read(&Made::livepatch(code));
        assert_eq!(
            (module.rearms, module.period_jiffies),
            (Answer::Yes, None),
            "{what}"
        );
    }
}

#[test]
fn a_timer_that_is_never_set_is_told_from_one_that_cannot_be_seen() {
    use Answer::{No, Unknown};
    let table = [
        ("nothing", code().back(), No),
        (
            "locks",
            code()
                .call("_raw_spin_lock")
                .call("_raw_spin_unlock")
                .back(),
            No,
        ),
        (
            "a thunk",
            code().call("__x86_indirect_thunk_rax").back(),
            Unknown,
        ),
        ("call *%rax", code().then(&[0xff, 0xd0]).back(), Unknown),
        (
            "call *ops(%rip)",
            code().relative(&[0xff, 0x15], "ops").back(),
            Unknown,
        ),
        (
            "call *pv_ops+8(%rip)",
            code().relative(&[0xff, 0x15], "pv_ops").back(),
            No,
        ),
        (
            "another function",
            code().call("sk_reset_timer").back(),
            Unknown,
        ),
        (
            "not exported, unknown",
            code().call(".klp.sym.ip_vs.again,0").back(),
            Unknown,
        ),
        ("no instruction", code().then(&[0x06]).back(), Unknown),
        (
            "no instruction behind a call",
            code().when(500).call("mod_timer").then(&[0x06]).back(),
            Unknown,
        ),
    ];
    for (what, code, rearms) in table {
        let module = read(&Made::livepatch(code));
        assert_eq!(
            (module.rearms, module.period_jiffies),
            (rearms, None),
            "{what}"
        );
    }
}

impl Piece {
    /// `mov SYMBOL+8(%rip),%rsi`.
    fn field_after(self, symbol: &str) -> Self {
        let mut piece = self.relative(&[0x48, 0x8b, 0x35], symbol);
        piece.shift_last_field(8);
        piece
    }
}

#[test]
fn calls_inside_the_module_are_followed() {
    let again = || code().when(500).jump("mod_timer");
    let table = [
        (
            "a distance",
            Made::livepatch(code().near(&[0xe8], "again").back()).with(".text", "again", again()),
        ),
        (
            "a relocation",
            Made::livepatch(code().call("again").back()).with(".text", "again", again()),
        ),
        (
            "a part that is seldom needed: je",
            Made::livepatch(code().relative(&[0x0f, 0x84], "cold").back()).with(
                ".text.unlikely",
                "cold",
                again(),
            ),
        ),
        (
            "two levels",
            Made::livepatch(code().near(&[0xe8], "work").back())
                .with(".text", "work", code().near(&[0xe8], "again").back())
                .with(".text", "again", again()),
        ),
    ];
    for (what, made) in table {
        let module = read(&made);
        assert_eq!(
            (module.rearms, module.period_jiffies),
            (Answer::Yes, Some(500)),
            "{what}"
        );
        assert_eq!(module.address_escapes, Answer::No, "{what}");
    }
    let elsewhere = Made::livepatch(code().back()).with(".text", "again", again());
    assert_eq!(read(&elsewhere).rearms, Answer::No, "nobody calls it");
    let in_circles = Made::livepatch(code().near(&[0xe8], "new").back());
    assert_eq!(read(&in_circles).rearms, Answer::No);
}

#[test]
fn an_address_in_data_stays_behind_and_lists_of_the_build_are_none() {
    use Answer::{No, Yes};
    let plain = || Made::livepatch(code().when(500).jump("mod_timer"));
    let table = [
        ("nothing", plain(), No),
        (
            "a list of ftrace",
            plain().with("__mcount_loc", "list", Piece::zeros(8).pointer(0, "new")),
            No,
        ),
        (
            "unwinding",
            plain().with(".orc_unwind_ip", "list", Piece::zeros(8).pointer(0, "new")),
            No,
        ),
        (
            "a variable",
            plain().with(".data", "timer", Piece::zeros(40).pointer(24, "new")),
            Yes,
        ),
        (
            "another's address in a variable",
            plain().with(".text", "other", code()).with(
                ".data",
                "ops",
                Piece::zeros(8).pointer(0, "other"),
            ),
            No,
        ),
    ];
    for (what, made, escapes) in table {
        assert_eq!(read(&made).address_escapes, escapes, "{what}");
    }
}

#[test]
fn an_address_that_code_takes_stays_behind() {
    use Answer::{No, Unknown, Yes};
    let plain = || Made::livepatch(code().when(500).jump("mod_timer"));
    let taking = |piece: Piece| {
        Made::livepatch(piece.when(500).jump("mod_timer")).with(".text", "other", code().back())
    };
    let store = [0x48, 0xc7, 0x47, 0x18];
    let table = [
        (
            "movq $new,24(%rdi)",
            taking(code().absolute(&store, "new")),
            Yes,
        ),
        (
            "movq $other,24(%rdi)",
            taking(code().absolute(&store, "other")),
            Yes,
        ),
        (
            "lea new(%rip),%rax, relocated",
            taking(code().relative(&[0x48, 0x8d, 0x05], "new")),
            Yes,
        ),
        (
            "lea new(%rip),%rax",
            taking(code().near(&[0x48, 0x8d, 0x05], "new")),
            Yes,
        ),
        (
            "mov $new,%rax",
            taking(code().absolute(&[0x48, 0xc7, 0xc0], "new")),
            Yes,
        ),
        (
            "lea other(%rip),%rdi",
            taking(code().near(&[0x48, 0x8d, 0x3d], "other")),
            Unknown,
        ),
        (
            "mov $other,%rdi",
            taking(code().absolute(&[0x48, 0xc7, 0xc7], "other")),
            Unknown,
        ),
        (
            "a call to itself",
            taking(code().near(&[0xe8], "new").call("new")),
            No,
        ),
        (
            "somebody else takes it",
            plain().with(
                ".init.text",
                "init",
                code().absolute(&[0x48, 0xc7, 0xc7], "new"),
            ),
            Yes,
        ),
        (
            "a callback: movq $other,24(%rdi)",
            plain().with(".text", "other", code().back()).with(
                ".text",
                "callback",
                code().absolute(&store, "other").back(),
            ),
            Yes,
        ),
        (
            "its own variable: movq $other,ops(%rip)",
            plain().with(".text", "other", code().back()).with(
                ".text",
                "callback",
                code()
                    .absolute(&[0x48, 0xc7, 0x05, 0, 0, 0, 0], "other")
                    .back(),
            ),
            No,
        ),
        (
            "no instructions",
            plain().with(".init.text", "init", code().then(&[0x06])),
            Unknown,
        ),
    ];
    for (what, made, escapes) in table {
        assert_eq!(read(&made).address_escapes, escapes, "{what}");
    }
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
    assert_eq!(module.rearms, Answer::No);
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
        assert_eq!(module.rearms, Answer::Unknown, "{what}");
        assert_eq!(module.address_escapes, Answer::Unknown, "{what}");
        assert_eq!(module.switch(24), None, "{what}");
    }
}

#[test]
fn a_module_of_kpatch_build_tells_by_its_own_sections() {
    let entry = Piece::zeros(56)
        .pointer(0, "new")
        .pointer(40, "name:estimation_timer")
        .pointer(48, "name:ip_vs");
    let made = Made::plain()
        .with(
            ".text.estimation_timer",
            "new",
            code().when(500).jump("mod_timer"),
        )
        .with(".kpatch.funcs", "functions", entry)
        .with(
            ".kpatch.strings",
            "name:ip_vs",
            Piece::default().then(b"ip_vs\0"),
        )
        .with(
            ".kpatch.strings",
            "name:estimation_timer",
            Piece::default().then(b"estimation_timer\0"),
        );
    let module = read(&made);
    assert_eq!(module.layout, Layout::KpatchBuild);
    assert_eq!(module.replaces[0].object, "ip_vs");
    assert_eq!(module.replaces[0].function, "estimation_timer");
    assert_eq!(
        (module.rearms, module.period_jiffies),
        (Answer::Yes, Some(500))
    );
    assert_eq!(module.address_escapes, Answer::No);
    assert_eq!(
        module.switch(24),
        None,
        "its klp_patch is made when it is loaded"
    );
    let unread = Made::plain().with(".kpatch.strings", "text", Piece::zeros(8));
    let unread = read(&unread);
    assert_eq!(
        (unread.layout, unread.rearms),
        (Layout::KpatchBuild, Answer::Unknown)
    );
}

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
