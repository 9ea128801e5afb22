//! Trials on made nodes, a sentence a row: every verdict, every way to end early, and what becomes of the node.

use std::{cell::RefCell, path::PathBuf, rc::Rc, time::Duration};

use nix::errno::Errno;

use super::{
    intervention::{Intervention, Wanted},
    plan::Plan,
    trial_outcome::NodeAfter::{self, NeedsPerson, Patched, RolledBack, Unchanged},
    trial_record::TrialRecord,
    trial_runner::TrialRunner,
    verdict::Verdict::{self, Aborted, Disabled, Improved, Inconclusive, Refused, Regressed},
};
use crate::{
    made_node::{Answer, MadeNode, Under, World, own_netns},
    step::StepKind,
    transaction::journal::{Journal, Phase},
};
use host::netns::NetnsName;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// A run that visits no entry.
const SHORT: Duration = Duration::from_micros(2);

const PLAN: Plan = Plan {
    runs: 6,
    trial: false,
    keep: false,
    timeout: Duration::from_secs(30),
    max_wait: Duration::from_mins(5),
    min_effect_percent: 5.0,
};

const TRIAL: Plan = Plan {
    trial: true,
    ..PLAN
};

const KEPT: Plan = Plan { keep: true, ..PLAN };

/// A node on which `made.ko` may be tried.
fn node() -> MadeNode {
    let node = MadeNode::new();
    node.world().add_estimator(7, 30_000);
    node.world().add_estimator(8, 1);
    let _ = node.module("made", 500);
    node
}

/// Tries `made.ko`.
fn apply(node: &MadeNode, plan: &Plan) -> anyhow::Result<TrialRecord> {
    let file = node.root().join("root/made.ko");
    let accept = ["replaces-others".to_owned()];
    let wanted = Wanted::Hotfix {
        file: &file,
        accept: &accept,
    };
    let site = node.site();
    let intervention = Intervention::of(&wanted, &site)?;
    Ok(TrialRunner::prepare(plan, intervention, false, &site)?.carry_out())
}

/// A trial: what is so, what is planned, the verdict, what became of the node, and words of what is said.
type Row = (
    &'static str,
    fn(&World),
    Plan,
    Verdict,
    NodeAfter,
    &'static str,
);

/// Returns the sentences that a person gets of a trial.
fn told(record: &TrialRecord) -> String {
    let outcome = &record.outcome;
    let back = outcome.back.as_deref().unwrap_or_default();
    format!(
        "{} | {back} | {}",
        outcome.judged.why,
        outcome.warnings.join(" ")
    )
}

fn run(rows: &[Row]) {
    for (says, given, plan, verdict, after, words) in rows {
        let node = node();
        given(node.world());
        let record = apply(&node, plan).unwrap();
        let told = told(&record);
        assert_eq!(record.outcome.judged.verdict, *verdict, "{says}: {told}");
        assert_eq!(record.outcome.host, *after, "{says}: {told}");
        assert!(told.contains(words), "{says}: no {words:?} in {told}");
        assert_sound(&node, &record, says);
    }
}

#[track_caller]
fn assert_sound(node: &MadeNode, record: &TrialRecord, row: &str) {
    let world = node.world();
    assert_eq!(world.crash(), None, "{row}");
    let is_there = world.livepatch("made").is_some();
    match record.outcome.host {
        Unchanged | RolledBack => assert!(!is_there, "{row}"),
        Patched => assert_eq!(world.livepatch("made"), Some((true, false)), "{row}"),
        NeedsPerson => {}
    }
    assert_eq!(
        record.undo.is_some(),
        record.outcome.host == Patched
            || (record.outcome.host == NeedsPerson
                && !record.outcome.is_left
                && world.is_loaded("made")),
        "{row}"
    );
    let outcome = &record.outcome;
    let is_bad = matches!(outcome.judged.verdict, Aborted | Refused) || outcome.host == NeedsPerson;
    assert_eq!(world.said().contains("kernel: "), is_bad, "{row}");
    assert_eq!(record.name, "made");
    assert!(record.livepatch.is_some());
}

fn under(world: &World, takes: Duration) {
    world.under(Under {
        takes,
        ..Under::default()
    });
}

const VERDICTS: &[Row] = &[
    (
        "it makes the runs short",
        |world| under(world, SHORT),
        PLAN,
        Improved,
        Patched,
        "shorter",
    ),
    (
        "it makes the runs short, in a trial",
        |world| under(world, SHORT),
        TRIAL,
        Improved,
        RolledBack,
        "every estimator ran since",
    ),
    (
        "it makes the runs long",
        |world| under(world, 9 * MILLISECOND),
        PLAN,
        Regressed,
        RolledBack,
        "longer",
    ),
    (
        "it makes the runs long, and is to be kept",
        |world| under(world, 9 * MILLISECOND),
        KEPT,
        Regressed,
        RolledBack,
        "longer",
    ),
    (
        "it changes nothing",
        |world| under(world, 4 * MILLISECOND),
        PLAN,
        Verdict::Unchanged,
        RolledBack,
        "",
    ),
    (
        "it changes nothing, and is to be kept",
        |world| under(world, 4 * MILLISECOND),
        KEPT,
        Verdict::Unchanged,
        Patched,
        "",
    ),
    (
        "it stops the estimator for good",
        |world| {
            world.under(Under {
                period: None,
                ..Under::default()
            });
        },
        PLAN,
        Disabled,
        NeedsPerson,
        "DEAD",
    ),
    (
        "it makes the runs rare",
        |world| {
            world.under(Under {
                period: Some(100 * SECOND),
                takes: 4 * MILLISECOND,
                ..Under::default()
            });
        },
        PLAN,
        Improved,
        Patched,
        "ended after --max-wait 5m as it stood",
    ),
    (
        "one run comes under it before the wait is over",
        |world| {
            world.under(Under {
                period: Some(400 * SECOND),
                takes: 4 * MILLISECOND,
                ..Under::default()
            });
        },
        PLAN,
        Improved,
        Patched,
        "by one run alone under the change, runs are rarer",
    ),
    (
        "the list is twice as long under it",
        |world| world.later(BEFORE + SECOND, |world| world.set_length(7, 60_000)),
        PLAN,
        Inconclusive,
        RolledBack,
        "60000",
    ),
    (
        "the list is twice as long under it, and it is to be kept",
        |world| world.later(BEFORE + SECOND, |world| world.set_length(7, 60_000)),
        KEPT,
        Inconclusive,
        Patched,
        "60000",
    ),
];

#[test]
fn a_verdict_keeps_the_hotfix_or_rolls_it_back() {
    run(VERDICTS);
}

#[test]
fn a_trial_measures_once_more_after_it_was_rolled_back() {
    let node = node();
    let record = apply(&node, &TRIAL).unwrap();
    let phases = [&record.before, &record.after, &record.rolled_back];
    let runs = phases.map(|phase| phase.as_ref().map_or(0, |phase| phase.runs[&7].len()));
    assert!(runs.iter().all(|runs| *runs >= 6), "{runs:?}");
    let softirq = phases.map(|phase| phase.as_ref().unwrap().timer_softirq_ns.clone().unwrap()[0]);
    assert!(
        softirq[0] > 100 * softirq[1] && softirq[2] > 100 * softirq[1],
        "{softirq:?}"
    );
    assert!(
        record
            .kernel_log
            .contains(&"livepatch: enabling patch 'made'".to_owned())
    );
    let said = node.world().said();
    for side in ["before", "after", "rolled back"] {
        let line = format!("made: measuring {side}: 6 runs");
        assert!(said.lines().any(|one| one == line), "no {line:?} in {said}");
    }
    let questions = node.world().questions();
    assert!(
        questions[0].contains("load the livepatch made"),
        "{questions:?}"
    );
    assert!(
        questions[0].contains("take it back and measure that too"),
        "{questions:?}"
    );
}

/// Before the change is made, a phase of six runs takes so long.
const BEFORE: Duration = Duration::from_millis(12_500);

#[test]
fn what_breaks_under_a_change_is_said_before_it_is_made() {
    let node = node();
    node.world().enable("other", "ip_vs");
    apply(&node, &PLAN).unwrap();
    let said = node.world().said();
    assert!(said.contains("Breaks: The kernel is tainted"), "{said}");
    assert!(
        said.contains(
            "takes the place of other livepatches, which do not come back with it: other."
        ),
        "{said}"
    );
    let node = self::node();
    node.world().add_estimator(own_netns(), 30_000);
    switch_off(&node, &PLAN).unwrap();
    let said = node.world().said();
    assert!(
        said.contains("Breaks: In these namespaces, the counters"),
        "{said}"
    );
}

#[test]
fn what_stays_comes_with_the_commands_that_take_it_back() {
    let node = node();
    let undo = apply(&node, &KEPT).unwrap().undo.unwrap();
    assert_eq!(undo.len(), 1, "{undo:?}");
    assert!(undo[0].ends_with("hotfix unload made"), "{undo:?}");
    let node = self::node();
    node.world().add_estimator(own_netns(), 30_000);
    node.world().set_switch(own_netns(), 2).unwrap();
    let undo = switch_off(&node, &PLAN).unwrap().undo.unwrap();
    assert_eq!(undo.len(), 1, "{undo:?}");
    assert!(undo[0].contains("run_estimation=2"), "{undo:?}");
}

#[test]
fn a_hotfix_whose_runs_are_too_far_apart_for_the_wait_is_told_of_before_it_is_loaded() {
    let jiffy_ns = host::time::jiffy_ns().unwrap();
    let said = |period: Duration| {
        let node = node();
        let jiffies = period.as_nanos() / u128::from(jiffy_ns);
        let _ = node.module("made", u32::try_from(jiffies).unwrap());
        apply(&node, &PLAN).unwrap();
        (node.world().said(), node.world().questions())
    };
    let (near, _) = said(40 * SECOND);
    assert!(!near.contains("note length: "), "{near}");
    let (far, questions) = said(100 * SECOND);
    let words = "note length: under made the estimators run 100 s apart, so 6 runs take ";
    assert!(far.contains(words), "{far}");
    let words = "measure for 5m under it";
    assert!(questions[0].contains(words), "{questions:?}");
}

#[test]
fn a_livepatch_whose_place_the_hotfix_takes_does_not_end_the_trial() {
    let node = node();
    node.world().enable("other", "ip_vs");
    node.world().replace_others();
    let record = apply(&node, &KEPT).unwrap();
    let told = told(&record);
    assert_eq!(record.outcome.judged.verdict, Verdict::Unchanged, "{told}");
    assert_eq!(record.outcome.host, Patched, "{told}");
    assert_eq!(record.replaced, ["other"]);
    assert_sound(&node, &record, "it takes the place of another");
}

#[test]
fn a_livepatch_of_the_same_name_that_another_process_loads_ends_the_trial() {
    let load = |world: &World| world.later(5 * SECOND, |world| world.enable("made", "ip_vs"));
    let before = node();
    load(before.world());
    let after = node();
    after.world().after_call(StepKind::Remove, load);
    for (node, host) in [(before, Unchanged), (after, RolledBack)] {
        let record = apply(&node, &TRIAL).unwrap();
        let told = told(&record);
        assert_eq!(record.outcome.judged.verdict, Aborted, "{told}");
        assert_eq!(record.outcome.host, host, "{told}");
        assert!(told.contains("loaded the livepatch made"), "{told}");
    }
}

#[test]
fn the_journal_says_how_far_a_trial_is_while_it_lasts() {
    let node = node();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let look = || {
        let seen = seen.clone();
        move |world: &World| {
            let journal = Journal::read(&world.path("var/lib/state")).unwrap();
            seen.borrow_mut().push(journal.entries()[0].phase);
        }
    };
    node.world().after_call(StepKind::Insert, look());
    node.world().later(BEFORE + 6 * SECOND, look());
    node.world().after_call(StepKind::Disable, look());
    apply(&node, &TRIAL).unwrap();
    let expected = [Phase::Loading, Phase::InForce, Phase::Unloading];
    assert_eq!(*seen.borrow(), expected);
}

/// Something that happens at a time, and what a trial says of it that was under way.
type Event = (&'static str, fn(&World), &'static str);

const EVENTS: [Event; 6] = [
    (
        "a signal asks to end",
        World::stop,
        "A key or a signal asked to end.",
    ),
    (
        "the kernel complains",
        |world| world.log_line("BUG: unable to handle page fault for address: 0"),
        "The kernel complained: BUG: unable to handle page fault",
    ),
    (
        "kprobes are disabled",
        World::disable_kprobes,
        "Kprobes were disabled",
    ),
    (
        "ip_vs is unloaded",
        World::unload_ip_vs,
        "ip_vs was unloaded meanwhile.",
    ),
    (
        "another process loads another livepatch of the estimator",
        |world| world.enable("other", "ip_vs"),
        "Somebody else loaded the livepatch other",
    ),
    (
        "another process sets run_estimation",
        |world| world.set_switch(8, 0).unwrap(),
        "Somebody else set run_estimation of netns 8 from 1 to 0.",
    ),
];

#[test]
fn what_happens_before_the_change_ends_the_trial_and_nothing_was_changed() {
    for (says, act, words) in EVENTS {
        let node = node();
        node.world().later(5 * SECOND, act);
        let record = apply(&node, &PLAN).unwrap();
        let told = told(&record);
        assert_eq!(record.outcome.judged.verdict, Aborted, "{says}: {told}");
        assert_eq!(record.outcome.host, Unchanged, "{says}: {told}");
        assert!(told.contains(words), "{says}: {told}");
        assert_eq!(node.world().calls(), [], "{says}");
        assert_sound(&node, &record, says);
    }
}

#[test]
fn what_happens_under_the_change_ends_the_trial_and_it_is_rolled_back() {
    for (says, act, words) in EVENTS {
        let node = node();
        node.world().later(BEFORE + 6 * SECOND, act);
        let record = apply(&node, &PLAN).unwrap();
        let told = told(&record);
        assert_eq!(record.outcome.judged.verdict, Aborted, "{says}: {told}");
        assert_eq!(record.outcome.host, RolledBack, "{says}: {told}");
        assert!(told.contains(words), "{says}: {told}");
        assert_sound(&node, &record, says);
    }
    let undone: [Event; 3] = [
        (
            "another process disables it",
            |world| world.switch_livepatch("made", false),
            "Somebody else took the livepatch back.",
        ),
        (
            "whether it is enabled is not said",
            |world| world.write("sys/kernel/livepatch/made/enabled", ""),
            "Whether the livepatch is enabled cannot be seen.",
        ),
        (
            "another process unloads it",
            |world| {
                world.switch_livepatch("made", false);
                world.pass(SECOND);
                world.remove_module("made");
            },
            "Somebody else took the livepatch back.",
        ),
    ];
    for (says, act, words) in undone {
        let node = node();
        node.world().later(BEFORE + 6 * SECOND, act);
        let record = apply(&node, &PLAN).unwrap();
        let told = told(&record);
        assert_eq!(record.outcome.judged.verdict, Aborted, "{says}: {told}");
        assert_eq!(record.outcome.host, RolledBack, "{says}: {told}");
        assert!(told.contains(words), "{says}: {told}");
        assert_sound(&node, &record, says);
    }
}

#[test]
fn a_change_that_does_not_come_into_place() {
    run(&[
        (
            "the kernel refuses it",
            |world| world.next_call(StepKind::Insert, Answer::Refuses(Errno::ENOEXEC)),
            PLAN,
            Refused,
            Unchanged,
            "the kernel refused made (ENOEXEC",
        ),
        (
            "a task keeps the transition for ever",
            |world| world.transitions_take(None, Some(SECOND)),
            PLAN,
            Aborted,
            RolledBack,
            "was taken back before it was in force",
        ),
        (
            "neither way comes to its end",
            |world| world.transitions_take(None, None),
            PLAN,
            Aborted,
            NeedsPerson,
            "made is half way",
        ),
        (
            "an object of it is not patched",
            |world| {
                world.after_call(StepKind::Insert, |world| {
                    world.write("sys/kernel/livepatch/made/ip_vs/patched", "0");
                });
            },
            PLAN,
            Aborted,
            RolledBack,
            "/patched is 0",
        ),
        (
            "another process unloads it before the kernel is asked whether it is enabled",
            |world| {
                let unload = |world: &World| {
                    world.switch_livepatch("made", false);
                    world.let_go("made");
                    world.remove_module("made");
                };
                // The log is read once after the wait in which the transition ends, and once when that end is seen.
                world.after_call(StepKind::Insert, move |world| {
                    world.later(SECOND, move |world| world.at_turn(2, unload));
                });
            },
            PLAN,
            Aborted,
            NeedsPerson,
            "made was in force, and somebody else has taken it back",
        ),
        (
            "the way back is not over",
            |world| world.transitions_take(Some(SECOND), None),
            TRIAL,
            Improved,
            NeedsPerson,
            "stays behind and tries again until it is gone",
        ),
        (
            "the process that loads it is killed",
            |world| world.next_call(StepKind::Insert, Answer::Dies),
            PLAN,
            Aborted,
            NeedsPerson,
            "was ended (signal: 9)",
        ),
        (
            "the probes cannot be read under it",
            |world| {
                world.later(BEFORE + 4 * SECOND, World::break_probes);
            },
            PLAN,
            Aborted,
            NeedsPerson,
            "the probes cannot be read",
        ),
    ]);
}

#[test]
fn a_trial_that_does_not_begin() {
    type Refusal = (&'static str, fn(&World), Plan, &'static str);
    let rows: [Refusal; 8] = [
        ("the answer is no", World::say_no, PLAN, "the answer was no"),
        (
            "no guard comes up",
            World::no_guard_comes_up,
            PLAN,
            "no process could be made to guard the change",
        ),
        (
            "the probes cannot be attached",
            World::refuse_probes,
            PLAN,
            "this node has no kprobes",
        ),
        (
            "the timers cannot be seen",
            World::hide_timers,
            PLAN,
            "made is not applied: no timer can be seen",
        ),
        (
            "no estimator runs",
            |world| {
                world.kill(7);
                world.kill(8);
            },
            PLAN,
            "no estimator runs on this node",
        ),
        (
            "so many runs take longer than the wait",
            |_| {},
            Plan {
                max_wait: Duration::from_secs(10),
                ..PLAN
            },
            "longer than --max-wait 10s: raise that, or lower --runs",
        ),
        (
            "the kernel refuses the handlers of signals",
            World::refuse_handlers,
            PLAN,
            "invalid",
        ),
        (
            "another livepatch is in transition",
            |world| {
                world.enable("other", "ip_vs");
                world.write("sys/kernel/livepatch/other/transition", "1");
            },
            PLAN,
            "in transition",
        ),
    ];
    for (says, given, plan, words) in rows {
        let node = node();
        given(node.world());
        let text = match apply(&node, &plan) {
            Err(error) => format!("{error:#}"),
            Ok(record) => {
                assert_eq!(record.outcome.host, Unchanged, "{says}");
                told(&record)
            }
        };
        assert!(text.contains(words), "{says}: no {words:?} in {text}");
        assert_eq!(node.world().calls(), [], "{says}");
        assert_eq!(node.world().livepatch("made"), None, "{says}");
    }
}

/// Tries `run_estimation=0` in this process's own namespace.
fn switch_off(node: &MadeNode, plan: &Plan) -> anyhow::Result<TrialRecord> {
    let names = [NetnsName::Path(PathBuf::from("/proc/self/ns/net"))];
    let wanted = Wanted::Switches(&names);
    let site = node.site();
    let intervention = Intervention::of(&wanted, &site)?;
    Ok(TrialRunner::prepare(plan, intervention, false, &site)?.carry_out())
}

/// A trial of the switch: as [`Row`], with the value that it is left at.
type SwitchRow = (
    &'static str,
    fn(&World),
    Plan,
    Verdict,
    NodeAfter,
    i32,
    &'static str,
);
const SWITCHES: &[SwitchRow] = &[
    (
        "it makes the runs short",
        |_| {},
        PLAN,
        Improved,
        Patched,
        0,
        "shorter",
    ),
    (
        "it makes the runs short, in a trial",
        |_| {},
        TRIAL,
        Improved,
        RolledBack,
        1,
        "run_estimation is as it was, and every estimator ran since",
    ),
    (
        "another process sets it on meanwhile",
        |world| {
            world.later(BEFORE + 4 * SECOND, |world| {
                world.set_switch(own_netns(), 1).unwrap();
            });
        },
        PLAN,
        Aborted,
        RolledBack,
        1,
        "Somebody else set run_estimation of netns",
    ),
    (
        "another process set it before it was to be set",
        |world| {
            world.later(Duration::from_secs(11), |world| {
                world.set_switch(own_netns(), 2).unwrap();
            });
        },
        PLAN,
        Aborted,
        Unchanged,
        2,
        "Somebody else set run_estimation",
    ),
    (
        "it cannot be set",
        |world| world.later(Duration::from_secs(10), |world| world.refuse_switches(1)),
        PLAN,
        Aborted,
        RolledBack,
        1,
        "cannot be set to 0",
    ),
    (
        "it cannot be set back",
        |world| {
            world.later(BEFORE + 4 * SECOND, |world| {
                world.refuse_switches(1);
                world.stop();
            });
        },
        PLAN,
        Aborted,
        NeedsPerson,
        0,
        "run_estimation cannot be set back",
    ),
    (
        "a signal asks to end under it",
        |world| world.later(BEFORE + 4 * SECOND, World::stop),
        PLAN,
        Aborted,
        RolledBack,
        1,
        "run_estimation is as it was",
    ),
];

#[test]
fn the_switch_is_tried_as_a_livepatch_is() {
    for (says, given, plan, verdict, after, value, words) in SWITCHES {
        let node = MadeNode::new();
        node.world().add_estimator(own_netns(), 30_000);
        given(node.world());
        let record = switch_off(&node, plan).unwrap();
        let told = told(&record);
        assert_eq!(record.outcome.judged.verdict, *verdict, "{says}: {told}");
        assert_eq!(record.outcome.host, *after, "{says}: {told}");
        assert_eq!(
            node.world().switch(own_netns()),
            Some(*value),
            "{says}: {told}"
        );
        assert!(told.contains(words), "{says}: no {words:?} in {told}");
        assert_eq!(
            (record.name.as_str(), &record.livepatch),
            ("run_estimation=0", &None)
        );
        let stays =
            record.outcome.host == Patched || (*after == NeedsPerson && !record.outcome.is_left);
        assert_eq!(record.undo.is_some(), stays, "{says}");
    }
}

#[test]
fn a_switch_that_cannot_be_tried_is_refused() {
    let refused = |given: fn(&World)| {
        let node = MadeNode::new();
        node.world().add_estimator(own_netns(), 30_000);
        given(node.world());
        let Err(error) = switch_off(&node, &PLAN) else {
            panic!("it was tried");
        };
        format!("{error:#}")
    };
    let words = |text: String, words: &str| assert!(text.contains(words), "no {words:?} in {text}");
    words(
        refused(World::without_switches),
        "this kernel has no net.ipv4.vs.run_estimation",
    );
    words(
        refused(|world| world.set_switch(own_netns(), 0).unwrap()),
        "there is nothing to switch off",
    );
    let node = MadeNode::new();
    node.world().add_estimator(7, 30_000);
    let error = switch_off(&node, &PLAN).err().unwrap();
    words(
        format!("{error:#}"),
        "no network namespace with an estimator has this inode number",
    );
    // Of all that have more than one estimator, none can be entered.
    let site = node.site();
    let all = Intervention::of(&Wanted::Switches(&[]), &site).unwrap();
    let error = TrialRunner::prepare(&PLAN, all, true, &site).err().unwrap();
    words(format!("{error:#}"), "there is nothing to switch off");
    assert!(node.world().said().contains("netns 7 cannot be entered"));
}
