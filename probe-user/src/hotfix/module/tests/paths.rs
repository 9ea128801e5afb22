//! Whether the timer is set again on all paths through a function, on some, or on none.

use super::*;
use Rearms::{No, SomePaths, Unknown, Yes};

/// `mov -0x48(%rdi),%eax; test %eax,%eax`, as where `run_estimation` lies on Linux 6.1.
fn switched(piece: Piece) -> Piece {
    piece.then(&[0x8b, 0x47, 0xb8, 0x85, 0xc0])
}

/// 19 bytes that set the timer and return.
fn sets(piece: Piece) -> Piece {
    piece.when(500).jump("mod_timer")
}

const SWITCHED_OFF: Reason = Reason::Field {
    offset: -0x48,
    number: 0,
    equal: true,
};
const SWITCHED_ON: Reason = Reason::Field {
    offset: -0x48,
    number: 0,
    equal: false,
};

fn read_paths(made: &Made) -> (Rearms, Option<u64>, Vec<Reason>) {
    let module = read(made);
    (module.rearms, module.period_jiffies, module.unset_when)
}

#[test]
fn what_makes_the_timer_stay_unset_is_found_with_its_condition() {
    let je = |piece: Piece, distance: u8| piece.then(&[0x74, distance]);
    let jne = |piece: Piece, distance: u8| piece.then(&[0x75, distance]);
    let table = [
        (
            "an early return: jne over it",
            sets(jne(switched(code()), 5).back()),
            SWITCHED_OFF,
        ),
        (
            "a conditional jump to the return: je out",
            sets(switched(code()).relative(&[0x0f, 0x84], "__x86_return_thunk")),
            SWITCHED_OFF,
        ),
        (
            "the other way round: je over it",
            sets(je(switched(code()), 5).back()),
            SWITCHED_ON,
        ),
        (
            "compared in memory: cmpl $0,-0x48(%rdi)",
            sets(jne(code().then(&[0x83, 0x7f, 0xb8, 0]), 5).back()),
            SWITCHED_OFF,
        ),
        (
            "kept elsewhere: push %rbx; mov %rdi,%rbx; call; mov -0x48(%rbx),%eax; test; pop %rbx; jne",
            sets(
                jne(
                    code()
                        .then(&[0x53, 0x48, 0x89, 0xfb])
                        .call("_raw_spin_lock")
                        .then(&[0x8b, 0x43, 0xb8, 0x85, 0xc0, 0x5b]),
                    5,
                )
                .back(),
            ),
            SWITCHED_OFF,
        ),
        (
            "not a number that is known: test %cl,%cl",
            sets(jne(code().then(&[0x84, 0xc9]), 5).back()),
            Reason::Other,
        ),
        (
            "a loop on the way: dec %ecx; jne back",
            sets(jne(switched(code().then(&[0xff, 0xc9, 0x75, 0xfc])), 5).back()),
            SWITCHED_OFF,
        ),
    ];
    for (what, code, reason) in table {
        let found = read_paths(&Made::livepatch(code));
        assert_eq!(found, (SomePaths, Some(500), vec![reason]), "{what}");
    }
}

#[test]
fn what_is_decided_in_a_function_that_is_called_is_found() {
    let helper = || sets(switched(code()).then(&[0x75, 5]).back());
    let calling = |piece: Piece| Made::livepatch(piece).with(".text", "helper", helper());
    let plain = calling(code().near(&[0xe8], "helper").back());
    assert_eq!(
        read_paths(&plain),
        (SomePaths, Some(500), vec![SWITCHED_OFF])
    );
    let apart = Made::livepatch(code().relative(&[0x0f, 0x84], "cold").back()).with(
        ".text.unlikely",
        "cold",
        helper(),
    );
    let (rearms, jiffies, reasons) = read_paths(&apart);
    assert_eq!((rearms, jiffies), (SomePaths, Some(500)));
    assert_eq!(reasons, [SWITCHED_OFF, Reason::Other]);
    let always = calling(sets(code().near(&[0xe8], "helper")));
    assert_eq!(read_paths(&always), (Yes, Some(500), Vec::new()));
    // The helper returns whether it set the timer, and the caller does so where it did not.
    let tells = switched(code())
        .then(&[0x75, 7, 0x31, 0xc0])
        .back()
        .when(500)
        .call("mod_timer")
        .then(&[0xb8, 1, 0, 0, 0])
        .back();
    let asking = code()
        .near(&[0xe8], "helper")
        .then(&[0x84, 0xc0, 0x74, 5])
        .back();
    let made = Made::livepatch(sets(asking)).with(".text", "helper", tells);
    assert_eq!(read_paths(&made), (Yes, Some(500), Vec::new()));
}

#[test]
fn ways_that_do_not_show_in_the_code_are_followed() {
    // nopl 0(%rax,%rax,1), which the kernel may make a jump of; the return lies behind.
    let label = || {
        code()
            .then(&[0x0f, 0x1f, 0x44, 0, 0])
            .when(500)
            .jump("mod_timer")
            .back()
    };
    let entry = |target: i64| {
        let mut piece = Piece::zeros(0).relative(&[], "new");
        piece.shift_last_field(4 + 5);
        piece = piece.relative(&[], "new");
        piece.shift_last_field(4 + target);
        piece.then(&[0; 8])
    };
    let labelled = Made::livepatch(label()).with("__jump_table", "entry", entry(29));
    let found = read_paths(&labelled);
    assert_eq!(found, (SomePaths, Some(500), vec![Reason::Other]));
    assert_eq!(read_paths(&Made::livepatch(label())).0, Yes);
    // ud2 behind a jump: code continues behind a warning, and not behind a bug.
    let trapped = || sets(switched(code()).then(&[0x75, 7, 0x0f, 0x0b]).back());
    let noted = |flags: u8| {
        let mut piece = Piece::zeros(0).relative(&[], "new");
        piece.shift_last_field(4 + 12);
        Made::livepatch(trapped()).with(
            "__bug_table",
            "entry",
            piece.then(&[0, 0, 0, 0, 7, 0, flags, 0]),
        )
    };
    assert_eq!(read_paths(&noted(1)).0, SomePaths);
    assert_eq!(read_paths(&noted(0)).0, Yes);
    // jmp *table(,%rax,8): the first case sets the timer, the second returns.
    let choosing = |second: u64| {
        let mut table = Piece::zeros(16).pointer(0, "new").pointer(8, "new");
        table.shift_fields(&[12, second.cast_signed()]);
        Made::livepatch(sets(code().absolute(&[0xff, 0x24, 0xc5], "table")).back())
            .with(".rodata", "table", table)
    };
    assert_eq!(read_paths(&choosing(12)).0, Yes);
    assert_eq!(read_paths(&choosing(31)).0, SomePaths);
}

#[test]
fn what_sets_another_timer_or_takes_it_back_does_not_set_this_one() {
    let own = |piece: Piece| Made::livepatch(piece).with(".data", "own", Piece::zeros(40));
    let table = [
        (
            "its own: mov $own,%rdi",
            own(sets(code().absolute(&[0x48, 0xc7, 0xc7], "own"))),
            No,
        ),
        (
            "one 64 bytes further: add $64,%rdi",
            Made::livepatch(sets(code().then(&[0x48, 0x83, 0xc7, 64]))),
            No,
        ),
        (
            "there and back: lea -8(%rdi),%rax; lea 8(%rax),%rdi",
            Made::livepatch(sets(
                code().then(&[0x48, 0x8d, 0x47, 0xf8, 0x48, 0x8d, 0x78, 8]),
            )),
            Yes,
        ),
        (
            "moved, where it is not queued",
            Made::livepatch(code().when(500).jump("mod_timer_pending")),
            No,
        ),
        (
            "taken back",
            Made::livepatch(code().when(500).call("mod_timer").jump("del_timer_sync")),
            No,
        ),
        (
            "on the other way the node stops: je over panic",
            Made::livepatch(sets(code().then(&[0x74, 5]).call("panic"))),
            Yes,
        ),
        (
            "hidden on the other way",
            Made::livepatch(sets(code().then(&[0x74, 5]).jump("somewhere"))),
            Unknown,
        ),
        (
            "hidden before",
            Made::livepatch(sets(code().call("somewhere"))),
            Yes,
        ),
        (
            "for ever: jmp .",
            Made::livepatch(code().then(&[0xeb, 0xfe])),
            Unknown,
        ),
        (
            "jmp *%rax on the other way",
            Made::livepatch(sets(code().then(&[0x74, 2, 0xff, 0xe0]))),
            Unknown,
        ),
    ];
    for (what, made, rearms) in table {
        assert_eq!(read_paths(&made).0, rearms, "{what}");
    }
}
