//! Every reader of bytes that others wrote, as a function of bytes alone. The fuzz targets of `fuzz/` and a test on
//! stable Rust feed them in the same way. A reader passes where it answers, whatever it answers.

mod grown;

use std::{
    cell::OnceCell,
    fs::{self, File, OpenOptions},
    hint::black_box,
    io::{self, Write as _},
    os::unix::fs::symlink,
    path::Path,
    sync::OnceLock,
};

use nix::errno::Errno;
use tempfile::TempDir;

use host::{boot, btf, estimation::Kind, fuzzed as kernel, netns_owners::NetnsOwners};
use livepatch::fuzzed as hotfix;

/// A reader by the name of its fuzz target, of its folder of seeds, and of its function here.
pub type Reader = (&'static str, fn(&[u8]));

/// All of them.
pub const READERS: [Reader; 14] = [
    ("btf", btf),
    ("cgroup", cgroup),
    ("host", host),
    ("journal", journal),
    ("kallsyms", kallsyms),
    ("kernel_log", kernel_log),
    ("kernel_memory", kernel_memory),
    ("module", module),
    ("module_grown", module_grown),
    ("process", process),
    ("reason", reason),
    ("record", record),
    ("refusal", refusal),
    ("wtmp", wtmp),
];

/// What separates the files of an input that stands for several.
const SEPARATOR: u8 = 0x1e;

/// Feeds a file to the reader of modules.
pub fn module(bytes: &[u8]) {
    hotfix::module(bytes);
}

/// Feeds the kernel's memory to what looks for namespaces, threads and fields in it.
pub fn kernel_memory(bytes: &[u8]) {
    kernel::kernel_memory(bytes);
}

/// Feeds a large module, made from a few bytes, to the reader of modules.
pub fn module_grown(bytes: &[u8]) {
    hotfix::module(&grow(bytes));
}

/// Returns the large module that a few bytes stand for.
#[must_use]
pub fn grow(bytes: &[u8]) -> Vec<u8> {
    grown::module(bytes)
}

/// Feeds the kernel's BTF, and a module's behind it, to the reader of BTF.
pub fn btf(bytes: &[u8]) {
    let wanted = ["net", "netns_ipvs", "klp_patch"];
    // A module's offsets continue where the kernel's end, so that the boundary may be anywhere.
    let middle = bytes
        .first()
        .map_or(0, |first| usize::from(*first) * bytes.len() / 256);
    let (kernel, module) = bytes
        .get(1..)
        .unwrap_or_default()
        .split_at(middle.saturating_sub(1));
    for (kernel, module) in [(bytes, None), (kernel, Some(module)), (bytes, Some(bytes))] {
        if let Ok(fields) = btf::fields(kernel, module, &wanted) {
            black_box((fields.offset("net", "ipvs"), fields.has("klp_patch")));
        }
        let module = module.unwrap_or_default();
        let _ = black_box(btf::functions(kernel, module, &Kind::signs()));
    }
}

/// Feeds a list of symbols to those who look for functions in it.
pub fn kallsyms(bytes: &[u8]) {
    under(&[("proc/kallsyms", bytes)], |root| {
        kernel::symbols(root);
        hotfix::node(root, any_module());
    });
}

/// Feeds the text of a process's cgroup.
pub fn cgroup(bytes: &[u8]) {
    kernel::cgroup(bytes);
}

/// Feeds a record of logins and shutdowns.
pub fn wtmp(bytes: &[u8]) {
    let files: [(&str, &[u8]); 2] = [("var/log/wtmp", bytes), ("proc/stat", b"btime 5000\n")];
    under(&files, |root| {
        black_box(boot::Boot::read(root).had_orderly_shutdown_since(1_000));
    });
}

/// Feeds what a process says of itself: stat, cgroup, name, environment.
pub fn process(bytes: &[u8]) {
    let [stat, cgroup, comm, environ] = parts(bytes);
    let files = [
        ("proc/7/stat", stat),
        ("proc/7/cgroup", cgroup),
        ("proc/7/comm", comm),
        ("proc/7/environ", environ),
        ("proc/7/task/7/stat", stat),
        ("proc/7/task/7/comm", comm),
        ("proc/7/task/7/stack", environ),
        ("proc/7/task/7/patch_state", b"0\n"),
    ];
    under(&files, |root| {
        let namespace = root.join("proc/7/ns/net");
        if namespace.symlink_metadata().is_err() {
            let folder = namespace.parent().unwrap_or(root);
            let linked = fs::create_dir_all(folder)
                .and_then(|()| std::os::unix::fs::symlink("net:[4026531840]", &namespace));
            certain(linked);
        }
        let mut found = NetnsOwners::read(root);
        found.read_again(root);
        black_box(found.who(4_026_531_840));
        hotfix::stalled(root);
    });
}

/// Feeds the kernel's texts about this host, all of them the same bytes.
pub fn host(bytes: &[u8]) {
    const FILES: [&str; 21] = [
        "etc/hostname",
        "lib/modules/6.1/modules.dep",
        "proc/7/net/ip_vs",
        "proc/7/net/ip_vs_stats",
        "proc/7/net/ip_vs_stats_percpu",
        "proc/irq/5/smp_affinity_list",
        "proc/self/status",
        "proc/self/uid_map",
        "proc/sys/kernel/ftrace_enabled",
        "proc/sys/kernel/kptr_restrict",
        "proc/sys/kernel/random/boot_id",
        "proc/stat",
        "sys/class/net/eth0/device/msi_irqs/5",
        "sys/class/net/eth0/queues/rx-0/rps_cpus",
        "sys/devices/system/cpu/online",
        "sys/devices/system/cpu/possible",
        "sys/kernel/security/lockdown",
        "sys/module/ip_vs/initstate",
        "sys/module/ip_vs/notes/.note.gnu.build-id",
        "sys/kernel/tracing/available_filter_functions",
        "sys/kernel/tracing/enabled_functions",
    ];
    let mut files: Vec<(&str, &[u8])> = FILES.iter().map(|file| (*file, bytes)).collect();
    files.push(("proc/sys/kernel/osrelease", b"6.1\n"));
    under(&files, |root| {
        kernel::host(root);
        hotfix::node(root, any_module());
    });
    hotfix::loaded_modules(bytes);
}

/// Feeds records of the kernel's log.
pub fn kernel_log(bytes: &[u8]) {
    under(&[("dev/kmsg", b"")], |root| {
        hotfix::kernel_log(root, || {
            let opened = OpenOptions::new().append(true).open(root.join("dev/kmsg"));
            let written = opened.and_then(|mut file| file.write_all(bytes));
            certain(written);
        });
    });
}

/// Feeds the lines that say why tasks keep a transition, and the file that switches them.
pub fn reason(bytes: &[u8]) {
    hotfix::reasons(&lines(bytes));
    under(&[("proc/dynamic_debug/control", bytes)], hotfix::messages);
}

/// Feeds the lines that say why the kernel refused a module.
pub fn refusal(bytes: &[u8]) {
    let errno = bytes.first().map_or(0, |first| i32::from(*first));
    hotfix::refusal(Errno::from_raw(errno), &lines(bytes), any_module());
}

/// Feeds a journal.
pub fn journal(bytes: &[u8]) {
    under(&[("state/journal.json", bytes)], hotfix::journal);
}

/// Feeds what was written down of an installed hotfix.
pub fn record(bytes: &[u8]) {
    under(&[("state/hotfixes/6.1/est.json", bytes)], hotfix::installed);
}

/// Returns a module, where it does not matter which.
fn any_module() -> &'static [u8] {
    static MODULE: OnceLock<Vec<u8>> = OnceLock::new();
    MODULE.get_or_init(|| grow(&[]))
}

fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().map(str::to_owned).collect()
}

/// Returns the files of an input, in order; those that it does not have are empty.
fn parts<const N: usize>(bytes: &[u8]) -> [&[u8]; N] {
    let mut rest = bytes.split(|byte| *byte == SEPARATOR);
    std::array::from_fn(|_| rest.next().unwrap_or_default())
}

/// Reads from a root folder that has these files.
fn under(files: &[(&str, &[u8])], read: impl FnOnce(&Path)) {
    thread_local! {
        // One for all inputs of a thread: to make a folder takes longer than to read from it.
        static ROOT: OnceCell<TempDir> = const { OnceCell::new() };
    }
    ROOT.with(|root| {
        let root = root.get_or_init(|| {
            let root = tempfile::tempdir().expect("a temporary folder");
            let namespace = root.path().join("proc/7/ns");
            fs::create_dir_all(&namespace)
                .and_then(|()| symlink("net:[1]", namespace.join("net")))
                .expect("a folder of our own");
            root
        });
        for (file, content) in files {
            put(&root.path().join(file), content);
        }
        read(root.path());
    });
}

fn put(file: &Path, content: &[u8]) {
    let made = File::create(file).or_else(|_| {
        fs::create_dir_all(file.parent().unwrap_or(file))?;
        File::create(file)
    });
    let written = made.and_then(|mut file| file.write_all(content));
    certain(written);
}

/// Panics where our own folder fails: that is no fault of a reader or an input.
fn certain(done: io::Result<()>) {
    done.expect("a folder of our own can be written to");
}

#[cfg(test)]
mod tests;
