//! The guest's side of the lab: PID 1, which makes what the run asks for, runs the command and hands back what it said.

mod command;
mod files;
mod ipvs;
mod mounts;
mod namespaces;
mod output;
mod port;
mod refuse;
mod storage;
mod systemd;
mod terminal;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

use crate::wire::{self, Fill, Run, ToGuest, ToHost};
use port::{HostLine, Port};

/// Kernel modules without which no port to the host exists.
const TRANSPORT: [&str; 2] = ["virtio_pci", "virtio_console"];
/// Kernel modules every run has.
const IPVS: [&str; 2] = ["ip_vs", "ip_vs_rr"];

/// Runs as PID 1; does not return. With `refuse` as its first argument it runs a command instead.
///
/// # Panics
/// When it is not PID 1: everything it does is meant for a machine of its own.
pub fn init() -> ! {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((word, arguments)) = arguments.split_first()
        && word == "refuse"
    {
        let error = refuse::refuse(arguments).expect_err("a command that runs does not return");
        eprintln!("lab-init: {error:#}");
        std::process::exit(127);
    }
    assert!(
        std::process::id() == 1,
        "lab-init is PID 1 of a guest and nothing else; use `cargo xtask lab`"
    );
    if let Err(error) = boot().and_then(|host| serve(&host)) {
        eprintln!("lab-init: {error:#}");
    }
    power_off()
}

/// Does what every run has in common and opens the line to the host.
fn boot() -> Result<Arc<HostLine>> {
    mounts::mount_all()?;
    nix::unistd::sethostname("lab").context("cannot set the host name")?;
    modprobe(&TRANSPORT)?;
    modprobe(&IPVS)?;
    call("ip", &["link", "set", "lo", "up"])?;
    Ok(Arc::new(HostLine::new(Port::open(wire::CONTROL)?)))
}

/// Does one run, and tells the host how it ended.
///
/// Twice it waits for the host, which may keep the guest as it is then and start others from there.
fn serve(host: &Arc<HostLine>) -> Result<()> {
    host.tell(&ToHost::Booted)?;
    let Some(ToGuest::Fill(wanted)) = host.listen_soon()? else {
        bail!("the host did not say what to make")
    };
    let start = Instant::now();
    if let Err(error) = fill(wanted) {
        return Ok(host.tell(&ToHost::Failed(format!("{error:#}")))?);
    }
    let filled_in = start.elapsed();
    host.tell(&ToHost::Filled)?;
    let Some(ToGuest::Run(run)) = host.listen_soon()? else {
        bail!("the host did not say what to run")
    };
    match perform(&run, host) {
        Ok(code) => host.tell(&ToHost::Ended { code, filled_in })?,
        Err(error) => host.tell(&ToHost::Failed(format!("{error:#}")))?,
    }
    // The host ends the guest; powering off here could cut off what is still in the port.
    loop {
        std::thread::park();
    }
}

fn fill(wanted: Fill) -> Result<()> {
    namespaces::make(wanted.namespaces)?;
    ipvs::fill(wanted.services, wanted.destinations)
}

/// Makes what else `run` asks for and runs its command; returns the command's exit code.
fn perform(run: &Run, host: &Arc<HostLine>) -> Result<u8> {
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::new(run.now, 0))
        .context("cannot set the clock")?;
    files::unpack(Port::open(wire::FILES)?)?;
    if run.disk {
        modprobe(&["virtio_blk", "ext4"])?;
        storage::mount_disk()?;
    }
    if run.systemd {
        return under_systemd(run, host);
    }
    let code = command::run(run, host)?;
    if run.disk {
        storage::unmount_disk()?;
    }
    Ok(code)
}

/// Makes systemd PID 1, and runs the command of `run` beside it. Where this machine is then shut down, that is awaited.
fn under_systemd(run: &Run, host: &Arc<HostLine>) -> Result<u8> {
    systemd::hand_over()?;
    let code = command::run(run, host)?;
    while code == 0 && systemd::is_shutting_down()? {
        std::thread::park();
    }
    Ok(code)
}

fn modprobe(names: &[&str]) -> Result<()> {
    call("modprobe", &[&["-a"], names].concat())
}

/// Runs one of the guest's own programs; what it complains about becomes the error.
fn call(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", command::PATH)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{program} {}` failed: {}",
            arguments.join(" "),
            said.trim()
        );
    }
    Ok(())
}

fn power_off() -> ! {
    nix::unistd::sync();
    // `reboot` returns only when it is refused, and PID 1 must not return: that would be a kernel panic.
    let _ = reboot(RebootMode::RB_POWER_OFF);
    loop {
        std::thread::park();
    }
}
