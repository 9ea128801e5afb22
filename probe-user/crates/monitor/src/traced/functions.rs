//! The functions of `ip_vs` that measuring without eBPF takes, found in one reading of `/proc/kallsyms`.

use std::{io, path::Path};

use host::symbols;
use model::ESTIMATOR;

/// Shows the statistics of a namespace.
pub const STATISTICS: &str = "ip_vs_read_estimator";

/// Estimators start and stop by them (`net/netfilter/ipvs/ip_vs_est.c` of Linux 3.10 to 6.1).
pub const CHANGES: [&str; 2] = ["ip_vs_start_estimator", "ip_vs_stop_estimator"];

/// Their addresses; `None` where the kernel has or shows none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Functions {
    /// The timer's.
    pub estimator: Option<u64>,
    /// That of [`STATISTICS`].
    pub statistics: Option<u64>,
    /// Those of [`CHANGES`].
    pub changes: Option<[u64; 2]>,
}

impl Functions {
    /// Finds them.
    ///
    /// # Errors
    ///
    /// When the kernel's symbols cannot be read.
    pub fn find(root: &Path) -> io::Result<Self> {
        let [start, stop] = CHANGES;
        let found = symbols::addresses(root, "ip_vs", &[ESTIMATOR, STATISTICS, start, stop])?;
        // An address of 0 is a hidden one.
        let address = |name: &str| found.get(name).copied().filter(|address| *address != 0);
        Ok(Self {
            estimator: address(ESTIMATOR),
            statistics: address(STATISTICS),
            changes: address(start).zip(address(stop)).map(<[u64; 2]>::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_function_that_is_hidden_or_not_there_has_no_address() {
        let root = tempfile::tempdir().unwrap();
        assert!(Functions::find(root.path()).is_err());
        fs::create_dir(root.path().join("proc")).unwrap();
        let symbols = "ffffffffa000efd0 t estimation_timer\t[ip_vs]\n\
                       0000000000000000 T ip_vs_read_estimator\t[ip_vs]\n\
                       ffffffffa000f100 T ip_vs_start_estimator\t[ip_vs]\n";
        fs::write(root.path().join("proc/kallsyms"), symbols).unwrap();
        let expected = Functions {
            estimator: Some(0xffff_ffff_a000_efd0),
            statistics: None,
            changes: None,
        };
        assert_eq!(Functions::find(root.path()).unwrap(), expected);
        let stop = format!("{symbols}ffffffffa000f200 T ip_vs_stop_estimator\t[ip_vs]\n");
        fs::write(root.path().join("proc/kallsyms"), stop).unwrap();
        let found = Functions::find(root.path()).unwrap();
        let both = [0xffff_ffff_a000_f100, 0xffff_ffff_a000_f200];
        assert_eq!(found.changes, Some(both));
    }
}
