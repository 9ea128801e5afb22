//! systemd in the place of PID 1, over a root whose changes the disk keeps.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::unistd::{ForkResult, chdir, chroot, execve, fork};

use super::{call, command, modprobe};

const PROGRAM: &str = "/usr/lib/systemd/systemd";

/// Where the disk keeps what is written to the root, and what overlayfs needs beside it.
const UPPER: &str = "/disk/root";
const WORK: &str = "/disk/work";

/// Where the new root is put together.
const ROOT: &str = "/newroot";

/// What the new root has from the old one.
const MOVED: [&str; 6] = ["/dev", "/disk", "/proc", "/run", "/sys", "/tmp"];

/// Makes systemd PID 1. Returns in a process beside it, which keeps the lines to the host.
///
/// # Errors
/// When there is no disk, or no such root can be made of it.
pub fn hand_over() -> Result<()> {
    // Loaded by PID 1 of every guest; here it is for the units to load.
    call("modprobe", &["-r", "ip_vs_rr", "ip_vs"])?;
    modprobe(&["overlay"])?;
    change_root()?;
    // SAFETY: this process has no other thread yet, so that the child may do all that this one may.
    match unsafe { fork() }.context("cannot start a process beside systemd")? {
        ForkResult::Child => Ok(()),
        ForkResult::Parent { .. } => match become_systemd() {
            Ok(never) => match never {},
            // The kernel panics where PID 1 ends, and the host shows these words.
            Err(error) => panic!("{error:#}"),
        },
    }
}

/// Lays the disk over what the guest was started with.
fn change_root() -> Result<()> {
    for folder in [UPPER, WORK, ROOT] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {folder}"))?;
    }
    let options = format!("lowerdir=/,upperdir={UPPER},workdir={WORK}");
    mount(
        Some("overlay"),
        ROOT,
        Some("overlay"),
        MsFlags::empty(),
        Some(options.as_str()),
    )
    .context("cannot lay the disk over the root")?;
    for folder in MOVED {
        move_mount(folder, &format!("{ROOT}{folder}"))?;
    }
    chdir(ROOT).with_context(|| format!("cannot enter {ROOT}"))?;
    move_mount(".", "/")?;
    chroot(".").context("cannot change the root")?;
    chdir("/").context("cannot enter the new root")
}

fn move_mount(from: &str, to: &str) -> Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_MOVE, None::<&str>)
        .with_context(|| format!("cannot move the mount {from} to {to}"))
}

fn become_systemd() -> Result<Infallible> {
    let program = CString::new(PROGRAM)?;
    let path = CString::new(format!("PATH={}", command::PATH))?;
    execve(&program, &[&program], &[&path]).with_context(|| format!("cannot run {PROGRAM}"))
}

/// Returns whether systemd is on its way to end this machine.
///
/// # Errors
/// When neither it nor the kernel says so.
pub fn is_shutting_down() -> Result<bool> {
    // At the very end another program has replaced it, and answers no request.
    let name = fs::read_to_string(Path::new("/proc/1/comm")).context("cannot look at PID 1")?;
    if name.trim() != "systemd" {
        return Ok(true);
    }
    let output = std::process::Command::new("systemctl")
        .arg("is-system-running")
        .env("PATH", command::PATH)
        .output()
        .context("cannot run systemctl")?;
    Ok(output.stdout.starts_with(b"stopping"))
}
