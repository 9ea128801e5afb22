mod damage;
mod escape;
mod made;
mod rearm;

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
    let key = b"made\0";
    let places = file.windows(key.len()).enumerate();
    let places = places.filter(|(_, bytes)| bytes == key);
    let places: Vec<usize> = places.map(|(at, _)| at).collect();
    assert_eq!(
        places.len(),
        2,
        "in .modinfo, and where the kernel takes it from"
    );
    for at in places {
        file[at..at + 4].copy_from_slice(name.as_bytes());
    }
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
