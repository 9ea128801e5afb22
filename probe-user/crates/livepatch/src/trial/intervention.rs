//! What is tried: a hotfix, or the switch `run_estimation`.

mod switches;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};

use super::{plan::Plan, surroundings::Ours};
use crate::{
    breaks,
    preflight::admission::{Admitted, File},
    site::Site,
    transaction::{
        change::Change,
        lock::Lock,
        outcome::Outcome,
        switch::{self, Switch},
        undo,
    },
    transition::{drive::Drive, rollback, rollout, run_observer::RunObserver},
};
use host::{
    module,
    netns::{self, NetnsName},
};
use model::NamespaceView;

/// What is asked for.
#[derive(Debug)]
pub enum Wanted<'a> {
    /// The livepatch in a file.
    Hotfix {
        /// The file.
        file: &'a Path,
        /// The warnings that are accepted, by name.
        accept: &'a [String],
    },
    /// `run_estimation` set to 0 in these namespaces; in all with more than one estimator where none is named.
    Switches(&'a [NetnsName]),
}

/// One of the two, and the right to change this node.
pub struct Intervention {
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

impl Intervention {
    /// Returns what was asked for, with the right to change this node.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn of(wanted: &Wanted<'_>, site: &Site) -> anyhow::Result<Self> {
        match wanted {
            Wanted::Hotfix { file, accept } => Self::hotfix_of(file, accept, site),
            Wanted::Switches(namespaces) => Self::switches_of(namespaces, site),
        }
    }

    fn switches_of(namespaces: &[NetnsName], site: &Site) -> anyhow::Result<Self> {
        let inodes = namespaces.iter().map(|name| {
            name.inode(&site.root)
                .with_context(|| format!("--netns {name} cannot be used"))
        });
        let wanted: BTreeSet<u32> = inodes.collect::<anyhow::Result<_>>()?;
        let given = namespaces.iter().filter_map(|name| match name {
            NetnsName::Path(path) => Some(path.clone()),
            _ => None,
        });
        site.estimators()
            .can_be_probed()
            .context("run_estimation is left as it is")?;
        Ok(Self {
            lock: Some(Lock::take(site).context("run_estimation is left as it is")?),
            kind: Kind::Switches {
                wanted: Some(wanted).filter(|wanted| !wanted.is_empty()),
                given: given.collect(),
                switches: Vec::new(),
            },
        })
    }

    fn hotfix_of(file: &Path, accept: &[String], site: &Site) -> anyhow::Result<Self> {
        let (admitted, lock) = File::read(file)?.admit(accept, site)?;
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
    #[must_use]
    pub fn hotfix(&self) -> Option<&Admitted> {
        match &self.kind {
            Kind::Hotfix(hotfix) => Some(hotfix),
            Kind::Switches { .. } => None,
        }
    }

    /// What of the node is its own to change.
    #[must_use]
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
    #[must_use]
    pub fn name(&self) -> &str {
        self.hotfix()
            .map_or("run_estimation=0", |hotfix| &hotfix.name)
    }

    /// The period that it announces, in nanoseconds; that of the node where it announces none.
    #[must_use]
    pub fn period_ns(&self) -> Option<u64> {
        self.hotfix()?.period_ns
    }

    /// Finds what is to be switched among the namespaces that were seen.
    ///
    /// # Errors
    ///
    /// When there is nothing to switch, or not where it was asked for.
    pub fn find(&mut self, site: &Site, observer: &RunObserver) -> anyhow::Result<()> {
        if let Kind::Switches {
            wanted,
            given,
            switches,
        } = &mut self.kind
        {
            let mut doors = observer.probes().owners().doors().clone();
            for path in given {
                // One that is gone meanwhile is no door; there may be others.
                let _ = doors.add_given(path);
            }
            *switches = switches::find(wanted.as_ref(), site, &doors, observer)?;
        }
        Ok(())
    }

    /// What is about to happen, for whoever is asked: a clause.
    #[must_use]
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
            return format!("In these namespaces, {}", breaks::BROKEN_BY_SWITCH);
        };
        let mut breaks = vec![breaks::BROKEN_BY_HOTFIX.to_owned()];
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
    #[must_use]
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
    ) -> anyhow::Result<Option<Outcome>> {
        match &self.kind {
            Kind::Hotfix(hotfix) => {
                if let Some(ending) = rollout::insert(drive, change, &hotfix.bytes)? {
                    return Ok(Some(ending));
                }
                rollout::in_force(drive, &hotfix.module)
            }
            Kind::Switches { switches, .. } => {
                for (index, one) in switches.iter().enumerate() {
                    if let Err(error) = one.switch_off(drive.site.kernel()) {
                        // This one is as somebody else set it, and so are those after it.
                        switch::set_back(drive.site.kernel(), &switches[..index])?;
                        return Ok(Some(Outcome::RolledBack(format!(
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
    #[must_use]
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
                let observer = drive.observer.as_ref()?;
                let ours: Vec<u32> = switches.iter().map(Switch::netns).collect();
                let mut views = observer.namespaces().iter();
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
    pub fn take_back(&self, drive: &mut Drive) -> anyhow::Result<Outcome> {
        match &self.kind {
            Kind::Hotfix(_) => rollback::take_back(drive, false),
            Kind::Switches { switches, .. } => {
                switch::set_back(drive.site.kernel(), switches)
                    .context("run_estimation cannot be set back")?;
                let done = match module::look(&drive.site.root, &"ip_vs".into()) {
                    Ok(None) => "ip_vs was unloaded, and run_estimation went with it",
                    _ => "run_estimation is as it was",
                };
                rollback::watched(drive, true, false, done.into())
            }
        }
    }
}
