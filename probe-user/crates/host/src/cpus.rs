//! CPUs of this host: those that it has, and those that it could have.

use std::{fs, path::Path};

/// How many CPUs there are; `None` where the kernel does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cpus {
    /// CPUs that may ever come online. A run of the estimator visits a counter of each.
    pub possible: Option<u32>,
    /// CPUs that run something.
    pub online: Option<u32>,
}

impl Cpus {
    /// Counts them under `root`.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let count = |file: &str| {
            let list = fs::read_to_string(root.join("sys/devices/system/cpu").join(file)).ok()?;
            let count = u32::try_from(parse_list(&list)?.len()).ok()?;
            // A host that runs this has a CPU.
            (count > 0).then_some(count)
        };
        Self {
            possible: count("possible"),
            online: count("online"),
        }
    }
}

/// How many CPUs the kernel makes room for: what a run visits for every estimator, online or not.
#[must_use]
pub fn possible(root: &Path) -> Option<u32> {
    Cpus::read(root).possible
}

/// The CPUs that the kernel can be built for (`NR_CPUS`) are no more than this: a list with more is no list.
const MAX_CPUS: u32 = 1 << 16;

/// Reads a list of CPUs as the kernel writes it (`0-3,8`, `%*pbl` of `lib/vsprintf.c`), in its order. `None`
/// where it is none.
#[must_use]
pub fn parse_list(list: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (begin, end) = part.split_once('-').unwrap_or((part, part));
        let (begin, end): (u32, u32) = (begin.parse().ok()?, end.parse().ok()?);
        if end < begin || end >= MAX_CPUS {
            return None;
        }
        cpus.extend(begin..=end);
    }
    Some(cpus)
}

/// Writes CPUs, which are in order, as the kernel does: `0-3,8`.
#[must_use]
pub fn format_list(cpus: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &cpu in cpus {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let parts = ranges.into_iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    });
    parts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_written_as_the_kernel_does() {
        for (list, cpus) in [
            ("0\n", vec![0]),
            ("0-3\n", vec![0, 1, 2, 3]),
            ("0-1,4,6-7\n", vec![0, 1, 4, 6, 7]),
            ("\n", vec![]),
        ] {
            let parsed = parse_list(list).unwrap();
            assert_eq!(parsed, cpus, "{list:?}");
            assert_eq!(format_list(&parsed), list.trim());
        }
    }

    #[test]
    fn what_is_no_list_is_nothing() {
        for text in ["x", "3-1", "0-", "-1", "0-4294967295"] {
            assert_eq!(parse_list(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_host_that_does_not_say_has_an_unknown_number_of_cpus() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Cpus::read(root.path()), Cpus::default());
        let folder = root.path().join("sys/devices/system/cpu");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("possible"), "\n").unwrap();
        assert_eq!(possible(root.path()), None);
        fs::write(folder.join("possible"), "0-63\n").unwrap();
        assert_eq!(possible(root.path()), Some(64));
        fs::write(folder.join("online"), "0-3\n").unwrap();
        let expected = Cpus {
            possible: Some(64),
            online: Some(4),
        };
        assert_eq!(Cpus::read(root.path()), expected);
    }
}
