//! Who lives in which network namespace, as far as `/proc` and the names of cgroups tell.

use std::{collections::BTreeMap, path::Path};

/// The pods, containers and processes of every network namespace that has one.
#[derive(Debug, Clone, Default)]
pub struct Inhabitants {
    names: BTreeMap<u32, String>,
    others: Vec<u32>,
    hidden: u64,
}

impl Inhabitants {
    /// Looks at every process under `root`.
    #[must_use]
    pub fn read(_root: &Path) -> Self {
        Self::default()
    }

    /// Who lives in a namespace, in a few words; `None` where nobody is known to.
    #[must_use]
    pub fn who(&self, netns: u32) -> Option<&str> {
        self.names.get(&netns).map(String::as_str)
    }

    /// Process ids of the other `ipvs-latency watch` on this host.
    #[must_use]
    pub fn others(&self) -> &[u32] {
        &self.others
    }

    /// Processes whose network namespace may not be looked at, for which `CAP_SYS_PTRACE` is needed.
    #[must_use]
    pub fn hidden(&self) -> u64 {
        self.hidden
    }
}

#[cfg(test)]
impl Inhabitants {
    /// Those that a test names.
    pub fn with_names(names: &[(u32, &str)]) -> Self {
        let names = names.iter().map(|(netns, who)| (*netns, (*who).to_owned()));
        Self {
            names: names.collect(),
            ..Self::default()
        }
    }
}
