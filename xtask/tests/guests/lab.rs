//! The lab as its users see it: exit codes, streams, terminals, and what a guest is given.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::tcgetattr;
use nix::unistd::{Pid, setsid};
use xtask::lab::{Copy, Cpus};
use xtask::lab::{KERNEL_PANIC, LAB_FAILED, LabSpec, Outcome, TIME_LIMIT};

nix::ioctl_write_ptr_bad! {
    /// Gives a terminal a size.
    set_size, libc::TIOCSWINSZ, Winsize
}
nix::ioctl_write_int_bad! {
    /// Makes a terminal the controlling one.
    set_controlling, libc::TIOCSCTTY
}

/// Long enough for a busy machine to boot a guest and to build what it runs.
const PATIENCE: Duration = Duration::from_mins(5);

fn run(spec: &LabSpec, script: &str) -> Outcome {
    spec.run(&["sh", "-c", script]).unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// `cargo xtask lab` with these arguments.
fn lab(arguments: &[&str]) -> Command {
    let mut command =
        Command::new(env::var_os("CARGO_BIN_EXE_xtask").expect("cargo names the program"));
    command
        .arg("lab")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn streams_come_back_apart_and_byte_for_byte_with_the_exit_code() {
    let all = r"printf '\000\377out\r\n'; printf 'err\001' >&2; seq 1 200000; exit 7";
    let outcome = run(&LabSpec::default(), all);
    let mut expected = b"\0\xffout\r\n".to_vec();
    (1..=200_000)
        .try_for_each(|number| writeln!(expected, "{number}"))
        .unwrap();
    assert_eq!(outcome.code, 7);
    assert!(
        outcome.stdout == expected,
        "{} bytes came back of {}",
        outcome.stdout.len(),
        expected.len()
    );
    assert_eq!(outcome.stderr, b"err\x01");
    let killed = run(&LabSpec::default(), "kill -TERM $$");
    assert_eq!(killed.code, 128 + 15);
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn standard_input_reaches_the_command_whole_and_ends() {
    let sent: Vec<u8> = (0..3_000_000_u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let mut child = lab(&["--", "cat"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = thread::spawn({
        let sent = sent.clone();
        move || input.write_all(&sent).unwrap()
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(
        output.stdout == sent,
        "{} bytes came back of {}",
        output.stdout.len(),
        sent.len()
    );
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_command_whose_output_nobody_reads_gets_sigpipe() {
    let mut child = lab(&["--", "yes"]).spawn().unwrap();
    let mut start = [0; 4];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    assert_eq!(&start, b"y\ny\n");
    assert_eq!(child.wait().unwrap().code(), Some(128 + 13));
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_run_over_its_time_limit_is_stopped() {
    let start = Instant::now();
    let spec = LabSpec {
        timeout: Duration::from_secs(5),
        ..LabSpec::default()
    };
    assert_eq!(run(&spec, "sleep 1000").code, TIME_LIMIT);
    assert!(start.elapsed() < PATIENCE);
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_guest_that_never_gets_to_its_command_is_told_from_one_that_takes_too_long() {
    let spec = LabSpec {
        timeout: Duration::from_secs(5),
        kernel_parameters: vec!["rdinit=/usr/bin/sleep -- infinity".to_owned()],
        ..LabSpec::default()
    };
    let outcome = run(&spec, "true");
    assert_eq!(outcome.code, TIME_LIMIT);
    let notice = outcome.notice.unwrap();
    for word in ["while it booted", "running", "RIP="] {
        assert!(notice.contains(word), "no {word:?} in {notice}");
    }
}

#[test]
fn what_the_lab_cannot_do_is_said_in_one_sentence() {
    for (arguments, said) in [
        (
            &["--deterministic", "--cpus", "2", "--", "true"][..],
            "--deterministic means one CPU, not 2",
        ),
        (&["--memory", "64", "--", "true"], "64 MiB are too little"),
    ] {
        let output = lab(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(i32::from(LAB_FAILED)));
        assert!(
            text(&output.stderr).contains(said),
            "{}",
            text(&output.stderr)
        );
        assert_eq!(text(&output.stderr).lines().count(), 1);
    }
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_kernel_panic_shows_the_consoles_tail() {
    let output = lab(&[
        "--",
        "sh",
        "-c",
        "echo before; sleep 1; echo c > /proc/sysrq-trigger",
    ])
    .output()
    .unwrap();
    assert_eq!(output.status.code(), Some(i32::from(KERNEL_PANIC)));
    assert_eq!(text(&output.stdout), "before\n");
    assert!(
        text(&output.stderr).contains("sysrq triggered crash"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn thirty_thousand_estimators_are_made_within_five_guest_seconds() {
    let spec = LabSpec {
        services: 10_000,
        destinations: 2,
        ..LabSpec::deterministic()
    };
    let outcome = run(
        &spec,
        "awk '/^TCP/ { services++ } /Masq/ { destinations++ } END { print services, destinations }' /proc/net/ip_vs",
    );
    assert_eq!(text(&outcome.stdout), "10000 20000\n");
    assert!(
        outcome.filled_in < Duration::from_secs(5),
        "{:?}",
        outcome.filled_in
    );
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_guest_has_the_namespaces_files_and_cpus_it_was_promised_and_its_disk_outlives_it() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    fs::create_dir_all(source.join("empty")).unwrap();
    fs::write(source.join("tool"), "#!/bin/sh\necho it runs\n").unwrap();
    fs::set_permissions(source.join("tool"), PermissionsExt::from_mode(0o750)).unwrap();
    std::os::unix::fs::symlink("tool", source.join("link")).unwrap();
    let copy = |source: PathBuf, destination: Option<&str>| Copy {
        source,
        destination: destination.map(PathBuf::from),
    };
    let spec = LabSpec {
        cpus: Cpus {
            online: 2,
            possible: 8,
        },
        netns: 3,
        copies: vec![
            copy(source.clone(), Some("/opt/kit")),
            copy(source.join("tool"), None),
        ],
        disk: Some(folder.path().join("disk")),
        ..LabSpec::default()
    };
    let first = run(
        &spec,
        "ip netns | sort; find /opt/kit -printf '%P %y %m %l\n' | sort; ./tool; /opt/kit/link; \
         cat /sys/devices/system/cpu/possible /sys/devices/system/cpu/online; echo kept > /disk/file",
    );
    let expected = "lab1\nlab2\nlab3\n d 755 \nempty d 755 \nlink l 777 tool\ntool f 750 \nit runs\nit runs\n0-7\n0-1\n";
    assert_eq!(text(&first.stdout), expected);
    assert_eq!(text(&run(&spec, "cat /disk/file").stdout), "kept\n");
}

/// A lab on a terminal of its own.
struct OnTerminal {
    child: Child,
    master: File,
    slave: OwnedFd,
    seen: String,
}

impl OnTerminal {
    fn start(arguments: &[&str], rows: u16, columns: u16) -> Self {
        let pair = openpty(&size(rows, columns), None).unwrap();
        let end = || Stdio::from(pair.slave.try_clone().unwrap());
        let mut command = lab(arguments);
        command
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .env("TERM", "vt100");
        let lead = || {
            setsid()?;
            // SAFETY: TIOCSCTTY takes a plain integer and touches no memory of ours.
            unsafe { set_controlling(0, 0) }?;
            Ok(())
        };
        // SAFETY: between fork and exec only two system calls are made, both safe there.
        unsafe { command.pre_exec(lead) };
        let child = command.spawn().unwrap();
        Self {
            child,
            master: pair.master.into(),
            slave: pair.slave,
            seen: String::new(),
        }
    }

    fn resize(&self, rows: u16, columns: u16) {
        let size = size(rows, columns);
        // SAFETY: the descriptor is open, and `size` is the structure that TIOCSWINSZ reads.
        unsafe { set_size(self.master.as_raw_fd(), &raw const size) }.unwrap();
    }

    fn enter(&mut self, line: &str) {
        self.master.write_all(line.as_bytes()).unwrap();
    }

    /// Reads until `wanted` shows up, and forgets what came before it.
    fn wait_for(&mut self, wanted: &str) {
        let start = Instant::now();
        loop {
            if let Some(at) = self.seen.find(wanted) {
                self.seen.drain(..at + wanted.len());
                return;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "no {wanted:?} in {:?}",
                self.seen
            );
            let mut buffer = [0; 4096];
            let bytes = self.master.read(&mut buffer).unwrap();
            self.seen
                .push_str(&String::from_utf8_lossy(&buffer[..bytes]));
        }
    }

    fn settings(&self) -> nix::sys::termios::Termios {
        tcgetattr(self.slave.as_fd()).unwrap()
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// The machine that a lab has started.
fn machine_of(lab: &Child) -> PathBuf {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", lab.id())).unwrap();
    let machine = PathBuf::from(format!("/proc/{}", children.trim()));
    assert!(is_machine(&machine), "{}", machine.display());
    machine
}

/// Whether it runs QEMU: under a launcher it has the name of the C library's own loader.
fn is_machine(process: &Path) -> bool {
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains("qemu-system-x86_64")
}

fn is_gone(machine: &Path) -> bool {
    let start = Instant::now();
    while is_machine(machine) && start.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(20));
    }
    !is_machine(machine)
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn the_terminal_here_is_a_terminal_there_with_size_job_control_and_signals() {
    let mut shell = OnTerminal::start(&[], 33, 101);
    let before = shell.settings();
    shell.wait_for("# ");
    shell.enter("stty size; echo $TERM; tty\r");
    shell.wait_for("33 101");
    shell.wait_for("vt100");
    shell.wait_for("/dev/pts/0");
    shell.resize(50, 120);
    shell.enter("while ! stty size | grep '50 120'; do sleep 0.1; done; echo res''ized\r");
    shell.wait_for("resized");
    shell.enter("sleep 1000 & jobs; sleep 2000\r");
    shell.wait_for("Running");
    thread::sleep(Duration::from_secs(1));
    shell.enter("\x03");
    shell.wait_for("# ");
    shell.enter("exit 5\r");
    assert_eq!(shell.child.wait().unwrap().code(), Some(5));
    assert_eq!(shell.settings(), before);
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn ctrl_c_ends_the_command_and_leaves_neither_a_machine_nor_a_raw_terminal() {
    let mut running = OnTerminal::start(&["--", "sh", "-c", "echo up; exec sleep 1000"], 24, 80);
    let before = running.settings();
    running.wait_for("up\r\n");
    let machine = machine_of(&running.child);
    assert_ne!(running.settings(), before);
    running.enter("\x03");
    assert_eq!(running.child.wait().unwrap().code(), Some(128 + 2));
    assert!(is_gone(&machine));
    assert_eq!(running.settings(), before);
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_guest_that_is_stopped_takes_its_screen_off_the_terminal() {
    let draw = r"printf '\033[?1049h\033[?25ldrawn'; exec sleep 1000";
    let mut running = OnTerminal::start(&["--timeout", "20", "--", "sh", "-c", draw], 24, 80);
    let before = running.settings();
    running.wait_for("\x1b[?25ldrawn");
    running.wait_for("\x1b[?1049l\x1b[?25h");
    running.wait_for("20 s");
    assert_eq!(
        running.child.wait().unwrap().code(),
        Some(i32::from(TIME_LIMIT))
    );
    assert_eq!(running.settings(), before);
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn signals_reach_the_command_and_no_machine_outlives_the_lab() {
    let start = |script: &str| {
        let mut child = lab(&["--", "sh", "-c", script]).spawn().unwrap();
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut [0; 3])
            .unwrap();
        let machine = machine_of(&child);
        (Pid::from_raw(child.id().cast_signed()), child, machine)
    };
    let (pid, child, _) =
        start("trap 'echo got it; exit 9' TERM; echo up; while :; do sleep 0.1; done");
    kill(pid, Signal::SIGTERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(9), "got it\n")
    );

    let (pid, mut child, machine) = start("trap '' TERM; echo up; sleep 1000");
    kill(pid, Signal::SIGTERM).unwrap();
    // Two signals at once arrive in any order.
    thread::sleep(Duration::from_millis(500));
    kill(pid, Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(128 + 2));
    assert!(is_gone(&machine));

    let (pid, mut child, machine) = start("echo up; sleep 1000");
    kill(pid, Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    assert!(is_gone(&machine));
}
