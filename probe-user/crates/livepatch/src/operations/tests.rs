//! Loads and unloads on made nodes, a sentence a row: every answer of the kernel, every deadline, every step that fails or is
//! never answered, and another process that acts between any two steps.

mod disturbed;
mod guards;
mod journals;
mod loads;
mod moments;
mod unloads;

use std::{fs, time::Duration};

use super::{
    load::{self, Asked},
    unload,
};
use crate::{
    made_node::{MadeNode, take_lock_again},
    transaction::{
        guard_process,
        journal::{Journal, Phase},
        outcome::Outcome,
        report::Report,
        settle,
    },
};

/// How long each wait of a command may take here.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Beyond its timeout a command takes no longer than this, unless estimators are waited for.
const MORE: Duration = Duration::from_secs(15);

/// The namespaces of the node.
const NAMESPACES: [u32; 2] = [7, 8];

/// How a command ended: an [`Outcome`] without its sentence, or a refusal before any change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ended {
    Done,
    RolledBack,
    Refused,
    HalfDone,
    LeftToGuard,
    LeftAlone,
    NotBegun,
}

impl Ended {
    fn of(report: &Report) -> Self {
        match &report.outcome {
            Ok(Outcome::Done(_)) => Self::Done,
            Ok(Outcome::RolledBack(_)) => Self::RolledBack,
            Ok(Outcome::Refused(_)) => Self::Refused,
            Ok(Outcome::HalfDone(_)) => Self::HalfDone,
            Ok(Outcome::LeftToGuard(_)) => Self::LeftToGuard,
            Ok(Outcome::LeftAlone(_)) => Self::LeftAlone,
            Err(_) => Self::NotBegun,
        }
    }

    fn is_left(self) -> bool {
        matches!(self, Self::LeftToGuard | Self::LeftAlone)
    }
}

/// What is there of the livepatch `made` afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    /// It is enabled for every task.
    Enabled,
    /// Its transition is not over.
    Moving,
    /// Its module alone is loaded.
    Module,
    /// Nothing.
    Nothing,
}

impl There {
    fn on(node: &MadeNode) -> Self {
        match node.world().livepatch("made") {
            Some((true, false)) => Self::Enabled,
            Some(_) => Self::Moving,
            None if node.world().is_loaded("made") => Self::Module,
            None => Self::Nothing,
        }
    }
}

/// A node on which `made.ko` may be loaded.
fn node() -> MadeNode {
    let node = MadeNode::new();
    for netns in NAMESPACES {
        node.world().add_estimator(netns, 30_000);
    }
    let _ = node.module("made", 500);
    node
}

/// Loads `made.ko`, as the command line does.
fn load(node: &MadeNode) -> Report {
    settle::look(&node.site());
    let asked = Asked {
        file: &node.root().join("root/made.ko"),
        kept: None,
        accept: &["replaces-others".to_owned()],
        timeout: TIMEOUT,
    };
    load::one(asked, &node.site())
}

/// Unloads `made`, as the command line does.
fn unload(node: &MadeNode) -> Report {
    settle::look(&node.site());
    unload::one(&"made".into(), TIMEOUT, &node.site())
}

/// Has `made.ko` loaded by an earlier command.
fn loaded(node: &MadeNode) {
    let report = load(node);
    assert_eq!(Ended::of(&report), Ended::Done, "{}", report.text());
    let _ = fs::remove_file(node.root().join("guard.said"));
}

/// Returns how far the journal says that `made.ko` is; `None` where it has no entry of this
/// boot, or is damaged.
fn noted(node: &MadeNode) -> Option<Phase> {
    let journal = Journal::read(&node.state_dir()).ok()?;
    let mut entries = journal.entries().iter().rev();
    let of_this_boot = entries.find(|entry| entry.boot_id == "this");
    of_this_boot.map(|entry| entry.phase)
}

/// Does what the guard does once the process that it watches is gone.
fn guard_rolls_back(node: &MadeNode) {
    guard_process::roll_back(&node.site(), &"made".into(), None);
}

/// Holds what is so after every command, however it ended.
#[track_caller]
fn assert_sound(node: &MadeNode, report: &Report, row: &str) {
    let ended = Ended::of(report);
    let told = format!(
        "{row}: {ended:?}: {}\n{}",
        report.text(),
        node.world().said()
    );
    assert_eq!(node.world().crash(), None, "{told}");
    let there = There::on(node);
    let noted = noted(node);
    match ended {
        Ended::Done | Ended::RolledBack => assert_ne!(there, There::Moving, "{told}"),
        // Where something is left of a change that was cut off, the journal says so still.
        Ended::NotBegun | Ended::Refused if there == There::Nothing => {
            assert_ne!(noted, Some(Phase::Loading), "{told}");
        }
        _ => {}
    }
    if ended.is_left() {
        return;
    }
    // The guard is gone, and the next command can begin.
    let guard = fs::read_to_string(node.root().join("guard.said"));
    if let Ok(said) = guard {
        assert_eq!(said, "dismissed\n", "{told}");
    }
    drop(take_lock_again(&node.site()));
    let expected = match there {
        There::Enabled => Phase::InForce,
        There::Module => Phase::Left,
        There::Nothing => Phase::Gone,
        // Another process changes it.
        There::Moving => return,
    };
    if let Some(noted) = noted
        && ended != Ended::NotBegun
    {
        assert_eq!(noted, expected, "{told}");
    }
}
