//! Which namespaces have `run_estimation` to set.

use std::collections::BTreeSet;

use anyhow::bail;

use crate::{site::Site, transaction::switch::Switch, transition::run_observer::RunObserver};
use host::netns::doors::Doors;
use model::{NamespaceView, State};

/// The switches of the namespaces that are wanted.
pub fn find(
    wanted: Option<&BTreeSet<u32>>,
    site: &Site,
    doors: &Doors,
    observer: &RunObserver,
) -> anyhow::Result<Vec<Switch>> {
    let there = || {
        let views = observer.namespaces().iter();
        views.filter(|view| view.state != Some(State::Absent))
    };
    if !there().any(|view| view.run_estimation.is_some()) {
        bail!(
            "this kernel has no net.ipv4.vs.run_estimation (Linux 5.16 to 6.1, and some older ones of vendors, have it): \
             a hotfix is the way here"
        );
    }
    if let Some(missing) = wanted.and_then(|wanted| {
        let known: BTreeSet<u32> = there().map(|view| view.netns).collect();
        wanted.difference(&known).next().copied()
    }) {
        bail!("--netns {missing}: no network namespace with an estimator has this inode number");
    }
    let is_wanted = |view: &&NamespaceView| match wanted {
        Some(wanted) => wanted.contains(&view.netns),
        None => view.estimators.is_some_and(|length| length > 1),
    };
    let mut switches = Vec::new();
    for view in there().filter(is_wanted) {
        if view.run_estimation == Some(0) {
            site.say(&format!(
                "note: run_estimation of netns {} is 0 already",
                view.netns
            ));
            continue;
        }
        let found = doors
            .open(view.netns)
            .and_then(|opened| Switch::find(site, &opened.path, view.netns))
            .map_err(anyhow::Error::from);
        match found {
            Ok(switch) => switches.push(switch),
            Err(error) if wanted.is_some() => {
                return Err(error.context(format!("--netns {} cannot be entered", view.netns)));
            }
            Err(error) => site.say(&format!(
                "warning: netns {} cannot be entered ({error:#}), and is left as it is",
                view.netns
            )),
        }
    }
    if switches.is_empty() {
        bail!(
            "there is nothing to switch off: no network namespace that can be entered has run_estimation on and more \
             than one estimator"
        );
    }
    Ok(switches)
}
