//! Where the kernel keeps what the programs read, found in its memory where BTF does not tell.

use std::{fs, path::Path};

use probe_ebpf::{Offsets, offsets::ABSENT};

use super::{ProbeError, peek::Peek};
use host::{
    btf::Fields,
    estimation::{self, Kind},
    offsets::{
        self,
        derived::{self, Anchors},
        module_symbols,
    },
    prerequisites::{self, Layout, Ready},
};
use model::ESTIMATOR;

/// Returns the offsets of all fields that the programs read.
///
/// # Errors
///
/// When one has to be found in memory, and is not.
pub fn offsets(ready: &Ready) -> Result<Offsets, ProbeError> {
    match &ready.layout {
        Layout::Known(offsets) => Ok(*offsets),
        Layout::OfTheKernel(fields) => found(ready, fields),
    }
}

fn found(ready: &Ready, fields: &Fields) -> Result<Offsets, ProbeError> {
    let mut peek = Peek::load()?;
    let found = search(ready, fields, &mut peek);
    // What is not found because memory could not be read is not missing.
    peek.trouble().map_or(found, Err)
}

/// Returns what makes the kernel show its addresses (`kallsyms_show_value`, `kernel/kallsyms.c` of Linux 5.10).
fn shown_by(root: &Path) -> &'static str {
    let restrict = fs::read_to_string(root.join("proc/sys/kernel/kptr_restrict"));
    if restrict.is_ok_and(|restrict| matches!(restrict.trim(), "0" | "1")) {
        "give this process the capability CAP_SYSLOG"
    } else {
        "run `sysctl kernel.kptr_restrict=1`, and give this process the capability CAP_SYSLOG"
    }
}

fn search(ready: &Ready, fields: &Fields, peek: &mut Peek) -> Result<Offsets, ProbeError> {
    let layout = |error: &dyn ToString| ProbeError::Layout(error.to_string());
    let known = offsets::of_the_kernel(fields).map_err(|error| layout(&error))?;
    let net = peek.net(&known).ok_or(ProbeError::Unreadable)?;
    let symbols = module_symbols::addresses(&ready.root, "ip_vs", &Kind::signs(), fields, peek);
    let symbols = symbols.map_err(|error| layout(&format!("/proc/kallsyms: {error}")))?;
    let kind = Kind::of(symbols.keys().map(String::as_str));
    prerequisites::measurable(kind, &prerequisites::release(&ready.root))?;
    let address = symbols.get(ESTIMATOR).copied();
    let address = address.ok_or_else(|| layout(&format!("ip_vs has no function {ESTIMATOR}")))?;
    if address == 0 {
        return Err(ProbeError::HiddenAddress(shown_by(&ready.root)));
    }
    let anchors = Anchors {
        net,
        estimation_timer: address,
    };
    let found = derived::derived(fields, anchors, peek).map_err(|error| layout(&error))?;
    let has_switch = estimation::run_estimation(&ready.root).is_some();
    if has_switch && found.ipvs_run_estimation == ABSENT {
        return Err(layout(&"no table of switches names run_estimation"));
    }
    log::debug!("the fields of ip_vs were found in memory: {found:?}");
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_on_a_hidden_address_depends_on_who_may_see_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proc/sys/kernel");
        fs::create_dir_all(&folder).unwrap();
        for (restrict, is_enough) in [("0\n", true), ("1\n", true), ("2\n", false)] {
            fs::write(folder.join("kptr_restrict"), restrict).unwrap();
            let advice = shown_by(root.path());
            assert!(advice.contains("CAP_SYSLOG"), "{advice}");
            assert_eq!(!advice.contains("kptr_restrict=1"), is_enough, "{advice}");
        }
    }
}
