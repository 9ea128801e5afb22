//! Addresses of the module that stay behind in the kernel.

use super::*;

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
