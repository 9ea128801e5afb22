//! Which kernel modules a guest gets: the wanted ones, and what these need.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Modules by name; one that ends in `*` stands for all that begin so.
const WANTED: [&str; 17] = [
    "virtio_pci",
    "virtio_console",
    "virtio_blk",
    "ext4",
    "overlay",
    "ip_vs*",
    "nf_conntrack*",
    "nf_nat",
    "nf_defrag*",
    "veth",
    "dummy",
    "bridge",
    "ipip",
    "test_klp*",
    "crc32c*",
    "sch_netem",
    "ifb",
];

/// Returns a number that differs where other modules are wanted.
pub fn recipe() -> u64 {
    let mut hasher = DefaultHasher::new();
    WANTED.hash(&mut hasher);
    hasher.finish()
}

/// What the indexes of `depmod` say.
pub struct Indexes<'a> {
    /// `modules.dep`.
    pub dependencies: &'a str,
    /// `modules.softdep`.
    pub soft: &'a str,
    /// `modules.alias`.
    pub aliases: &'a str,
}

/// Paths of the modules a guest gets, as `modules.dep` gives them.
pub fn chosen<'a>(indexes: &Indexes<'a>) -> BTreeSet<&'a str> {
    let paths: BTreeMap<String, &str> = lines(indexes.dependencies)
        .map(|(path, _)| (name_of(path), path))
        .collect();
    let needs: BTreeMap<&str, &str> = lines(indexes.dependencies).collect();
    let mut open: Vec<&str> = paths
        .iter()
        .filter(|(name, _)| is_wanted(name))
        .map(|(_, path)| *path)
        .collect();
    let mut chosen = BTreeSet::new();
    while let Some(path) = open.pop() {
        if !chosen.insert(path) {
            continue;
        }
        open.extend(
            needs
                .get(path)
                .into_iter()
                .flat_map(|needed| needed.split_whitespace()),
        );
        for asked in soft_needs(indexes.soft, &name_of(path)) {
            open.extend(
                providers(indexes.aliases, asked)
                    .iter()
                    .filter_map(|name| paths.get(name.as_str())),
            );
        }
    }
    chosen
}

fn lines(dependencies: &str) -> impl Iterator<Item = (&str, &str)> {
    dependencies.lines().filter_map(|line| line.split_once(':'))
}

/// `kernel/net/netfilter/ipvs/ip_vs.ko.xz` is `ip_vs`; hyphens in a file's name are underscores in the module's.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

fn is_wanted(name: &str) -> bool {
    WANTED.iter().any(|wanted| {
        wanted
            .strip_suffix('*')
            .map_or(name == *wanted, |start| name.starts_with(start))
    })
}

/// What `softdep NAME pre: A B post: C` asks for.
fn soft_needs<'a>(soft: &'a str, name: &str) -> Vec<&'a str> {
    let of_module = |line: &'a str| {
        line.strip_prefix("softdep ")?
            .split_once(' ')
            .filter(|(of, _)| *of == name)
    };
    let rest = soft.lines().filter_map(of_module).map(|(_, rest)| rest);
    rest.flat_map(str::split_whitespace)
        .filter(|word| !word.ends_with(':'))
        .collect()
}

/// The modules that go by a name: their own or an alias.
fn providers(aliases: &str, asked: &str) -> Vec<String> {
    let of_alias = |line: &str| {
        let (alias, module) = line.strip_prefix("alias ")?.split_once(' ')?;
        (alias == asked).then(|| module.to_owned())
    };
    aliases
        .lines()
        .filter_map(of_alias)
        .chain([asked.replace('-', "_")])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_are_followed_through_dependencies_soft_dependencies_and_aliases() {
        let indexes = Indexes {
            dependencies: "kernel/net/ip_vs.ko: kernel/net/nf_conntrack.ko kernel/lib/libcrc32c.ko\n\
                           kernel/net/nf_conntrack.ko:\n\
                           kernel/lib/libcrc32c.ko:\n\
                           kernel/crypto/crc32c_generic.ko.xz:\n\
                           kernel/arch/crc32c-intel.ko:\n\
                           kernel/lib/checksum.ko:\n\
                           kernel/fs/xfs.ko:\n",
            soft: "# a comment\nsoftdep libcrc32c pre: crc32c\nsoftdep nf_conntrack post: checksum\n",
            aliases: "alias crc32c crc32c_intel\nalias crypto-crc32c crc32c_generic\n",
        };
        let chosen: Vec<_> = chosen(&indexes).into_iter().map(name_of).collect();
        assert_eq!(
            chosen,
            [
                "crc32c_intel",
                "crc32c_generic",
                "checksum",
                "libcrc32c",
                "ip_vs",
                "nf_conntrack"
            ]
        );
    }
}
