//! Whether the timer is set again, and with which period.

use super::*;

/// The timer is set on both ways: je over the first, and jmp over the second.
fn on_two_ways_that_meet(one: u32, other: u32) -> Piece {
    let first = code().then(&[0x74, 23]).when(one).call_between("mod_timer");
    let second = first.then(&[0xeb, 21]).when(other);
    second.call_between("mod_timer").back()
}

/// `add jiffies(%rip),%rsi`, and the timer is set for then.
fn from_now(piece: Piece) -> Piece {
    piece
        .relative(&[0x48, 0x03, 0x35], "jiffies")
        .jump("mod_timer")
}

fn hold_against<const COUNT: usize>(table: [(&str, Piece, u64); COUNT]) {
    for (what, code, jiffies) in table {
        let module = read(&Made::livepatch(code).with(".data", "own", Piece::zeros(40)));
        assert_eq!(module.rearms, Rearms::Yes, "{what}");
        assert_eq!(module.period_jiffies, Some(jiffies), "{what}");
    }
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
                .call_between("_raw_spin_unlock")
                .then(&[0x48, 0x89, 0xde])
                .jump("mod_timer"),
            500,
        ),
        (
            "kept in %rbp over a frame: push %rbp; mov %rsp,%rbp; push %rdi; leave",
            code()
                .when(500)
                .then(&[0x48, 0x89, 0xf5, 0x55, 0x48, 0x89, 0xe5])
                .call_between("_raw_spin_unlock")
                .then(&[0x57, 0xc9, 0x48, 0x89, 0xee])
                .jump("mod_timer"),
            500,
        ),
        (
            "twice the same",
            code()
                .when(500)
                .call_between("mod_timer")
                .when(500)
                .jump("mod_timer"),
            500,
        ),
        (
            "the last of two",
            code()
                .when(750)
                .call_between("mod_timer")
                .when(500)
                .jump("mod_timer"),
            500,
        ),
        (
            "another timer's is another's",
            code()
                .when(500)
                .call_between("mod_timer")
                .absolute(&[0x48, 0xc7, 0xc7], "own")
                .when(750)
                .call("mod_timer")
                .back(),
            500,
        ),
        (
            "the same on two ways that meet",
            on_two_ways_that_meet(500, 500),
            500,
        ),
        (
            "the same on both sides of a conditional move: mov %rsi,%rax; cmove %rax,%rsi",
            code()
                .when(500)
                .then(&[0x48, 0x89, 0xf0, 0x48, 0x0f, 0x44, 0xf0])
                .jump("mod_timer"),
            500,
        ),
        (
            "not exported",
            code().when(500).jump(".klp.sym.vmlinux.mod_timer,0"),
            500,
        ),
    ];
    hold_against(table);
}

#[test]
fn a_number_that_is_cut_or_made_longer_is_followed_to_the_period() {
    hold_against([
        (
            "the lowest byte of a number: mov $0x1fa,%eax; movzbl %al,%esi",
            from_now(code().then(&[0xb8, 0xfa, 1, 0, 0, 0x0f, 0xb6, 0xf0])),
            0xfa,
        ),
        (
            "the lower half of a number: mov $0x101fa,%eax; movzwl %ax,%esi",
            from_now(code().then(&[0xb8, 0xfa, 1, 1, 0, 0x0f, 0xb7, 0xf0])),
            0x1fa,
        ),
        (
            "a number that is made longer: mov $500,%eax; movslq %eax,%rsi",
            from_now(code().then(&[0xb8, 0xf4, 1, 0, 0, 0x48, 0x63, 0xf0])),
            500,
        ),
        (
            "a number below zero: mov $-6,%eax; movslq %eax,%rsi; add $506,%rsi",
            from_now(code().then(&[
                0xb8, 0xfa, 0xff, 0xff, 0xff, 0x48, 0x63, 0xf0, 0x48, 0x81, 0xc6, 0xfa, 1, 0, 0,
            ])),
            500,
        ),
    ]);
}

#[test]
fn a_period_that_is_no_constant_on_every_way_is_not_guessed() {
    let table = [
        ("add_timer", code().call("add_timer").back()),
        (
            "lost in a call",
            code()
                .when(500)
                .call_between("_raw_spin_unlock")
                .jump("mod_timer"),
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
            "two periods on two ways that meet",
            on_two_ways_that_meet(500, 750),
        ),
        (
            "two periods on two ways: je over a jump",
            code()
                .then(&[0x74, 19])
                .when(500)
                .jump("mod_timer")
                .when(750)
                .jump("mod_timer"),
        ),
    ];
    for (what, code) in table {
        let module = read(&Made::livepatch(code));
        assert_eq!(
            (module.rearms, module.period_jiffies),
            (Rearms::Yes, None),
            "{what}"
        );
    }
}

#[test]
fn a_timer_that_is_never_set_is_told_from_one_that_cannot_be_seen() {
    use Rearms::{No, Unknown};
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
            Made::livepatch(
                code()
                    .relative(&[0x0f, 0x84], "cold")
                    .when(500)
                    .jump("mod_timer"),
            )
            .with(".text.unlikely", "cold", again()),
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
            (Rearms::Yes, Some(500)),
            "{what}"
        );
        assert_eq!(module.address_escapes, Answer::No, "{what}");
    }
    let elsewhere = Made::livepatch(code().back()).with(".text", "again", again());
    assert_eq!(read(&elsewhere).rearms, Rearms::No, "nobody calls it");
    let in_circles = Made::livepatch(code().near(&[0xe8], "new").back());
    assert_eq!(read(&in_circles).rearms, Rearms::No);
}
