//! Which pod or container a process belongs to, by the names of its cgroups.
//!
//! Seen from inside a container, the paths in `/proc/PID/cgroup` are relative to its own cgroup and begin with
//! `/..` (`cgroup_namespaces(7)`): only their last parts are sure to be there.

/// What a process's cgroup says it lives in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// A pod of Kubernetes, by its uid.
    Pod(String),
    /// A container without a pod, by its id.
    Container(String),
}

/// Reads `/proc/PID/cgroup`; `None` where no line has the form of a container runtime's.
///
/// | runtime | path |
/// |---|---|
/// | kubelet, systemd driver | `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID.slice/cri-containerd-ID.scope` |
/// | kubelet, cgroupfs driver | `/kubepods/burstable/podUID/ID` |
/// | kubelet with a root of its own, as in kind | `/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podUID.slice/...` |
/// | containerd with cgroupfs, under a kubelet with systemd | `/system.slice/containerd.service/kubepods-podUID.slice:cri-containerd:ID` |
/// | docker | `/system.slice/docker-ID.scope`, `/docker/ID` |
/// | podman | `/machine.slice/libpod-ID.scope/container`, `/libpod_parent/libpod-ID` |
///
/// Where one is nested in another, as in kind or with docker in docker, the innermost counts.
#[must_use]
pub fn home(cgroup: &str) -> Option<Home> {
    // hierarchy:controllers:path
    let paths = || cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let innermost = |told: fn(&str) -> Option<String>| {
        let mut found = paths().filter_map(|path| path.rsplit(['/', ':']).find_map(told));
        found.next()
    };
    let pod = innermost(pod_uid).map(Home::Pod);
    pod.or_else(|| innermost(container_id).map(Home::Container))
}

/// The uid in `kubepods-burstable-podUID.slice`, where systemd wants `_` for `-`, or in `podUID`.
fn pod_uid(part: &str) -> Option<String> {
    let name = part.strip_suffix(".slice").unwrap_or(part);
    // A slice has the names of those that it is in before its own.
    let uid = match name.rsplit_once("-pod") {
        Some((before, uid)) if before.contains("kubepods") => uid,
        _ => name.strip_prefix("pod")?,
    };
    let uid = uid.replace('_', "-");
    // That of a static pod is a hash without hyphens.
    let digits = uid.bytes().filter(|byte| *byte != b'-');
    let is_uid =
        digits.clone().count() == 32 && digits.clone().all(|byte| byte.is_ascii_hexdigit());
    is_uid.then_some(uid)
}

/// The id in `docker-ID.scope`, or a part that is an id.
fn container_id(part: &str) -> Option<String> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let id = name.rsplit('-').next()?;
    let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UID: &str = "1b6ba2ee-4f4e-4a1c-9a53-0c1f7d2f6a11";

    /// Another container, that the one is in.
    const OUTER: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
    /// That of a static pod is a hash.
    const STATIC: &str = "9d0f1a9d5f0a4f6fb6dbf4c25b1d2c31";

    /// What each layout tells. `ID` and `OUTER` stand for containers, `UID` for a pod, `U_D` for it as systemd has it.
    const LAYOUTS: [(&str, &str, &str); 46] = [
        // The kubelet with systemd: cgroup v2, and each class of service.
        (
            "containerd, guaranteed",
            "0::/kubepods.slice/kubepods-podU_D.slice/cri-containerd-ID.scope",
            "pod",
        ),
        (
            "containerd, burstable",
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_D.slice/cri-containerd-ID.scope",
            "pod",
        ),
        (
            "containerd, besteffort",
            "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podU_D.slice/cri-containerd-ID.scope",
            "pod",
        ),
        (
            "CRI-O",
            "0::/kubepods.slice/kubepods-podU_D.slice/crio-ID.scope",
            "pod",
        ),
        (
            "CRI-O with crun",
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_D.slice/crio-ID.scope/container",
            "pod",
        ),
        (
            "dockershim",
            "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podU_D.slice/docker-ID.scope",
            "pod",
        ),
        (
            "a static pod",
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podSTATIC.slice/cri-containerd-ID.scope",
            "static",
        ),
        // The same in cgroup v1, and in the hybrid hierarchy, where v2 has no controllers.
        (
            "v1",
            "12:cpu,cpuacct:/kubepods.slice/kubepods-podU_D.slice/docker-ID.scope\n1:name=systemd:/kubepods.slice/kubepods-podU_D.slice/docker-ID.scope",
            "pod",
        ),
        (
            "v1, processes outside the first one",
            "12:rdma:/\n11:memory:/kubepods.slice/kubepods-podU_D.slice/crio-ID.scope",
            "pod",
        ),
        (
            "hybrid",
            "5:cpuset:/kubepods.slice/kubepods-podU_D.slice/crio-ID.scope\n0::/system.slice/crio.service",
            "pod",
        ),
        (
            "hybrid, v2 first",
            "0::/\n1:name=systemd:/kubepods/burstable/podUID/ID",
            "pod",
        ),
        // The kubelet with cgroupfs.
        ("cgroupfs, guaranteed", "0::/kubepods/podUID/ID", "pod"),
        (
            "cgroupfs, burstable",
            "0::/kubepods/burstable/podUID/ID",
            "pod",
        ),
        (
            "cgroupfs, besteffort",
            "11:devices:/kubepods/besteffort/podUID/ID",
            "pod",
        ),
        (
            "cgroupfs, CRI-O",
            "0::/kubepods/burstable/podUID/crio-ID",
            "pod",
        ),
        (
            "cgroupfs, a static pod",
            "0::/kubepods/burstable/podSTATIC/ID",
            "static",
        ),
        (
            "cgroupfs, twice below the root",
            "14:pids:/kubepods/kubepods/besteffort/podUID/ID",
            "pod",
        ),
        // containerd without systemd under a kubelet with it.
        (
            "containerd, colons",
            "12:cpu,cpuacct:/system.slice/containerd.service/kubepods-besteffort-podU_D.slice:cri-containerd:ID",
            "pod",
        ),
        (
            "containerd, colons at the top",
            "3:cpu:/kubepods-burstable-podU_D.slice:cri-containerd:ID",
            "pod",
        ),
        (
            "containerd, colons in v2",
            "0::/system.slice/containerd.service/kubepods-podU_D.slice:cri-containerd:ID",
            "pod",
        ),
        (
            "containerd, hyphens in the uid",
            "0::/system.slice/containerd.service/kubepods-burstable-podUID.slice:cri-containerd:ID",
            "pod",
        ),
        (
            "CRI-O, colons",
            "3:cpu:/kubepods-besteffort-podU_D.slice:crio:ID",
            "pod",
        ),
        (
            "docker, colons",
            "3:cpu:/system.slice:docker:ID",
            "container",
        ),
        // Clusters in containers.
        (
            "kind, cgroupfs",
            "0::/kubelet/kubepods/besteffort/podUID/ID",
            "pod",
        ),
        (
            "kind, systemd",
            "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-podU_D.slice/cri-containerd-ID.scope",
            "pod",
        ),
        (
            "kind, systemd, guaranteed",
            "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podU_D.slice/cri-containerd-ID.scope",
            "pod",
        ),
        (
            "kind, from the host",
            "0::/system.slice/docker-OUTER.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podU_D.slice/cri-containerd-ID.scope",
            "pod",
        ),
        (
            "kind, from the host, v1",
            "14:name=systemd:/docker/OUTER/kubelet/kubepods/burstable/podUID/ID",
            "pod",
        ),
        (
            "a node of kind",
            "0::/system.slice/docker-OUTER.scope/init.scope",
            "outer",
        ),
        (
            "k3d, from the host",
            "0::/docker/OUTER/kubepods/burstable/podUID/ID",
            "pod",
        ),
        (
            "a pod of a cluster in a pod",
            "0::/kubepods/podSTATIC/OUTER/kubepods/podUID/ID",
            "pod",
        ),
        // k3s.
        (
            "k3s",
            "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podU_D.slice/cri-containerd-ID.scope",
            "pod",
        ),
        (
            "k3s, rootless",
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/k3s-rootless.service/kubepods/burstable/podUID/ID",
            "pod",
        ),
        // Seen from inside a container, relative to its own cgroup.
        (
            "from a pod beside it",
            "0::/../../kubepods-besteffort-podU_D.slice/cri-containerd-ID.scope",
            "pod",
        ),
        ("from a pod, cgroupfs", "0::/../../podUID/ID", "pod"),
        (
            "from a container of the same pod",
            "0::/../cri-containerd-ID.scope",
            "container",
        ),
        // Containers without a pod.
        (
            "docker, systemd",
            "0::/system.slice/docker-ID.scope",
            "container",
        ),
        ("docker, cgroupfs", "4:cpu:/docker/ID", "container"),
        (
            "docker in docker",
            "0::/system.slice/docker-OUTER.scope/docker/ID",
            "container",
        ),
        ("nerdctl", "0::/system.slice/nerdctl-ID.scope", "container"),
        (
            "podman, systemd",
            "0::/machine.slice/libpod-ID.scope/container",
            "container",
        ),
        (
            "podman, cgroupfs",
            "0::/libpod_parent/libpod-ID",
            "container",
        ),
        (
            "podman, rootless",
            "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
            "container",
        ),
        (
            "podman, a pod of it",
            "0::/machine.slice/machine-libpod_pod_OUTER.slice/libpod-ID.scope/container",
            "container",
        ),
        (
            "podman, of a unit",
            "0::/system.slice/nginx.service/libpod-payload-ID",
            "container",
        ),
        (
            "docker in podman, from the host",
            "0::/libpod_parent/libpod-OUTER/system.slice/docker-ID.scope",
            "container",
        ),
    ];

    #[test]
    fn every_layout_tells_the_pod_or_else_the_innermost_container() {
        for (name, cgroup, expected) in LAYOUTS {
            let cgroup = cgroup
                .replace("STATIC", STATIC)
                .replace("UID", UID)
                .replace("U_D", &UID.replace('-', "_"))
                .replace("OUTER", OUTER)
                .replace("ID", ID);
            let expected = match expected {
                "pod" => Home::Pod(UID.into()),
                "static" => Home::Pod(STATIC.into()),
                "container" => Home::Container(ID.into()),
                "outer" => Home::Container(OUTER.into()),
                unknown => panic!("{unknown}"),
            };
            assert_eq!(home(&cgroup), Some(expected), "{name}: {cgroup}");
        }
    }

    #[test]
    fn everything_else_is_neither() {
        for path in [
            "",
            "0::/",
            "0::/init.scope",
            "0::/user.slice/user-1000.slice/session-3.scope",
            "0::/podman.slice/pod",
            "0::/system.slice/podinfo.service",
            "0::/system.slice/containerd.service",
            "0::/kubepods.slice/kubepods-burstable.slice",
            "0::/kubepods.slice/kubepods-burstable-podNOTAUID.slice",
            "0::/system.slice/run-docker-netns-ingress_sbox.mount",
            "rubbish",
        ] {
            assert_eq!(home(path), None, "{path}");
        }
    }
}
