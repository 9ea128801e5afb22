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
        host
    }

    fn process(&self, pid: u32, netns: u32, comm: &str, cgroup: &str, environ: &[u8]) {
        let folder = self.0.path().join(format!("proc/{pid}"));
        fs::create_dir_all(folder.join("ns")).unwrap();
        symlink(format!("net:[{netns}]"), folder.join("ns/net")).unwrap();
        fs::write(folder.join("comm"), format!("{comm}\n")).unwrap();
        fs::write(folder.join("cgroup"), format!("{cgroup}\n")).unwrap();
        fs::write(folder.join("environ"), environ).unwrap();
    }

    fn read(&self) -> Inhabitants {
        Inhabitants::read(self.0.path())
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
    assert_eq!(host.read().process(7), Some(10));
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
    assert_eq!(host.read().hidden(), 0);
}

#[test]
fn a_host_name_is_found_at_the_end_and_cut_off_ones_do_no_harm() {
    assert_eq!(hostname_in(&b"HOSTNAME=web-0"[..]), Some("web-0".into()));
    assert_eq!(hostname_in(&b"X=1\0HOSTNAME=\0"[..]), None);
    assert_eq!(hostname_in(&b"\xff\xfe\0\0HOSTNAMES=a\0"[..]), None);
}

#[test]
fn a_thousand_namespaces_and_five_thousand_processes_are_told() {
    let host = Host::new();
    for pid in 2..5_002 {
        host.process(pid, 100 + pid % 1_000, "app", "0::/", b"");
    }
    let found = host.read();
    assert_eq!(
        found.namespaces().filter(|netns| *netns >= 100).count(),
        1_000
    );
    assert_eq!(found.who(100), Some("app + 4 more"));
}
