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
            No,
        ),
        (
            "lea new(%rip),%rax",
            taking(code().near(&[0x48, 0x8d, 0x05], "new")),
            No,
        ),
        (
            "mov $new,%rax",
            taking(code().absolute(&[0x48, 0xc7, 0xc0], "new")),
            No,
        ),
        (
            "lea other(%rip),%rdi",
            taking(code().near(&[0x48, 0x8d, 0x3d], "other").call("somewhere")),
            Unknown,
        ),
        (
            "mov $other,%rdi",
            taking(
                code()
                    .absolute(&[0x48, 0xc7, 0xc7], "other")
                    .call("somewhere"),
            ),
            Unknown,
        ),
        (
            "a call to itself",
            taking(code().near(&[0xe8], "new").call("new")),
            No,
        ),
        (
            "mov $new,%rdi; call somewhere, at the beginning",
            plain().with(
                ".init.text",
                "init",
                code()
                    .absolute(&[0x48, 0xc7, 0xc7], "new")
                    .call("somewhere")
                    .back(),
            ),
            Unknown,
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

/// `mov $SYMBOL` into the register of an argument, from 0.
pub fn given(piece: Piece, argument: usize, symbol: &str) -> Piece {
    let opcode: [&[u8]; 3] = [
        &[0x48, 0xc7, 0xc7],
        &[0x48, 0xc7, 0xc6],
        &[0x48, 0xc7, 0xc2],
    ];
    piece.absolute(opcode[argument], symbol)
}

/// Returns a function that calls `name` with these arguments.
pub fn calling(name: &str, arguments: &[(usize, &str)]) -> Piece {
    let piece = arguments
        .iter()
        .fold(code().then(&[0x57]), |piece, (argument, symbol)| {
            given(piece, *argument, symbol)
        });
    // Between push %rdi and pop %rdi.
    piece.call(name).then(&[0x5f])
}

/// Returns a hotfix that does that before it sets the timer, with a function and two variables of its own that hold its
/// address.
pub fn doing(piece: Piece) -> Made {
    let variable = || Piece::zeros(64).pointer(24, "other");
    before(piece)
        .with(".data", "own", variable())
        .with(".data", "own2", variable())
        .with(".bss", "hollow", Piece::zeros(64))
}

/// Returns a hotfix that does that in a function of its own before it sets the timer, with another function.
pub fn before(piece: Piece) -> Made {
    // Between push %rdi and pop %rdi.
    let calls = code().then(&[0x57]).near(&[0xe8], "act").then(&[0x5f]);
    Made::livepatch(calls.when(500).jump("mod_timer"))
        .with(".text", "act", piece.back())
        .with(".text", "other", code().back())
}

/// `made` with a function that calls `name` before the module goes.
pub fn stopping(made: Made, name: &str, arguments: &[(usize, &str)]) -> Made {
    made.with(".text", "stop", calling(name, arguments).back())
        .leaving("stop")
}

pub fn hold_against<const COUNT: usize>(table: [(&str, Made, Answer); COUNT]) {
    for (what, made, escapes) in table {
        let module = read(&made);
        assert_eq!(module.address_escapes, escapes, "{what}");
        assert_eq!(
            (module.rearms, module.period_jiffies),
            (Rearms::Yes, Some(500)),
            "{what}"
        );
    }
}

#[test]
fn a_timer_that_the_kernel_keeps_stays_behind_unless_it_is_cancelled_first() {
    use Answer::{No, Unknown, Yes};
    let timer = || doing(calling("mod_timer", &[(0, "own")]));
    hold_against([
        (
            "timer_setup of the timer that is given",
            doing(calling("init_timer_key", &[(1, "other")])),
            Yes,
        ),
        (
            "the same, not exported",
            doing(calling(
                ".klp.sym.vmlinux.init_timer_key,0",
                &[(1, "other")],
            )),
            Yes,
        ),
        (
            "timer_setup with a function of the kernel's",
            doing(calling("init_timer_key", &[(1, "somewhere")])),
            No,
        ),
        (
            "timer_setup with a function that cannot be told",
            doing(code().call("_raw_spin_lock").call("init_timer_key")),
            Unknown,
        ),
        (
            "timer_setup of a timer of its own, which is never set",
            doing(calling("init_timer_key", &[(0, "own"), (1, "other")])),
            No,
        ),
        ("a timer of its own", timer(), Yes),
        (
            "a timer of its own is made ready, and which one is set cannot be told",
            before(
                calling("init_timer_key", &[(0, "hollow"), (1, "other")])
                    // mov (%rcx),%rdi
                    .then(&[0x48, 0x8b, 0x39])
                    .call("mod_timer"),
            )
            .with(".bss", "hollow", Piece::zeros(64)),
            Unknown,
        ),
        (
            "a timer of its own, in memory that begins as zeros",
            doing(calling("add_timer", &[(0, "hollow")])),
            Yes,
        ),
        (
            "a timer of its own, cancelled",
            stopping(timer(), "del_timer_sync", &[(0, "own")]),
            No,
        ),
        (
            "a timer of its own, cancelled without waiting",
            stopping(timer(), "del_timer", &[(0, "own")]),
            Yes,
        ),
        (
            "a timer of its own, and another is cancelled",
            stopping(timer(), "del_timer_sync", &[(0, "own2")]),
            Yes,
        ),
        (
            "a timer of its own, cancelled by a function that nobody calls",
            timer().with(
                ".text",
                "stop",
                calling("del_timer_sync", &[(0, "own")]).back(),
            ),
            Yes,
        ),
    ]);
}

#[test]
fn what_else_the_kernel_keeps_stays_behind_unless_it_is_taken_back_first() {
    use Answer::{No, Unknown, Yes};
    let work = || doing(calling("queue_work_on", &[(2, "own")]));
    let rcu = || doing(calling("call_rcu", &[(1, "other")]));
    let notifier = || doing(calling("register_netdevice_notifier", &[(0, "own")]));
    hold_against([
        ("work", work(), Yes),
        (
            "work, cancelled",
            stopping(work(), "cancel_work_sync", &[(0, "own")]),
            No,
        ),
        (
            "work of the kernel's",
            doing(calling("queue_work_on", &[(2, "somewhere")])),
            No,
        ),
        (
            "work, and its queue is destroyed",
            stopping(work(), "destroy_workqueue", &[]),
            Unknown,
        ),
        (
            "work after a grace period, cancelled",
            stopping(
                doing(calling("queue_rcu_work", &[(1, "own")])),
                "cancel_rcu_work_sync",
                &[(0, "own")],
            ),
            No,
        ),
        ("call_rcu", rcu(), Yes),
        (
            "call_rcu and rcu_barrier",
            stopping(rcu(), "rcu_barrier", &[]),
            No,
        ),
        (
            "kfree_rcu",
            doing(calling("kvfree_call_rcu", &[(1, "somewhere")])),
            No,
        ),
        ("a notifier", notifier(), Yes),
        (
            "a notifier, unregistered",
            stopping(notifier(), "unregister_netdevice_notifier", &[(0, "own")]),
            No,
        ),
        (
            "a thread",
            doing(calling("kthread_create_on_node", &[(0, "other")])),
            Yes,
        ),
    ]);
}

#[test]
fn an_address_that_goes_who_knows_where_is_unknown() {
    use Answer::{No, Unknown};
    let hook = || doing(code().absolute(&[0x48, 0xc7, 0x05, 0, 0, 0, 0], "other"));
    hold_against([
        ("sort", doing(calling("sort", &[(2, "other")])), No),
        (
            "who knows",
            doing(calling("who_knows", &[(2, "other")])),
            Unknown,
        ),
        (
            "who knows what for",
            doing(calling("who_knows", &[(0, "own")])),
            Unknown,
        ),
        (
            "a lock",
            doing(calling("_raw_spin_lock", &[(0, "own")])),
            No,
        ),
        ("a copy", doing(calling("memcpy", &[(1, "own")])), Unknown),
        ("movq $other,variable of its own(%rip)", hook(), No),
        (
            "call *%rax with other in %rdi",
            doing(given(code(), 0, "other").then(&[0xff, 0xd0])),
            Unknown,
        ),
        (
            "the address is returned: mov $other,%rax",
            doing(code()).with(
                ".text",
                "give",
                code().absolute(&[0x48, 0xc7, 0xc0], "other").back(),
            ),
            Unknown,
        ),
    ]);
}

#[test]
fn an_address_is_followed_on_its_way() {
    use Answer::Yes;
    let keep = |piece: Piece| piece.call("init_timer_key");
    let table = [
        (
            "through a function of the module",
            doing(given(code(), 1, "other").near(&[0xe8], "helper")).with(
                ".text",
                "helper",
                keep(code()).back(),
            ),
        ),
        (
            "over a jump: mov $somewhere,%rsi; je over mov $other,%rsi",
            doing(keep(given(
                given(code(), 1, "somewhere").then(&[0x74, 7]),
                1,
                "other",
            ))),
        ),
        (
            "over a conditional move: cmove %rax,%rsi",
            doing(keep(
                given(code(), 1, "somewhere")
                    .absolute(&[0x48, 0xc7, 0xc0], "other")
                    .then(&[0x48, 0x0f, 0x44, 0xf0]),
            )),
        ),
        (
            "over the stack: push %rsi; call somewhere; pop %rsi",
            doing(keep(
                given(code(), 1, "other")
                    .then(&[0x56])
                    .call("_raw_spin_lock")
                    .then(&[0x5e]),
            )),
        ),
        (
            "over the stack: sub $8,%rsp; mov %rsi,(%rsp); mov (%rsp),%rsi",
            doing(keep(given(code(), 1, "other").then(&[
                0x48, 0x83, 0xec, 8, 0x48, 0x89, 0x34, 0x24, 0x31, 0xf6, 0x48, 0x8b, 0x34, 0x24,
            ]))),
        ),
        (
            "over an aligned stack: push %rsi; and $-16,%rsp; xor %esi,%esi; mov (%rsp),%rsi",
            doing(keep(given(code(), 1, "other").then(&[
                0x56, 0x48, 0x83, 0xe4, 0xf0, 0x31, 0xf6, 0x48, 0x8b, 0x34, 0x24,
            ]))),
        ),
        (
            "from a place on the stack that is not known: push %rsi; pushfq; xor %esi,%esi; pop %rax; pop %rsi",
            doing(keep(
                given(code(), 1, "other").then(&[0x56, 0x9c, 0x31, 0xf6, 0x58, 0x5e]),
            )),
        ),
        (
            "over a write to its lowest byte: mov $0,%sil",
            doing(keep(given(code(), 1, "other").then(&[0x40, 0xb6, 0]))),
        ),
        (
            "over a stack with many numbers on it: push $1, 30 times; push %rsi; pop %rsi",
            doing(keep(
                given(code(), 1, "other")
                    .then(&[0x6a, 1].repeat(30))
                    .then(&[0x56])
                    .call("_raw_spin_lock")
                    .then(&[0x5e]),
            )),
        ),
        (
            "over arithmetic: or %rax,%rsi",
            doing(keep(given(code(), 1, "other").then(&[0x48, 0x09, 0xc6]))),
        ),
        (
            "out of a variable that the build fills in: mov own+24(%rip),%rsi",
            doing(keep({
                let mut piece = code().relative(&[0x48, 0x8b, 0x35], "own");
                piece.shift_last_field(24);
                piece
            })),
        ),
    ];
    for (what, made) in table {
        assert_eq!(read(&made).address_escapes, Yes, "{what}");
    }
}

#[test]
fn of_a_variable_the_field_that_is_read_counts() {
    // mov $own,%rax; then mov OFFSET(%rax),%rsi or mov (%rax,%rcx,8),%rsi. The address of a function is at 24.
    let read_at = |load: &[u8]| {
        let piece = code().absolute(&[0x48, 0xc7, 0xc0], "own").then(load);
        doing(piece.call("init_timer_key"))
    };
    hold_against([
        ("the field", read_at(&[0x48, 0x8b, 0x70, 24]), Answer::Yes),
        (
            "one before it",
            read_at(&[0x48, 0x8b, 0x70, 16]),
            Answer::No,
        ),
        (
            "any of them",
            read_at(&[0x48, 0x8b, 0x34, 0xc8]),
            Answer::Yes,
        ),
    ]);
}

#[test]
fn what_a_callback_takes_back_on_the_way_out_is_fine() {
    for (section, escapes) in [
        (".kpatch.callbacks.post_unpatch", Answer::No),
        // The new function still runs then, and may set the timer again.
        (".kpatch.callbacks.pre_unpatch", Answer::Unknown),
        // The livepatch is only on its way in then.
        (".kpatch.callbacks.post_patch", Answer::Yes),
    ] {
        let made = kpatch(
            &["estimation_timer"],
            calling("mod_timer", &[(0, "own")]).back(),
        )
        .with(".data", "own", Piece::zeros(40))
        .with(
            ".text.stop",
            "stop",
            calling("del_timer_sync", &[(0, "own")]).back(),
        )
        .with(section, "callback", Piece::zeros(16).pointer(0, "stop"));
        let module = read(&made);
        assert_eq!(module.address_escapes, escapes, "{section}");
        assert_eq!(module.callbacks.len(), 1, "{section}");
        // The kernel runs no callback of a livepatch that another one replaces.
        let replaced = if escapes == Answer::No {
            Answer::Unknown
        } else {
            escapes
        };
        assert_eq!(module.escapes(Some(true)), replaced, "{section}");
        assert_eq!(module.escapes(Some(false)), escapes, "{section}");
        assert_eq!(module.escapes(None), escapes, "{section}");
        let both = made.leaving("stop");
        assert_eq!(read(&both).escapes(Some(true)), Answer::No, "{section}");
    }
}

/// Each module of kpatch-build frees objects of its own on the way out.
#[test]
fn to_free_its_own_objects_puts_no_address_back_into_the_kernel_s_memory() {
    let store = |opcode: &[u8]| {
        let made = kpatch(
            &["estimation_timer"],
            code().absolute(opcode, "other").back(),
        )
        .with(".text.other", "other", code().back())
        .with(".text.stop", "stop", calling("kfree", &[]).back())
        .leaving("stop");
        read(&made).address_escapes
    };
    // movq $other,24(%rdi) and movq $other,24(%rax): what the kernel handed over, and what may be the module's own.
    assert_eq!(store(&[0x48, 0xc7, 0x47, 24]), Answer::Yes);
    assert_eq!(store(&[0x48, 0xc7, 0x40, 24]), Answer::Unknown);
}

/// Own memory goes with the module, but a sum with an address of it may be any address.
#[test]
fn an_address_that_is_stored_near_own_data_may_go_with_the_module() {
    let made = kpatch(
        &["estimation_timer"],
        // lea own(%rip),%rax; add %rdi,%rax; movq $other,24(%rax)
        code()
            .relative(&[0x48, 0x8d, 0x05], "own")
            .then(&[0x48, 0x01, 0xf8])
            .absolute(&[0x48, 0xc7, 0x40, 24], "other")
            .back(),
    )
    .with(".text.other", "other", code().back())
    .with(".data", "own", Piece::zeros(40));
    assert_eq!(read(&made).address_escapes, Answer::Unknown);
}
