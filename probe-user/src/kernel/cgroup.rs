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
/// | docker | `/system.slice/docker-ID.scope`, `/docker/ID` |
/// | podman | `/machine.slice/libpod-ID.scope/container` |
#[must_use]
pub fn home(cgroup: &str) -> Option<Home> {
    // hierarchy:controllers:path
    let paths = || cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let parts = || paths().flat_map(|path| path.split('/'));
    let pod = parts().find_map(pod_uid).map(Home::Pod);
    pod.or_else(|| parts().find_map(container_id).map(Home::Container))
}

/// The uid in `kubepods-burstable-podUID.slice`, where systemd wants `_` for `-`, or in `podUID`.
fn pod_uid(part: &str) -> Option<String> {
    let name = part.strip_suffix(".slice").unwrap_or(part);
    let uid = match name.strip_prefix("kubepods") {
        Some(rest) => rest.rsplit_once("-pod")?.1,
        None => name.strip_prefix("pod")?,
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

    #[test]
    fn pods_are_told_whatever_made_their_cgroups() {
        let systemd = UID.replace('-', "_");
        let paths = [
            format!(
                "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{systemd}.slice/cri-containerd-{ID}.scope"
            ),
            format!("0::/kubepods.slice/kubepods-pod{systemd}.slice/crio-{ID}.scope"),
            format!("0::/kubepods/burstable/pod{UID}/{ID}"),
            format!("11:memory:/kubepods/pod{UID}/{ID}\n1:name=systemd:/kubepods/pod{UID}/{ID}"),
            format!("0::/../../kubepods-besteffort-pod{systemd}.slice/cri-containerd-{ID}.scope"),
            format!("0::/kubelet.slice/kubelet-kubepods.slice/kubepods/besteffort/pod{UID}/{ID}"),
        ];
        for path in paths {
            assert_eq!(home(&path), Some(Home::Pod(UID.into())), "{path}");
        }
        let static_pod = "9d0f1a9d5f0a4f6fb6dbf4c25b1d2c31";
        let path = format!("0::/kubepods/burstable/pod{static_pod}/{ID}");
        assert_eq!(home(&path), Some(Home::Pod(static_pod.into())));
    }

    #[test]
    fn containers_without_a_pod_are_told_by_their_id() {
        for path in [
            format!("0::/system.slice/docker-{ID}.scope"),
            format!("4:cpu:/docker/{ID}"),
            format!("0::/machine.slice/libpod-{ID}.scope/container"),
            format!("0::/system.slice/nerdctl-{ID}.scope"),
            format!("0::/../cri-containerd-{ID}.scope"),
        ] {
            assert_eq!(home(&path), Some(Home::Container(ID.into())), "{path}");
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
            "rubbish",
        ] {
            assert_eq!(home(path), None, "{path}");
        }
    }
}
