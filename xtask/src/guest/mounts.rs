//! The file systems every guest has.

use std::fs::create_dir_all;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};

/// Type, mount point and options, in the order they are mounted.
const TABLE: [(&str, &str, &str); 12] = [
    ("proc", "/proc", ""),
    ("sysfs", "/sys", ""),
    ("devtmpfs", "/dev", ""),
    ("devpts", "/dev/pts", "gid=5,mode=620,ptmxmode=666"),
    ("tmpfs", "/dev/shm", "mode=1777"),
    ("tmpfs", "/run", "mode=755"),
    ("tmpfs", "/tmp", "mode=1777"),
    ("cgroup2", "/sys/fs/cgroup", ""),
    ("tracefs", "/sys/kernel/tracing", ""),
    ("securityfs", "/sys/kernel/security", ""),
    ("debugfs", "/sys/kernel/debug", ""),
    ("bpf", "/sys/fs/bpf", "mode=700"),
];

/// Mounts the whole table.
pub fn mount_all() -> Result<()> {
    for (kind, target, options) in TABLE {
        create_dir_all(target).with_context(|| format!("cannot make {target}"))?;
        mount(
            Some(kind),
            target,
            Some(kind),
            MsFlags::empty(),
            Some(options),
        )
        .with_context(|| format!("cannot mount {kind} on {target}"))?;
    }
    for (link, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ] {
        std::os::unix::fs::symlink(target, link).with_context(|| format!("cannot link {link}"))?;
    }
    Ok(())
}
