//! The way back from a change that stays, as commands for a shell.

use std::{ffi::OsStr, path::Path};

use super::journal::Entry;
use crate::site::Site;
use livepatch_image::{Digest, Name, file};
use model::{
    printable::printable,
    shell::{inside_namespace, quoted},
};

/// The way back from one change.
#[derive(Debug, PartialEq, Eq)]
pub enum Undo {
    /// A command for a shell.
    Command(String),
    /// No command leads back, for this reason.
    NoCommand(String),
}

impl Undo {
    /// Returns the line that a person reads.
    #[must_use]
    pub fn line(&self) -> String {
        match self {
            Self::Command(command) => format!("Undo: {command}"),
            Self::NoCommand(why) => format!("Undo: no command: {why}"),
        }
    }

    /// Returns the command, if there is one.
    #[must_use]
    pub fn command(self) -> Option<String> {
        match self {
            Self::Command(command) => Some(command),
            Self::NoCommand(_) => None,
        }
    }
}

/// Returns the command that unloads a livepatch.
#[must_use]
pub fn unload(name: &Name, site: &Site) -> String {
    command(site, &format!("unload {}", name.typed()))
}

/// Returns the command that uninstalls a hotfix, whose name has letters, digits and `_` alone.
#[must_use]
pub fn uninstall(name: &str, site: &Site) -> String {
    command(site, &format!("uninstall {name}"))
}

/// Returns how a hotfix is installed again as it was installed: from that file, with what was accepted.
#[must_use]
pub fn install(file: &str, sha256: &Digest, accepted: &[String], site: &Site) -> Undo {
    if !is_still(file, sha256) {
        return Undo::NoCommand(format!(
            "{} is missing, unreadable or changed: install the file whose SHA-256 is {sha256}",
            printable(file)
        ));
    }
    Undo::Command(from_file("install", file, accepted, site))
}

/// Returns how a hotfix is loaded again as the journal says that it was loaded.
#[must_use]
pub fn load(entry: Option<&Entry>, site: &Site) -> Undo {
    let Some(entry) = entry else {
        return Undo::NoCommand(
            "the journal has no entry of this load (another tool loaded it), or cannot be read"
                .into(),
        );
    };
    if !is_still(&entry.file, &entry.sha256) {
        return Undo::NoCommand(format!(
            "{} is missing, unreadable or changed: load the file whose SHA-256 is {}",
            printable(&entry.file),
            entry.sha256
        ));
    }
    Undo::Command(from_file("load", &entry.file, &entry.accepted, site))
}

/// Returns whether a file has this content, and can be read.
fn is_still(file: &str, sha256: &Digest) -> bool {
    file::read(Path::new(file)).is_ok_and(|bytes| Digest::of(&bytes) == *sha256)
}

fn from_file(verb: &str, file: &str, accepted: &[String], site: &Site) -> String {
    let mut words = vec![verb.to_owned(), quoted(OsStr::new(file))];
    for warning in accepted {
        words.extend(["--accept".to_owned(), quoted(OsStr::new(warning))]);
    }
    command(site, &words.join(" "))
}

/// Returns a command of `hotfix`. It names the folders where these are not the usual ones.
fn command(site: &Site, asked: &str) -> String {
    let mut words = vec!["ipvs-latency".to_owned()];
    let is_found = [Path::new("/"), Path::new("/host")].contains(&&*site.root);
    let options = [
        ("--root", &site.root, is_found),
        (
            "--state-dir",
            &site.state_dir,
            site.state_dir == site.root.join("var/lib/ipvs-latency"),
        ),
    ];
    for (option, folder, is_usual) in options {
        if !is_usual {
            words.push(format!("{option} {}", quoted(folder.as_os_str())));
        }
    }
    words.push(format!("hotfix {asked}"));
    words.join(" ")
}

/// Returns the command that sets `run_estimation` of a namespace to a value; `own` is the namespace of the shell.
#[must_use]
pub fn switch(namespace: &Path, netns: u32, value: i32, own: Option<u32>) -> String {
    let command = format!("sysctl -w net.ipv4.vs.run_estimation={value}");
    if own == Some(netns) {
        return command;
    }
    inside_namespace(&quoted(namespace.as_os_str()), netns, command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        made_node::{self, MadeNode},
        transaction::journal::{Journal, Phase},
    };

    #[test]
    fn a_livepatch_is_unloaded_where_it_was_loaded() {
        let name = Name::from("est_skip");
        for (root, state_dir, command) in [
            (
                "/",
                "/var/lib/ipvs-latency",
                "ipvs-latency hotfix unload est_skip",
            ),
            (
                "/host",
                "/host/var/lib/ipvs-latency",
                "ipvs-latency hotfix unload est_skip",
            ),
            (
                "/mnt/a b",
                "/x",
                "ipvs-latency --root '/mnt/a b' --state-dir /x hotfix unload est_skip",
            ),
        ] {
            assert_eq!(
                unload(
                    &name,
                    &made_node::site(Path::new(root), Path::new(state_dir))
                ),
                command
            );
        }
    }

    #[test]
    fn what_is_installed_is_uninstalled_and_installed_again_as_it_was() {
        let site = |state_dir: &str| made_node::site(Path::new("/"), Path::new(state_dir));
        assert_eq!(
            uninstall("est_skip", &site("/srv/state")),
            "ipvs-latency --state-dir /srv/state hotfix uninstall est_skip"
        );
        let node = MadeNode::new();
        let file = node.file("a b", b"content").display().to_string();
        let accepted = ["no-rearm".to_owned(), "replaces-others".to_owned()];
        let usual = site("/var/lib/ipvs-latency");
        let sha256 = Digest::of(&std::fs::read(&file).unwrap());
        let back = || install(&file, &sha256, &accepted, &usual);
        let command = format!(
            "ipvs-latency hotfix install '{file}' --accept no-rearm --accept replaces-others"
        );
        assert_eq!(back(), Undo::Command(command));
        std::fs::write(&file, "another").unwrap();
        let gone = format!(
            "Undo: no command: {file} is missing, unreadable or changed: install the file whose SHA-256 is {sha256}"
        );
        assert_eq!(back().line(), gone);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(back().line(), gone);
    }

    #[test]
    fn what_is_unloaded_is_loaded_again_from_the_same_file_alone() {
        let node = MadeNode::new();
        let site = made_node::site(Path::new("/"), Path::new("/var/lib/ipvs-latency"));
        let file = node.file("est_skip", b"content");
        let content = std::fs::read(&file).unwrap();
        node.note("est_skip", &content, "this", Phase::InForce);
        let journal = Journal::read(&node.state_dir()).unwrap();
        let entry = Entry {
            file: file.display().to_string(),
            accepted: vec!["no-rearm".into()],
            ..journal.entries()[0].clone()
        };
        let back = |entry| load(entry, &site);
        let command = format!(
            "ipvs-latency hotfix load {} --accept no-rearm",
            file.display()
        );
        assert_eq!(back(Some(&entry)), Undo::Command(command));
        std::fs::write(&file, "another").unwrap();
        let line = back(Some(&entry)).line();
        assert!(
            line.contains("is missing, unreadable or changed: load the file"),
            "{line}"
        );
        assert!(line.contains(&entry.sha256.to_string()), "{line}");
        assert_eq!(back(None).command(), None);
    }

    #[test]
    fn a_switch_is_set_in_its_own_namespace() {
        let file = Path::new("/run/netns/lab1");
        assert_eq!(
            switch(file, 7, 1, Some(7)),
            "sysctl -w net.ipv4.vs.run_estimation=1"
        );
        let inside = switch(file, 7, 1, Some(8));
        for words in ["--net=/run/netns/lab1", "\"7\"", "run_estimation=1"] {
            assert!(inside.contains(words), "no {words} in {inside}");
        }
    }
}
