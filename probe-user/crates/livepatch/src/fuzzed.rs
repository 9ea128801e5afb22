//! The engine's readers of foreign bytes, as functions of bytes.
#![allow(
    clippy::missing_panics_doc,
    reason = "a module of ours that is none fails the test"
)]

use std::{hint::black_box, path::Path};

use nix::errno::Errno;

use super::{running_kernel::RunningKernel, trial::counters::Counters};
use crate::{
    made_node,
    preflight::node::Node,
    store::installed::Store,
    transaction::journal::Journal,
    transition::{
        kernel_log::KernelLog,
        reason::{self, Messages, Reasons},
        refusal,
        stalled::{self, Towards},
        timer_references,
    },
};
use host::{boot::Boot, netns::doors::Doors};
use livepatch_image::{Digest, Module};

/// Reads a module.
pub fn module(bytes: &[u8]) {
    if let Ok(module) = Module::parse(bytes) {
        black_box((
            module.built_for(),
            module.replaces_estimator(),
            module.switch(24),
        ));
    }
}

/// Returns how many functions a module replaces; `None` where it is no module.
#[must_use]
pub fn replaced_by(bytes: &[u8]) -> Option<usize> {
    Some(Module::parse(bytes).ok()?.replaces.len())
}

/// Reads what the host under `root` says that matters to `module`.
pub fn node(root: &Path, module: &[u8]) {
    let module = Module::parse(module).expect("a module of ours");
    let file = Digest::of(b"");
    let site = made_node::site(root, &root.join("nothing"));
    black_box(Node::read(&site, &module, &file).other_patches());
    let mut doors = Doors::read(root);
    doors.add_process(1, 7);
    black_box(Counters::read(root, &doors, 1));
}

/// Looks for a module's place in memory.
pub fn loaded_modules(bytes: &[u8]) {
    black_box(timer_references::place(bytes, &"est_skip".into()));
}

/// Reads the tasks under `root` that keep a transition.
pub fn stalled(root: &Path) {
    let tasks = stalled::tasks(root, Towards::Patched, &Reasons::default());
    let told: Vec<String> = tasks.iter().map(ToString::to_string).collect();
    black_box(told);
}

/// Reads what comes to the kernel's log under `root` while `write` writes it.
pub fn kernel_log(root: &Path, write: impl FnOnce()) {
    let mut log = KernelLog::from_now(&RunningKernel::new(root));
    write();
    log.read();
    black_box((log.lines().len(), log.complaint(), log.trouble()));
}

/// Reads the reasons of tasks out of lines of the log.
pub fn reasons(lines: &[String]) {
    let reasons = Reasons::parse(lines);
    black_box((reasons.of_idle_cpu(), reasons.reason_of(7)));
    black_box(lines.iter().filter(|line| reason::is_ours(line)).count());
}

/// Reads which messages are switched on under `root`, and puts them back.
pub fn messages(root: &Path) {
    drop(Messages::as_found(root));
}

/// Reads why the kernel refused `module`.
pub fn refusal(errno: Errno, lines: &[String], module: &[u8]) {
    let module = Module::parse(module).expect("a module of ours");
    black_box(refusal::cause(errno, lines, &module));
}

/// Reads the journal in the folder `state` under `root`, and judges each of its entries.
pub fn journal(root: &Path) {
    let Ok(journal) = Journal::read(&root.join("state")) else {
        return;
    };
    let boot = Boot {
        id: "one".into(),
        began_s: Some(5_000),
        shutdowns_s: vec![4_000],
    };
    for entry in journal.entries() {
        black_box((entry.went_down(&boot), entry.since()));
        black_box((
            journal.named(&entry.name, &boot),
            journal.entry_of(&entry.sha256),
        ));
    }
}

/// Reads what was written down of the hotfixes in the folder `state` under `root`.
pub fn installed(root: &Path) {
    black_box(
        Store::of(&root.join("state"))
            .all()
            .map(|all| all.len())
            .ok(),
    );
}
