//! Who lives in which network namespace, as far as `/proc` and the names of cgroups tell.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
};

use super::{
    cgroup::{self, Home},
    netns,
};

/// Processes of a namespace that are looked at closely: a pod's first one may be its sandbox, which knows less.
const LOOKED_AT: usize = 2;

/// The pods, containers and processes of every network namespace that has one, and the names that `ip netns`
/// has for the others.
#[derive(Debug, Clone, Default)]
pub struct Inhabitants {
    names: BTreeMap<u32, String>,
    processes: BTreeMap<u32, u32>,
    named: BTreeMap<u32, String>,
    hidden: u64,
}

/// The processes of one namespace.
#[derive(Debug, Default)]
struct Residents {
    first: Vec<u32>,
    count: u64,
}

impl Inhabitants {
    /// Looks at every process under `root`, and closely at one or two of each namespace.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let mut found = Self {
            named: named(root),
            ..Self::default()
        };
        let mut residents: BTreeMap<u32, Residents> = BTreeMap::new();
        for pid in pids(root) {
            match netns_of(root, pid) {
                Ok(Some(netns)) => {
                    let residents = residents.entry(netns).or_default();
                    residents.count += 1;
                    if residents.first.len() < LOOKED_AT {
                        residents.first.push(pid);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => found.hidden += 1,
                // It ended meanwhile.
                Ok(None) | Err(_) => {}
            }
        }
        found.names.clone_from(&found.named);
        for (netns, residents) in residents {
            found
                .processes
                .extend(residents.first.first().map(|pid| (netns, *pid)));
            found
                .names
                .extend(describe(root, &residents).map(|who| (netns, who)));
        }
        // That of the host's first process.
        if let Ok(Some(host)) = netns_of(root, 1) {
            found.names.insert(host, "host".into());
        }
        found
    }

    /// Who lives in a namespace, in a few words; `None` where nobody is known to.
    #[must_use]
    pub fn who(&self, netns: u32) -> Option<&str> {
        self.names.get(&netns).map(String::as_str)
    }

    /// The first process of a namespace; `None` where none is known.
    #[must_use]
    pub fn process(&self, netns: u32) -> Option<u32> {
        self.processes.get(&netns).copied()
    }

    /// What `ip netns` calls a namespace.
    #[must_use]
    pub fn ip_netns_name(&self, netns: u32) -> Option<&str> {
        self.named.get(&netns).map(String::as_str)
    }

    /// Inode numbers of all namespaces that have a process or a name.
    pub fn namespaces(&self) -> impl Iterator<Item = u32> + '_ {
        self.names.keys().copied()
    }

    /// Processes whose network namespace may not be looked at, for which `CAP_SYS_PTRACE` is needed.
    #[must_use]
    pub fn hidden(&self) -> u64 {
        self.hidden
    }

    /// What is missing if some are hidden, in a clause without a full stop.
    #[must_use]
    pub fn told_hidden(&self) -> Option<String> {
        (self.hidden > 0).then(|| {
            format!(
                "the network namespaces of {} processes may not be looked at, for which the capability \
                 CAP_SYS_PTRACE is needed: who lives in a namespace, and its services, may be incomplete",
                self.hidden
            )
        })
    }
}

/// All processes, the lowest number first: mostly the oldest.
pub(super) fn pids(root: &Path) -> Vec<u32> {
    let entries = fs::read_dir(root.join("proc")).into_iter().flatten();
    let mut pids: Vec<u32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids
}

/// The namespace of a process, from the link `net:[4026531840]`.
fn netns_of(root: &Path, pid: u32) -> io::Result<Option<u32>> {
    let link = fs::read_link(root.join(format!("proc/{pid}/ns/net")))?;
    let inode = link
        .to_str()
        .and_then(|link| link.strip_prefix("net:["))
        .and_then(|rest| rest.strip_suffix(']'));
    Ok(inode.and_then(|inode| inode.parse().ok()))
}

/// The names that `ip netns` has, by inode number. Those of files that stand for nothing are not among them.
fn named(root: &Path) -> BTreeMap<u32, String> {
    let entries = fs::read_dir(root.join("run/netns")).into_iter().flatten();
    let named = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        let inode = netns::NetnsName::Name(name.clone()).inode(root).ok()?;
        Some((inode, printable(&name)))
    });
    named.collect()
}

fn describe(root: &Path, residents: &Residents) -> Option<String> {
    let homes: Vec<(u32, Home)> = residents
        .first
        .iter()
        .filter_map(|pid| Some((*pid, home(root, *pid)?)))
        .collect();
    let Some((_, first)) = homes.first() else {
        return processes(root, residents);
    };
    Some(match first {
        Home::Pod(uid) => {
            let name = homes.iter().find_map(|(pid, _)| hostname(root, *pid));
            format!("pod {}", name.as_deref().unwrap_or(&uid[..8]))
        }
        Home::Container(id) => format!("container {}", &id[..12]),
    })
}

fn home(root: &Path, pid: u32) -> Option<Home> {
    cgroup::home(&fs::read_to_string(root.join(format!("proc/{pid}/cgroup"))).ok()?)
}

/// The first process by its name, and how many more there are.
fn processes(root: &Path, residents: &Residents) -> Option<String> {
    let comm = residents.first.iter().find_map(|pid| {
        let comm = fs::read(root.join(format!("proc/{pid}/comm"))).ok()?;
        Some(printable(String::from_utf8_lossy(&comm).trim_end()))
    })?;
    Some(match residents.count {
        1 => comm,
        count => format!("{comm} + {} more", count - 1),
    })
}

/// How much of a process's environment is looked through.
const ENVIRONMENT_BYTES: u64 = 256 * 1024;

/// The host name that a container was given, which is its pod's name. Of the environment nothing else is kept.
fn hostname(root: &Path, pid: u32) -> Option<String> {
    let file = File::open(root.join(format!("proc/{pid}/environ"))).ok()?;
    hostname_in(BufReader::new(file.take(ENVIRONMENT_BYTES)))
}

fn hostname_in(mut environ: impl BufRead) -> Option<String> {
    let mut variable = Vec::new();
    while environ.read_until(0, &mut variable).ok()? > 0 {
        if let Some(value) = variable.strip_prefix(b"HOSTNAME=") {
            let value = value.strip_suffix(&[0]).unwrap_or(value);
            return String::from_utf8(value.to_vec())
                .ok()
                .filter(|name| is_host_name(name));
        }
        variable.clear();
    }
    None
}

/// A name as hosts and pods have it (RFC 1123): a process writes what it likes into its environment.
fn is_host_name(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
}

/// A process may call itself what it likes, control characters for a terminal included.
fn printable(name: &str) -> String {
    let shown = |character: char| match character {
        ' '..='~' => character,
        _ => '?',
    };
    name.chars().map(shown).collect()
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

#[cfg(test)]
mod tests;
