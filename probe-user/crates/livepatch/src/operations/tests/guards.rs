//! The guard: what it does once the process that it watches is gone, and what that process does once the guard is.

use nix::errno::Errno;

use super::*;
use crate::{
    made_node::{Answer, Under, World},
    step::StepKind,
    transaction::switch::Switch,
};

const SECOND: Duration = Duration::from_secs(1);

/// What is so when the guard finds itself alone, and what is there once it is done.
type Row = (&'static str, fn(&World), There, Option<Phase>);

const ALONE: [Row; 12] = [
    ("it is enabled", |_| {}, There::Nothing, Some(Phase::Gone)),
    (
        "the transition takes a day",
        |world| world.transitions_take(Some(SECOND), Some(86_400 * SECOND)),
        There::Nothing,
        Some(Phase::Gone),
    ),
    (
        "the kernel answers after an hour",
        |world| world.next_call(StepKind::Disable, Answer::Does(3_600 * SECOND)),
        There::Nothing,
        Some(Phase::Gone),
    ),
    (
        "another livepatch is in transition for an hour",
        |world| {
            world.enable("other", "nf_nat");
            world.write("sys/kernel/livepatch/other/transition", "1");
            world.later(3_600 * SECOND, |world| {
                world.write("sys/kernel/livepatch/other/transition", "0");
            });
        },
        There::Nothing,
        Some(Phase::Gone),
    ),
    (
        "the kernel refuses for a time",
        |world| {
            for errno in [Errno::EBUSY, Errno::ENOMEM, Errno::EPERM, Errno::EIO] {
                world.next_call(StepKind::Disable, Answer::Refuses(errno));
            }
        },
        There::Nothing,
        Some(Phase::Gone),
    ),
    (
        "no process can be made for a time, and some die",
        |world| {
            for answer in [Answer::CannotBegin, Answer::Dies, Answer::CannotBegin] {
                world.next_call(StepKind::Disable, answer);
                world.next_call(StepKind::Remove, answer);
            }
        },
        There::Nothing,
        Some(Phase::Gone),
    ),
    (
        "the kernel keeps the module for a minute",
        |world| {
            for _ in 0..600 {
                world.next_call(StepKind::Remove, Answer::Refuses(Errno::EAGAIN));
            }
        },
        There::Nothing,
        Some(Phase::Gone),
    ),
    (
        "a timer calls the module",
        |world| {
            world.under(Under {
                keeps_timer: true,
                ..Under::default()
            });
            world.pass(3 * SECOND);
        },
        There::Module,
        Some(Phase::Left),
    ),
    (
        "whether a timer calls the module cannot be seen",
        World::hide_timers,
        There::Nothing,
        Some(Phase::Gone),
    ),
    (
        "another process disabled it",
        |world| world.switch_livepatch("made", false),
        There::Nothing,
        Some(Phase::Gone),
    ),
    (
        "another process removed it",
        |world| {
            world.switch_livepatch("made", false);
            world.pass(SECOND);
            world.remove_module("made");
        },
        There::Nothing,
        Some(Phase::Gone),
    ),
    (
        "sysfs cannot be read for a time",
        |world| {
            world.write("sys/kernel/livepatch/made/enabled", "");
            world.later(60 * SECOND, |world| {
                world.write("sys/kernel/livepatch/made/enabled", "1");
            });
        },
        There::Nothing,
        Some(Phase::Gone),
    ),
];

#[test]
fn the_guard_rolls_back_however_long_the_kernel_needs() {
    for (says, given, there, phase) in ALONE {
        let node = node();
        loaded(&node);
        given(node.world());
        guard_rolls_back(&node);
        assert_eq!(There::on(&node), there, "{says}");
        assert_eq!(noted(&node), phase, "{says}");
        assert_eq!(node.world().crash(), None, "{says}");
    }
}

#[test]
fn a_signal_does_not_keep_the_guard_from_its_work() {
    let node = node();
    loaded(&node);
    node.stop();
    guard_rolls_back(&node);
    assert_eq!(There::on(&node), There::Nothing);
}

#[test]
fn the_guard_sets_switches_back_until_that_succeeds() {
    let node = node();
    let own = crate::made_node::own_netns();
    let world = node.world();
    world.add_estimator(own, 30_000);
    let switch = Switch::find(&node.site(), "/proc/self/ns/net".as_ref(), own).unwrap();
    assert_eq!(switch.found, 1);
    switch.switch_off(node.site().kernel()).unwrap();
    assert_eq!(world.switch(own), Some(0));
    world.refuse_switches(3);
    guard_process::set_back(&node.site(), &[switch]);
    assert_eq!(world.switch(own), Some(1));
}

/// Loads with the guard killed at this turn; where no other can be posted, that is so from then on.
fn load_without_guard(turn: usize, another: bool, given: fn(&World)) -> (MadeNode, Report) {
    let node = node();
    given(node.world());
    node.world().at_turn(turn, move |world| {
        if !another {
            world.no_guard_comes_up();
        }
        world.kill_guard();
    });
    let report = load(&node);
    (node, report)
}

#[test]
fn a_guard_that_is_lost_is_replaced_and_where_none_can_be_a_person_is_told() {
    for turn in [3, 5, 9, 20] {
        let (node, report) = load_without_guard(turn, true, |_| {});
        assert_eq!(
            Ended::of(&report),
            Ended::Done,
            "turn {turn}: {}",
            report.text()
        );
        let said = node.world().said();
        assert_eq!(
            said.matches(" guards it now").count(),
            1,
            "turn {turn}: {said}"
        );
        assert_sound(&node, &report, "a guard that is replaced");

        let (node, report) = load_without_guard(turn, false, |_| {});
        assert_eq!(
            Ended::of(&report),
            Ended::Done,
            "turn {turn}: {}",
            report.text()
        );
        let said = node.world().said();
        assert!(
            said.contains("no other can be started"),
            "turn {turn}: {said}"
        );

        let stuck = |world: &World| world.transitions_take(None, None);
        let (node, report) = load_without_guard(turn, true, stuck);
        assert_eq!(
            Ended::of(&report),
            Ended::LeftToGuard,
            "turn {turn}: {}",
            report.text()
        );
        assert_eq!(node.world().left_behind(), 0, "no probe was attached yet");

        let (_, report) = load_without_guard(turn, false, stuck);
        assert_eq!(
            Ended::of(&report),
            Ended::LeftAlone,
            "turn {turn}: {}",
            report.text()
        );
        let text = report.text();
        for words in [
            "No process is there to roll it back",
            "type `ipvs-latency hotfix unload made`",
        ] {
            assert!(text.contains(words), "turn {turn}: no {words:?} in {text}");
        }
        assert_eq!((report.code(), report.word()), (3, "half_done"));
        assert!(report.undo.is_some(), "turn {turn}");
    }
}

#[test]
fn probes_are_left_behind_where_the_kernel_does_not_let_go() {
    let node = node();
    loaded(&node);
    node.world()
        .later(1_500 * SECOND / 1_000, World::break_probes);
    let report = unload(&node);
    assert_eq!(Ended::of(&report), Ended::LeftToGuard, "{}", report.text());
    assert_eq!(node.world().left_behind(), 1);
}
