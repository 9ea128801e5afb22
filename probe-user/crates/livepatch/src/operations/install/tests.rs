use super::*;
use crate::{
    made_node::{MadeNode, RELEASE},
    operations::uninstall::{self, Kernels},
    store::installed::Installed,
    transaction::journal::Phase,
};
use livepatch_image::samples::{sample_file, sample_that_kills};

fn try_install(node: &MadeNode, file: &Path, accept: &[&str]) -> anyhow::Result<Settled> {
    let accept: Vec<String> = accept.iter().map(ToString::to_string).collect();
    let asked = Asked {
        file,
        accept: &accept,
    };
    let own = node.root().join("usr/sbin/tool");
    let program = Program {
        path: Path::new("/usr/sbin/tool"),
        file: &own,
    };
    install(&asked, &node.site(), &program)
}

fn refusal(node: &MadeNode, file: &Path, accept: &[&str]) -> String {
    let before = all_files(node.root());
    let error = try_install(node, file, accept).unwrap_err();
    let lock = node.state_dir().join("hotfixes/lock");
    let mut after = all_files(node.root());
    after.retain(|file| *file != lock);
    assert!(
        before
            .iter()
            .all(|file| *file == lock || after.contains(file))
    );
    assert_eq!(
        after.len(),
        before.iter().filter(|file| **file != lock).count(),
        "{error:#}: {after:?}"
    );
    format!("{error:#}")
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files.extend(all_files(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files
}

fn uninstall(node: &MadeNode, name: &str) -> anyhow::Result<Settled> {
    let asked = uninstall::Asked {
        name,
        kernels: Kernels::Running,
    };
    uninstall::run(&asked, &node.site())
}

/// Names and what was accepted.
fn installed(node: &MadeNode) -> Vec<(String, Vec<String>)> {
    let all = Store::of(&node.state_dir()).all().unwrap().into_iter();
    let told = all.map(|Installed { place, record }| {
        assert_eq!(place.release, RELEASE);
        (place.name, record.unwrap().accepted)
    });
    told.collect()
}

fn unit(node: &MadeNode, name: &str) -> PathBuf {
    node.root().join("etc/systemd/system").join(name)
}

#[test]
fn a_hotfix_is_kept_with_the_units_until_the_last_one_is_uninstalled() {
    let node = MadeNode::new();
    let (one, two) = (node.module("one_", 500), node.module("two_", 500));
    for file in [&one, &two, &one] {
        assert_eq!(try_install(&node, file, &[]).unwrap(), Settled::Whole);
    }
    assert_eq!(
        installed(&node),
        [
            ("one_".to_owned(), Vec::new()),
            ("two_".to_owned(), Vec::new())
        ]
    );
    let text = fs::read_to_string(unit(&node, LOAD)).unwrap();
    assert!(
        text.contains("/usr/sbin/tool --root / --state-dir /var/lib/state hotfix load --all"),
        "{text}"
    );
    assert_eq!(uninstall(&node, "one-").unwrap(), Settled::Whole);
    assert!(unit(&node, LOAD).exists() && unit(&node, SHUT_DOWN).exists());
    assert_eq!(uninstall(&node, "two_").unwrap(), Settled::Whole);
    assert!(!unit(&node, LOAD).exists() && !unit(&node, SHUT_DOWN).exists());
    let error = uninstall(&node, "two_").unwrap_err().to_string();
    assert!(error.contains("no hotfix two_ is installed"), "{error}");
}

#[test]
fn a_person_is_told_what_is_installed_and_what_loads_it() {
    let (node, without_systemd) = (MadeNode::new(), MadeNode::new());
    let told = |node: &MadeNode| {
        let before = node.world().reported();
        try_install(node, &node.module("good", 500), &[]).unwrap();
        let told = node.world().reported();
        let lines = told.strip_prefix(&before).unwrap().trim_start().lines();
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let assert_told = |lines: &[String], words: &[&str]| {
        assert_eq!(lines.len(), words.len(), "{lines:?}");
        for (line, words) in lines.iter().zip(words) {
            assert!(line.contains(words), "no {words:?} in {line:?}");
        }
    };
    let at_boot =
        "/ipvs-latency-hotfix.service loads it at every boot of that kernel, by /usr/sbin/tool";
    let at_shutdown = "notes every shutdown, so that it is not taken for a crash.";
    let now = "or now with `ipvs-latency hotfix load --all`.";
    let first = "good is installed, for Linux 6.1.0-56-amd64: ";
    assert_told(&told(&node), &[first, at_boot, at_shutdown, now, "Undo: "]);
    let again = "good was installed already, from the same file, for Linux 6.1.0-56-amd64: ";
    assert_told(&told(&node), &[again, at_boot, at_shutdown, now]);
    without_systemd.world().remove("run/systemd");
    let nothing = "Nothing loads it at boot, for this host has no systemd: have `/usr/sbin/tool";
    assert_told(&told(&without_systemd), &[first, nothing, now, "Undo: "]);
}

/// An earlier version left them readable.
#[test]
fn install_and_uninstall_close_the_whole_folder_of_state_to_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let node = MadeNode::new();
    let (one, two) = (node.module("one_", 500), node.module("two_", 500));
    try_install(&node, &one, &[]).unwrap();
    let state = node.state_dir();
    let folders = [
        state.clone(),
        state.join("hotfixes"),
        state.join("hotfixes").join(RELEASE),
    ];
    let modes = || {
        let mode = |folder: &PathBuf| fs::metadata(folder).unwrap().permissions().mode() & 0o777;
        folders.iter().map(mode).collect::<Vec<_>>()
    };
    let loosen = || {
        for folder in &folders {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        }
    };
    loosen();
    try_install(&node, &two, &[]).unwrap();
    assert_eq!(modes(), [0o700; 3]);
    loosen();
    uninstall(&node, "two_").unwrap();
    assert_eq!(modes(), [0o700; 3]);
}

#[test]
fn what_could_never_be_loaded_is_refused_and_what_only_could_not_be_now_is_installed() {
    let node = MadeNode::new();
    let good = node.module("good", 500);
    for (path, content, name) in [
        (
            "proc/sys/kernel/osrelease",
            "6.1.0-57-amd64",
            "other-kernel",
        ),
        (
            "sys/module/module/parameters/sig_enforce",
            "Y",
            "signature-required",
        ),
        (
            "sys/kernel/security/lockdown",
            "none [integrity]",
            "lockdown",
        ),
    ] {
        node.write(path, content);
        let error = refusal(&node, &good, &[]);
        assert!(error.contains(&format!("blocker {name}")), "{error}");
        fs::remove_file(node.root().join(path)).unwrap();
        node.write("proc/sys/kernel/osrelease", RELEASE);
    }
    let odd = node.file("odd_", &sample_file("o/d_", 500));
    let error = refusal(&node, &odd, &[]);
    assert!(error.contains("blocker name-unusable"), "{error}");
    // It is loaded already, ftrace is off, and ip_vs is not there: another boot may have all that otherwise.
    node.put_in_force("good", "ip_vs");
    node.write("proc/sys/kernel/ftrace_enabled", "0");
    fs::remove_dir(node.root().join("sys/module/ip_vs")).unwrap();
    try_install(&node, &good, &[]).unwrap();
    assert_eq!(installed(&node).len(), 1);
}

#[test]
fn a_warning_is_accepted_by_name_and_that_is_written_down() {
    let node = MadeNode::new();
    let kills = node.file("kill", &sample_that_kills("kill"));
    let error = refusal(&node, &kills, &["replaces-others"]);
    assert!(error.contains("--accept no-rearm"), "{error}");
    let accept = ["no-rearm", "replaces-others", "no-rearm"];
    try_install(&node, &kills, &accept).unwrap();
    let accepted = vec!["no-rearm".to_owned(), "replaces-others".to_owned()];
    assert_eq!(installed(&node), [("kill".to_owned(), accepted)]);
    let content = sample_file("fell", 500);
    let fell = node.file("fell", &content);
    node.note("fell", &content, "last", Phase::InForce);
    let error = refusal(&node, &fell, &[]);
    assert!(error.contains("--accept crashed-here-before"), "{error}");
    try_install(&node, &fell, &["crashed-here-before"]).unwrap();
    let store = Store::of(&node.state_dir());
    let place = Place {
        release: RELEASE.into(),
        name: "fell".into(),
    };
    let record = store.read(&place).unwrap().unwrap();
    assert_eq!(record.accepted_crash.as_deref(), Some("last"));
}

#[test]
fn another_file_under_a_name_that_is_taken_is_refused() {
    let node = MadeNode::new();
    try_install(&node, &node.module("same", 500), &[]).unwrap();
    let error = refusal(&node, &node.module("same", 250), &[]);
    assert!(error.contains("hotfix uninstall same"), "{error}");
    uninstall(&node, "same").unwrap();
    try_install(&node, &node.module("same", 250), &[]).unwrap();
}

#[test]
fn a_host_without_systemd_keeps_it_and_one_that_could_not_load_it_is_told() {
    let node = MadeNode::new();
    let file = node.module("good", 500);
    // Elsewhere than the host's program, as in a container.
    node.write("usr/sbin/tool", "another program");
    let asked = Asked {
        file: &file,
        accept: &[],
    };
    node.write("own", "a program");
    let own = node.root().join("own");
    let program = Program {
        path: Path::new("/usr/sbin/tool"),
        file: &own,
    };
    let error = install(&asked, &node.site(), &program).unwrap_err();
    assert!(
        format!("{error:#}").contains("another program"),
        "{error:#}"
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let error = install(
        &asked,
        &node.site().with_state_dir(elsewhere.path()),
        &program,
    )
    .unwrap_err();
    assert!(
        format!("{error:#}").contains("not among the host's files"),
        "{error:#}"
    );
    assert_eq!(installed(&node), []);
    fs::remove_dir_all(node.root().join("run/systemd")).unwrap();
    install(&asked, &node.site(), &program).unwrap();
    assert_eq!(installed(&node).len(), 1);
    assert!(!node.root().join("etc/systemd").exists());
}

#[test]
fn what_cannot_be_written_leaves_nothing_behind() {
    let node = MadeNode::new();
    let file = node.module("good", 500);
    node.write("etc", "in the way");
    let error = refusal(&node, &file, &[]);
    assert!(
        error.contains("good is not installed: the unit "),
        "{error}"
    );
    fs::remove_file(node.root().join("etc")).unwrap();
    let taken = format!("var/lib/state/hotfixes/{RELEASE}/good.ko");
    node.write(&format!("{taken}/in/the/way"), "");
    let error = refusal(&node, &file, &[]);
    assert!(error.contains("cannot be written"), "{error}");
    fs::remove_dir_all(node.root().join(taken)).unwrap();
    try_install(&node, &file, &[]).unwrap();
}

#[test]
fn units_that_cannot_be_written_are_removed_unless_another_hotfix_needs_them() {
    for is_needed in [true, false] {
        let node = MadeNode::new();
        let link = format!("etc/systemd/system/multi-user.target.wants/{LOAD}");
        if is_needed {
            try_install(&node, &node.module("one_", 500), &[]).unwrap();
            node.world().remove(&link);
        }
        // What is in the way of the link keeps the unit from being removed, too, where that is tried.
        node.write(&format!("{link}/in/the/way"), "");
        let ended = try_install(&node, &node.module("two_", 500), &[]);
        assert_eq!(ended.ok(), (!is_needed).then_some(Settled::Half));
        assert_eq!(installed(&node).len(), usize::from(is_needed));
    }
}

#[test]
fn what_could_not_be_removed_is_installed_whole_or_half() {
    let left = |kind: &str| {
        let node = MadeNode::new();
        try_install(&node, &node.module("good", 500), &[]).unwrap();
        let file = format!("var/lib/state/hotfixes/{RELEASE}/good.{kind}");
        node.world().remove(&file);
        node.write(&format!("{file}/in/the/way"), "");
        let ended = uninstall(&node, "good").map_err(|error| format!("{error:#}"));
        (ended, node.world().said())
    };
    let (ended, said) = left("json");
    let refused = ended.unwrap_err();
    assert!(
        refused.starts_with("good is not uninstalled: "),
        "{refused}"
    );
    assert!(!said.contains("half uninstalled"), "{said}");
    let (ended, said) = left("ko");
    assert_eq!(ended, Ok(Settled::Half));
    assert!(said.contains("error: good is half uninstalled: "), "{said}");
}

#[test]
fn who_uninstalls_the_last_one_is_told_what_systemd_has_to_forget() {
    let node = MadeNode::new();
    for name in ["one_", "two_"] {
        try_install(&node, &node.module(name, 500), &[]).unwrap();
    }
    let reload = "note: run `systemctl daemon-reload` and `systemctl start ";
    assert_eq!(node.world().said().matches(reload).count(), 2);
    let forget = format!("note: run `systemctl stop {LOAD} {SHUT_DOWN}`");
    for (name, is_last) in [("one_", false), ("two_", true)] {
        assert_eq!(uninstall(&node, name).unwrap(), Settled::Whole);
        let said = node.world().said();
        assert_eq!(said.contains(&forget), is_last, "{name}: {said}");
    }
}
