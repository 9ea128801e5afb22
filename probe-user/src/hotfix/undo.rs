//! The way back from a change that stays, as commands for a shell.

use std::{ffi::OsStr, path::Path};

use crate::{check, kernel::module::Name, record::quoted};

/// Returns the command that unloads a livepatch.
pub fn unload(name: &Name, root: &Path, state_dir: &Path) -> String {
    command(root, state_dir, &format!("unload {}", name.typed()))
}

/// Returns the command that uninstalls a hotfix, whose name has letters, digits and `_` alone.
pub fn uninstall(name: &str, root: &Path, state_dir: &Path) -> String {
    command(root, state_dir, &format!("uninstall {name}"))
}

/// Returns the command that installs a hotfix again as it was installed: from that file, with what was accepted.
pub fn install(file: &str, accepted: &[String], root: &Path, state_dir: &Path) -> String {
    let mut words = vec!["install".to_owned(), quoted(OsStr::new(file))];
    for warning in accepted {
        words.extend(["--accept".to_owned(), quoted(OsStr::new(warning))]);
    }
    command(root, state_dir, &words.join(" "))
}

/// Returns a command of `hotfix`. It names the folders where these are not the usual ones.
fn command(root: &Path, state_dir: &Path, asked: &str) -> String {
    let mut words = vec!["ipvs-latency".to_owned()];
    let is_found = [Path::new("/"), Path::new("/host")].contains(&root);
    let options = [
        ("--root", root, is_found),
        (
            "--state-dir",
            state_dir,
            state_dir == root.join("var/lib/ipvs-latency"),
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
pub fn switch(namespace: &Path, netns: u32, value: i32, own: Option<u32>) -> String {
    let command = format!("sysctl -w net.ipv4.vs.run_estimation={value}");
    if own == Some(netns) {
        return command;
    }
    check::inside(&quoted(namespace.as_os_str()), netns, command)
}

#[cfg(test)]
mod tests {
    use super::*;

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
                unload(&name, Path::new(root), Path::new(state_dir)),
                command
            );
        }
    }

    #[test]
    fn what_is_installed_is_uninstalled_and_installed_again_as_it_was() {
        let (root, state_dir) = (Path::new("/"), Path::new("/srv/state"));
        assert_eq!(
            uninstall("est_skip", root, state_dir),
            "ipvs-latency --state-dir /srv/state hotfix uninstall est_skip"
        );
        let accepted = ["no-rearm".to_owned(), "replaces-others".to_owned()];
        let state_dir = Path::new("/var/lib/ipvs-latency");
        assert_eq!(
            install("/root/a b.ko", &accepted, root, state_dir),
            "ipvs-latency hotfix install '/root/a b.ko' --accept no-rearm --accept replaces-others"
        );
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
