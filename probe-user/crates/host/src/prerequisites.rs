//! What measuring needs of this host, checked before anything is attached. Every refusal is one whole
//! sentence that says what is missing and what to do.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use probe_ebpf::Offsets;
use thiserror::Error;

use super::{
    btf::{self, BtfError, Fields},
    estimation::{self, Kind},
    estimator_threads,
    offsets::{self, MissingField},
    withheld,
};

/// Why this host cannot be measured.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "each variant's sentence says what it is")]
pub enum Refusal {
    #[error(
        "probes need the capabilities CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN), and this process \
         lacks {0}: run it as root or with sudo"
    )]
    Privilege(&'static str),
    #[error(
        "the module ip_vs is not loaded on this kernel ({0}), so there is no estimator: {hint}",
        hint = without_ip_vs(.0)
    )]
    NoIpvs(String),
    #[error(
        "whether the module ip_vs is loaded cannot be seen (/sys/module/ip_vs: {0}): run this as root, where the host's \
         sysfs is mounted at /sys"
    )]
    Unseen(io::Error),
    #[error(
        "this kernel ({0}) is older than Linux 5.10, before which it cannot run these eBPF programs"
    )]
    NoEbpf(String),
    #[error(
        "this kernel ({0}) carries no BTF (/sys/kernel/btf/vmlinux cannot be read), which tells where \
         its structures keep their fields: boot one built with CONFIG_DEBUG_INFO_BTF=y"
    )]
    NoBtf(String),
    #[error("{file} cannot be used ({error}): report the kernel's release, {release}")]
    BadBtf {
        file: &'static str,
        error: BtfError,
        release: String,
    },
    #[error("cannot read the BTF of ip_vs (/sys/kernel/btf): {0}")]
    UnreadableBtf(io::Error),
    #[error(
        "this kernel ({release}) has no field {field}: report its release, it is not supported yet"
    )]
    Field {
        field: MissingField,
        release: String,
    },
    #[error(
        "this kernel ({0}) estimates in kernel threads (ipvs-e:*), which do not block softirqs: there is no timer to measure; \
         `ipvs-latency check` and `watch` show the threads"
    )]
    Threads(String),
    #[error(
        "this kernel ({0}) estimates in its vendor's work item estimation_work, which this program does not measure: look \
         at the CPU time of the kworker threads with `top -H`"
    )]
    Vendor(String),
    #[error(
        "the kernel is locked down (/sys/kernel/security/lockdown says confidentiality), which forbids \
         probes: boot with lockdown=integrity or less to measure this host"
    )]
    Lockdown,
    #[error(
        "this kernel ({0}) has no kprobes (/sys/bus/event_source/devices/kprobe is missing): boot one \
         built with CONFIG_KPROBE_EVENTS=y"
    )]
    NoKprobes(String),
    #[error(
        "/sys/bus/event_source/devices/kprobe cannot be seen, though {0} has it: mount the host's sysfs at /sys in this \
         container too, read-only is enough"
    )]
    NoSysfs(String),
    #[error(
        "kprobes are switched off on this host (/sys/kernel/debug/kprobes/enabled is 0), so no probe \
         would ever fire: switch them on with `echo 1 > /sys/kernel/debug/kprobes/enabled`"
    )]
    KprobesOff,
}

/// What is known of where the kernel keeps what the programs read.
#[derive(Debug)]
pub enum Layout {
    /// All of it, from BTF.
    Known(Offsets),
    /// What the kernel's own BTF tells: that of `ip_vs` is missing (Linux 5.10), and the rest has to be found in memory.
    OfTheKernel(Fields),
}

/// A host that can be measured.
#[derive(Debug)]
pub struct Ready {
    /// Where the kernel keeps what the programs read.
    pub layout: Layout,
    /// The module that `estimation_timer` is in; `None` where `ip_vs` is part of the kernel itself.
    pub module: Option<&'static str>,
    /// Where the host's file system is.
    pub root: PathBuf,
}

/// A host whose kernel threads can be measured.
#[derive(Debug)]
pub struct ThreadsReady {
    /// Where the kernel keeps what the probes read, and what is read without them.
    pub fields: Fields,
    /// The module that the threads' functions are in; `None` where `ip_vs` is part of the kernel itself.
    pub module: Option<&'static str>,
    /// Where the host's file system is.
    pub root: PathBuf,
}

impl Refusal {
    /// Returns whether eBPF alone cannot do without what is missing: another mechanism may measure this host.
    #[must_use]
    pub fn is_of_ebpf(&self) -> bool {
        match self {
            Self::NoEbpf(_)
            | Self::NoBtf(_)
            | Self::BadBtf { .. }
            | Self::UnreadableBtf(_)
            | Self::Field { .. }
            | Self::Lockdown
            | Self::NoKprobes(_)
            | Self::NoSysfs(_)
            | Self::KprobesOff => true,
            Self::Privilege(lacking) => *lacking == "CAP_BPF",
            Self::NoIpvs(_) | Self::Unseen(_) | Self::Threads(_) | Self::Vendor(_) => false,
        }
    }

    /// In a few words: at most 60 characters.
    #[must_use]
    pub fn brief(&self) -> &'static str {
        match self {
            Self::Privilege(_) => "CAP_BPF and CAP_PERFMON are needed: run it as root",
            Self::NoIpvs(_) => "the module ip_vs is not loaded, no estimator is there",
            Self::Unseen(_) => "whether the module ip_vs is loaded cannot be seen",
            Self::NoEbpf(_) => "this kernel is older than Linux 5.10",
            Self::NoBtf(_) => "this kernel carries no BTF",
            Self::BadBtf { .. } => "the kernel's BTF cannot be used",
            Self::UnreadableBtf(_) => "the BTF of ip_vs cannot be read",
            Self::Field { .. } => "this kernel's structures are not known",
            Self::Threads(_) => "kernel threads estimate here, and no timer does",
            Self::Vendor(_) => "a vendor's work item estimates here, which is not measured",
            Self::Lockdown => "the kernel is locked down, which forbids probes",
            Self::NoKprobes(_) => "this kernel has no kprobes",
            Self::NoSysfs(_) => "sysfs is not mounted at /sys in this container",
            Self::KprobesOff => "kprobes are switched off on this host",
        }
    }
}

/// Looks at everything in the order in which people would want to be told.
///
/// # Errors
///
/// With the first thing that is missing.
pub fn examine(root: &Path) -> Result<Ready, Refusal> {
    survey(root).map_err(|mut missing| missing.swap_remove(0))
}

/// Looks at everything, as [`examine`] does, and goes on where something is missing.
///
/// # Errors
///
/// With all that is missing, at least one thing. What only a loaded `ip_vs` shows is not missed without it.
pub fn survey(root: &Path) -> Result<Ready, Vec<Refusal>> {
    match look(root) {
        (Some(ready), missing) if missing.is_empty() => Ok(ready),
        (_, missing) => Err(missing),
    }
}

/// Looks at what is needed to read the estimators' timers, for which no probe is attached.
///
/// # Errors
///
/// With the first thing that is missing.
pub fn examine_to_look(root: &Path) -> Result<Ready, Refusal> {
    let (ready, missing) = look(root);
    let is_of_probes = |one: &Refusal| {
        matches!(
            one,
            Refusal::NoKprobes(_) | Refusal::NoSysfs(_) | Refusal::KprobesOff
        )
    };
    let mut needed = missing.into_iter().filter(|one| !is_of_probes(one));
    match (needed.next(), ready) {
        (Some(refusal), _) => Err(refusal),
        (None, Some(ready)) => Ok(ready),
        (None, None) => Err(Refusal::NoIpvs(release(root))),
    }
}

/// Looks at everything that is needed to measure kernel threads.
///
/// # Errors
///
/// With the first thing that is missing beside the timer.
pub fn examine_threads(root: &Path) -> Result<ThreadsReady, Refusal> {
    let (_, missing) = look(root);
    let mut others = missing
        .into_iter()
        .filter(|one| !matches!(one, Refusal::Threads(_)));
    if let Some(refusal) = others.next() {
        return Err(refusal);
    }
    let fields = estimator_threads::fields(root);
    Ok(ThreadsReady {
        fields: fields.map_err(Refusal::UnreadableBtf)?,
        module: is_module(root).then_some("ip_vs"),
        root: root.to_owned(),
    })
}

/// Part of the kernel itself, `ip_vs` has parameters and no state.
fn is_module(root: &Path) -> bool {
    let has = |file: &str| root.join(file).exists();
    has("sys/module/ip_vs/initstate") || has(&MODULE_BTF[1..])
}

/// Returns whether kprobes are switched off, so that no probe sees anything.
#[must_use]
pub fn kprobes_are_off(root: &Path) -> bool {
    let switch = fs::read_to_string(root.join("sys/kernel/debug/kprobes/enabled"));
    switch.is_ok_and(|switch| switch.trim() == "0")
}

fn look(root: &Path) -> (Option<Ready>, Vec<Refusal>) {
    let read = |file: &str| fs::read_to_string(root.join(file));
    let release = release(root);
    let mut missing = Vec::new();
    missing.extend(privilege(&read("proc/self/status").unwrap_or_default()).err());
    let ready = match estimation::ip_vs(root) {
        Ok(true) => layout(root, &release),
        Ok(false) => Err(Refusal::NoIpvs(release.clone())),
        Err(error) => Err(Refusal::Unseen(error)),
    };
    let is_blind = matches!(ready, Err(Refusal::Unseen(_)));
    let ready = ready.map_err(|refusal| missing.push(refusal)).ok();
    missing.extend(lockdown(read("sys/kernel/security/lockdown")).err());
    // The loader looks for it at its own place, whatever the root.
    if is_blind {
        // Without sysfs no kprobes are seen either.
    } else if !root.join(KPROBE_TYPE).exists() {
        missing.push(Refusal::NoKprobes(release));
    } else if root != Path::new("/") && !Path::new("/").join(KPROBE_TYPE).exists() {
        missing.push(Refusal::NoSysfs(root.join("sys").display().to_string()));
    }
    if kprobes_are_off(root) {
        missing.push(Refusal::KprobesOff);
    }
    (ready, missing)
}

/// The first Linux whose own `ip_vs` estimates in kernel threads (`net/netfilter/ipvs/ip_vs_est.c`).
const FIRST_WITH_THREADS: (u32, u32) = (6, 2);

/// The first Linux that runs the programs: before it, no raw tracepoint can be run by `BPF_PROG_TEST_RUN`
/// (`net/bpf/test_run.c`).
const FIRST_WITH_EBPF: (u32, u32) = (5, 10);

/// Says what to do where `ip_vs` is not loaded, by the kernel's release: only then no symbol tells.
fn without_ip_vs(release: &str) -> &'static str {
    if version(release) >= Some(FIRST_WITH_THREADS) {
        "nothing needs doing, and once it is loaded, Linux 6.2 and later estimate in kernel threads, which do not block \
         softirqs and which `ipvs-latency check` reports"
    } else {
        "run this on a node whose kube-proxy is in ipvs mode, or load it with `modprobe ip_vs`"
    }
}

/// Returns whether this kernel counts the memory of eBPF maps as locked memory of their user (`bpf_map_charge_init`,
/// `kernel/bpf/syscall.c` of Linux 5.10; Linux 5.11 has no such function).
#[must_use]
pub fn counts_maps_as_locked(root: &Path) -> bool {
    version(&release(root)).is_some_and(|version| version < (5, 11))
}

/// The first two numbers of a release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number()?))
}

const KPROBE_TYPE: &str = "sys/bus/event_source/devices/kprobe/type";

/// The kernel's release, as `uname -r` tells it.
#[must_use]
pub fn release(root: &Path) -> String {
    let release = fs::read_to_string(root.join("proc/sys/kernel/osrelease"));
    release.map_or_else(|_| "unknown".into(), |release| release.trim().to_owned())
}

/// Numbers of capabilities (`include/uapi/linux/capability.h`).
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// Judges the effective capabilities in the text of `/proc/self/status`. What cannot be read is left
/// to the kernel to refuse.
fn privilege(status: &str) -> Result<(), Refusal> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    let Some(effective) = effective else {
        return Ok(());
    };
    let has = |capability: u32| effective >> capability & 1 == 1;
    match (has(CAP_SYS_ADMIN), has(CAP_BPF), has(CAP_PERFMON)) {
        (true, ..) | (_, true, true) => Ok(()),
        (_, false, false) => Err(Refusal::Privilege("both")),
        (_, false, true) => Err(Refusal::Privilege("CAP_BPF")),
        (_, true, false) => Err(Refusal::Privilege("CAP_PERFMON")),
    }
}

/// Returns the structures whose fields are sought in BTF.
fn structures(has_module_btf: bool) -> Vec<&'static str> {
    let mut names = offsets::STRUCTURES.to_vec();
    if !has_module_btf {
        names.extend(offsets::derived::STRUCTURES);
        names.extend(offsets::module_symbols::STRUCTURES);
    }
    names
}

fn layout(root: &Path, release: &str) -> Result<Ready, Refusal> {
    // Before anything is asked of bpf(): that call taints the kernels of RHEL 7.
    if version(release).is_some_and(|version| version < FIRST_WITH_EBPF) {
        return Err(Refusal::NoEbpf(release.to_owned()));
    }
    let kernel = fs::read(root.join("sys/kernel/btf/vmlinux"));
    let kernel = kernel.map_err(|_| Refusal::NoBtf(release.to_owned()))?;
    let module = module_btf(root)?;
    let file = if module.is_some() {
        MODULE_BTF
    } else {
        "/sys/kernel/btf/vmlinux"
    };
    let bad = |error| Refusal::BadBtf {
        file,
        error,
        release: release.to_owned(),
    };
    let no_field = |field| Refusal::Field {
        field,
        release: release.to_owned(),
    };
    let structures = structures(module.is_some());
    let fields = btf::fields(&kernel, module.as_deref(), &structures).map_err(bad)?;
    let layout = if module.is_none() && !fields.has("netns_ipvs") {
        // What estimates is known once the module's functions are read from memory.
        offsets::of_the_kernel(&fields).map_err(no_field)?;
        Layout::OfTheKernel(fields)
    } else {
        let functions = module.as_ref().map(|module| {
            let found = btf::functions(&kernel, module, &Kind::signs());
            found.map_err(bad)
        });
        let kind = Kind::of(functions.transpose()?.unwrap_or_default());
        // BTF leaves out a function that the compiler changed.
        measurable(kind.or_else(|| Kind::read(root)), release)?;
        Layout::Known(offsets::offsets(&fields).map_err(no_field)?)
    };
    Ok(Ready {
        layout,
        module: is_module(root).then_some("ip_vs"),
        root: root.to_owned(),
    })
}

const MODULE_BTF: &str = "/sys/kernel/btf/ip_vs";

/// Returns the BTF of `ip_vs`; `None` where it has none.
fn module_btf(root: &Path) -> Result<Option<Vec<u8>>, Refusal> {
    if withheld::is("module_btf") {
        return Ok(None);
    }
    match fs::read(root.join(&MODULE_BTF[1..])) {
        Ok(module) => Ok(Some(module)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Refusal::UnreadableBtf(error)),
    }
}

/// Checks that this program can measure what estimates. If no function shows it, the structures' fields decide.
///
/// # Errors
///
/// When it cannot.
pub fn measurable(kind: Option<Kind>, release: &str) -> Result<(), Refusal> {
    match kind {
        Some(Kind::Kthread) => Err(Refusal::Threads(release.to_owned())),
        Some(Kind::Vendor) => Err(Refusal::Vendor(release.to_owned())),
        Some(Kind::Timer | Kind::Absent) | None => Ok(()),
    }
}

/// Judges the text of `/sys/kernel/security/lockdown`, where the level in force stands in brackets.
/// Kprobes are among what `confidentiality` forbids and `integrity` does not (`LOCKDOWN_KPROBES`,
/// `include/linux/security.h` of Linux 6.1).
fn lockdown(levels: io::Result<String>) -> Result<(), Refusal> {
    match levels {
        Ok(levels) if levels.contains("[confidentiality]") => Err(Refusal::Lockdown),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(capabilities: &[u32]) -> String {
        let bits: u64 = capabilities.iter().map(|capability| 1 << capability).sum();
        format!("Name:\tipvs-latency\nCapEff:\t{bits:016x}\n")
    }

    #[test]
    fn loading_ip_vs_is_advised_only_where_it_can_then_be_measured() {
        for (release, advised) in [
            ("6.1.0-56-amd64", true),
            ("5.17.3", true),
            ("6.2.0", false),
            ("6.18.5-1-cloud", false),
            ("10.0", false),
            ("unknown", true),
        ] {
            let text = Refusal::NoIpvs(release.into()).to_string();
            assert_eq!(text.contains("modprobe ip_vs"), advised, "{text}");
        }
    }

    #[test]
    fn without_sysfs_it_is_not_known_whether_ip_vs_is_loaded() {
        let root = tempfile::tempdir().unwrap();
        assert!(estimation::ip_vs(root.path()).is_err());
        let missing = survey(root.path()).unwrap_err();
        assert!(matches!(&missing[..], [Refusal::Unseen(_)]), "{missing:?}");
        fs::create_dir_all(root.path().join("sys/module")).unwrap();
        assert!(!estimation::ip_vs(root.path()).unwrap());
        fs::create_dir_all(root.path().join("sys/module/ip_vs")).unwrap();
        assert!(estimation::ip_vs(root.path()).unwrap());
    }

    #[test]
    fn either_root_or_both_new_capabilities_will_do() {
        assert!(privilege(&status(&[CAP_SYS_ADMIN])).is_ok());
        assert!(privilege(&status(&[CAP_BPF, CAP_PERFMON])).is_ok());
        assert!(privilege("").is_ok(), "unknown is for the kernel to judge");
    }

    #[test]
    fn the_capability_that_lacks_is_named() {
        for (held, lacking) in [
            (&[] as &[u32], "lacks both"),
            (&[CAP_BPF], "lacks CAP_PERFMON"),
            (&[CAP_PERFMON], "lacks CAP_BPF"),
        ] {
            let error = privilege(&status(held)).unwrap_err().to_string();
            assert!(error.contains(lacking), "{error}");
        }
    }

    #[test]
    fn lockdown_refuses_only_where_it_forbids_kprobes() {
        assert!(lockdown(Ok("[none] integrity confidentiality\n".into())).is_ok());
        assert!(lockdown(Ok("none [integrity] confidentiality\n".into())).is_ok());
        assert!(lockdown(Ok("none integrity [confidentiality]\n".into())).is_err());
        assert!(lockdown(Err(io::ErrorKind::NotFound.into())).is_ok());
    }

    type File<'a> = (&'a str, &'a [u8]);

    /// A host's files, written under a folder of its own.
    fn host(files: &[File<'_>]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (file, content) in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    #[test]
    fn all_that_is_missing_is_told_and_the_first_alone_where_one_is_enough() {
        let root = host(&[
            ("proc/self/status", status(&[]).as_bytes()),
            ("sys/kernel/debug/kprobes/enabled", b"0\n"),
            ("sys/module/nf_conntrack/refcnt", b"0"),
        ]);
        let missing = survey(root.path()).unwrap_err();
        let told: Vec<&str> = missing.iter().map(Refusal::brief).collect();
        assert_eq!(
            told,
            [
                "CAP_BPF and CAP_PERFMON are needed: run it as root",
                "the module ip_vs is not loaded, no estimator is there",
                "this kernel has no kprobes",
                "kprobes are switched off on this host",
            ]
        );
        assert!(told.iter().all(|brief| brief.len() <= 60));
        let first = examine(root.path()).unwrap_err();
        assert_eq!(first.to_string(), missing[0].to_string());
    }

    #[test]
    fn an_ip_vs_that_cannot_be_seen_is_not_said_to_be_absent() {
        let root = host(&[("sys", b"no folder")]);
        let missing = survey(root.path()).unwrap_err();
        assert!(matches!(missing[0], Refusal::Unseen(_)), "{missing:?}");
        assert!(missing[0].brief().len() <= 60);
    }

    #[test]
    fn maps_are_locked_memory_on_5_10_and_not_on_what_has_no_release() {
        let root = tempfile::tempdir().unwrap();
        assert!(!counts_maps_as_locked(root.path()));
        let folder = root.path().join("proc/sys/kernel");
        fs::create_dir_all(&folder).unwrap();
        for (release, counts) in [
            ("5.10.0-46-amd64", true),
            ("5.11.0", false),
            ("6.1.0", false),
        ] {
            fs::write(folder.join("osrelease"), release).unwrap();
            assert_eq!(counts_maps_as_locked(root.path()), counts, "{release}");
        }
    }

    #[test]
    fn each_refusal_is_of_ebpf_alone_or_of_every_mechanism() {
        let release = || "5.4.0".to_owned();
        for (refusal, is_of_ebpf) in [
            (Refusal::NoEbpf(release()), true),
            (Refusal::NoBtf(release()), true),
            (Refusal::Lockdown, true),
            (Refusal::KprobesOff, true),
            (Refusal::Privilege("CAP_BPF"), true),
            (Refusal::Privilege("CAP_PERFMON"), false),
            (Refusal::Privilege("both"), false),
            (Refusal::NoIpvs(release()), false),
            (Refusal::Threads(release()), false),
            (Refusal::Vendor(release()), false),
        ] {
            assert_eq!(refusal.is_of_ebpf(), is_of_ebpf, "{refusal}");
        }
    }

    #[test]
    fn each_missing_thing_is_one_sentence_with_the_release_and_what_to_do() {
        let release: File<'_> = ("proc/sys/kernel/osrelease", b"6.1.0-56-amd64\n");
        let other: File<'_> = ("sys/module/nf_conntrack/refcnt", b"0");
        let ip_vs: File<'_> = ("sys/module/ip_vs/refcnt", b"0");
        let cases: [(&[File<'_>], &str); 3] = [
            (&[release, other], "modprobe ip_vs"),
            (&[release, ip_vs], "CONFIG_DEBUG_INFO_BTF=y"),
            (
                &[release, ip_vs, ("sys/kernel/btf/vmlinux", b"rubbish")],
                "magic number",
            ),
        ];
        for (files, advice) in cases {
            let root = host(files);
            let error = examine(root.path()).unwrap_err().to_string();
            assert!(error.contains(advice), "{error}");
            assert!(error.contains("6.1.0-56-amd64"), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
