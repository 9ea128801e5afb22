use std::os::unix::fs::symlink;

use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const UID: &str = "1b6ba2ee_4f4e_4a1c_9a53_0c1f7d2f6a11";

/// A host's `/proc`, made process by process.
struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        host.process(1, 1, "init", "0::/init.scope", b"");
        host.process(2, 1, "kthreadd", "0::/", b"");
        host
    }

    /// What a container with process ids of its own sees.
    fn container() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        host.process(1, 7, "tini", "0::/", b"");
        host.process(2, 7, "sh", "0::/", b"");
        host
    }

    fn started(&self, pid: u32, comm: &str, ticks: u64) {
        let before = "S 1 10 10 0 -1 4194560 9 0 0 0 0 0 0 0 20 0 1 0";
        let stat = format!("{pid} ({comm}) {before} {ticks} 1000 20\n");
        fs::write(self.0.path().join(format!("proc/{pid}/stat")), stat).unwrap();
    }

    fn environ(&self, pid: u32, environ: &[u8]) {
        fs::write(self.0.path().join(format!("proc/{pid}/environ")), environ).unwrap();
    }

    fn process(&self, pid: u32, netns: u32, comm: &str, cgroup: &str, environ: &[u8]) {
        let folder = self.0.path().join(format!("proc/{pid}"));
        fs::create_dir_all(folder.join("ns")).unwrap();
        symlink(format!("net:[{netns}]"), folder.join("ns/net")).unwrap();
        fs::write(folder.join("comm"), format!("{comm}\n")).unwrap();
        fs::write(folder.join("cgroup"), format!("{cgroup}\n")).unwrap();
        fs::write(folder.join("environ"), environ).unwrap();
    }

    fn read(&self) -> NetnsOwners {
        NetnsOwners::read(self.0.path())
    }
}

fn pod() -> String {
    format!("0::/kubepods.slice/kubepods-burstable-pod{UID}.slice/cri-containerd-{ID}.scope")
}

#[test]
fn a_pod_is_called_by_the_host_name_of_one_of_its_first_processes() {
    let host = Host::new();
    host.process(10, 7, "pause", &pod(), b"PATH=/bin\0");
    let environ = b"A=HOSTNAME=no\0HOSTNAME=coredns-5d78c9869d-abcde\0SECRET=x\0";
    host.process(11, 7, "coredns", &pod(), environ);
    host.process(12, 7, "sh", "0::/", b"");
    assert_eq!(host.read().who(7), Some("pod coredns-5d78c9869d-abcde"));
    assert_eq!(host.read().doors().process(7), Some(10));
}

#[test]
fn a_pod_without_a_name_and_a_container_are_called_by_what_their_cgroup_tells() {
    let host = Host::new();
    host.process(10, 7, "pause", &pod(), b"HOSTNAME=\x1b[31m\0");
    host.process(
        20,
        8,
        "nginx",
        &format!("0::/system.slice/docker-{ID}.scope"),
        b"",
    );
    let found = host.read();
    assert_eq!(found.who(7), Some("pod 1b6ba2ee"));
    assert_eq!(found.who(8), Some("container 0123456789ab"));
}

#[test]
fn other_processes_are_called_by_the_first_and_how_many_more() {
    let host = Host::new();
    host.process(9, 7, "haproxy", "0::/", b"");
    host.process(100, 7, "sh", "0::/", b"");
    host.process(30, 7, "bash", "0::/", b"");
    host.process(40, 8, "a\x1b[2Jb", "0::/", b"");
    let found = host.read();
    assert_eq!(found.who(7), Some("haproxy + 2 more"));
    assert_eq!(found.who(8), Some("a?[2Jb"));
    assert_eq!(found.who(9), None);
}

#[test]
fn the_host_is_the_host_whoever_shares_its_namespace() {
    let host = Host::new();
    host.process(10, 1, "pause", &pod(), b"HOSTNAME=node-exporter\0");
    assert_eq!(host.read().who(1), Some("host"));
}

#[test]
fn a_process_that_ends_meanwhile_is_not_hidden() {
    let host = Host::new();
    fs::create_dir_all(host.0.path().join("proc/50")).unwrap();
    fs::create_dir_all(host.0.path().join("proc/sys")).unwrap();
    assert!(host.read().sees_all());
    assert_eq!(host.read().told_hidden(), None);
}

#[test]
fn the_first_process_of_a_container_is_not_the_host() {
    let container = Host::container();
    let mut found = container.read();
    assert_eq!(found.who(7), Some("tini + 1 more"));
    assert!(!found.sees_all());
    let told = found.told_hidden().unwrap();
    assert!(told.contains("of a container") && told.contains("CAP_SYS_PTRACE"));
    // The kernel knows which is the root namespace, whoever is in sight.
    found.set_root_netns(1);
    found.read_again(container.0.path());
    assert_eq!(
        (found.who(1), found.who(7)),
        (Some("host"), Some("tini + 1 more"))
    );
}

#[test]
fn the_kernel_has_the_say_and_a_process_called_host_is_not_the_host() {
    let host = Host::new();
    host.process(10, 7, "host", "0::/", b"");
    let mut found = host.read();
    assert_eq!((found.who(1), found.who(7)), (Some("host"), Some("host")));
    found.set_root_netns(7);
    assert_eq!(found.who(1), Some("init + 1 more"));
    found.set_root_netns(1);
    assert_eq!((found.who(1), found.who(7)), (Some("host"), Some("host")));
}

#[test]
fn an_environment_is_read_once_until_the_process_is_another() {
    let host = Host::new();
    host.process(10, 7, "app", &pod(), b"HOSTNAME=first\0");
    host.started(10, "a) (b", 5_000);
    let mut found = host.read();
    assert_eq!(found.who(7), Some("pod first"));
    host.environ(10, b"HOSTNAME=second\0");
    found.read_again(host.0.path());
    assert_eq!(found.who(7), Some("pod first"), "read again");
    for (comm, ticks, name) in [("a) (b", 5_001, "second"), ("app", 5_001, "third")] {
        host.environ(10, format!("HOSTNAME={name}\0").as_bytes());
        host.started(10, comm, ticks);
        found.read_again(host.0.path());
        assert_eq!(found.who(7), Some(format!("pod {name}").as_str()));
    }
    fs::remove_dir_all(host.0.path().join("proc/10")).unwrap();
    found.read_again(host.0.path());
    assert!(found.host_names.is_empty(), "of those that are gone");
}

#[test]
fn of_an_endless_environment_only_the_beginning_is_read() {
    let host = Host::new();
    let mut environ = vec![b'x'; 64 * 1024 - 15];
    environ.extend(b"\0HOSTNAME=web-0-and-more\0");
    host.process(10, 7, "app", &pod(), &environ);
    assert_eq!(host.read().who(7), Some("pod 1b6ba2ee"), "cut off");
    host.environ(10, &environ[100..]);
    assert_eq!(host.read().who(7), Some("pod web-0-and-more"));
}

#[test]
fn a_host_name_is_found_at_the_end_and_cut_off_ones_do_no_harm() {
    assert_eq!(
        hostname_in(&b"A=b\0HOSTNAME=web-0\0"[..]),
        Some("web-0".into())
    );
    assert_eq!(hostname_in(&b"HOSTNAME=web"[..]), None);
    assert_eq!(hostname_in(&b"X=1\0HOSTNAME=\0"[..]), None);
    assert_eq!(hostname_in(&b"\xff\xfe\0\0HOSTNAMES=a\0"[..]), None);
}

#[test]
fn a_thousand_namespaces_and_five_thousand_processes_are_told() {
    let host = Host::new();
    for pid in 3..5_003 {
        host.process(pid, 100 + pid % 1_000, "app", "0::/", b"");
    }
    let found = host.read();
    assert_eq!(
        found.namespaces().filter(|netns| *netns >= 100).count(),
        1_000
    );
    assert_eq!(found.who(100), Some("app + 4 more"));
}
