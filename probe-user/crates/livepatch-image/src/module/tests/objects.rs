//! Variables of the module that hold addresses of its code, and what copies them.

use super::escape::{before, doing, given, hold_against, stopping};
use super::*;
use Answer::{No, Unknown, Yes};

/// `movq $SYMBOL,8(%rdi)`.
fn hands_over(piece: Piece, symbol: &str) -> Piece {
    piece.absolute(&[0x48, 0xc7, 0x47, 8], symbol)
}

/// `movq $SYMBOL,VARIABLE(%rip)`.
fn puts(piece: Piece, symbol: &str, variable: &str) -> Piece {
    let mut piece = piece.relative(&[0x48, 0xc7, 0x05], variable);
    piece.shift_last_field(-4);
    piece.absolute(&[], symbol)
}

/// `mov $SYMBOL,%rax`.
fn takes(piece: Piece, symbol: &str) -> Piece {
    piece.absolute(&[0x48, 0xc7, 0xc0], symbol)
}

#[test]
fn an_object_with_code_in_the_kernel_s_memory_stays_behind() {
    let hook = || doing(puts(code(), "own", "hook"));
    let unhook = code().relative(&[0xc7, 0x05], "hook").then(&[0; 4]).back();
    let changed = |how: &[u8]| doing(takes(code(), "own").then(how).then(&[0x48, 0x89, 0x47, 8]));
    let with = |made: Made, name: &str, held: &str| {
        made.with(".data", name, Piece::zeros(16).pointer(8, held))
    };
    hold_against([
        (
            "in what it is given",
            doing(hands_over(code(), "own")),
            Unknown,
        ),
        (
            "who knows where: mov %rax,(%rcx)",
            doing(takes(code(), "own").then(&[0x48, 0x89, 0x01])),
            Unknown,
        ),
        (
            "exchanged: xchg %rax,8(%rdi)",
            doing(takes(code(), "own").then(&[0x48, 0x87, 0x47, 8])),
            Unknown,
        ),
        (
            "on one of two ways: je over mov $somewhere,%rax",
            doing(
                takes(takes(code(), "own").then(&[0x74, 7]), "somewhere")
                    .then(&[0x48, 0x89, 0x47, 8]),
            ),
            Unknown,
        ),
        (
            "with another lowest byte: sub $1,%al; mov %rax,8(%rdi)",
            changed(&[0x2c, 1]),
            Unknown,
        ),
        (
            "with another lowest byte: inc %al",
            changed(&[0xfe, 0xc0]),
            Unknown,
        ),
        (
            "with another lowest byte: dec %al",
            changed(&[0xfe, 0xc8]),
            Unknown,
        ),
        ("in a variable of the kernel", hook(), Yes),
        (
            "in a variable of the kernel, put back",
            hook().with(".text", "stop", unhook).leaving("stop"),
            No,
        ),
        (
            "in a variable of its own",
            doing(puts(code(), "own", "hollow")),
            No,
        ),
        (
            "which points at it",
            with(doing(hands_over(code(), "outer")), "outer", "own"),
            Unknown,
        ),
        (
            "by a pointer of its own: mov which+8(%rip),%rax; mov %rax,8(%rdi)",
            with(
                doing({
                    let mut piece = code().relative(&[0x48, 0x8b, 0x05], "which");
                    piece.shift_last_field(8);
                    piece.then(&[0x48, 0x89, 0x47, 8])
                }),
                "which",
                "own",
            ),
            Unknown,
        ),
    ]);
}

#[test]
fn an_object_that_code_fills_in_is_one_with_code() {
    let plain = |piece: Piece| {
        before(piece)
            .with(".data", "hollow", Piece::zeros(64))
            .with(".data", "hollow2", Piece::zeros(64))
    };
    // mov $hollow,%rax; mov %rax,(%rcx).
    let elsewhere = |piece: Piece| takes(piece, "hollow").then(&[0x48, 0x89, 0x01]);
    hold_against([
        ("with nothing in it", plain(elsewhere(code())), No),
        (
            "with nothing in it, and the kernel's memory points at it",
            plain(hands_over(code(), "hollow")),
            Unknown,
        ),
        (
            "filled in",
            plain(elsewhere(puts(code(), "other", "hollow"))),
            Unknown,
        ),
        (
            "filled in with what is filled in afterwards",
            plain(puts(
                elsewhere(puts(code(), "hollow2", "hollow")),
                "other",
                "hollow2",
            )),
            Unknown,
        ),
        (
            "filled in, and given away on the stack: push %rax; mov %rsp,%rsi; call",
            plain(
                takes(puts(code(), "other", "hollow"), "hollow")
                    .then(&[0x57, 0x50, 0x48, 0x89, 0xe6])
                    .call("who_knows")
                    .then(&[0x58, 0x5f]),
            ),
            Unknown,
        ),
    ]);
}

#[test]
fn one_of_many_objects_that_the_build_fills_in_may_be_the_module_s() {
    // push %rdi; then the call, and pop %rdi.
    let saved = || code().then(&[0x57]);
    let set = |piece: Piece| piece.call("mod_timer").then(&[0x5f]);
    let queued = |piece: Piece| piece.call("queue_work_on").then(&[0x5f]);
    let loaded = |piece: Piece| piece.then(&[0x48, 0x8b, 0x39]);
    hold_against([
        (
            "a timer per CPU: add %gs:this_cpu_off(%rip),%rdi",
            doing(set(
                given(saved(), 0, "own").relative(&[0x65, 0x48, 0x03, 0x3d], "this_cpu_off")
            )),
            Unknown,
        ),
        (
            "work in an array: imul $64,%rax,%rdx; add $own,%rdx",
            doing(queued(
                saved()
                    .then(&[0x48, 0x6b, 0xd0, 64])
                    .absolute(&[0x48, 0x81, 0xc2], "own"),
            )),
            Unknown,
        ),
        (
            "work in an array: lea own(%rax),%rdx",
            doing(queued(saved().absolute(&[0x48, 0x8d, 0x90], "own"))),
            Unknown,
        ),
        (
            "out of who knows what memory: mov (%rcx),%rdi",
            doing(set(loaded(saved()))),
            Unknown,
        ),
        (
            "the kernel's, where the module has none: mov (%rcx),%rdi",
            before(set(loaded(saved()))),
            No,
        ),
        (
            "made ready only, one per CPU",
            doing(
                given(
                    given(saved(), 0, "hollow").relative(&[0x65, 0x48, 0x03, 0x3d], "this_cpu_off"),
                    1,
                    "other",
                )
                .call("init_timer_key")
                .then(&[0x5f]),
            ),
            Unknown,
        ),
    ]);
}

#[test]
fn what_a_string_instruction_copies_is_followed() {
    // push %rdi; then the instruction; pop %rdi.
    let saved = || code().then(&[0x57]);
    let copies = |piece: Piece| piece.then(&[0xf3, 0x48, 0xa5, 0x5f]);
    let stores = |piece: Piece| piece.then(&[0x48, 0xab, 0x5f]);
    hold_against([
        (
            "an object into what it is given: rep movsq",
            doing(copies(given(saved(), 1, "own"))),
            Unknown,
        ),
        (
            "an object without code",
            doing(copies(given(saved(), 1, "hollow"))),
            No,
        ),
        (
            "the instructions of a function, which are no addresses",
            doing(copies(given(saved(), 1, "other"))),
            No,
        ),
        (
            "what it is given into an object: mov %rdi,%rsi; mov $own,%rdi",
            doing(copies(given(saved().then(&[0x48, 0x89, 0xfe]), 0, "own"))),
            No,
        ),
        (
            "an object into another, which the kernel's memory points at",
            doing(
                copies(given(given(saved(), 1, "own"), 0, "hollow"))
                    .absolute(&[0x48, 0xc7, 0xc0], "hollow")
                    .then(&[0x48, 0x89, 0x01]),
            ),
            Unknown,
        ),
        (
            "code into what it is given: stosq",
            doing(stores(takes(saved(), "other"))),
            Yes,
        ),
        (
            "a number: xor %eax,%eax; stosq",
            doing(stores(saved().then(&[0x31, 0xc0]))),
            No,
        ),
        (
            "the stack, with code on it: push $other; mov %rsp,%rsi; rep movsq; pop",
            doing(
                copies(saved().absolute(&[0x68], "other").then(&[0x48, 0x89, 0xe6])).then(&[0x5f]),
            ),
            Unknown,
        ),
        (
            "code onto the stack, and from there: mov %rsp,%rdi; stosq; pop %rsi",
            doing(
                takes(code().then(&[0x57, 0x50, 0x48, 0x89, 0xe7]), "other")
                    .then(&[0x48, 0xab, 0x5e, 0x5f])
                    .call("init_timer_key")
                    .then(&[]),
            ),
            Yes,
        ),
    ]);
}

#[test]
fn an_address_is_not_lost_on_the_stack() {
    // More addresses than are kept one by one, and a call that may change what is there.
    let kept = |piece: Piece| piece.then(&[0x5e]).call("init_timer_key");
    let many = (0..30).fold(given(code(), 1, "other").then(&[0x56]), |piece, _| {
        piece.absolute(&[0x68], "own")
    });
    hold_against([
        (
            "under 30 others: push; add $240,%rsp; pop %rsi",
            stopping(
                doing(kept(many.then(&[0x48, 0x81, 0xc4, 240, 0, 0, 0]))),
                "del_timer_sync",
                &[],
            ),
            Unknown,
        ),
        (
            "over a call that is given the stack: mov %rsp,%rdx",
            stopping(
                doing(
                    kept(
                        given(code(), 1, "other")
                            .then(&[0x57, 0x56, 0x48, 0x89, 0xe2])
                            .call("_raw_spin_lock")
                            .then(&[0x48, 0x8b, 0x7c, 0x24, 8]),
                    )
                    .then(&[0x5f]),
                ),
                "del_timer_sync",
                &[],
            ),
            Unknown,
        ),
    ]);
}

#[test]
fn a_callback_that_is_also_called_is_followed_for_other_callers() {
    // xor %esi,%esi; call tick. tick: test %esi,%esi; je out; movq $other,8(%rdi).
    let tick = code()
        .then(&[0x85, 0xf6])
        .relative(&[0x0f, 0x84], "__x86_return_thunk")
        .absolute(&[0x48, 0xc7, 0x47, 8], "other")
        .back();
    let calls = || {
        code()
            .then(&[0x57, 0x31, 0xf6])
            .near(&[0xe8], "tick")
            .then(&[0x5f])
    };
    let with = |piece: Piece| doing(piece).with(".text", "tick", tick.clone());
    let pointed = |made: Made| made.with(".data", "table", Piece::zeros(8).pointer(0, "tick"));
    hold_against([
        ("called with nothing alone", with(calls()), No),
        ("its address is in data", pointed(with(calls())), Yes),
        (
            "its address is taken: lea tick(%rip),%rax",
            with(calls().near(&[0x48, 0x8d, 0x05], "tick")),
            Yes,
        ),
        (
            "its address is taken: mov $tick,%rax",
            with(calls().absolute(&[0x48, 0xc7, 0xc0], "tick")),
            Yes,
        ),
    ]);
}
