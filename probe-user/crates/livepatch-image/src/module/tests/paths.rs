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

fn sets_and_goes_on(piece: Piece) -> Piece {
    piece.when(500).call("mod_timer")
}

fn with_own(piece: Piece) -> Made {
    Made::livepatch(piece).with(".data", "own", Piece::zeros(40))
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
            "kept elsewhere: push %rbx; mov %rdi,%rbx; call; mov -0x48(%rbx),%eax; test; mov %rbx,%rdi; pop; jne",
            sets(
                jne(
                    code()
                        .then(&[0x53, 0x48, 0x89, 0xfb])
                        .call("_raw_spin_lock")
                        .then(&[0x8b, 0x43, 0xb8, 0x85, 0xc0, 0x48, 0x89, 0xdf, 0x5b]),
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
            "one bit of it: testl $1,-0x48(%rdi)",
            sets(jne(code().then(&[0xf7, 0x47, 0xb8, 1, 0, 0, 0]), 5).back()),
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
    let always = code().then(&[0x57]).near(&[0xe8], "helper").then(&[0x5f]);
    let always = calling(sets(always));
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
        .then(&[0x57])
        .near(&[0xe8], "helper")
        .then(&[0x5f, 0x84, 0xc0, 0x74, 5])
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
    let table = [
        (
            "its own: mov $own,%rdi",
            with_own(sets(code().absolute(&[0x48, 0xc7, 0xc7], "own"))),
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
            Made::livepatch(
                code()
                    .when(500)
                    .call_between("mod_timer")
                    .jump("del_timer_sync"),
            ),
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
            "hidden before: push %rdi; call; pop %rdi",
            Made::livepatch(sets(code().call_between("somewhere"))),
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

#[test]
fn where_code_continues_after_a_fault_is_followed() {
    // mov (%rcx),%eax may fault, and continues at the return then, which nothing else reaches.
    let code = || sets(code().then(&[0x8b, 0x01])).back();
    let table = |fixup: i64| {
        let mut piece = Piece::zeros(0).relative(&[], "new");
        piece.shift_last_field(4 + 5);
        piece = piece.relative(&[], "new");
        piece.shift_last_field(4 + fixup);
        piece.then(&[0; 4])
    };
    let made = |fixup| Made::livepatch(code()).with("__ex_table", "entry", table(fixup));
    assert_eq!(read_paths(&Made::livepatch(code())).0, Yes);
    let found = read_paths(&made(26));
    assert_eq!(found, (SomePaths, Some(500), vec![Reason::Other]));
    assert_eq!(read_paths(&made(7)).0, Yes);
}

#[test]
fn what_lies_behind_a_function_is_followed_unless_a_call_ends_it() {
    let with = |piece: Piece, next: Piece| Made::livepatch(piece).with(".text", "next", next);
    // push %rdi, 11 times, fills the function up to a multiple of 16 bytes.
    let full = || code().then(&[0x57; 11]);
    assert_eq!(read_paths(&with(full(), sets(code()))).0, Yes);
    assert_eq!(read_paths(&with(full(), code().back())).0, No);
    assert_eq!(read_paths(&Made::livepatch(full())).0, Unknown);
    let ended = sets(code().then(&[0x74, 19])).call("who_never_returns");
    assert_eq!(read_paths(&Made::livepatch(ended)).0, Yes);
}

#[test]
fn a_function_that_calls_itself_otherwise_is_followed_again() {
    // cmp $0,%esi; je over it: mov $1,%esi; call itself; a return. With another number the timer is set.
    let calls = |number: u8, again: u8| {
        let piece = code().then(&[0x83, 0xfe, number, 0x75, 15, 0xbe, again, 0, 0, 0]);
        sets(piece.near(&[0xe8], "helper").back())
    };
    let made = |helper: Piece| {
        Made::livepatch(code().then(&[0x31, 0xf6]).near(&[0xe8], "helper").back())
            .with(".text", "helper", helper)
    };
    assert_eq!(read_paths(&made(calls(0, 1))).0, Yes);
    assert_eq!(read_paths(&made(calls(0, 0))).0, No);
    // inc %rsi; call itself: deeper than any stack.
    let deeper = code()
        .then(&[0x48, 0xff, 0xc6])
        .near(&[0xe8], "helper")
        .back();
    assert_eq!(read_paths(&made(deeper)).0, Unknown);
}

#[test]
fn what_sets_an_unknown_timer_may_set_this_one() {
    let table = [
        (
            "unknown timer: mov (%rcx),%rdi",
            Made::livepatch(sets(code().then(&[0x48, 0x8b, 0x39]))),
            Unknown,
        ),
        (
            "unknown timer of its own: add $own,%rcx; mov %rcx,%rdi",
            with_own(sets(
                code()
                    .absolute(&[0x48, 0x81, 0xc1], "own")
                    .then(&[0x48, 0x89, 0xcf]),
            )),
            Unknown,
        ),
        (
            "unknown timer, and the own one",
            Made::livepatch(
                sets_and_goes_on(code())
                    .then(&[0x48, 0x8b, 0x39])
                    .when(500)
                    .jump("mod_timer"),
            ),
            Yes,
        ),
        (
            "unknown timer, cancelled",
            Made::livepatch(
                sets_and_goes_on(code())
                    .then(&[0x48, 0x8b, 0x39])
                    .jump("del_timer_sync"),
            ),
            Unknown,
        ),
        (
            "unknown timer, cancelled before",
            Made::livepatch(sets(
                code()
                    .then(&[0x57, 0x48, 0x8b, 0x39])
                    .call("del_timer_sync")
                    .then(&[0x5f]),
            )),
            Yes,
        ),
    ];
    for (what, made, rearms) in table {
        assert_eq!(read_paths(&made).0, rearms, "{what}");
    }
}
