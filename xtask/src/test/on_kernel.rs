//! `cargo xtask test --kernel` and `--kernel-image`: the tests in guests on another kernel than 6.1.
//!
//! Where a timer estimates, all of them run, but for those that need what the kernel lacks: each of these is said and counted.
//! Where kernel threads estimate, their tests run, and `check` and `watch`.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::{Count, Skips, cargo_test};
use crate::{
    cli::KernelArgs,
    kernel::{self, under_test},
    lab::LabSpec,
    scenario::{self, Sections},
    setup,
};

/// What a test needs of a kernel, beside a timer that estimates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// `net.ipv4.vs.run_estimation` (Linux 5.16 on).
    Switch,
    /// The attribute `patched` of a livepatch's object (Linux 6.1 on).
    Patched,
    /// BTF of `ip_vs` (Linux 5.11 on).
    ModuleBtf,
    /// Headers, to build hotfixes: a kernel of Debian.
    Headers,
    /// Linux 6.1 itself: a test's figures, or its second kernel.
    Debian12,
}

impl Need {
    fn says(self) -> &'static str {
        match self {
            Self::Switch => "this kernel has no run_estimation",
            Self::Patched => "sysfs does not say here whether an object is patched",
            Self::ModuleBtf => "this kernel has no BTF for ip_vs",
            Self::Headers => "the headers of this kernel are not at hand",
            Self::Debian12 => "its figures, or its second kernel, are for 6.1",
        }
    }
}

/// The tests that need more than a timer: each name stands for all that begin so.
const NEEDS: [(Need, &[&str]); 5] = [
    (
        Need::Switch,
        &[
            "check::commands::",
            "check::doors::a_namespace_without_a_process",
            "hotfix::fixtures::every_hotfix_patches",
            "hotfix::lost_guard::a_change_whose_guard_is_killed",
            "hotfix::lost_guard::a_guard_that_took_anothers_place",
            "hotfix::lost_guard::a_trial_whose",
            "hotfix::paths::a_timer_that_is_set_on_some_paths",
            "hotfix::table::",
            "hotfix::trial::cut_short::a_node_that_changes",
            "hotfix::trial::cut_short::a_trial_that_is_killed",
            "hotfix::trial::hopping::",
            "hotfix::trial::record::what_was_kept",
            "hotfix::trial::table::every_hotfix_comes",
            "mechanisms::where_bpf",
            "watch::life::namespaces_switches",
        ],
    ),
    (
        Need::Patched,
        &[
            "hotfix::kpatch::",
            "hotfix::stalled::a_sleeping_task",
            "hotfix::target::",
            "hotfix::there_and_back::",
        ],
    ),
    (
        Need::ModuleBtf,
        &[
            "hotfix::callers::",
            "hotfix::fixtures::a_timer_that_keeps",
            "watch::accuracy::without_bpf_loop",
            "watch::pages::without_bpf_loop",
        ],
    ),
    (
        Need::Headers,
        &["hotfix::", "systemd::", "watch::life::soak_a_thousand"],
    ),
    (
        Need::Debian12,
        &[
            "bench::",
            "hotfix::installed::what_is_installed",
            "hotfix::other_build::",
            "mechanisms::perf_sees",
            "mechanisms::tracefs_sees",
        ],
    ),
];

/// The tests of other kernels than the one that was chosen.
const OF_OTHERS: [&str; 3] = ["kernels::kernel_", "kernels::the_newest", "threads::"];

/// What a guest says of its kernel.
struct Facts {
    has_timer: bool,
    has_switch: bool,
    has_module_btf: bool,
    /// Major and minor number.
    version: (u32, u32),
    root_netns: String,
}

impl Facts {
    fn has(&self, need: Need, kernel: &KernelArgs) -> bool {
        match need {
            Need::Switch => self.has_switch,
            Need::Patched => self.version >= (6, 1),
            Need::ModuleBtf => self.has_module_btf,
            Need::Headers => kernel.kernel.is_some(),
            Need::Debian12 => false,
        }
    }
}

const LOOK: &str = "
is_there() { echo == $1; test -e $2 && echo 1 || echo 0; }
echo == timer; grep -c '[ ]estimation_timer.*ip_vs' /proc/kallsyms
is_there switch /proc/sys/net/ipv4/vs/run_estimation
is_there btf /sys/kernel/btf/ip_vs
echo == release; uname -r
echo == root; stat -L -c %i /proc/1/ns/net";

fn facts(kernel: &KernelArgs) -> Result<Facts> {
    let spec = LabSpec {
        kernel: kernel.kernel.unwrap_or(under_test::line()),
        own_kernel: kernel.own(),
        ..LabSpec::default()
    };
    let sections = scenario::run(spec, LOOK)?;
    let is_there = |name| Ok::<_, anyhow::Error>(text(&sections, name)? != "0");
    Ok(Facts {
        has_timer: is_there("timer")?,
        has_switch: is_there("switch")?,
        has_module_btf: is_there("btf")?,
        version: version(text(&sections, "release")?).context("cannot read the release")?,
        root_netns: text(&sections, "root")?.to_owned(),
    })
}

fn text<'a>(sections: &'a Sections, name: &str) -> Result<&'a str> {
    Ok(sections.text(name)?.trim())
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Runs the tests on a kernel that was chosen. Returns whether all is as it should be; a line that is not available is skipped
/// where it is one of many.
pub fn run(kernel: &KernelArgs, is_one_of_many: bool) -> Result<bool, setup::Error> {
    if let Some(line) = kernel.kernel {
        match kernel::fetch(&line) {
            Ok(_) => println!("kernel {line}"),
            Err(kernel::Error::Failed(error)) => return Err(error.into()),
            Err(unavailable) => {
                println!("skipped: kernel {line}: {unavailable}");
                return Ok(is_one_of_many);
            }
        }
    }
    let facts = facts(kernel)?;
    let options = if facts.has_timer {
        of_timers(&facts, kernel)
    } else {
        vec!["--ignored", "chosen_kernel", "threads::"]
    };
    let variables = variables(kernel, &facts)?;
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let skips = Skips::new()?;
    let guests = ["--package", "xtask", "--test", "guests"];
    let count: Count = cargo_test(&guests, &options, &variables, &skips)?;
    let skipped = skips.in_tests()?;
    for skip in &skipped {
        println!("skipped: {skip}");
    }
    Ok(count.failed == 0 && count.passed as usize > skipped.len())
}

/// Returns the options of all tests but those that need what this kernel lacks, and says which these are.
fn of_timers(facts: &Facts, kernel: &KernelArgs) -> Vec<&'static str> {
    let mut options = vec!["--ignored", "--skip", "soak"];
    for other in OF_OTHERS {
        options.extend(["--skip", other]);
    }
    for (need, names) in NEEDS {
        if facts.has(need, kernel) {
            continue;
        }
        for name in names {
            println!("skipped: {name}*: {}", need.says());
            options.extend(["--skip", *name]);
        }
    }
    options
}

fn variables(kernel: &KernelArgs, facts: &Facts) -> Result<Vec<(&'static str, String)>> {
    let mut variables = vec![(under_test::ROOT_NETNS, facts.root_netns.clone())];
    let line = kernel
        .kernel
        .map(|line| (under_test::LINE, line.to_string()));
    variables.extend(line);
    if let Some(own) = kernel.own() {
        variables.push((under_test::IMAGE, absolute(&own.image)?));
        variables.push((under_test::MODULES, absolute(&own.modules)?));
    }
    Ok(variables)
}

/// Tests run in the folder of their package.
fn absolute(path: &Path) -> Result<String> {
    let cannot_open = || format!("cannot open {}", path.display());
    let path = path.canonicalize().with_context(cannot_open)?;
    let text = path.to_str().map(str::to_owned);
    text.with_context(|| format!("{} is not UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_has_a_version() {
        assert_eq!(version("5.10.0-46-amd64\n"), Some((5, 10)));
        assert_eq!(version("7.3.4+deb13-amd64"), Some((7, 3)));
        assert_eq!(version("6.1"), Some((6, 1)));
        assert_eq!(version("next"), None);
    }
}
