use nix::errno::Errno;

use super::*;
use crate::{
    made_node::{Answer, Under, World},
    step::StepKind,
};
use livepatch_image::{Module, samples::sample};

/// A load: what is so, how it ends, words of what is said, and what is there afterwards.
type Row = (&'static str, fn(&World), Ended, &'static str, There);

fn run(rows: &[Row]) {
    for (says, given, ended, words, there) in rows {
        let node = node();
        given(node.world());
        let began = node.world().time();
        let report = load(&node);
        let took = node.world().since(began);
        let text = report.text();
        assert_eq!(Ended::of(&report), *ended, "{says}: {text}");
        assert!(text.contains(words), "{says}: no {words:?} in {text}");
        assert_eq!(There::on(&node), *there, "{says}: {text}");
        assert!(took <= TIMEOUT + MORE, "{says}: it took {took:?}: {text}");
        let stays = matches!(ended, Ended::Done | Ended::HalfDone);
        assert_eq!(report.undo.is_some(), stays, "{says}: {text}");
        assert_sound(&node, &report, says);
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn does_after(world: &World, kind: StepKind, seconds: u64) {
    world.next_call(kind, Answer::Does(Duration::from_secs(seconds)));
}

fn refuses(world: &World, kind: StepKind, errno: Errno) {
    world.next_call(kind, Answer::Refuses(errno));
}

#[test]
fn a_load_that_the_kernel_carries_out() {
    run(&[
        (
            "the kernel enables it, and the estimator runs under it",
            |_| {},
            Ended::Done,
            "ran under it and set its timer again",
            There::Enabled,
        ),
        (
            "the kernel answers late",
            |world| does_after(world, StepKind::Insert, 29),
            Ended::Done,
            "ran under it",
            There::Enabled,
        ),
        (
            "the transition is over just in time",
            |world| world.transitions_take(Some(29 * SECOND), Some(SECOND)),
            Ended::Done,
            "ran under it",
            There::Enabled,
        ),
        (
            "the kernel takes no time for the transition",
            |world| world.transitions_take(Some(Duration::ZERO), Some(SECOND)),
            Ended::Done,
            "ran under it",
            There::Enabled,
        ),
        (
            "the very file is enabled already",
            |world| {
                world.enable("made", "ip_vs");
                world.write("sys/module/made/notes/.note.gnu.build-id", b"\x01");
            },
            Ended::NotBegun,
            "already",
            There::Enabled,
        ),
        (
            "an earlier load left its module behind",
            |world| {
                world.enable("made", "ip_vs");
                world.switch_livepatch("made", false);
                world.pass(2 * SECOND);
            },
            Ended::Done,
            "ran under it",
            There::Enabled,
        ),
        (
            "an estimator was dead before",
            |world| world.kill(8),
            Ended::Done,
            "estimator of netns 7 ran under it",
            There::Enabled,
        ),
    ]);
}

#[test]
fn a_load_that_the_kernel_refuses() {
    for errno in [
        Errno::EPERM,
        Errno::ENOEXEC,
        Errno::EINVAL,
        Errno::ENOMEM,
        Errno::EBUSY,
        Errno::EEXIST,
        Errno::EBADMSG,
        Errno::EKEYREJECTED,
        Errno::ENOKEY,
        Errno::ENODEV,
        Errno::ENOENT,
        Errno::EFAULT,
    ] {
        let node = node();
        refuses(node.world(), StepKind::Insert, errno);
        let report = load(&node);
        let text = report.text();
        assert_eq!(Ended::of(&report), Ended::Refused, "{text}");
        assert!(
            text.starts_with(&format!("the kernel refused made ({errno}): ")),
            "{text}"
        );
        assert_eq!(There::on(&node), There::Nothing);
        assert_eq!(noted(&node), Some(Phase::Gone));
        assert_eq!(report.code(), 2);
        assert_sound(&node, &report, &text);
    }
}

const TURNED_BACK: &[Row] = &[
    (
        "a task keeps the transition for ever",
        |world| world.transitions_take(None, Some(SECOND)),
        Ended::RolledBack,
        "and its module removed: every task runs the old code. What kept it: no task that /proc shows",
        There::Nothing,
    ),
    (
        "a signal asks to end amid the transition",
        |world| {
            world.transitions_take(None, Some(SECOND));
            world.later(5 * SECOND, World::stop);
        },
        Ended::RolledBack,
        "was taken back before it was in force",
        There::Nothing,
    ),
    (
        "a signal comes before the kernel has begun",
        |world| {
            does_after(world, StepKind::Insert, 5);
            world.later(SECOND, World::stop);
        },
        Ended::RolledBack,
        "every task runs the old code",
        There::Nothing,
    ),
    (
        "another process disables it amid the transition",
        |world| {
            world.transitions_take(None, Some(SECOND));
            world.later(5 * SECOND, |world| world.switch_livepatch("made", false));
        },
        Ended::RolledBack,
        "Another process disabled it (kpatch, or a write to /sys/kernel/livepatch/made/enabled)",
        There::Nothing,
    ),
    (
        "another process unloads it amid the transition",
        |world| {
            world.transitions_take(None, Some(SECOND));
            world.later(5 * SECOND, |world| world.switch_livepatch("made", false));
            world.later(7 * SECOND, |world| world.remove_module("made"));
        },
        Ended::RolledBack,
        "Another process disabled it",
        There::Nothing,
    ),
    (
        "the kernel answers the way back late",
        |world| {
            world.transitions_take(None, Some(SECOND));
            does_after(world, StepKind::Disable, 8);
        },
        Ended::RolledBack,
        "every task runs the old code",
        There::Nothing,
    ),
    (
        "ip_vs is unloaded amid the transition",
        |world| {
            world.transitions_take(None, Some(SECOND));
            world.later(5 * SECOND, World::unload_ip_vs);
        },
        Ended::RolledBack,
        "every task runs the old code",
        There::Nothing,
    ),
    (
        "the kernel keeps the module a moment longer",
        |world| {
            world.transitions_take(None, Some(SECOND));
            for _ in 0..20 {
                refuses(world, StepKind::Remove, Errno::EAGAIN);
            }
        },
        Ended::RolledBack,
        "its module removed",
        There::Nothing,
    ),
    (
        "a signal asks to end while a run is waited for",
        |world| {
            world.under(Under::default());
            world.transitions_take(Some(SECOND), Some(SECOND));
            world.later(1_200 * SECOND / 1_000, World::stop);
        },
        Ended::RolledBack,
        "made is gone: no task runs its code, and its module is removed, and every estimator ran since (2 network \
             namespaces)",
        There::Nothing,
    ),
];

#[test]
fn a_load_that_is_turned_back() {
    run(TURNED_BACK);
}

const NEEDS_A_PERSON: &[Row] = &[
    (
        "the way back was refused for good",
        |world| {
            world.transitions_take(None, Some(SECOND));
            for _ in 0..2_000 {
                refuses(world, StepKind::Remove, Errno::EAGAIN);
            }
        },
        Ended::HalfDone,
        "its module is still loaded (in use, EAGAIN: Try again): try again with `ipvs-latency hotfix unload made`",
        There::Module,
    ),
    (
        "timers call the module when it is to be removed",
        |world| {
            world.under(Under {
                keeps_timer: true,
                ..Under::default()
            });
            world.later(1_200 * SECOND / 1_000, World::stop);
        },
        Ended::HalfDone,
        "made is out of force, but its module has to stay loaded: the timer of netns 7, 8 calls its code",
        There::Module,
    ),
    (
        "whether a timer calls the module cannot be seen when it is to be removed",
        |world| {
            world.transitions_take(None, Some(SECOND));
            world.later(5 * SECOND, World::hide_timers);
        },
        Ended::HalfDone,
        "its module stays loaded, because whether a timer still calls it cannot be seen here",
        There::Module,
    ),
    (
        "an object of it is not patched",
        |world| {
            world.after_call(StepKind::Insert, |world| {
                world.write("sys/kernel/livepatch/made/ip_vs/patched", "0");
            });
        },
        Ended::HalfDone,
        "/sys/kernel/livepatch/made/ip_vs/patched is 0: that object is not loaded",
        There::Enabled,
    ),
    (
        "under it an estimator does not set its timer",
        |world| {
            world.under(Under {
                period: None,
                ..Under::default()
            });
        },
        Ended::HalfDone,
        "is DEAD: its timer is not pending",
        There::Enabled,
    ),
    (
        "an estimator is dead under it, and another process disables it",
        |world| {
            world.under(Under {
                period: None,
                ..Under::default()
            });
            world.later(1_500 * SECOND / 1_000, |world| {
                world.switch_livepatch("made", false);
            });
        },
        Ended::HalfDone,
        "is DEAD: its timer is not pending",
        There::Module,
    ),
    (
        "another process disables it while a run is waited for",
        |world| {
            world.cut_looks_short();
            world.later(1_500 * SECOND / 1_000, |world| {
                world.switch_livepatch("made", false);
            });
        },
        Ended::HalfDone,
        "somebody else has taken it back",
        There::Module,
    ),
    (
        "no look has every namespace",
        World::cut_looks_short,
        Ended::HalfDone,
        "may have run: the last look at the timers was cut short",
        There::Enabled,
    ),
    (
        "the estimator is not due before the deadline",
        |world| {
            world.under(Under {
                period: Some(300 * SECOND),
                ..Under::default()
            });
            world.enable("late", "ip_vs");
            world.pass(3 * SECOND);
            world.replace_others();
            world.write("sys/kernel/livepatch/late/enabled", "1");
        },
        Ended::HalfDone,
        "is due in ",
        There::Enabled,
    ),
];

#[test]
fn a_load_after_which_the_node_needs_a_person() {
    run(NEEDS_A_PERSON);
}

const NOT_LET_GO_OF: &[Row] = &[
    (
        "the kernel never answers the request to load",
        |world| world.next_call(StepKind::Insert, Answer::Never),
        Ended::LeftToGuard,
        "the kernel does not answer the request to turn back (process 7000",
        There::Nothing,
    ),
    (
        "neither way comes to its end",
        |world| world.transitions_take(None, None),
        Ended::LeftToGuard,
        "made is half way: the transition is still under way",
        There::Moving,
    ),
    (
        "the kernel never answers the request to turn back",
        |world| {
            world.transitions_take(None, None);
            world.next_call(StepKind::Disable, Answer::Never);
        },
        Ended::LeftToGuard,
        "does not answer the request to turn back (process 7001 waits for it)",
        There::Moving,
    ),
    (
        "the kernel refuses to turn back",
        |world| {
            world.transitions_take(None, None);
            refuses(world, StepKind::Disable, Errno::EBUSY);
        },
        Ended::LeftToGuard,
        "the transition is still under way",
        There::Moving,
    ),
    (
        "no process can be made that turns back",
        |world| {
            world.transitions_take(None, None);
            world.next_call(StepKind::Disable, Answer::CannotBegin);
        },
        Ended::LeftToGuard,
        "made was left half way (Resource temporarily unavailable",
        There::Moving,
    ),
    (
        "no process can be made that loads",
        |world| world.next_call(StepKind::Insert, Answer::CannotBegin),
        Ended::LeftToGuard,
        "made was left half way (Resource temporarily unavailable",
        There::Nothing,
    ),
    (
        "the process that loads is killed",
        |world| world.next_call(StepKind::Insert, Answer::Dies),
        Ended::LeftToGuard,
        "made was left half way (the process that asked the kernel was ended (signal: 9))",
        There::Nothing,
    ),
    (
        "the probes cannot be attached once it is enabled",
        |world| {
            world.later(500 * SECOND / 1_000, World::refuse_probes);
        },
        Ended::LeftToGuard,
        "made was left half way (this node has no kprobes)",
        There::Enabled,
    ),
    (
        "the probes cannot be read",
        |world| {
            world.later(1_100 * SECOND / 1_000, World::break_probes);
        },
        Ended::LeftToGuard,
        "made was left half way (the probes cannot be read)",
        There::Enabled,
    ),
    (
        "sysfs cannot be read amid the transition",
        |world| {
            world.transitions_take(None, None);
            world.later(5 * SECOND, |world| {
                world.remove("sys/kernel/livepatch");
                world.write("sys/kernel/livepatch", "no folder");
            });
        },
        Ended::LeftToGuard,
        "made is half way",
        There::Module,
    ),
];

#[test]
fn a_load_that_the_kernel_does_not_let_go_of() {
    run(NOT_LET_GO_OF);
}

#[test]
fn a_load_that_does_not_begin() {
    run(&[
        (
            "the probes cannot be attached",
            World::refuse_probes,
            Ended::NotBegun,
            "no run could be confirmed under it: this node has no kprobes",
            There::Nothing,
        ),
        (
            "the timers cannot be seen",
            World::hide_timers,
            Ended::NotBegun,
            "no run could be confirmed under it: no timer can be seen",
            There::Nothing,
        ),
        (
            "no guard comes up",
            World::no_guard_comes_up,
            Ended::NotBegun,
            "nothing was changed, for no process could be made to guard the change: it ended at once",
            There::Nothing,
        ),
        (
            "the kernel refuses the handlers of signals",
            World::refuse_handlers,
            Ended::NotBegun,
            "invalid",
            There::Nothing,
        ),
        (
            "another livepatch is in transition",
            |world| {
                world.enable("other", "ip_vs");
                world.write("sys/kernel/livepatch/other/transition", "1");
            },
            Ended::NotBegun,
            "in transition",
            There::Nothing,
        ),
        (
            "the boot cannot be told",
            |world| world.remove("proc/sys/kernel/random/boot_id"),
            Ended::NotBegun,
            "cannot read which boot this is",
            There::Nothing,
        ),
        (
            "the journal is damaged",
            |world| world.write("var/lib/state/journal.json", "{"),
            Ended::NotBegun,
            "journal",
            There::Nothing,
        ),
        (
            "sysfs cannot be read",
            |world| {
                world.remove("sys/kernel/livepatch");
                world.write("sys/kernel/livepatch", "no folder");
            },
            Ended::NotBegun,
            "made.ko is not loaded",
            There::Nothing,
        ),
    ]);
}

#[test]
fn what_the_kernel_writes_to_its_log_is_in_the_report_and_said_where_it_went_wrong() {
    let node = node();
    node.world()
        .later(SECOND, |world| world.log_line("one line"));
    let report = load(&node);
    assert_eq!(
        report.kernel_log,
        ["livepatch: enabling patch 'made'", "one line"]
    );
    assert!(!node.world().said().contains("kernel: one line"));
    let node = super::node();
    node.world().transitions_take(None, Some(SECOND));
    node.world().hide_log();
    let report = load(&node);
    assert_eq!(report.kernel_log, [""; 0]);
    let said = node.world().said();
    assert!(
        said.contains("kernel: (/dev/kmsg cannot be read: permission denied)"),
        "{said}"
    );
    assert!(
        said.contains("made: not through within 30s; turning back"),
        "{said}"
    );
    assert!(
        said.contains(&format!("error: {}", report.text())),
        "{said}"
    );
}

#[test]
fn the_tasks_that_keep_a_transition_are_named_while_it_lasts_and_at_its_end() {
    let node = node();
    let world = node.world();
    world.transitions_take(None, Some(SECOND));
    for (file, text) in [
        ("patch_state", "0\n"),
        ("comm", "spin\n"),
        ("stat", "9 (spin) S 0\n"),
        ("stack", "[<0>] msleep+0x1/0x2\n"),
    ] {
        world.write(&format!("proc/9/task/9/{file}"), text);
    }
    let control = "sys/kernel/debug/dynamic_debug/control";
    let line = "kernel/livepatch/transition.c:359 [transition]klp_try_switch_task =_ \"x\"\n";
    world.write(control, line);
    world.later(4 * SECOND, |world| {
        world.log_line("livepatch: klp_try_switch_task: spin:9 is sleeping on function f");
    });
    let report = load(&node);
    let said = world.said();
    let first = "made: in transition, kept by spin (tid 9), stack: msleep";
    let then = "made: in transition, kept by spin (tid 9) is sleeping on function f, stack: msleep";
    assert_eq!(said.matches(first).count(), 1, "{said}");
    assert_eq!(said.matches(then).count(), 1, "{said}");
    let kept = "What kept it: spin (tid 9) is sleeping on function f, stack: msleep";
    assert!(report.text().contains(kept), "{}", report.text());
    assert_eq!(report.kernel_log, ["livepatch: enabling patch 'made'"]);
}

#[test]
fn a_load_of_what_is_enabled_from_the_very_file_asks_the_kernel_for_nothing() {
    let node = node();
    loaded(&node);
    let calls = node.world().calls();
    let report = load(&node);
    assert_eq!(Ended::of(&report), Ended::Done, "{}", report.text());
    let words = "made is enabled already, from this very file";
    assert!(report.text().contains(words), "{}", report.text());
    assert_eq!(node.world().calls(), calls);
}

#[test]
fn timers_have_to_be_seen_for_a_load_that_replaces_the_estimator_alone() {
    let node = node();
    node.world().kill(8);
    let mut module = sample();
    let dead = |module: &Module| load::dead_before(module, &node.site());
    assert_eq!(dead(&module).unwrap(), [8].into());
    node.world().hide_timers();
    assert!(dead(&module).is_err());
    module.replaces.clear();
    assert_eq!(dead(&module).unwrap(), [].into());
}

#[test]
fn what_keeps_a_transition_is_named_once_the_kernel_has_tried_twice() {
    for (takes_ms, is_named) in [(2_550, false), (2_650, true)] {
        let node = node();
        let takes = Duration::from_millis(takes_ms);
        node.world().transitions_take(Some(takes), Some(SECOND));
        load(&node);
        let said = node.world().said();
        let names = said.contains("made: in transition, kept by no task");
        assert_eq!(names, is_named, "{takes_ms} ms: {said}");
    }
}

#[test]
fn a_livepatch_whose_place_it_takes_is_gone_and_does_not_come_back_with_it() {
    let replaced = |made: fn(&World)| {
        let node = node();
        let world = node.world();
        world.enable("other", "ip_vs");
        world.replace_others();
        made(world);
        (load(&node), node)
    };
    let (report, node) = replaced(|_| {});
    assert_eq!(Ended::of(&report), Ended::Done, "{}", report.text());
    assert_eq!(node.world().livepatch("other"), None);
    let (report, _) = replaced(|world| world.later(1_200 * SECOND / 1_000, World::stop));
    assert_eq!(Ended::of(&report), Ended::HalfDone);
    let lost = "The hotfix had taken the place of other livepatches, which are in force no more: load them again (other)";
    assert!(report.text().contains(lost), "{}", report.text());
    assert!(report.undo.is_none(), "nothing is left to take back");
    // It was turned back before it took the place.
    let (report, node) = replaced(|world| world.transitions_take(None, Some(SECOND)));
    assert_eq!(Ended::of(&report), Ended::RolledBack, "{}", report.text());
    assert_eq!(node.world().livepatch("other"), Some((true, false)));
}
