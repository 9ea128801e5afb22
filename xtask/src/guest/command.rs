//! The run's command: started, fed, listened to, waited for.

use std::fs::File;
use std::io::{self, PipeReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, setsid};

use super::output::{Closed, carry};
use super::port::{HostLine, Port};
use super::terminal;
use crate::wire::{self, Input, Kind, Run, Stream, ToGuest, ToHost};

/// Where programs are.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What a shell's exit code is for a program that cannot be started.
const CANNOT_START: u8 = 127;

/// Runs the command of `run` to its end; what it wrote has been told to `host` then. Returns its exit code.
pub fn run(run: &Run, host: &Arc<HostLine>) -> Result<u8> {
    let terminal = run.terminal.map(terminal::make).transpose()?;
    let (mut command, ends) = prepare(run, terminal.as_ref().map(|pair| &pair.slave))?;
    host.tell(&ToHost::Starting)?;
    let started = command.spawn();
    // What the child holds now must be closed here, or no pipe would ever come to its end.
    drop(command);
    let (master, slave) =
        terminal.map_or((None, None), |pair| (Some(pair.master), Some(pair.slave)));
    drop(slave);
    let child = match started {
        Ok(child) => Pid::from_raw(child.id().cast_signed()),
        Err(error) => {
            let said = format!("lab: cannot run {}: {error}\n", run.command[0]);
            host.tell(&ToHost::Output(Stream::Err, said.into_bytes()))?;
            return Ok(CANNOT_START);
        }
    };
    let closed = Arc::new(Closed::default());
    let pumps = listen(run, ends, master.as_ref(), host, &closed)?;
    obey(host, child, master, closed);
    let code = reap(child)?;
    // The guest ends with its command: whatever that left behind would keep the pipes open. Beside systemd, only what is
    // the command's own may be killed.
    let left = if run.systemd { -child.as_raw() } else { -1 };
    let _ = signal::kill(Pid::from_raw(left), Signal::SIGKILL);
    for pump in pumps {
        let _ = pump.join();
    }
    Ok(code)
}

/// The lab's ends of the command's pipes.
#[derive(Default)]
struct Ends {
    input: Option<io::PipeWriter>,
    output: [Option<PipeReader>; 2],
}

fn prepare(run: &Run, slave: Option<&OwnedFd>) -> Result<(Command, Ends)> {
    let mut command = Command::new(&run.command[0]);
    command
        .args(&run.command[1..])
        .env_clear()
        .current_dir("/root");
    command.envs([
        ("PATH", PATH),
        ("HOME", "/root"),
        ("USER", "root"),
        ("LOGNAME", "root"),
        ("SHELL", "/bin/bash"),
    ]);
    command.envs(run.environment.iter().map(|(name, value)| (name, value)));
    let mut ends = Ends::default();
    let end = |kind| match (kind, slave) {
        (Kind::Terminal, Some(slave)) => slave.try_clone().map(|slave| (Stdio::from(slave), None)),
        _ => io::pipe().map(|(reader, writer)| (Stdio::null(), Some((reader, writer)))),
    };
    let (stdio, pipe) = end(run.streams[0]).context("cannot make standard input")?;
    command.stdin(stdio);
    if let Some((reader, writer)) = pipe {
        command.stdin(reader);
        ends.input = Some(writer);
    }
    for stream in [Stream::Out, Stream::Err] {
        let (mut stdio, pipe) =
            end(run.streams[1 + stream as usize]).context("cannot make an output stream")?;
        if let Some((reader, writer)) = pipe {
            stdio = writer.into();
            ends.output[stream as usize] = Some(reader);
        }
        match stream {
            Stream::Out => command.stdout(stdio),
            Stream::Err => command.stderr(stdio),
        };
    }
    let slave = slave.map(AsRawFd::as_raw_fd);
    let lead = move || {
        setsid()?;
        slave.map_or(Ok(()), terminal::control)
    };
    // SAFETY: between fork and exec only two system calls are made, both safe there; nothing is allocated.
    unsafe { command.pre_exec(lead) };
    Ok((command, ends))
}

/// Starts a thread for each stream; those of the output are returned, to be waited for.
fn listen(
    run: &Run,
    ends: Ends,
    master: Option<&File>,
    host: &Arc<HostLine>,
    closed: &Arc<Closed>,
) -> Result<Vec<JoinHandle<()>>> {
    let mut pumps = Vec::new();
    for (stream, end) in [Stream::Out, Stream::Err].into_iter().zip(ends.output) {
        pumps.extend(end.map(|end| carry(end, stream, Arc::clone(host), Arc::clone(closed))));
    }
    if let Some(master) = master {
        // A terminal has one output: where both streams are this terminal, standard output stands for it.
        let stream = if run.streams[1] == Kind::Terminal {
            Stream::Out
        } else {
            Stream::Err
        };
        pumps.push(carry(
            master.try_clone()?,
            stream,
            Arc::clone(host),
            Arc::clone(closed),
        ));
    }
    let port = Port::open(wire::STDIN)?;
    match (ends.input, master) {
        (Some(pipe), _) => drop(thread::spawn(move || feed(&port, pipe, None))),
        (None, Some(master)) => {
            let master = master.try_clone()?;
            thread::spawn(move || feed(&port, master, Some(END_OF_TRANSMISSION)));
        }
        (None, None) => {}
    }
    Ok(pumps)
}

/// What a user types for an end of file.
const END_OF_TRANSMISSION: u8 = 4;

/// Carries the host's standard input to the command, and its end.
fn feed(port: &Port, mut to: impl Write, end: Option<u8>) {
    let mut mid_line = false;
    while let Ok(Some(Input::Data(bytes))) = wire::receive(&mut &*port) {
        mid_line = bytes.last().is_some_and(|&last| last != b'\n');
        if to.write_all(&bytes).is_err() {
            return;
        }
    }
    if let Some(end) = end {
        // In the middle of a line the first one hands over what was typed, and only the second is an end of file.
        let _ = to.write_all(&[end, end][usize::from(!mid_line)..]);
    }
}

/// Does what the host says while the command runs.
fn obey(host: &Arc<HostLine>, child: Pid, master: Option<File>, closed: Arc<Closed>) {
    let host = Arc::clone(host);
    thread::spawn(move || {
        while let Ok(Some(message)) = host.listen() {
            match message {
                ToGuest::Resize(size) => {
                    let _ = master.as_ref().map(|master| terminal::resize(master, size));
                }
                ToGuest::Signal(number) => deliver(number, child, master.as_ref()),
                ToGuest::Closed(stream) => closed.close(stream),
                ToGuest::Fill(_) | ToGuest::Run(_) => {}
            }
        }
    });
}

/// Sends a signal to what runs in the foreground of the terminal, or to the command's process group.
fn deliver(number: i32, child: Pid, master: Option<&File>) {
    let foreground = master
        .and_then(|master| terminal::foreground(master).ok())
        .filter(|&group| group > 0);
    let group = foreground.map_or(child, Pid::from_raw);
    if let Ok(signal) = Signal::try_from(number) {
        let _ = signal::killpg(group, signal);
    }
}

/// Waits for `child`, and on the way for every orphan: PID 1 inherits them. Returns the exit code a shell would show.
fn reap(child: Pid) -> Result<u8> {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => {
                return Ok(u8::try_from(code & 0xff)?);
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return Ok(128 + u8::try_from(signal as i32)?);
            }
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error).context("cannot wait for the command"),
        }
    }
}
