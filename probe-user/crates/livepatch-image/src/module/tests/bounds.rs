//! Files that make as much work as they can: too much work ends as unknown, or the file is refused.

use super::*;

/// Returns a hotfix whose new function is `piece`.
fn big(piece: Piece) -> Module {
    read(&Made::livepatch(piece))
}

#[test]
fn code_beyond_all_measure_is_unknown() {
    // A jump behind every second instruction, calls with an argument of their own each, and nothing at all.
    let branches = |count: usize| code().then(&[0x85, 0xc0, 0x74, 0].repeat(count)).back();
    let calls = |count: u32| {
        let each = |piece: Piece, number: u32| {
            piece
                .then(&[0xbf])
                .then(&number.to_le_bytes())
                .call("somewhere")
        };
        (0..count).fold(code(), each).back()
    };
    for (what, small, huge) in [
        (
            "filling",
            code().then(&[0x90; 1000]),
            code().then(&vec![0x90; 4 << 20]),
        ),
        ("branches", branches(100), branches(200_000)),
        ("calls", calls(100), calls(150_000)),
    ] {
        assert!(!big(small).too_big, "{what}");
        let module = big(huge);
        assert!(module.too_big, "{what}");
        assert_eq!(module.rearms, Rearms::Unknown, "{what}");
        assert_eq!(module.address_escapes, Answer::Unknown, "{what}");
        assert_eq!(module.switch(24), None, "{what}");
    }
}

#[test]
fn code_that_many_jumps_lead_into_is_followed_once() {
    // Each je leads to an instruction of its own. Nothing branches among these instructions.
    let count = 3000;
    let jumps = (0..count).fold(code(), |piece, number| {
        let distance: u32 = 6 * (count - 1 - number) + number;
        piece.then(&[0x0f, 0x84]).then(&distance.to_le_bytes())
    });
    let straight = jumps.then(&vec![0x90; count as usize]);
    let module = big(straight.when(500).jump("mod_timer"));
    assert!(!module.too_big);
    assert_eq!(
        (module.rearms, module.period_jiffies),
        (Rearms::Yes, Some(500))
    );
}

#[test]
fn two_thousand_functions_are_read_once_each() {
    let names: Vec<String> = (0..2000)
        .map(|number| format!("function_{number}"))
        .collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names[7] = ESTIMATOR;
    let module = read(&kpatch(
        &names,
        code().then(&[0x90; 5000]).when(500).jump("mod_timer"),
    ));
    assert_eq!(module.replaces.len(), 2000);
    assert!(!module.too_big);
    assert_eq!(
        (module.rearms, module.period_jiffies),
        (Rearms::Yes, Some(500))
    );
    assert_eq!(module.address_escapes, Answer::No);
}

#[test]
fn more_entries_than_any_livepatch_has_are_not_read() {
    let names = vec![ESTIMATOR; 4097];
    let module = read(&kpatch(&names, code().back()));
    assert!(module.replaces.is_empty());
    assert_eq!(module.rearms, Rearms::Unknown);
}

#[test]
fn functions_that_call_each_other_in_every_way_come_to_an_end() {
    // Each calls the next two times, with another argument: ways double from function to function.
    let names: Vec<String> = (0..40).map(|number| format!("level_{number}")).collect();
    let mut made = Made::livepatch(code().near(&[0xe8], "level_0").back());
    for (number, name) in names.iter().enumerate() {
        let next = names.get(number + 1).map_or("new", String::as_str);
        let pass = |piece: Piece, value: u8| {
            piece
                .then(&[0xbe, value, number.to_le_bytes()[0], 0, 0])
                .near(&[0xe8], next)
        };
        made = made.with(".text", name, pass(pass(code(), 1), 2).back());
    }
    let module = read(&made);
    // Calls deeper than a stack are not followed; the functions that are reached set nothing.
    assert_eq!(module.rearms, Rearms::Unknown);
    assert!(!module.too_big);
}

#[test]
fn a_file_that_says_too_much_of_itself_is_refused() {
    let info = Piece::default().then(&vec![b'x'; 1 << 21]);
    let made = Made::default().with(".modinfo", "info", info).with(
        ".gnu.linkonce.this_module",
        "__this_module",
        Piece::zeros(896),
    );
    let error = Module::parse(&made.bytes()).unwrap_err().to_string();
    assert!(
        error.contains("more bytes in .modinfo than any kernel module"),
        "{error}"
    );
    let mut noted =
        Made::livepatch(code().back()).with(".note.gnu.build-id", "note", Piece::zeros(36));
    assert!(read(&noted).build_id.is_some());
    noted =
        Made::livepatch(code().back()).with(".note.gnu.build-id", "note", Piece::zeros(1 << 20));
    assert!(read(&noted).build_id.is_none());
}

/// `cmpl $0,OFFSET(%rdi); je out` many times, called many times with its first argument loaded again.
#[test]
fn conditions_that_pile_up_from_call_to_call_are_bounded() {
    let made = |conditions: u32, calls: usize| {
        let each = |piece: Piece, number: u32| {
            piece
                .then(&[0x83, 0xbf])
                .then(&(4 * number).to_le_bytes())
                .then(&[0])
                .relative(&[0x0f, 0x84], "__x86_return_thunk")
        };
        let tested = (0..conditions).fold(code(), each);
        // push %rbx; mov %rdi,%rbx; then mov %rbx,%rdi; call.
        let caller = code().then(&[0x53, 0x48, 0x89, 0xfb]);
        let caller = (0..calls).fold(caller, |piece, _| {
            piece.then(&[0x48, 0x89, 0xdf]).near(&[0xe8], "callee")
        });
        Made::livepatch(caller.back()).with(".text", "callee", tested.when(500).jump("mod_timer"))
    };
    assert!(!read(&made(10, 10)).too_big);
    assert!(read(&made(2000, 2000)).too_big);
}

/// Every store of an address is held against what is written before the module goes: once, and not one by one.
#[test]
fn many_addresses_are_no_product_with_all_that_is_done() {
    // lea other(%rip),%rax; mov %rax,OFFSET(%rdi), many times.
    let many = |count: u32| {
        let each = |piece: Piece, number: u32| {
            piece
                .then(&[0x48, 0x89, 0x87])
                .then(&(8 * number).to_le_bytes())
        };
        let set = (0..count).fold(code().near(&[0x48, 0x8d, 0x05], "other"), each);
        Made::livepatch(set.back()).with(".text", "other", code().back())
    };
    let module = read(&many(40_000));
    assert_eq!(
        (module.address_escapes, module.too_big),
        (Answer::Yes, false)
    );
}

/// Registrations, and what ends them, with a name of its own each.
#[test]
fn many_registrations_are_no_product_with_all_that_ends_them() {
    let made = |count: usize| {
        let calls = |word: &str| {
            (0..count).fold(code(), |piece, number| {
                piece
                    .absolute(&[0x48, 0xc7, 0xc7], "own")
                    .call(&format!("{word}_notifier_{number}"))
            })
        };
        super::escape::doing(calls("register"))
            .with(".text", "stop", calls("unregister").back())
            .leaving("stop")
    };
    assert_eq!(read(&made(3)).address_escapes, Answer::No);
    let module = read(&made(20_000));
    assert_eq!(
        (module.address_escapes, module.too_big),
        (Answer::No, false)
    );
}

/// A store of an address where the kernel keeps it is no product with the functions that are called last.
#[test]
fn many_addresses_are_no_product_with_the_functions_that_are_called_last() {
    // lea other(%rip),%rax; mov %rax,OFFSET(%rdi), many times.
    let stores = (0..20_000_u32).fold(
        code().near(&[0x48, 0x8d, 0x05], "other"),
        |piece, number| {
            piece
                .then(&[0x48, 0x89, 0x87])
                .then(&(8 * number).to_le_bytes())
        },
    );
    let calls = (0..20_000).fold(code(), |piece, number| {
        piece.call(&format!("last_{number}"))
    });
    let made = super::escape::before(stores)
        .with(".text", "stop", calls.back())
        .leaving("stop");
    let module = read(&made);
    assert_eq!(
        (module.address_escapes, module.too_big),
        (Answer::Yes, false)
    );
}

/// Variables that point at each other, each at the next, and the last at code.
#[test]
fn many_variables_that_lead_to_code_are_followed_once_each() {
    let made = |count: usize| {
        let chain = (0..count).fold(Piece::zeros(8 * count), |piece, number| {
            piece.pointer(8 * number as u64, "chain")
        });
        let mut chain = chain;
        let shifts: Vec<i64> = (1..=count)
            .map(|number| i64::try_from(8 * number).unwrap())
            .collect();
        chain.shift_fields(&shifts);
        super::escape::doing(code().absolute(&[0x48, 0xc7, 0x47, 8], "chain"))
            .with(".data", "chain", chain)
            .with(".data", "end", Piece::zeros(8).pointer(0, "other"))
    };
    let module = read(&made(10));
    assert_eq!(
        (module.address_escapes, module.too_big),
        (Answer::Unknown, false)
    );
    assert!(read(&made(900_000)).too_big);
}

#[test]
fn code_that_lies_in_no_function_is_no_filling() {
    let with = |filling: &[u8]| {
        // A multiple of sixteen bytes, so that nothing else fills the gap.
        let new = code().when(500).jump("mod_timer").then(&[0xcc; 8]);
        let made = Made::livepatch(new)
            .with(".text", "", Piece::default().then(filling))
            .with(".text", "other", code().back());
        read(&made).address_escapes
    };
    for filling in [[0x90; 16], [0xcc; 16], [0; 16]] {
        assert_eq!(with(&filling), Answer::No, "{filling:x?}");
    }
    // Code, what is no instruction, and one that is cut off after those that do nothing.
    let mut stray = [[0x90; 16]; 3];
    stray[0][..4].copy_from_slice(&[0x48, 0x89, 0xf7, 0xc3]);
    stray[1][15] = 0x06;
    stray[2][15] = 0x48;
    for stray in stray {
        assert_eq!(with(&stray), Answer::Unknown, "{stray:x?}");
    }
}
