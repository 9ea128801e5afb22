//! What this node has to say about a livepatch, read once. Everything is optional: what cannot be read is
//! `None`, and is told as such.

mod crash_history;
mod disk;
mod symbols;
mod tracing;

use crate::site::Site;
use std::{fs, io, path::Path};

use host::{
    btf,
    livepatch::{self, Livepatch},
    module, prerequisites, time,
};
use livepatch_image::{Digest, Module, Name};

pub use crash_history::CrashHistory;
pub use disk::OnDisk;
pub use symbols::Symbols;
pub use tracing::Traced;

/// Whether the name of a module is in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Taken {
    /// No module of that name is loaded.
    #[default]
    No,
    /// One is.
    Yes,
    /// One is, and it is this very file, enabled and proven: a load of it has nothing to do. Only for commands that load
    /// nothing.
    ByThisFile,
}

/// Facts of a node, as far as they bear on one module.
#[derive(Debug, Default)]
pub struct Node {
    /// The kernel's release, as `uname -r` tells it.
    pub release: String,
    /// Effective capabilities of this process, a bit each.
    pub capabilities: Option<u64>,
    /// Whether these are good for a part of the host alone: in a user namespace of its own.
    pub confined: Option<bool>,
    /// `kernel.modules_disabled`.
    pub modules_disabled: Option<bool>,
    /// Whether unsigned modules are refused.
    pub sig_enforce: Option<bool>,
    /// The kernel's lockdown level; `none` too.
    pub lockdown: Option<String>,
    /// Names of modules that the kernel was booted not to load, with commas between them.
    pub blacklist: Option<String>,
    /// Whether the kernel can be livepatched.
    pub livepatching: bool,
    /// `kernel.ftrace_enabled`.
    pub ftrace_enabled: Option<bool>,
    /// Objects that the module replaces something in, and that are not loaded.
    pub absent_objects: Vec<String>,
    /// Whether a module of its name is loaded.
    pub name_taken: Taken,
    /// That module, where it is one of a livepatch that is out of force: it can be removed first.
    pub left_behind: Option<Name>,
    /// Livepatches that are in force, or on their way.
    pub patches: Vec<Livepatch>,
    /// Why it is unknown which livepatches there are, or whether the name is in use.
    pub livepatches_unknown: Option<String>,
    /// Functions of the names that the module replaces.
    pub symbols: Option<Symbols>,
    /// What ftrace says of these functions.
    pub traced: Traced,
    /// How the `ip_vs` that is loaded compares with the one on disk.
    pub on_disk: OnDisk,
    /// Where the switch `replace` lies in the kernel's `klp_patch`.
    pub replace_offset: Option<u32>,
    /// Where `run_estimation` lies in memory, from the estimator's timer on.
    pub run_estimation_from_timer: Option<i64>,
    /// Whether the estimator can be switched off by a sysctl.
    pub run_estimation: bool,
    /// The length of a jiffy, in nanoseconds.
    pub jiffy_ns: Option<u64>,
    /// The addresses of modules are hidden, from root too (`kernel.kptr_restrict` is 2).
    pub addresses_hidden: Option<bool>,
    /// What became of this node under this file before.
    pub past: CrashHistory,
}

impl Node {
    /// Reads what there is under `root`, and what the journal in `state_dir` says of the file.
    pub fn read(site: &Site, module: &Module, file: &Digest) -> Self {
        let text = |file: &str| fs::read_to_string(site.root.join(file)).ok();
        let there = |file: &str| site.root.join(file).exists();
        let release = prerequisites::release(&site.root);
        let absent = |object: &str| object != "vmlinux" && !there(&format!("sys/module/{object}"));
        let mut absent_objects: Vec<String> = module
            .replaces
            .iter()
            .map(|one| one.object.clone())
            .filter(|one| absent(one))
            .collect();
        absent_objects.sort();
        absent_objects.dedup();
        let name = module.name.as_deref().map(Name::from);
        let loaded = Loaded::read(&site.root, name.as_ref());
        let (replace_offset, run_estimation_from_timer) = offsets(&site.root);
        Self {
            capabilities: text("proc/self/status").as_deref().and_then(capabilities),
            confined: text("proc/self/uid_map").map(|map| is_confined(&map)),
            modules_disabled: switch(text("proc/sys/kernel/modules_disabled")),
            sig_enforce: switch(text("sys/module/module/parameters/sig_enforce")),
            lockdown: text("sys/kernel/security/lockdown")
                .as_deref()
                .and_then(level),
            // The kernel's own reading of its command line: only &site.root can read it.
            blacklist: text("sys/module/kernel/parameters/module_blacklist")
                .map(|names| names.trim().to_owned()),
            livepatching: there("sys/kernel/livepatch"),
            ftrace_enabled: switch(text("proc/sys/kernel/ftrace_enabled")),
            absent_objects,
            name_taken: if loaded.name_taken {
                Taken::Yes
            } else {
                Taken::No
            },
            left_behind: loaded.left_behind,
            patches: loaded.patches,
            livepatches_unknown: loaded.unknown,
            symbols: Symbols::read(&site.root, module).ok(),
            traced: Traced::read(&site.root, module),
            on_disk: OnDisk::read(&site.root, &release),
            replace_offset,
            run_estimation_from_timer,
            run_estimation: there("proc/sys/net/ipv4/vs/run_estimation"),
            jiffy_ns: time::jiffy_ns().ok(),
            addresses_hidden: text("proc/sys/kernel/kptr_restrict")
                .map(|value| value.trim() == "2"),
            past: CrashHistory::read(site, file),
            release,
        }
    }

    /// Whether the module was built for the kernel that runs here, by name.
    #[must_use]
    pub fn is_kernel_of(&self, module: &Module) -> bool {
        module.built_for() == Some(self.release.as_str())
    }

    /// Other livepatches that are enabled, by their printable names.
    #[must_use]
    pub fn other_patches(&self) -> Vec<String> {
        let in_force = |patch: &&Livepatch| patch.enabled != Some(false);
        let patches = self.patches.iter().filter(in_force);
        patches.map(|patch| patch.name.to_string()).collect()
    }
}

/// What is loaded, as far as it bears on livepatches.
#[derive(Debug, Default)]
struct Loaded {
    name_taken: bool,
    left_behind: Option<Name>,
    patches: Vec<Livepatch>,
    unknown: Option<String>,
}

impl Loaded {
    fn read(root: &Path, name: Option<&Name>) -> Self {
        Self::try_read(root, name).unwrap_or_else(|error| Self {
            unknown: Some(error.to_string()),
            ..Self::default()
        })
    }

    fn try_read(root: &Path, name: Option<&Name>) -> io::Result<Self> {
        let patches = livepatch::read(root)?.unwrap_or_default();
        let mut loaded = Self {
            patches,
            ..Self::default()
        };
        // That such a name is unusable is a blocker of its own.
        if let Some(name) = name.filter(|name| !name.is_hidden()) {
            loaded.name_taken = module::look(root, name)?.is_some();
            let has_folder = loaded.patches.iter().any(|patch| patch.name == *name);
            let is_left = loaded.name_taken && !has_folder && module::is_livepatch(root, name)?;
            loaded.left_behind = is_left.then(|| name.clone());
        }
        Ok(loaded)
    }
}

fn capabilities(status: &str) -> Option<u64> {
    let hex = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(hex.trim(), 16).ok()
}

/// The first user namespace maps every id to itself (`user_namespaces(7)`).
fn is_confined(map: &str) -> bool {
    !map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

/// Sysctls say 0 or 1, parameters of modules N or Y.
fn switch(text: Option<String>) -> Option<bool> {
    match text?.trim() {
        "0" | "N" => Some(false),
        "1" | "Y" => Some(true),
        _ => None,
    }
}

/// The level in brackets.
fn level(levels: &str) -> Option<String> {
    let (_, rest) = levels.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

/// Returns where `replace` lies in `klp_patch`, and `sysctl_run_estimation` from the timer on in `netns_ipvs`.
fn offsets(root: &Path) -> (Option<u32>, Option<i64>) {
    let Ok(kernel) = fs::read(root.join("sys/kernel/btf/vmlinux")) else {
        return (None, None);
    };
    let replace = btf::fields(&kernel, None, &["klp_patch"]).ok();
    let replace = replace.and_then(|fields| fields.offset("klp_patch", "replace"));
    let module = fs::read(root.join("sys/kernel/btf/ip_vs")).ok();
    let fields = btf::fields(&kernel, module.as_deref(), &["netns_ipvs"]).ok();
    let distance = fields.and_then(|fields| {
        let at = |field| fields.offset("netns_ipvs", field).map(i64::from);
        Some(at("sysctl_run_estimation")? - at("est_timer")?)
    });
    (replace, distance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_node::MadeNode;
    use livepatch_image::{Replaced, samples::sample};

    /// Returns the types of a kernel (`Documentation/bpf/btf.rst`), with the fields that are looked for.
    fn types() -> Vec<u8> {
        const STRUCT: u32 = 4 << 24;
        let names = "\0klp_patch\0replace\0netns_ipvs\0est_timer\0sysctl_run_estimation\0";
        let name = |name: &str| u32::try_from(names.find(&format!("\0{name}\0")).unwrap() + 1);
        let name = |one: &str| name(one).unwrap();
        let mut words = vec![name("klp_patch"), STRUCT | 1, 32];
        words.extend([name("replace"), 1, 24 * 8]);
        words.extend([name("netns_ipvs"), STRUCT | 2, 128, name("est_timer"), 1]);
        words.extend([40 * 8, name("sysctl_run_estimation"), 1, 100 * 8]);
        let length = u32::try_from(4 * words.len()).unwrap();
        let head = [24, 0, length, length, u32::try_from(names.len()).unwrap()];
        let words = head.iter().chain(&words);
        let words = words.flat_map(|word| word.to_ne_bytes());
        let magic = 0xeb9f_u16.to_ne_bytes().into_iter().chain([1, 0]);
        magic.chain(words).chain(names.bytes()).collect()
    }

    #[test]
    fn what_a_node_lacks_and_hides_and_where_its_fields_lie_is_read() {
        let node = MadeNode::new();
        let mut module = sample();
        let one = module.replaces[0].clone();
        let of = |object: &str| Replaced {
            object: object.into(),
            ..one.clone()
        };
        module.replaces = ["vmlinux", "nf_nat", "ip_vs", "nf_nat"].map(of).into();
        let read = || Node::read(&node.site(), &module, &Digest::of(b""));
        let seen = read();
        assert_eq!(seen.absent_objects, ["nf_nat"]);
        assert_eq!(seen.addresses_hidden, None);
        let offsets = |node: &Node| (node.replace_offset, node.run_estimation_from_timer);
        assert_eq!(offsets(&seen), (None, None));
        node.write("sys/kernel/btf/vmlinux", types());
        assert_eq!(offsets(&read()), (Some(24), Some(60)));
        for (value, is_hidden) in [("2\n", true), ("1\n", false)] {
            node.write("proc/sys/kernel/kptr_restrict", value);
            assert_eq!(read().addresses_hidden, Some(is_hidden));
        }
    }

    #[test]
    fn a_name_that_no_path_of_sysfs_leads_to_is_not_taken() {
        let node = MadeNode::new();
        for name in [".", "..", ""] {
            let loaded = Loaded::read(node.root(), Some(&name.into()));
            assert!(!loaded.name_taken && loaded.unknown.is_none(), "{name:?}");
        }
        let loaded = Loaded::read(node.root(), Some(&"ip_vs".into()));
        assert!(loaded.name_taken);
    }

    #[test]
    fn what_the_kernel_writes_is_read_and_anything_else_is_unknown() {
        assert_eq!(switch(Some("1\n".into())), Some(true));
        assert_eq!(switch(Some("N\n".into())), Some(false));
        assert_eq!(switch(Some(String::new())), None);
        assert_eq!(switch(None), None);
        assert_eq!(
            level("none [integrity] confidentiality\n").as_deref(),
            Some("integrity")
        );
        assert_eq!(level("none\n"), None);
        assert_eq!(
            capabilities("Name:\tx\nCapEff:\t0000000000010000\n"),
            Some(1 << 16)
        );
        assert_eq!(capabilities("Name:\tx\n"), None);
        assert!(!is_confined("         0          0 4294967295\n"));
        assert!(is_confined("         0       1000          1\n"));
    }
}
