//! Who lives in which network namespace, as far as `/proc` and the names of cgroups tell.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{self, BufRead, Read as _},
    path::Path,
};

use serde::Serialize;

use super::{
    cgroup::{self, Home},
    netns::{
        self,
        doors::{Doors, own_pid},
    },
};
use model::printable::printable;

/// Processes of a namespace that are looked at closely: a pod's first one may be its sandbox, which knows less.
const LOOKED_AT: usize = 2;

/// How much of a file of another process is looked at.
const READ_BYTES: u64 = 64 * 1024;

/// The pods, containers and processes of every network namespace that has one, and the names of the files that the
/// others are mounted on.
#[derive(Debug, Clone, Default)]
pub struct NetnsOwners {
    names: BTreeMap<u32, String>,
    doors: Doors,
    hidden: u64,
    sees_host: bool,
    /// The root namespace: as the kernel told it, and as that of the host's first process.
    root_netns: Option<u32>,
    host: Option<u32>,
    /// Of the processes looked at closely: nobody's environment is read twice.
    host_names: HashMap<Identity, Option<String>>,
}

/// Who lives in a network namespace, and the path that opens it: what documents say beside its inode number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Who lives there; `None` where that is not known.
    pub who: Option<String>,
    /// A path that opens it; `None` where none is known.
    pub door: Option<String>,
}

/// A process, and a program that it runs: after `execve` it has another environment, and mostly another name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Identity {
    netns: u32,
    pid: u32,
    /// In ticks since the host began.
    started: u64,
    comm: String,
}

/// The processes of one namespace.
#[derive(Debug, Default)]
struct Residents {
    first: Vec<u32>,
    count: u64,
}

impl NetnsOwners {
    /// Looks at every process under `root`, and closely at one or two of each namespace.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let mut found = Self::default();
        found.read_again(root);
        found
    }

    /// Looks once more, and reads nothing that stays as it is.
    pub fn read_again(&mut self, root: &Path) {
        let known = std::mem::take(&mut self.host_names);
        *self = Self {
            doors: Doors::read(root),
            sees_host: sees_host(root),
            root_netns: self.root_netns,
            ..Self::default()
        };
        let mounted = self.doors.mounted();
        self.names = mounted
            .filter_map(|netns| Some((netns, self.doors.name(netns)?)))
            .collect();
        for (netns, residents) in self.residents(root) {
            for pid in &residents.first {
                self.doors.add_process(netns, *pid);
            }
            let who = self.describe(root, netns, &residents, &known);
            self.names.extend(who.map(|who| (netns, who)));
        }
        // In a container, the first process is the container's.
        let first = || netns_of(root, 1).ok().flatten();
        let host = self
            .sees_host
            .then(|| first().or_else(|| netns::root_inode(root).ok()));
        self.host = host.flatten();
    }

    /// Takes in which namespace the kernel says is the root one: that of the host.
    pub fn set_root_netns(&mut self, netns: u32) {
        self.root_netns = Some(netns);
    }

    fn residents(&mut self, root: &Path) -> BTreeMap<u32, Residents> {
        let mut residents: BTreeMap<u32, Residents> = BTreeMap::new();
        // This one is a guest.
        let own = own_pid(root);
        for pid in pids(root).into_iter().filter(|pid| Some(*pid) != own) {
            match netns_of(root, pid) {
                Ok(Some(netns)) => {
                    let residents = residents.entry(netns).or_default();
                    residents.count += 1;
                    if residents.first.len() < LOOKED_AT {
                        residents.first.push(pid);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.hidden += 1,
                // It ended meanwhile.
                Ok(None) | Err(_) => {}
            }
        }
        residents
    }

    fn describe(
        &mut self,
        root: &Path,
        netns: u32,
        residents: &Residents,
        known: &HashMap<Identity, Option<String>>,
    ) -> Option<String> {
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
                let mut pids = homes.iter().map(|(pid, _)| *pid);
                let name = pids.find_map(|pid| self.hostname(root, netns, pid, known));
                format!("pod {}", name.as_deref().unwrap_or(&uid[..8]))
            }
            Home::Container(id) => format!("container {}", &id[..12]),
        })
    }

    fn hostname(
        &mut self,
        root: &Path,
        netns: u32,
        pid: u32,
        known: &HashMap<Identity, Option<String>>,
    ) -> Option<String> {
        let Some(identity) = identity(root, netns, pid) else {
            return hostname(root, pid);
        };
        let known = known.get(&identity).cloned();
        let name = known.unwrap_or_else(|| hostname(root, pid));
        self.host_names.insert(identity, name.clone());
        name
    }

    /// Who lives in a namespace, in a few words; `None` where nobody is known to.
    #[must_use]
    pub fn who(&self, netns: u32) -> Option<&str> {
        if self.root_netns.or(self.host) == Some(netns) {
            return Some("host");
        }
        self.names.get(&netns).map(String::as_str)
    }

    /// Returns who lives in a namespace, and a path that opens it now.
    #[must_use]
    pub fn named(&self, netns: u32) -> Named {
        let door = self.doors.path(netns);
        Named {
            who: self.who(netns).map(str::to_owned),
            door: door.and_then(|door| door.into_os_string().into_string().ok()),
        }
    }

    /// Returns the [`Named`] of every namespace that has a process or a name, by inode number.
    #[must_use]
    pub fn all_named(&self) -> BTreeMap<u32, Named> {
        let known = self.namespaces().chain(self.root_netns).chain(self.host);
        known.map(|netns| (netns, self.named(netns))).collect()
    }

    /// Returns the paths by which namespaces can be opened.
    #[must_use]
    pub fn doors(&self) -> &Doors {
        &self.doors
    }

    /// Inode numbers of all namespaces that have a process or a name.
    pub fn namespaces(&self) -> impl Iterator<Item = u32> + '_ {
        self.names.keys().copied()
    }

    /// Every process of the host was there to be looked at: a namespace without one has none.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        self.sees_host && self.hidden == 0
    }

    /// What is missing if some are hidden, in a clause without a full stop.
    #[must_use]
    pub fn told_hidden(&self) -> Option<String> {
        if !self.sees_host {
            let told = "the host's processes are not in sight, for /proc is that of a container, or hides them \
                        (hidepid) from who lacks the capability CAP_SYS_PTRACE: who lives in a namespace, and its \
                        services, may be incomplete";
            return Some(told.into());
        }
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
#[must_use]
pub fn pids(root: &Path) -> Vec<u32> {
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

/// Reads something of the namespace that a process lives in, which has to be this one before and after: a process may
/// move, and its number may be reused.
///
/// # Errors
///
/// When it lives elsewhere, or the reading fails.
pub fn while_in<T>(
    root: &Path,
    pid: u32,
    netns: u32,
    read: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let check = || match netns_of(root, pid)? {
        Some(now) if now == netns => Ok(()),
        _ => Err(io::Error::other(format!(
            "process {pid} lives in another network namespace than {netns} by now"
        ))),
    };
    check()?;
    let done = read()?;
    check().map(|()| done)
}

/// Whether `root` has the processes of the host, and not those of a container alone: its second one is the
/// kernel's own (`rest_init`, `init/main.c` of Linux 6.1).
#[must_use]
pub fn sees_host(root: &Path) -> bool {
    bounded(root, 2, "comm").is_some_and(|comm| comm.trim_ascii_end() == b"kthreadd")
}

/// The beginning of a file of a process, which writes as much as it likes into some.
#[must_use]
pub fn bounded(root: &Path, pid: u32, file: &str) -> Option<Vec<u8>> {
    let file = File::open(root.join(format!("proc/{pid}/{file}"))).ok()?;
    let mut text = Vec::new();
    file.take(READ_BYTES).read_to_end(&mut text).ok()?;
    Some(text)
}

/// Returns when a process started, in ticks of the kernel since its boot; `None` for one that is gone.
#[must_use]
pub fn started(root: &Path, pid: u32) -> Option<u64> {
    let (_, started) = comm_and_start(&bounded(root, pid, "stat")?)?;
    Some(started)
}

fn identity(root: &Path, netns: u32, pid: u32) -> Option<Identity> {
    let (comm, started) = comm_and_start(&bounded(root, pid, "stat")?)?;
    Some(Identity {
        netns,
        pid,
        started,
        comm,
    })
}

/// The second and the 22nd field of `/proc/PID/stat` (`proc_pid_stat(5)`). The name may hold spaces and brackets.
fn comm_and_start(stat: &[u8]) -> Option<(String, u64)> {
    let stat = String::from_utf8_lossy(stat);
    let (comm, rest) = stat.split_once(" (")?.1.rsplit_once(')')?;
    let started = rest.split_ascii_whitespace().nth(19)?.parse().ok()?;
    Some((comm.to_owned(), started))
}

fn home(root: &Path, pid: u32) -> Option<Home> {
    let cgroup = bounded(root, pid, "cgroup")?;
    cgroup::home(&String::from_utf8_lossy(&cgroup))
}

/// The first process by its name, and how many more there are.
fn processes(root: &Path, residents: &Residents) -> Option<String> {
    let comm = residents.first.iter().find_map(|pid| {
        let comm = bounded(root, *pid, "comm")?;
        Some(printable(String::from_utf8_lossy(&comm).trim_end()))
    })?;
    Some(match residents.count {
        1 => comm,
        count => format!("{comm} + {} more", count - 1),
    })
}

/// The host name that a container was given, which is its pod's name. Of the environment nothing else is kept.
fn hostname(root: &Path, pid: u32) -> Option<String> {
    hostname_in(bounded(root, pid, "environ")?.as_slice())
}

fn hostname_in(mut environ: impl BufRead) -> Option<String> {
    let mut variable = Vec::new();
    while environ.read_until(0, &mut variable).ok()? > 0 {
        if let Some(value) = variable.strip_prefix(b"HOSTNAME=") {
            // Without its end it was cut off.
            let value = value.strip_suffix(&[0])?;
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

#[cfg(any(test, feature = "testing"))]
impl NetnsOwners {
    /// Those that a test names.
    #[must_use]
    pub fn with_names(names: &[(u32, &str)]) -> Self {
        let names = names.iter().map(|(netns, who)| (*netns, (*who).to_owned()));
        Self {
            names: names.collect(),
            ..Self::default()
        }
    }

    /// Has the doors that a test has made.
    pub fn set_doors(&mut self, doors: Doors) {
        self.doors = doors;
    }
}

#[cfg(test)]
mod tests;
