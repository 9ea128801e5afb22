//! What is said while a command goes on although something that it needs is gone: the lock, the journal, the log.

use super::*;
use crate::{
    made_node::{Answer, World},
    step::StepKind,
};

const SECOND: Duration = Duration::from_secs(1);

/// Makes a folder of the state's file of this name, so that it can be neither read nor written.
fn break_file(world: &World, file: &str) {
    let path = format!("var/lib/state/{file}");
    world.remove(&path);
    world.write(&format!("{path}/in_the_way"), "");
}

#[test]
fn a_lock_that_is_removed_or_replaced_is_said_once_and_the_command_goes_on() {
    let ways: [fn(&World); 2] = [
        |world| world.remove("var/lib/state/lock"),
        |world| {
            world.remove("var/lib/state/lock");
            world.write("var/lib/state/lock", "another");
        },
    ];
    for way in ways {
        let node = node();
        node.world()
            .transitions_take(Some(20 * SECOND), Some(SECOND));
        node.world().later(5 * SECOND, way);
        let report = load(&node);
        assert_eq!(Ended::of(&report), Ended::Done, "{}", report.text());
        let said = node.world().said();
        assert_eq!(said.matches("was removed or replaced").count(), 1, "{said}");
        assert!(
            said.contains("run no other `ipvs-latency hotfix` command"),
            "{said}"
        );
    }
    let node = node();
    load(&node);
    assert!(!node.world().said().contains("was removed"), "nothing was");
}

#[test]
fn a_journal_that_cannot_be_written_amid_a_change_is_said_and_the_change_goes_on() {
    let node = node();
    node.world()
        .transitions_take(Some(20 * SECOND), Some(SECOND));
    node.world()
        .later(5 * SECOND, |world| break_file(world, "journal.json"));
    let report = load(&node);
    assert_eq!(Ended::of(&report), Ended::Done, "{}", report.text());
    let said = node.world().said();
    assert!(
        said.contains("what it says of made is out of date"),
        "{said}"
    );
    node.world().remove("var/lib/state/journal.json");

    let node = super::node();
    loaded(&node);
    break_file(node.world(), "journal.json");
    let report = unload(&node);
    assert_eq!(Ended::of(&report), Ended::Done, "{}", report.text());
    let said = node.world().said();
    assert!(
        said.contains("the change continues, and the journal is out of date"),
        "{said}"
    );
    assert_eq!(
        report.undo.unwrap().line(),
        "Undo: no command: the journal has no entry of this load (another tool loaded it), or cannot be read"
    );
}

#[test]
fn an_unload_goes_on_without_a_lock_that_cannot_be_had_and_a_load_does_not_begin() {
    let node = node();
    loaded(&node);
    break_file(node.world(), "lock");
    let report = unload(&node);
    assert_eq!(Ended::of(&report), Ended::Done, "{}", report.text());
    let said = node.world().said();
    assert!(
        said.contains("the unload continues without the lock"),
        "{said}"
    );
    let report = load(&node);
    assert_eq!(Ended::of(&report), Ended::NotBegun);
    assert!(report.text().contains("cannot be had"), "{}", report.text());
}

#[test]
fn one_command_at_a_time_changes_a_node() {
    let node = node();
    loaded(&node);
    let held = take_lock_again(&node.site());
    for report in [load(&node), unload(&node)] {
        // A load of what is enabled has nothing to do.
        if Ended::of(&report) != Ended::Done {
            assert_eq!(Ended::of(&report), Ended::NotBegun);
            let text = report.text();
            assert!(text.contains("another process holds the lock"), "{text}");
        }
    }
    drop(held);
    assert_eq!(There::on(&node), There::Enabled);
    assert_eq!(noted(&node), Some(Phase::InForce));
}

#[test]
fn what_was_noted_before_is_noted_again_where_no_guard_can_be_posted() {
    let node = node();
    loaded(&node);
    node.world().no_guard_comes_up();
    assert_eq!(Ended::of(&unload(&node)), Ended::NotBegun);
    assert_eq!(noted(&node), Some(Phase::InForce));
}

#[test]
fn the_journal_says_how_far_a_change_is_while_it_lasts() {
    let node = node();
    let seen = |world: &World| {
        let text = fs::read_to_string(world.path("var/lib/state/journal.json")).unwrap();
        world.write("tmp/seen", text);
    };
    let noted_then = |node: &MadeNode| {
        let text = fs::read_to_string(node.root().join("tmp/seen")).unwrap();
        let journal: serde_json::Value = serde_json::from_str(&text).unwrap();
        journal["entries"][0]["phase"].as_str().unwrap().to_owned()
    };
    node.world().after_call(StepKind::Insert, seen);
    load(&node);
    assert_eq!(noted_then(&node), "loading");
    node.world().after_call(StepKind::Disable, seen);
    unload(&node);
    assert_eq!(noted_then(&node), "unloading");
    assert_eq!(noted(&node), Some(Phase::Gone));
    // The tool is gone, and the guard rolls back.
    load(&node);
    node.world().after_call(StepKind::Disable, seen);
    guard_rolls_back(&node);
    assert_eq!(noted_then(&node), "unloading");
}

#[test]
fn the_kernel_is_looked_at_often_at_first_and_once_a_second_later() {
    let looks = |takes: Duration| {
        let node = super::node();
        loaded(&node);
        node.world().transitions_take(None, Some(takes));
        let before = node.world().turns();
        guard_rolls_back(&node);
        node.world().turns() - before
    };
    let (minute, hour) = (looks(60 * SECOND), looks(3_600 * SECOND));
    // Each look is a wait and a read of the log.
    assert!((1_200..1_300).contains(&minute), "{minute}");
    assert!((9_300..9_500).contains(&hour), "{hour}");
}

#[test]
fn a_way_back_that_is_answered_late_is_one() {
    let node = node();
    let world = node.world();
    world.transitions_take(None, Some(SECOND));
    world.next_call(StepKind::Disable, Answer::Does(3 * SECOND));
    let report = load(&node);
    assert_eq!(Ended::of(&report), Ended::RolledBack, "{}", report.text());
    assert_sound(&node, &report, "a late way back");
}

#[test]
fn a_lock_that_cannot_be_had_is_said_where_the_journal_is_out_of_date() {
    let node = node();
    loaded(&node);
    node.world().switch_livepatch("made", false);
    node.world().pass(2 * SECOND);
    break_file(node.world(), "lock");
    settle::look(&node.site());
    let said = node.world().said();
    assert!(
        said.contains("what the journal says of this node is out of date"),
        "{said}"
    );
    assert_eq!(noted(&node), Some(Phase::InForce));
}
