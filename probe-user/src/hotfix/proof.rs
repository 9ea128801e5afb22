//! Whether a hotfix is what runs: what the kernel says of it, and runs of the estimators as the probes see them.

use std::{collections::BTreeMap, path::Path, time::Instant};

use super::{
    module::{Module, Replaced},
    node::Traced,
};
use crate::{
    kernel::livepatch::Livepatch,
    model::{NamespaceView, Options, Output, State},
    watch::{TICK, Watcher},
};

/// Probes on the estimators. Attached once a transition is over: while a CPU never yields, attaching them would wait
/// for it too.
pub struct Witness {
    watcher: Watcher,
    looked: Instant,
    /// When the last run of each namespace began, in nanoseconds of `CLOCK_MONOTONIC`.
    runs: BTreeMap<u32, u64>,
    namespaces: Vec<NamespaceView>,
}

/// What is known of a namespace's estimator since a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// It ran, and its timer is set again.
    Yes,
    /// Its timer is not pending: it will not run again by itself.
    Dead,
    /// It has not run, and will at this time, in nanoseconds of `CLOCK_MONOTONIC`.
    Due(u64),
    /// Nothing yet.
    NotYet,
}

impl Witness {
    /// Attaches the probes.
    ///
    /// # Errors
    ///
    /// When this host cannot be measured.
    pub fn start(root: &Path) -> anyhow::Result<Self> {
        let (watcher, outputs) = Watcher::start(root, Options::default())?;
        let mut witness = Self {
            watcher,
            looked: Instant::now(),
            runs: BTreeMap::new(),
            namespaces: Vec::new(),
        };
        witness.take(outputs)?;
        Ok(witness)
    }

    /// Reads the probes, once a second at most.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub fn look(&mut self) -> anyhow::Result<()> {
        if self.looked.elapsed() < TICK {
            return Ok(());
        }
        self.looked = Instant::now();
        let outputs = self.watcher.tick()?;
        self.take(outputs)
    }

    fn take(&mut self, outputs: Vec<Output>) -> anyhow::Result<()> {
        for output in outputs {
            if let Output::Call(call) = output {
                self.runs.insert(call.netns, call.start_ns);
            }
        }
        self.namespaces = self.watcher.overview()?.namespaces;
        Ok(())
    }

    /// Each namespace that has an estimator, and whether it ran since.
    pub fn since(&self, since_ns: u64) -> Vec<(u32, Ran)> {
        let there = self
            .namespaces
            .iter()
            .filter(|view| view.state != Some(State::Absent));
        let ran = |view: &NamespaceView| {
            let run = self.runs.get(&view.netns);
            ran(view, run.is_some_and(|start_ns| *start_ns >= since_ns))
        };
        there.map(|view| (view.netns, ran(view))).collect()
    }
}

fn ran(view: &NamespaceView, has_run: bool) -> Ran {
    match (view.state, &view.next_run) {
        (Some(State::Dead), _) => Ran::Dead,
        (_, Some(_)) if has_run => Ran::Yes,
        (_, Some(next)) => Ran::Due(next.due_ns),
        (_, None) => Ran::NotYet,
    }
}

/// What the kernel says against the hotfix being in force: a clause for each.
pub fn doubts(root: &Path, module: &Module, patch: &Livepatch) -> Vec<String> {
    let unpatched = patch
        .objects
        .iter()
        .filter(|object| object.patched == Some(false));
    let mut doubts: Vec<String> = unpatched
        .map(|object| {
            format!(
                "/sys/kernel/livepatch/{}/{}/patched is 0: that object is not loaded",
                patch.name, object.name
            )
        })
        .collect();
    if let Some(redirected) = Traced::read(root, module).redirected {
        let missing = module
            .replaces
            .iter()
            .filter(|one| !redirected.contains(one));
        doubts.extend(missing.map(|one: &Replaced| {
            format!(
                "ftrace does not redirect {} of {} (no flag I in /sys/kernel/tracing/enabled_functions)",
                one.function, one.object
            )
        }));
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NextRun;

    #[test]
    fn a_run_counts_once_the_timer_is_set_again() {
        let view = |state, due_ns: Option<u64>| NamespaceView {
            netns: 1,
            estimators: None,
            state,
            why: None,
            run_estimation: None,
            calls: 0,
            last_ns: None,
            max_ns: None,
            stall_ns_per_s: None,
            period_ns: None,
            next_run: due_ns.map(|due_ns| NextRun {
                due_ns,
                cpu: 0,
                netns: 1,
            }),
            lost: 0,
            missed: 0,
        };
        let active = Some(State::Active);
        for (state, due_ns, has_run, expected) in [
            (active, Some(7), true, Ran::Yes),
            (active, Some(7), false, Ran::Due(7)),
            (active, None, true, Ran::NotYet),
            (Some(State::Dead), None, true, Ran::Dead),
            (None, None, false, Ran::NotYet),
        ] {
            assert_eq!(ran(&view(state, due_ns), has_run), expected);
        }
    }
}
