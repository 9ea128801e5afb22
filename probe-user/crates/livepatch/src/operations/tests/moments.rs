//! Another process acts, or the tool dies, at every moment of a command at which that is possible.

use std::{
    collections::BTreeSet,
    env,
    panic::{self, AssertUnwindSafe},
};

use super::*;
use crate::{
    made_node::{Answer, World},
    step::StepKind,
};

const SECOND: Duration = Duration::from_secs(1);

/// What another process does.
type Act = (&'static str, fn(&World));

const ACTS: [Act; 13] = [
    ("disables it", |world| world.switch_livepatch("made", false)),
    ("enables it", |world| world.switch_livepatch("made", true)),
    ("disables it, and its transition is over", |world| {
        world.switch_livepatch("made", false);
        world.pass(SECOND);
    }),
    ("removes its module", |world| world.remove_module("made")),
    ("disables it and removes its module", |world| {
        world.switch_livepatch("made", false);
        world.pass(SECOND);
        world.remove_module("made");
    }),
    ("unloads ip_vs", |world| {
        if world.is_loaded("ip_vs") {
            world.unload_ip_vs();
        }
    }),
    ("kills an estimator", |world| world.kill(7)),
    ("enables another livepatch", |world| {
        world.enable("other", "nf_nat");
    }),
    ("begins to enable another livepatch", |world| {
        world.enable("other", "nf_nat");
        world.write("sys/kernel/livepatch/other/transition", "1");
        world.later(3 * SECOND, |world| {
            world.write("sys/kernel/livepatch/other/transition", "0");
        });
    }),
    ("sends a signal", World::stop),
    ("disables kprobes", World::disable_kprobes),
    ("has the probes unreadable", World::break_probes),
    ("has the timers hidden", World::hide_timers),
];

/// The log is read once more when all is over: what happens then is not in the report.
const AFTER_THE_LAST_LOOK: usize = 6;

/// With this variable everything is tried at every moment that is looked at, otherwise a quarter of it.
const EVERY_MOMENT: &str = "IPVS_LATENCY_TEST_EVERY_MOMENT";

fn is_every_moment() -> bool {
    env::var_os(EVERY_MOMENT).is_some()
}

/// A command, and what is so before it.
type Course = (&'static str, fn(&MadeNode), fn(&MadeNode) -> Report);

const COURSES: [Course; 6] = [
    ("a load", |_| {}, load),
    (
        "a load with a slow kernel",
        |node| {
            let world = node.world();
            world.next_call(StepKind::Insert, Answer::Does(SECOND / 2));
        },
        load,
    ),
    (
        "a load that is turned back",
        |node| node.world().transitions_take(None, Some(SECOND)),
        load,
    ),
    ("an unload", loaded, unload),
    (
        "an unload that is turned back",
        |node| {
            loaded(node);
            node.world().transitions_take(Some(SECOND), None);
        },
        unload,
    ),
    (
        "an unload of what is disabled",
        |node| {
            loaded(node);
            node.world().switch_livepatch("made", false);
            node.world().pass(2 * SECOND);
        },
        unload,
    ),
];

/// Returns how often the engine hands over control in a command to which nothing happens, but for long waits where one turn is
/// like the next.
fn turns(course: &Course) -> Vec<usize> {
    let (_, given, command) = course;
    let node = node();
    given(&node);
    let before = node.world().turns();
    command(&node);
    let all = node.world().turns() - before;
    // Of a wait that lasts, the beginning and the end.
    let is_taken = |turn: &usize| *turn <= 30 || *turn + 25 > all || turn.is_multiple_of(97);
    (1..=all).filter(is_taken).collect()
}

#[test]
fn another_process_acts_between_any_two_steps_and_the_end_is_true() {
    let mut seen = BTreeSet::new();
    let mut texts = String::new();
    for course in &COURSES {
        let (says, given, command) = course;
        for turn in turns(course) {
            for (index, (act_says, act)) in ACTS.into_iter().enumerate() {
                if !is_every_moment() && !(turn + index).is_multiple_of(4) {
                    continue;
                }
                let row = format!("{says}, and at turn {turn} another process {act_says}");
                let node = node();
                given(&node);
                node.world().at_turn(turn, act);
                let (began, before) = (node.world().time(), node.world().turns());
                let report = command(&node);
                let took = node.world().since(began);
                if node.world().turns() < before + turn + AFTER_THE_LAST_LOOK {
                    continue;
                }
                // With the wait for runs after the way back.
                assert!(took <= 2 * TIMEOUT + MORE, "{row}: it took {took:?}");
                assert_sound(&node, &report, &row);
                seen.insert(Ended::of(&report));
                texts += &report.text();
            }
        }
    }
    let missing: Vec<Ended> = [
        Ended::Done,
        Ended::RolledBack,
        Ended::HalfDone,
        Ended::LeftToGuard,
    ]
    .into_iter()
    .filter(|ended| !seen.contains(ended))
    .collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(texts.contains("was in force, and somebody else has taken it back"));
}

/// The tool is killed: nothing of it runs any more, and nothing that it holds is let go in good order.
struct Killed;

#[test]
fn the_tool_dies_between_any_two_steps_and_the_guard_rolls_back() {
    for course in &COURSES {
        let (says, given, command) = course;
        for turn in turns(course) {
            let row = format!("{says}, and at turn {turn} the tool is killed");
            let node = node();
            given(&node);
            node.world().at_turn(turn, |_| panic::panic_any(Killed));
            let killed = panic::catch_unwind(AssertUnwindSafe(|| command(&node)));
            let Err(cause) = killed else {
                continue;
            };
            assert!(cause.is::<Killed>(), "{row}");
            // What keeps the transition lets go.
            node.world().transitions_take(Some(SECOND), Some(SECOND));
            node.world().let_go("made");
            guard_rolls_back(&node);
            assert_eq!(There::on(&node), There::Nothing, "{row}");
            assert_eq!(node.world().crash(), None, "{row}");
            let noted = noted(&node);
            assert!(
                matches!(noted, None | Some(Phase::Gone)),
                "{row}: {noted:?}"
            );
        }
    }
}
