//! What is tried: a hotfix, or the switch `run_estimation`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};

use super::{plan::Plan, surroundings::Ours};
use crate::hotfix::site::Site;
use crate::hotfix::{
    admission::{Admitted, File},
    change::Change,
    drive::Drive,
    ending::Ending,
    load,
    lock::Lock,
    progress::say,
    switch::{self, Switch},
    undo, unload,
    witness::Witness,
};
use crate::{check, cli::ApplyArgs};
use host::{
    module,
    netns::{self, NetnsName, doors::Doors},
    prerequisites,
};
use model::{NamespaceView, State};

/// One of the two, and the right to change this node.
pub struct Subject {
    kind: Kind,
    lock: Option<Lock>,
}

enum Kind {
    Hotfix(Box<Admitted>),
    Switches {
        /// Inode numbers of the namespaces; `None`: all with more than one estimator.
        wanted: Option<BTreeSet<u32>>,
        /// The paths among their names.
        given: Vec<PathBuf>,
        switches: Vec<Switch>,
    },
}

impl Subject {
    /// What the command line names.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn of(args: &ApplyArgs, site: &Site) -> anyhow::Result<Self> {
        let Some(file) = &args.file else {
            let inodes = args.netns.iter().map(|name| {
                name.inode(&site.root)
                    .with_context(|| format!("--netns {name} cannot be used"))
            });
            let wanted: BTreeSet<u32> = inodes.collect::<anyhow::Result<_>>()?;
            let given = args.netns.iter().filter_map(|name| match name {
                NetnsName::Path(path) => Some(path.clone()),
                _ => None,
            });
            prerequisites::examine(&site.root).context("run_estimation is left as it is")?;
            return Ok(Self {
                lock: Some(Lock::take(site).context("run_estimation is left as it is")?),
                kind: Kind::Switches {
                    wanted: Some(wanted).filter(|wanted| !wanted.is_empty()),
                    given: given.collect(),
                    switches: Vec::new(),
                },
            });
        };
        let (admitted, lock) = File::read(file)?.admit(&args.accept, site)?;
        if !admitted.module.replaces_estimator() {
            bail!(
                "{} does not replace estimation_timer, so there is nothing to measure it by: use `ipvs-latency hotfix load`",
                file.display()
            );
        }
        Ok(Self {
            lock: Some(lock),
            kind: Kind::Hotfix(Box::new(admitted)),
        })
    }

    /// Inode numbers of the namespaces that it changes; `None`: all.
    pub fn changed(&self) -> Option<BTreeSet<u32>> {
        match &self.kind {
            Kind::Hotfix(_) => None,
            Kind::Switches { switches, .. } => Some(switches.iter().map(Switch::netns).collect()),
        }
    }

    /// The hotfix, if it is one.
    pub fn hotfix(&self) -> Option<&Admitted> {
        match &self.kind {
            Kind::Hotfix(hotfix) => Some(hotfix),
            Kind::Switches { .. } => None,
        }
    }

    /// What of the node is its own to change.
    pub fn ours(&self) -> Ours {
        match &self.kind {
            Kind::Hotfix(hotfix) => Ours {
                name: Some(hotfix.name.clone()),
                may_replace: hotfix.may_replace.clone(),
                ..Ours::default()
            },
            Kind::Switches { .. } => Ours {
                switched: self.changed().unwrap_or_default(),
                ..Ours::default()
            },
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        self.hotfix()
            .map_or("run_estimation=0", |hotfix| &hotfix.name)
    }

    /// The period that it announces, in nanoseconds; that of the node where it announces none.
    pub fn period_ns(&self) -> Option<u64> {
        self.hotfix()?.period_ns
    }

    /// Finds what is to be switched among the namespaces that were seen.
    ///
    /// # Errors
    ///
    /// When there is nothing to switch, or not where it was asked for.
    pub fn find(&mut self, root: &Path, witness: &Witness) -> anyhow::Result<()> {
        if let Kind::Switches {
            wanted,
            given,
            switches,
        } = &mut self.kind
        {
            let mut doors = witness.watcher().inhabitants().doors().clone();
            for path in given {
                // One that is gone meanwhile is no door; there may be others.
                let _ = doors.add_given(path);
            }
            *switches = find(wanted.as_ref(), root, &doors, witness)?;
        }
        Ok(())
    }

    /// What is about to happen, for whoever is asked: a clause.
    pub fn question(&self, plan: &Plan, under_ns: u64) -> String {
        let what = match &self.kind {
            Kind::Hotfix(hotfix) => format!("load the livepatch {}", hotfix.name),
            Kind::Switches { switches, .. } => format!(
                "set net.ipv4.vs.run_estimation to 0 in {} network namespaces",
                switches.len()
            ),
        };
        let under = plan.needs(under_ns).min(plan.max_wait);
        let back = if plan.trial {
            "take it back and measure that too"
        } else {
            "keep it if it is better"
        };
        format!(
            "Measure {} runs, {what}, measure for {} under it, {back}",
            plan.runs,
            humantime::format_duration(Duration::from_secs(under.as_secs()))
        )
    }

    /// What no longer works under it, or afterwards, for whoever is asked: sentences.
    pub fn breaks(&self) -> String {
        let Kind::Hotfix(hotfix) = &self.kind else {
            return format!("In these namespaces, {}", check::BROKEN_BY_SWITCH);
        };
        let mut breaks = vec![check::BROKEN_BY_HOTFIX.to_owned()];
        if !hotfix.may_replace.is_empty() {
            let names: Vec<&str> = hotfix.may_replace.iter().map(String::as_str).collect();
            breaks.push(format!(
                "It takes the place of other livepatches, which do not come back with it: {}.",
                names.join(", ")
            ));
        }
        breaks.join(" ")
    }

    /// The commands that take it back, each for a shell.
    pub fn undo(&self, site: &Site) -> Vec<String> {
        match &self.kind {
            Kind::Hotfix(hotfix) => {
                vec![undo::unload(&hotfix.name.as_str().into(), site)]
            }
            Kind::Switches { switches, .. } => {
                let own = netns::own_inode(&site.root);
                let of = |one: &Switch| undo::switch(&one.namespace, one.netns(), one.found, own);
                switches.iter().map(of).collect()
            }
        }
    }

    /// Readies a change: nothing has happened yet.
    ///
    /// # Errors
    ///
    /// When nothing is to be changed, as nothing would guard it.
    pub fn guard(&mut self, site: &Site) -> anyhow::Result<Change> {
        let lock = self
            .lock
            .take()
            .context("this was put in place once already")?;
        match &mut self.kind {
            Kind::Hotfix(hotfix) => {
                hotfix.look_again(site)?;
                Change::of_file(site, lock, hotfix)
            }
            Kind::Switches { switches, .. } => Change::of_switches(site, lock, switches),
        }
    }

    /// Puts it in place: nothing when it is, and else that is how it ended.
    ///
    /// # Errors
    ///
    /// When the node is left half way.
    pub fn put_in_place(
        &self,
        drive: &mut Drive,
        change: &Change,
    ) -> anyhow::Result<Option<Ending>> {
        match &self.kind {
            Kind::Hotfix(hotfix) => {
                if let Some(ending) = load::insert(drive, change, &hotfix.bytes)? {
                    return Ok(Some(ending));
                }
                load::in_force(drive, &hotfix.module)
            }
            Kind::Switches { switches, .. } => {
                for (index, one) in switches.iter().enumerate() {
                    if let Err(error) = one.switch_off() {
                        // This one is as somebody else set it, and so are those after it.
                        switch::set_back(&switches[..index])?;
                        return Ok(Some(Ending::GivenBack(format!(
                            "run_estimation of {} cannot be set to 0 ({error}), and none is switched off by this",
                            one.namespace.display()
                        ))));
                    }
                }
                Ok(None)
            }
        }
    }

    /// Whether something of it is still in place.
    pub fn is_there(&self, drive: &Drive) -> bool {
        match &self.kind {
            // What cannot be seen may be there.
            Kind::Hotfix(_) => drive.is_loaded().unwrap_or(true),
            Kind::Switches { .. } => true,
        }
    }

    /// What is no longer as this put it, if something is: a sentence.
    pub fn is_undone(&self, drive: &Drive) -> Option<String> {
        match &self.kind {
            Kind::Hotfix(_) => match drive.patch() {
                Ok(Some(patch)) if patch.enabled == Some(true) => None,
                Ok(Some(patch)) if patch.enabled.is_none() => {
                    Some("Whether the livepatch is enabled cannot be seen.".into())
                }
                Err(error) => Some(format!(
                    "Whether the livepatch is enabled cannot be seen ({error})."
                )),
                _ => Some("Somebody else took the livepatch back.".into()),
            },
            Kind::Switches { switches, .. } => {
                // As the last look at the estimators found them: that costs the side under test nothing.
                let witness = drive.witness.as_ref()?;
                let ours: Vec<u32> = switches.iter().map(Switch::netns).collect();
                let mut views = witness.namespaces().iter();
                let is_on = |view: &&NamespaceView| {
                    ours.contains(&view.netns)
                        && view.run_estimation.is_some_and(|value| value != 0)
                };
                let on = views.find(is_on)?;
                Some(format!(
                    "Somebody else set run_estimation of netns {}.",
                    on.netns
                ))
            }
        }
    }

    /// Takes it back, and waits for every estimator to run again.
    ///
    /// # Errors
    ///
    /// When the node is left half way.
    pub fn take_back(&self, drive: &mut Drive) -> anyhow::Result<Ending> {
        match &self.kind {
            Kind::Hotfix(_) => unload::take_back(drive, false),
            Kind::Switches { switches, .. } => {
                switch::set_back(switches).context("run_estimation cannot be set back")?;
                let done = match module::look(&drive.root, &"ip_vs".into()) {
                    Ok(None) => "ip_vs was unloaded, and run_estimation went with it",
                    _ => "run_estimation is as it was",
                };
                unload::watched(drive, true, false, done.into())
            }
        }
    }
}

/// The switches of the namespaces that are wanted.
fn find(
    wanted: Option<&BTreeSet<u32>>,
    root: &Path,
    doors: &Doors,
    witness: &Witness,
) -> anyhow::Result<Vec<Switch>> {
    let there = || {
        let views = witness.namespaces().iter();
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
            say(&format!(
                "note: run_estimation of netns {} is 0 already",
                view.netns
            ));
            continue;
        }
        let found = doors
            .open(view.netns)
            .and_then(|opened| Switch::find(root, &opened.path, view.netns))
            .map_err(anyhow::Error::from);
        match found {
            Ok(switch) => switches.push(switch),
            Err(error) if wanted.is_some() => {
                return Err(error.context(format!("--netns {} cannot be entered", view.netns)));
            }
            Err(error) => say(&format!(
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
