//! Who a record is from, and who asked for what it tells: the same fields in every first record and document.

use std::{env, fs, path::Path};

use nix::unistd::getuid;
use serde::Serialize;

use host::{hostname::hostname, netns_owners::Named, prerequisites, time};
use model::{WallTime, Worst, known_netns};
use model::{printable::printable, shell::quoted};

/// The node and the tool that a record is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The node's name; `None` where it is not known.
    pub node: Option<String>,
    /// The version of this tool.
    pub version: &'static str,
    /// The commit that it was built from; `None` where the build did not know it.
    pub commit: Option<&'static str>,
}

impl Source {
    /// Returns this node and this tool.
    #[must_use]
    pub fn here(root: &Path) -> Self {
        Self::of(&hostname(root))
    }

    /// Returns a node of that name, or of none, and this tool.
    #[must_use]
    pub fn of(node: &str) -> Self {
        Self {
            node: Some(node.to_owned()).filter(|name| !name.is_empty()),
            version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("IPVS_LATENCY_COMMIT").filter(|commit| !commit.is_empty()),
        }
    }

    /// Returns the tool for people.
    #[must_use]
    pub fn tool(&self) -> String {
        let commit = self.commit.map_or_else(
            || "commit not known".to_owned(),
            |commit| format!("commit {commit}"),
        );
        format!("ipvs-latency {}, {commit}", self.version)
    }
}

/// Where and when a document was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The node and the tool.
    #[serde(flatten)]
    pub source: Source,
    /// The kernel's release.
    pub kernel: String,
    /// When: RFC 3339, in UTC.
    pub at: String,
}

impl Origin {
    /// Returns this node, now.
    #[must_use]
    pub fn now(root: &Path) -> Self {
        let offset_ns = time::wall_offset_ns().unwrap_or_default();
        let now_ns = time::monotonic_ns().unwrap_or_default();
        Self {
            source: Source::here(root),
            kernel: prerequisites::release(root),
            at: WallTime(now_ns.saturating_add(offset_ns)).to_string(),
        }
    }

    /// Returns the time for people, with its zone.
    #[must_use]
    pub fn time(&self) -> String {
        let (date, time) = self.at.split_once('T').unwrap_or(("", &self.at));
        let time = time.split(['.', 'Z']).next().unwrap_or_default();
        format!("{date} {time} UTC")
    }
}

/// Where, when, how and by whom a change was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stamp {
    /// The node, the tool, and the time.
    #[serde(flatten)]
    pub origin: Origin,
    /// The command line.
    pub command_line: String,
    /// Who asked.
    pub user: String,
}

impl Stamp {
    /// Returns that of this process, now.
    #[must_use]
    pub fn now(root: &Path) -> Self {
        Self {
            origin: Origin::now(root),
            command_line: command_line(),
            user: user(root),
        }
    }
}

/// The worst stall that was seen, as documents have it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorstStall {
    /// Inode number of the network namespace; `None` where it is not known.
    pub netns: Option<u32>,
    /// Who lives there, and the path that opens it.
    #[serde(flatten)]
    pub named: Named,
    /// The longest run, in nanoseconds.
    pub duration_ns: u64,
    /// What a run takes typically, in nanoseconds.
    pub typical_ns: u64,
    /// The longest blackout that it had the longest run of, in nanoseconds.
    pub blackout_ns: Option<u64>,
    /// Time between two runs, in nanoseconds.
    pub period_ns: Option<u64>,
    /// The CPU.
    pub cpu: u32,
    /// The share of that CPU's time that its runs take typically, from 0 to 1.
    pub share: Option<f64>,
}

impl WorstStall {
    /// Returns the worst stall, of a namespace that is `named` so.
    #[must_use]
    pub fn of(worst: &Worst, named: Named) -> Self {
        Self {
            netns: known_netns(worst.netns),
            named,
            duration_ns: worst.duration_ns,
            typical_ns: worst.typical_ns,
            blackout_ns: worst.blackout.map(|blackout| blackout.duration_ns),
            period_ns: worst.period_ns,
            cpu: worst.cpu,
            share: worst.share(),
        }
    }
}

/// Returns who asked: whom `sudo` names, or else the login name of this process's user, or else that user's number.
#[must_use]
pub fn user(root: &Path) -> String {
    let passwd = fs::read_to_string(root.join("etc/passwd")).unwrap_or_default();
    let sudo = env::var("SUDO_USER").unwrap_or_default();
    user_of(&sudo, &passwd, getuid().as_raw())
}

fn user_of(sudo: &str, passwd: &str, uid: u32) -> String {
    let login = || {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
        })
    };
    let sudo = Some(sudo.to_owned()).filter(|name| !name.is_empty());
    let name = sudo.or_else(login).unwrap_or_else(|| uid.to_string());
    printable(&name)
}

/// Returns the command line of this process, as a shell would read it.
#[must_use]
pub fn command_line() -> String {
    let words = env::args_os().map(|word| quoted(&word));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[path = "../build/commit.rs"]
mod commit;

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nanna:x:1000:1000::/home/anna:/bin/sh\n";

    #[test]
    fn the_user_is_whom_sudo_names_or_who_logged_in() {
        for (sudo, uid, user) in [
            ("anna", 0, "anna"),
            ("", 0, "root"),
            ("", 1000, "anna"),
            ("", 7, "7"),
            ("a\x1b[2J", 0, "a?[2J"),
        ] {
            assert_eq!(user_of(sudo, PASSWD, uid), user, "{sudo:?} {uid}");
        }
        assert_eq!(user_of("", "", 0), "0");
        assert_eq!(user_of("", "broken\n:::\n", 0), "0");
    }

    #[test]
    fn a_record_names_node_tool_kernel_and_a_time_with_its_zone() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc")).unwrap();
        let unnamed = Source::here(root.path());
        assert_eq!(unnamed.node, None);
        fs::write(root.path().join("etc/hostname"), "node-7\n").unwrap();
        let origin = Origin {
            at: "2026-11-27T14:03:05.123Z".into(),
            ..Origin::now(root.path())
        };
        assert_eq!(origin.time(), "2026-11-27 14:03:05 UTC");
        let json = serde_json::to_value(&origin).unwrap();
        assert_eq!(json["node"], "node-7");
        assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
        let names: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
        assert_eq!(names, ["at", "commit", "kernel", "node", "version"]);
    }
}
