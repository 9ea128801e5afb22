use std::os::unix::fs::symlink;

use super::*;

/// A host whose namespaces are all the one of this test: another one cannot be made without privilege.
struct Host {
    root: tempfile::TempDir,
    netns: u32,
}

impl Host {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            netns: own_inode(Path::new("/")).unwrap(),
        }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    /// Makes a file that stands for a namespace: for the one of this test, or for one that is none.
    fn file(&self, below: &str, is_namespace: bool) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let kind = if is_namespace { "net" } else { "uts" };
        symlink(format!("/proc/self/ns/{kind}"), path).unwrap();
    }

    /// Makes a process with a mount namespace, and the network namespaces mounted there.
    fn mounts(&self, process: &str, mount_namespace: u32, points: &[&str]) {
        let folder = self.path("proc").join(process);
        fs::create_dir_all(folder.join("ns")).unwrap();
        symlink(format!("mnt:[{mount_namespace}]"), folder.join("ns/mnt")).unwrap();
        let line =
            |point: &&str| format!("1 2 0:4 net:[{}] {point} rw - nsfs nsfs rw\n", self.netns);
        let lines: String = points.iter().map(line).collect();
        fs::write(folder.join("mountinfo"), lines).unwrap();
    }

    fn doors(&self) -> Doors {
        Doors::read(self.root.path())
    }
}

#[test]
fn what_stays_comes_before_what_may_end() {
    let host = Host::new();
    host.mounts("1", 1, &["/run/docker/netns/ingress_sbox"]);
    host.mounts("30", 2, &["/tmp/held"]);
    // In the mount namespace of process 1.
    host.mounts("31", 1, &["/never/read"]);
    let mut doors = host.doors();
    doors.add_process(host.netns, 42);
    assert_eq!(doors.name(host.netns).unwrap(), "ingress_sbox (docker)");
    assert_eq!(doors.named("held"), [host.netns]);
    assert!(doors.named("read").is_empty());
    assert_eq!(doors.path(host.netns), None, "none of the files is there");
    for (file, expected) in [
        ("proc/42/ns/net", "proc/42/ns/net"),
        ("proc/30/root/tmp/held", "proc/30/root/tmp/held"),
        (
            "proc/1/root/run/docker/netns/ingress_sbox",
            "proc/1/root/run/docker/netns/ingress_sbox",
        ),
        (
            "run/docker/netns/ingress_sbox",
            "run/docker/netns/ingress_sbox",
        ),
        // Of the process that never ends, if it lives there.
        ("proc/1/ns/net", "run/docker/netns/ingress_sbox"),
    ] {
        host.file(file, true);
        let path = host.path(expected);
        assert_eq!(doors.path(host.netns), Some(path.clone()), "with {file}");
        assert_eq!(doors.open(host.netns).unwrap().path, path);
    }
    doors.add_process(host.netns, 1);
    assert_eq!(doors.path(host.netns), Some(host.path("proc/1/ns/net")));
    host.file("mine", true);
    doors.add_given(&host.path("mine")).unwrap();
    assert_eq!(doors.path(host.netns), Some(host.path("mine")));
}

#[test]
fn a_file_that_leads_elsewhere_by_now_is_no_door() {
    let host = Host::new();
    host.mounts("self", 1, &["/nowhere/at/all"]);
    host.mounts("1", 2, &["/run/netns/blue", "/run/netns/red"]);
    host.file("run/netns/blue", false);
    let doors = host.doors();
    assert_eq!(doors.path(host.netns), None);
    let error = doors.open(host.netns).unwrap_err().to_string();
    assert!(error.contains("/nowhere/at/all"), "the first: {error}");
    host.file("run/netns/red", true);
    assert_eq!(doors.path(host.netns), Some(host.path("run/netns/red")));
    let error = doors.open(host.netns + 1).unwrap_err().to_string();
    assert!(error.contains("no process lives there"), "{error}");
}

#[test]
fn a_path_that_a_shell_would_read_otherwise_is_in_no_command() {
    let host = Host::new();
    host.mounts("1", 1, &["/run/netns/$(reboot)", "/run/netns/blue"]);
    host.file("run/netns/$(reboot)", true);
    let doors = host.doors();
    assert_eq!(
        doors.path(host.netns),
        Some(host.path("run/netns/$(reboot)"))
    );
    assert_eq!(doors.plain(host.netns), None);
    host.file("run/netns/blue", true);
    let plain = host.path("run/netns/blue");
    assert_eq!(doors.plain(host.netns).as_deref(), plain.to_str());
}

#[test]
fn this_process_is_a_way_in_and_no_door_for_others() {
    let host = Host::new();
    fs::create_dir_all(host.path("proc/77/ns")).unwrap();
    symlink("77", host.path("proc/self")).unwrap();
    host.file("proc/77/ns/net", true);
    assert_eq!(own_pid(host.root.path()), Some(77));
    let doors = host.doors();
    assert_eq!(doors.path(host.netns), None);
    assert!(doors.open(host.netns).is_ok());
    assert_eq!(doors.inside(host.netns, || Ok(7)).unwrap(), 7);
}

#[test]
fn a_thousand_mounts_of_a_namespace_are_read_and_few_are_kept() {
    let host = Host::new();
    let points: Vec<String> = (0..1_000).map(|number| format!("/m/{number}")).collect();
    let points: Vec<&str> = points.iter().map(String::as_str).collect();
    host.mounts("1", 1, &points);
    host.mounts("2", 2, &points);
    let doors = host.doors();
    assert_eq!(doors.mounted().collect::<Vec<_>>(), [host.netns]);
    assert!(doors.paths(host.netns).len() < 20);
    assert_eq!(doors.name(host.netns).as_deref(), Some("0"));
}
