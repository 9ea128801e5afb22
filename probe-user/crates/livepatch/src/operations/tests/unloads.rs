use nix::errno::Errno;

use super::*;
use crate::{
    made_node::{Answer, Under, World},
    step::StepKind,
};

/// An unload of what an earlier command loaded: what is so then, how it ends, words of what is said, and what is there
/// afterwards.
type Row = (&'static str, fn(&World), Ended, &'static str, There);

const SECOND: Duration = Duration::from_secs(1);

fn run(rows: &[Row]) {
    for (says, given, ended, words, there) in rows {
        let node = node();
        loaded(&node);
        given(node.world());
        let began = node.world().time();
        let report = unload(&node);
        let took = node.world().since(began);
        let text = report.text();
        assert_eq!(Ended::of(&report), *ended, "{says}: {text}");
        assert!(text.contains(words), "{says}: no {words:?} in {text}");
        assert_eq!(There::on(&node), *there, "{says}: {text}");
        assert!(took <= TIMEOUT + MORE, "{says}: it took {took:?}: {text}");
        assert_sound(&node, &report, says);
    }
}

fn refuses(world: &World, kind: StepKind, errno: Errno) {
    world.next_call(kind, Answer::Refuses(errno));
}

#[test]
fn an_unload_that_the_kernel_carries_out() {
    run(&[
        (
            "the kernel disables it, and every estimator runs",
            |_| {},
            Ended::Done,
            "made is gone: no task runs its code, and its module is removed, and every estimator ran since (2 network \
             namespaces)",
            There::Nothing,
        ),
        (
            "another process disabled it before",
            |world| {
                world.switch_livepatch("made", false);
                world.pass(3 * SECOND);
            },
            Ended::Done,
            "made is gone",
            There::Nothing,
        ),
        (
            "another process is disabling it",
            |world| {
                world.transitions_take(None, Some(10 * SECOND));
                world.switch_livepatch("made", false);
            },
            Ended::Done,
            "made is gone",
            There::Nothing,
        ),
        (
            "the kernel answers late",
            |world| world.next_call(StepKind::Disable, Answer::Does(28 * SECOND)),
            Ended::Done,
            "made is gone",
            There::Nothing,
        ),
        (
            "another process removes the module first",
            |world| {
                world.next_call(StepKind::Remove, Answer::Refuses(Errno::EAGAIN));
                world.after_call(StepKind::Remove, |world| world.remove_module("made"));
            },
            Ended::Done,
            "made is gone",
            There::Nothing,
        ),
        (
            "ip_vs is not loaded any more",
            World::unload_ip_vs,
            Ended::Done,
            "made is gone: no task runs its code, and its module is removed",
            There::Nothing,
        ),
        (
            "ip_vs is unloaded amid it",
            |world| world.later(SECOND / 2, World::unload_ip_vs),
            Ended::Done,
            "made is gone",
            There::Nothing,
        ),
        (
            "the kernel's log cannot be read",
            World::hide_log,
            Ended::Done,
            "made is gone",
            There::Nothing,
        ),
        (
            "the kernel does not mark its module as a livepatch",
            |world| world.write("sys/module/made/taint", "OE\n"),
            Ended::Done,
            "made is gone",
            There::Nothing,
        ),
        (
            "the journal cannot be read",
            |world| world.write("var/lib/state/journal.json", "{"),
            Ended::Done,
            "made is gone",
            There::Nothing,
        ),
        (
            "the kernel says neither whether it is enabled nor what it replaces",
            |world| {
                world.write("sys/kernel/livepatch/made/enabled", "");
                world.remove("sys/kernel/livepatch/made/ip_vs");
            },
            Ended::Done,
            "and every estimator ran since (2 network namespaces)",
            There::Nothing,
        ),
    ]);
}

#[test]
fn an_unload_after_which_the_livepatch_is_as_before() {
    run(&[
        (
            "a task keeps the transition for ever",
            |world| world.transitions_take(Some(SECOND), None),
            Ended::RolledBack,
            "made is in force as before: not every task left its code. What kept it: no task that /proc shows",
            There::Enabled,
        ),
        (
            "a signal asks to end amid the transition",
            |world| {
                world.transitions_take(Some(SECOND), None);
                world.later(5 * SECOND, World::stop);
            },
            Ended::RolledBack,
            "made is in force as before",
            There::Enabled,
        ),
    ]);
    for errno in [Errno::EPERM, Errno::EACCES] {
        let node = node();
        loaded(&node);
        refuses(node.world(), StepKind::Disable, errno);
        let report = unload(&node);
        assert_eq!(Ended::of(&report), Ended::Refused);
        let text = report.text();
        assert!(
            text.starts_with(&format!("the kernel refused to take made back ({errno}): ")),
            "{text}"
        );
        assert!(!text.contains("transition"), "{text}");
        assert_eq!(There::on(&node), There::Enabled);
        assert_sound(&node, &report, &text);
    }
    for errno in [Errno::EBUSY, Errno::EINVAL, Errno::ENOENT, Errno::EIO] {
        let node = node();
        loaded(&node);
        refuses(node.world(), StepKind::Disable, errno);
        let report = unload(&node);
        assert_eq!(Ended::of(&report), Ended::Refused);
        let text = report.text();
        assert!(
            text.contains("another livepatch may be in transition"),
            "{errno}: {text}"
        );
        assert_eq!(There::on(&node), There::Enabled);
        assert_sound(&node, &report, &text);
    }
}

const NEEDS_A_PERSON: &[Row] = &[
    (
        "a timer calls the module",
        |world| {
            world.under(Under {
                keeps_timer: true,
                ..Under::default()
            });
            world.pass(3 * SECOND);
        },
        Ended::HalfDone,
        "made is out of force, but its module has to stay loaded: the timer of netns 7, 8 calls its code",
        There::Module,
    ),
    (
        "whether a timer calls the module cannot be seen",
        World::hide_timers,
        Ended::HalfDone,
        "if you are sure that no timer calls it, remove it with `rmmod made`",
        There::Module,
    ),
    (
        "where the module lies cannot be seen",
        |world| {
            world.later(SECOND, |world| {
                world.write("proc/modules", "made 16384 1 - Live 0x0 (OEK)\n");
            });
        },
        Ended::HalfDone,
        "its place in memory cannot be read",
        There::Module,
    ),
    (
        "the kernel keeps the module",
        |world| {
            for _ in 0..500 {
                refuses(world, StepKind::Remove, Errno::EAGAIN);
            }
        },
        Ended::HalfDone,
        "made is out of force, but its module is still loaded (in use, EAGAIN",
        There::Module,
    ),
    (
        "the kernel never answers the request to remove it",
        |world| world.next_call(StepKind::Remove, Answer::Never),
        Ended::HalfDone,
        "its module is still loaded (the kernel has not answered)",
        There::Module,
    ),
    (
        "an estimator is dead since",
        |world| world.later(2 * SECOND, |world| world.kill(8)),
        Ended::HalfDone,
        "Of the estimators that are to run again: that of netns 8 is DEAD",
        There::Nothing,
    ),
    (
        "an estimator runs long after the deadline",
        |world| {
            world.under(Under {
                period: Some(300 * SECOND),
                ..Under::default()
            });
            world.pass(3 * SECOND);
        },
        Ended::HalfDone,
        "that of netns 7 is due in 29",
        There::Nothing,
    ),
    (
        "the runs cannot be seen",
        World::refuse_probes,
        Ended::HalfDone,
        "Of the estimators that are to run again: that cannot be seen here (this node has no kprobes)",
        There::Nothing,
    ),
    (
        "a signal asks to end while runs are waited for",
        |world| world.later(1_300 * SECOND / 1_000, World::stop),
        Ended::HalfDone,
        "Of the estimators that are to run again: that of netns 7 is due in ",
        There::Nothing,
    ),
];

#[test]
fn an_unload_after_which_the_node_needs_a_person() {
    run(NEEDS_A_PERSON);
}

#[test]
fn an_unload_that_the_kernel_does_not_let_go_of() {
    run(&[
        (
            "neither way comes to its end",
            |world| world.transitions_take(None, None),
            Ended::LeftToGuard,
            "once the kernel lets go, it takes made out of force and removes its module",
            There::Moving,
        ),
        (
            "the kernel never answers the request to turn back",
            |world| {
                world.transitions_take(None, None);
                world.next_call(StepKind::Enable, Answer::Never);
            },
            Ended::LeftToGuard,
            "the kernel does not answer the request to turn back",
            There::Moving,
        ),
        (
            "the kernel never answers the request to disable it",
            |world| world.next_call(StepKind::Disable, Answer::Never),
            Ended::LeftToGuard,
            "the kernel does not answer",
            There::Enabled,
        ),
        (
            "the process that disables it is killed",
            |world| world.next_call(StepKind::Disable, Answer::Dies),
            Ended::LeftToGuard,
            "was ended (signal: 9)",
            There::Enabled,
        ),
        (
            "no process can be made that disables it",
            |world| world.next_call(StepKind::Disable, Answer::CannotBegin),
            Ended::LeftToGuard,
            "made was left half way",
            There::Enabled,
        ),
        (
            "the process that removes the module is killed",
            |world| world.next_call(StepKind::Remove, Answer::Dies),
            Ended::LeftToGuard,
            "was ended (signal: 9)",
            There::Module,
        ),
        (
            "the probes cannot be read",
            |world| {
                world.later(1_500 * SECOND / 1_000, World::break_probes);
            },
            Ended::LeftToGuard,
            "the probes cannot be read",
            There::Nothing,
        ),
    ]);
}

#[test]
fn an_unload_that_does_not_begin() {
    run(&[
        (
            "no guard comes up",
            World::no_guard_comes_up,
            Ended::NotBegun,
            "nothing was changed, for no process could be made to guard the change",
            There::Enabled,
        ),
        (
            "the kernel refuses the handlers of signals",
            World::refuse_handlers,
            Ended::NotBegun,
            "invalid",
            There::Enabled,
        ),
        (
            "another livepatch is in transition",
            |world| {
                world.enable("other", "nf_nat");
                world.write("sys/kernel/livepatch/other/transition", "1");
            },
            Ended::NotBegun,
            "the livepatch other is in transition, and there is one at a time",
            There::Enabled,
        ),
        (
            "livepatches cannot be seen",
            |world| {
                world.remove("sys/kernel/livepatch");
                world.write("sys/kernel/livepatch", "no folder");
            },
            Ended::NotBegun,
            "made is not unloaded: cannot read /sys/kernel/livepatch",
            There::Module,
        ),
        (
            "modules cannot be seen",
            |world| world.remove("sys/module"),
            Ended::NotBegun,
            "made is not unloaded: cannot read /sys/module",
            There::Enabled,
        ),
    ]);
    let node = node();
    let not_loaded = unload(&node);
    assert!(
        not_loaded.text().contains("no module made is loaded"),
        "{}",
        not_loaded.text()
    );
    node.write("sys/module/made/taint", "OE\n");
    let other = unload(&node);
    assert!(
        other.text().contains("made is loaded and is no livepatch"),
        "{}",
        other.text()
    );
    assert_eq!(Ended::of(&other), Ended::NotBegun);
}

#[test]
fn the_way_back_from_an_unload_is_the_load_that_was_if_it_was_enabled_for_every_task() {
    let undo = |given: fn(&World)| {
        let node = node();
        loaded(&node);
        given(node.world());
        let report = unload(&node);
        assert_eq!(Ended::of(&report), Ended::Done, "{}", report.text());
        report.undo.unwrap().line()
    };
    let command = undo(|_| {});
    assert!(command.starts_with("Undo: ipvs-latency "), "{command}");
    assert!(
        command.ends_with("root/made.ko --accept replaces-others"),
        "{command}"
    );
    let disabled = undo(|world| {
        world.switch_livepatch("made", false);
        world.pass(3 * SECOND);
    });
    assert_eq!(disabled, "Undo: no command: made was not enabled before");
    let moving = undo(|world| {
        world.write("sys/kernel/livepatch/made/transition", "1");
    });
    assert_eq!(moving, "Undo: no command: made was not enabled before");
}
