//! Any journal meets any node.

use super::*;
use crate::{
    made_node::World,
    transaction::{journal::Entry, settle},
};
use livepatch_image::Digest;

const SECOND: Duration = Duration::from_secs(1);

/// What there is of the livepatch `made`, and how a node gets there.
type Node = (There, fn(&World));

const NODES: [Node; 4] = [
    (There::Nothing, |_| {}),
    (There::Module, |world| {
        world.enable("made", "ip_vs");
        world.switch_livepatch("made", false);
        world.pass(2 * SECOND);
    }),
    (There::Enabled, |world| world.enable("made", "ip_vs")),
    (There::Moving, |world| {
        world.enable("made", "ip_vs");
        world.transitions_take(None, None);
        world.switch_livepatch("made", false);
    }),
];

const PHASES: [Phase; 6] = [
    Phase::Loading,
    Phase::InForce,
    Phase::Unloading,
    Phase::Left,
    Phase::Gone,
    Phase::ShutDown,
];

/// A phase of this boot, and what it is after a look at each of [`NODES`].
const LOOKS: [(Phase, [Phase; 4]); 6] = [
    (
        Phase::Loading,
        [Phase::Gone, Phase::Loading, Phase::Loading, Phase::Loading],
    ),
    (
        Phase::InForce,
        [Phase::Gone, Phase::Left, Phase::InForce, Phase::InForce],
    ),
    (
        Phase::Unloading,
        [
            Phase::Gone,
            Phase::Unloading,
            Phase::Unloading,
            Phase::Unloading,
        ],
    ),
    (
        Phase::Left,
        [Phase::Gone, Phase::Left, Phase::InForce, Phase::InForce],
    ),
    (Phase::Gone, [Phase::Gone; 4]),
    (Phase::ShutDown, [Phase::ShutDown; 4]),
];

/// A node on which the journal says that `made.ko` came so far in a boot.
fn met(made: fn(&World), boot: &str, phase: Phase) -> MadeNode {
    let node = node();
    made(node.world());
    let content = fs::read(node.root().join("root/made.ko")).unwrap();
    node.note("made", &content, boot, phase);
    node
}

/// Returns the entry of `made.ko`.
fn entry(node: &MadeNode) -> Entry {
    let content = fs::read(node.root().join("root/made.ko")).unwrap();
    let journal = Journal::read(&node.state_dir()).unwrap();
    journal.entry_of(&Digest::of(&content)).unwrap().clone()
}

#[test]
fn a_look_brings_the_journal_up_to_date_and_leaves_other_boots_alone() {
    for (noted, then) in LOOKS {
        for ((there, made), then) in NODES.into_iter().zip(then) {
            let node = met(made, "this", noted);
            settle::look(&node.site());
            assert_eq!(entry(&node).phase, then, "{noted:?} meets {there:?}");
            let node = met(made, "before", noted);
            settle::look(&node.site());
            assert_eq!(entry(&node).phase, noted, "{noted:?} of another boot");
        }
    }
}

#[test]
fn whatever_the_journal_says_a_load_and_an_unload_end_truly() {
    for (there, made) in NODES {
        for boot in ["this", "before"] {
            for phase in PHASES {
                let row = format!("{phase:?} of the boot {boot} meets {there:?}");
                let command = |command: fn(&MadeNode) -> Report| {
                    let node = met(made, boot, phase);
                    let report = command(&node);
                    assert_sound(&node, &report, &row);
                    (Ended::of(&report), There::on(&node))
                };
                let (loaded, after) = command(load);
                let is_done = loaded == Ended::Done;
                assert_eq!(
                    is_done,
                    is_done && after == There::Enabled,
                    "{row}: {loaded:?}"
                );
                let can_unload = there != There::Nothing && there != There::Moving;
                let (unloaded, after) = command(unload);
                let expected = if can_unload { Ended::Done } else { unloaded };
                assert_eq!(unloaded, expected, "{row}");
                if there != There::Moving {
                    assert_eq!(after, There::Nothing, "{row}");
                }
            }
        }
    }
}

#[test]
fn what_went_down_with_the_node_has_to_be_accepted_before_it_is_loaded_again() {
    for phase in PHASES {
        let node = met(|_| {}, "before", phase);
        let report = load(&node);
        let went_down = matches!(phase, Phase::Loading | Phase::InForce | Phase::Unloading);
        let expected = if went_down {
            Ended::NotBegun
        } else {
            Ended::Done
        };
        let text = report.text();
        assert_eq!(Ended::of(&report), expected, "{phase:?}: {text}");
        assert_eq!(text.contains("crashed-here-before"), went_down, "{text}");
    }
}
