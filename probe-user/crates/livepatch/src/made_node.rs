//! A node for tests: a folder with the files that are looked at, and a kernel, estimators and a person that are made, with
//! a clock that goes on only while somebody waits.
#![allow(
    clippy::missing_panics_doc,
    reason = "a node that cannot be made fails the test"
)]

mod estimators;
mod estimators_state;
mod kernel;
mod kernel_state;
mod livepatches;
mod world;

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    rc::Rc,
    thread::sleep,
    time::Duration,
};

use nix::sys::stat::{Mode, umask};

use crate::{
    ports::Ports,
    site::Site,
    transaction::{
        journal::{Entry, Journal, Mark, Phase},
        lock::Lock,
    },
};
use livepatch_image::{Digest, samples::sample_file};

pub use estimators_state::Under;
pub use kernel::guard;
pub use kernel_state::Answer;
pub use world::World;

/// The kernel that sample modules are for.
pub const RELEASE: &str = "6.1.0-56-amd64";

/// One with systemd and livepatching, in the boot `this`.
pub struct MadeNode {
    folder: tempfile::TempDir,
    world: Rc<World>,
}

/// Returns the network namespace of this process, by its inode number.
#[must_use]
pub fn own_netns() -> u32 {
    let meta = fs::metadata("/proc/self/ns/net").unwrap();
    u32::try_from(meta.ino()).unwrap()
}

/// Returns a node under any folder, whose kernel, estimators and person are made.
#[must_use]
pub fn site(root: &Path, state_dir: &Path) -> Site {
    Site::new(root, state_dir, World::ports(&World::new(root)))
}

/// Takes a lock that this process let go of just before: a process that another test is just starting has what is open
/// here for a moment, its locks too.
#[must_use]
pub fn take_lock_again(site: &Site) -> Lock {
    let tries = (0..1_000).map(|_| {
        let lock = Lock::take(site);
        if lock.is_err() {
            sleep(Duration::from_millis(1));
        }
        lock
    });
    let lock = tries.into_iter().find(Result::is_ok);
    lock.expect("it is free soon").unwrap()
}

impl Default for MadeNode {
    fn default() -> Self {
        Self::new()
    }
}

impl MadeNode {
    /// Returns one with nothing loaded or installed, and the estimator of one network namespace.
    #[must_use]
    pub fn new() -> Self {
        // What a group may write to is not trusted, and some people's umask lets theirs.
        umask(Mode::S_IWGRP | Mode::S_IWOTH);
        // In memory, where writing a file through to the disk takes no time.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory).unwrap()
        } else {
            tempfile::tempdir().unwrap()
        };
        let world = World::new(folder.path());
        let node = Self { folder, world };
        node.write("proc/sys/kernel/osrelease", RELEASE);
        node.write("proc/sys/kernel/random/boot_id", "this");
        node.write("usr/sbin/tool", "a program");
        for folder in [
            "run/systemd/system",
            "sys/kernel/livepatch",
            "sys/module/ip_vs",
            "sys/module/kernel",
        ] {
            fs::create_dir_all(node.root().join(folder)).unwrap();
        }
        node
    }

    /// Its files.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Its folder of state.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.root().join("var/lib/state")
    }

    /// Both.
    #[must_use]
    pub fn site(&self) -> Site {
        Site::new(self.root(), &self.state_dir(), self.ports())
    }

    /// Returns what the engine is connected to here.
    #[must_use]
    pub fn ports(&self) -> Ports {
        World::ports(&self.world)
    }

    /// Returns what happens on the node.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Has a signal ask to end.
    pub fn stop(&self) {
        self.world.stop();
    }

    /// Writes a file.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        self.world.write(path, content);
    }

    /// A module's file, outside of what is installed.
    #[must_use]
    pub fn module(&self, name: &str, jiffies: u32) -> PathBuf {
        self.file(name, &sample_file(name, jiffies))
    }

    /// The same with these bytes.
    #[must_use]
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        self.write(&format!("root/{name}.ko"), content);
        self.root().join(format!("root/{name}.ko"))
    }

    /// Has a livepatch in force.
    pub fn put_in_force(&self, name: &str, object: &str) {
        self.world.enable(name, object);
    }

    /// Notes in the journal that a file came so far in a boot.
    pub fn note(&self, name: &str, content: &[u8], boot_id: &str, phase: Phase) {
        let mut journal = Journal::read(&self.state_dir()).unwrap();
        let entry = Entry {
            sha256: Digest::of(content),
            name: name.into(),
            file: format!("/root/{name}.ko"),
            boot_id: boot_id.into(),
            pid: 7,
            phase,
            since_s: 10_000,
            accepted: Vec::new(),
            module: Mark::default(),
        };
        journal.note(entry).unwrap();
    }
}
