//! What estimates on this kernel, and whether it is switched on.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::Path,
};

use serde::Serialize;

use model::ESTIMATOR;

/// What estimates on this kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `estimation_timer`, in softirq context: Linux up to 6.1.
    Timer,
    /// Kernel threads `ipvs-e:GEN:ID`: Linux 6.2 on, and vendors' backports.
    Kthread,
    /// Something that only a vendor's kernel has, as a delayed work.
    Vendor,
    /// `ip_vs` is not loaded.
    Absent,
}

impl Kind {
    /// The functions of `ip_vs` that tell the kinds apart.
    #[must_use]
    pub fn signs() -> [&'static str; 4] {
        SIGNS.map(|(function, _)| function)
    }

    /// Returns the kind that these functions of `ip_vs` stand for; `None` where none of them tells.
    pub fn of<'a>(functions: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let signs = functions.into_iter().filter_map(|function| {
            let mut signs = SIGNS.iter();
            signs.position(|(sign, _)| *sign == function)
        });
        signs.min().map(|sign| SIGNS[sign].1)
    }

    /// The kind on this host; `None` where no function of `ip_vs` tells, or it cannot be seen.
    #[must_use]
    pub fn read(root: &Path) -> Option<Self> {
        if !ip_vs(root).ok()? {
            return Some(Self::Absent);
        }
        let symbols = File::open(root.join("proc/kallsyms")).ok()?;
        of_symbols(BufReader::new(symbols)).ok()?
    }
}

/// Functions of `ip_vs` that tell, those first that later code has and earlier has not: a backport may leave the
/// others in place.
const SIGNS: [(&str, Kind); 4] = [
    ("ip_vs_estimation_kthread", Kind::Kthread),
    ("ip_vs_chain_estimation", Kind::Kthread),
    // Alibaba's 4.19 (net/netfilter/ipvs/ip_vs_est.c).
    ("estimation_work", Kind::Vendor),
    (ESTIMATOR, Kind::Timer),
];

/// Told by the functions there are, never by a version: vendors carry either into other versions.
fn of_symbols(mut lines: impl BufRead) -> io::Result<Option<Kind>> {
    let mut found = Vec::new();
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        found.extend(sign(&line));
        line.clear();
    }
    Ok(Kind::of(found))
}

/// Returns which of [`SIGNS`] a line of `/proc/kallsyms` is. Not one in a livepatch, whose functions may have the names
/// of those that they replace.
fn sign(line: &str) -> Option<&'static str> {
    let mut words = line.split_ascii_whitespace().skip(2);
    let name = words.next()?;
    // A compiler's clone goes on with a point, as in `.isra.0`.
    let name = name.split('.').next()?;
    let (sign, _) = SIGNS.iter().find(|(function, _)| *function == name)?;
    // No module at all: ip_vs is part of the kernel itself.
    words
        .next()
        .is_none_or(|module| module == "[ip_vs]")
        .then_some(sign)
}

/// Returns whether the module is loaded, or part of the kernel with parameters.
///
/// # Errors
///
/// When it cannot be seen: without `/sys/module`, which every kernel has, no module is seen.
pub fn ip_vs(root: &Path) -> io::Result<bool> {
    let modules = root.join("sys/module");
    fs::metadata(&modules)?;
    modules.join("ip_vs").try_exists()
}

/// `net.ipv4.vs.run_estimation` of this process's own network namespace; `None` where the kernel has none.
#[must_use]
pub fn run_estimation(root: &Path) -> Option<i32> {
    let switch = fs::read_to_string(root.join("proc/sys/net/ipv4/vs/run_estimation")).ok()?;
    switch.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(symbols: &str) -> Option<Kind> {
        of_symbols(symbols.as_bytes()).unwrap()
    }

    #[test]
    fn each_kind_is_told_by_its_functions() {
        let timer = "ffffffffc09f1230 t estimation_timer\t[ip_vs]\n";
        let thread = "0000000000000000 t ip_vs_estimation_kthread.isra.0\t[ip_vs]\n";
        let work = "ffffffffc09f1230 t estimation_work\t[ip_vs]\n";
        let built_in = "ffffffff8109f1230 t estimation_timer\n";
        let patch = "ffffffffc0a00000 t estimation_timer\t[livepatch_estimation]\n";
        let another = "ffffffffc0a00000 t estimation_timer_work\t[ip_vs]\n";
        for (symbols, expected) in [
            (timer, Some(Kind::Timer)),
            (thread, Some(Kind::Kthread)),
            (work, Some(Kind::Vendor)),
            (built_in, Some(Kind::Timer)),
            (patch, None),
            (another, None),
            ("", None),
        ] {
            assert_eq!(kind(symbols), expected, "{symbols:?}");
        }
        assert_eq!(kind(&format!("{timer}{thread}")), Some(Kind::Kthread));
        assert_eq!(kind(&format!("{work}{timer}")), Some(Kind::Vendor));
    }

    #[test]
    fn without_the_module_nothing_estimates_and_with_it_the_symbols_tell() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Kind::read(root.path()), None, "no sysfs");
        fs::create_dir_all(root.path().join("sys/module")).unwrap();
        assert_eq!(Kind::read(root.path()), Some(Kind::Absent));
        fs::create_dir_all(root.path().join("sys/module/ip_vs")).unwrap();
        assert_eq!(Kind::read(root.path()), None);
        fs::remove_dir_all(root.path().join("sys")).unwrap();
        fs::write(root.path().join("sys"), "no folder").unwrap();
        assert_eq!(Kind::read(root.path()), None);
    }

    #[test]
    fn the_switch_is_a_number_or_not_there() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(run_estimation(root.path()), None);
        let folder = root.path().join("proc/sys/net/ipv4/vs");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("run_estimation"), "1\n").unwrap();
        assert_eq!(run_estimation(root.path()), Some(1));
    }
}
