//! The estimators of this node, as the engine asks for them: by the probes of `monitor`.

use std::path::{Path, PathBuf};

use host::{netns_owners::NetnsOwners, prerequisites};
use livepatch::ports::{Estimators, Probes, SoftirqTime};
use model::{Options, Output, Overview, Report, Timer};
use monitor::{SoftirqProbe, Watcher, mechanism::Mechanism, timers};

/// The estimators of the host whose files are under a root folder.
pub struct Monitored(PathBuf);

impl Monitored {
    /// Returns them.
    pub fn new(root: &Path) -> Self {
        Self(root.to_owned())
    }
}

impl Estimators for Monitored {
    fn can_be_probed(&self) -> anyhow::Result<()> {
        Ok(prerequisites::examine(&self.0).map(|_| ())?)
    }

    fn timers(&self) -> anyhow::Result<Vec<Timer>> {
        timers::read(&self.0)
    }

    fn attach(&self) -> anyhow::Result<(Box<dyn Probes>, Vec<Output>)> {
        let (watcher, outputs) = Watcher::start(&self.0, Some(Mechanism::Bpf), Options::default())?;
        Ok((Box::new(Attached(watcher)), outputs))
    }

    fn softirq(&self) -> anyhow::Result<Box<dyn SoftirqTime>> {
        prerequisites::examine(&self.0)?;
        Ok(Box::new(Softirq(SoftirqProbe::start()?)))
    }
}

struct Attached(Watcher);

impl Probes for Attached {
    fn tick(&mut self) -> anyhow::Result<Vec<Output>> {
        self.0.tick()
    }

    fn reset(&mut self) -> anyhow::Result<Vec<Output>> {
        self.0.reset()
    }

    fn flush(&mut self) -> Vec<Output> {
        self.0.flush()
    }

    fn summary(&self) -> anyhow::Result<Report> {
        self.0.summary()
    }

    fn overview(&self) -> anyhow::Result<Overview> {
        self.0.overview()
    }

    fn has_seen_all(&self) -> bool {
        self.0.has_seen_all()
    }

    fn root_netns(&self) -> u32 {
        self.0.root_netns()
    }

    fn owners(&self) -> &NetnsOwners {
        self.0.owners()
    }

    fn new_names(&mut self) -> Option<&NetnsOwners> {
        self.0.new_names()
    }

    fn started_ns(&self) -> u64 {
        self.0.started_ns()
    }
}

struct Softirq(SoftirqProbe);

impl SoftirqTime for Softirq {
    fn totals_ns(&self) -> anyhow::Result<Vec<u64>> {
        Ok(self.0.totals_ns()?)
    }
}
