//! QEMU: Debian's, unpacked into a folder and not installed. To install it can mean to take other packages away: QEMU's
//! own tools of another release, where those are there.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::cache;
use crate::packages::{Suite, tree};

const NAME: &str = "qemu-system-x86_64";

const PACKAGE: &str = "qemu-system-x86";

/// Which QEMU: no release is good for all guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emulator {
    /// Debian 12's 7.2, where time counts instructions. Under 10.0 the main loop keeps a second CPU of the host as busy as
    /// the guest does the first.
    CountedTime,
    /// Debian 13's 10.0, for all others: a script that starts `ls` 3,000 times on 2 CPUs takes it 89 s, and 7.2 236 s. And
    /// with a thread a CPU, 7.2 lets a guest panic or hang in which probes and tracepoints come and go: `echo 1` and `echo 0`
    /// into `/sys/kernel/tracing/events/irq/softirq_exit/enable` do it within 200 rounds, without any program of ours. What
    /// is taken for the cause: it may go on with code that another CPU has patched while it was translated; since 8.1 QEMU
    /// holds the page.
    RealTime,
}

impl fmt::Display for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CountedTime => "guests whose time is counted",
            Self::RealTime => "guests in real time",
        })
    }
}

/// Raise it when anything in this file changes what the folder holds.
const RECIPE: u32 = 1;

/// What an emulator without a window needs least.
const LEAVE_OUT: &[&str] = &[
    "./etc",
    "./lib/systemd",
    "./usr/lib/systemd",
    "./usr/share/doc*",
    "./usr/share/icons",
    "./usr/share/locale",
    "./usr/share/man",
    "./usr/share/perl*",
    "./usr/lib/x86_64-linux-gnu/perl*",
    "./usr/lib/x86_64-linux-gnu/gconv",
    "./var",
];

/// Where QEMU's packages keep what it loads.
const DATA: [&str; 3] = ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"];

impl Emulator {
    /// Both.
    pub const ALL: [Self; 2] = [Self::CountedTime, Self::RealTime];

    /// The one for a guest whose time counts instructions, or for another.
    #[must_use]
    pub fn of(counts_instructions: bool) -> Self {
        if counts_instructions {
            Self::CountedTime
        } else {
            Self::RealTime
        }
    }

    /// The program.
    ///
    /// # Errors
    /// When it is not there: [`provide`] it first.
    pub fn program(self) -> Result<PathBuf> {
        let launcher = self.launcher()?;
        ensure!(
            self.is_there()?,
            "there is no {NAME} of Debian {}: run `cargo xtask setup`",
            self.suite()
        );
        Ok(launcher)
    }

    fn suite(self) -> &'static str {
        match self {
            Self::CountedTime => "bookworm",
            Self::RealTime => "trixie",
        }
    }

    fn place(self) -> Result<PathBuf> {
        Ok(cache::root()?.join(format!("emulator-{}-{RECIPE}", self.suite())))
    }

    fn launcher(self) -> Result<PathBuf> {
        Ok(self.place()?.join(NAME))
    }

    /// Returns whether it is there.
    ///
    /// # Errors
    /// When a stranger may have put it there.
    pub fn is_there(self) -> Result<bool> {
        cache::is_there(&self.launcher()?)
    }

    /// Unpacks it, unless it is there.
    ///
    /// # Errors
    /// When its packages cannot be fetched or unpacked.
    pub fn provide(self) -> Result<()> {
        let place = self.place()?;
        tree::provide(&place, |lock, stage| {
            let suite = self.suite();
            eprintln!("fetching {PACKAGE} of {suite}, to boot kernels in the lab");
            let suite = Suite::open(lock, suite)?;
            tree::fill(&suite, &suite.closure(&[PACKAGE])?, LEAVE_OUT, stage)?;
            launch_from(&stage.join("root"), &place)
        })
    }
}

/// A script that runs it with the C library that came with it, whatever this machine has.
fn launch_from(root: &Path, place: &Path) -> Result<()> {
    let at = |path: &str| format!("'{}'", place.join(path).display());
    let data = DATA.map(|folder| format!("-L {}", at(folder))).join(" ");
    let script = format!(
        "#!/bin/sh\nQEMU_MODULE_DIR={} exec {} --library-path {} {} {data} \"$@\"\n",
        at("usr/lib/x86_64-linux-gnu/qemu"),
        at("usr/lib64/ld-linux-x86-64.so.2"),
        at("usr/lib/x86_64-linux-gnu"),
        at(&format!("usr/bin/{NAME}"))
    );
    let file = root.join(NAME);
    fs::write(&file, script).context("cannot write QEMU's launcher")?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755))
        .context("cannot make QEMU's launcher executable")
}
