//! A node for tests: a folder with the files that are looked at.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::sys::stat::{Mode, umask};

use super::{
    journal::{Entry, Journal, Mark, Phase},
    site::Site,
};
use livepatch_image::{Digest, samples::sample_file};

/// The kernel that sample modules are for.
pub const RELEASE: &str = "6.1.0-56-amd64";

/// One with systemd and livepatching, in the boot `this`.
pub struct MadeNode(tempfile::TempDir);

impl MadeNode {
    /// With nothing loaded or installed.
    pub fn new() -> Self {
        // What a group may write to is not trusted, and some people's umask lets theirs.
        umask(Mode::S_IWGRP | Mode::S_IWOTH);
        let node = Self(tempfile::tempdir().unwrap());
        node.write("proc/sys/kernel/osrelease", RELEASE);
        node.write("proc/sys/kernel/random/boot_id", "this");
        node.write("usr/sbin/tool", "a program");
        for folder in [
            "run/systemd/system",
            "sys/kernel/livepatch",
            "sys/module/ip_vs",
        ] {
            fs::create_dir_all(node.root().join(folder)).unwrap();
        }
        node
    }

    /// Its files.
    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// Its folder of state.
    pub fn state_dir(&self) -> PathBuf {
        self.root().join("var/lib/state")
    }

    /// Both.
    pub fn site(&self) -> Site {
        Site::new(self.root(), &self.state_dir())
    }

    /// Writes a file.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A module's file, outside of what is installed.
    pub fn module(&self, name: &str, jiffies: u32) -> PathBuf {
        self.file(name, &sample_file(name, jiffies))
    }

    /// The same with these bytes.
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        self.write(&format!("root/{name}.ko"), content);
        self.root().join(format!("root/{name}.ko"))
    }

    /// Has a livepatch in force.
    pub fn put_in_force(&self, name: &str, object: &str) {
        let folder = format!("sys/kernel/livepatch/{name}");
        self.write(&format!("{folder}/enabled"), "1");
        self.write(&format!("{folder}/transition"), "0");
        self.write(&format!("{folder}/{object}/patched"), "1");
        let function = format!("{folder}/{object}/estimation_timer,1");
        fs::create_dir_all(self.root().join(function)).unwrap();
        self.write(&format!("sys/module/{name}/taint"), "OEK\n");
        self.write(&format!("sys/module/{name}/refcnt"), "1\n");
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
