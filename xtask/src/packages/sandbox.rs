//! Apt's user without rights, by which it fetches when root runs it: where that user cannot write, apt fetches as root.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Once;

use anyhow::{Context, Result, ensure};
use nix::unistd::{Uid, User, geteuid};

use crate::programs::output_of;

/// Apt's own choice (`APT::Sandbox::User`).
const USER: &str = "_apt";

/// Lets the sandbox user fetch into a folder, if root fetches and that user can reach it. The fetched files belong to
/// that user: copy and compare them before use.
///
/// # Errors
/// When the folder cannot be handed over.
pub fn open_to_it(folder: &Path) -> Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let Some(user) = user().filter(|user| can_enter(*user, folder)) else {
        say_so(folder);
        return Ok(());
    };
    chown(folder, Some(user.as_raw()), None)
        .with_context(|| format!("cannot give {} to the user {USER}", folder.display()))
}

fn user() -> Option<Uid> {
    Some(User::from_name(USER).ok()??.uid)
}

/// Returns whether everybody may pass through each folder above, or the user's own is one of them.
fn can_enter(user: Uid, folder: &Path) -> bool {
    let may_pass = |above: &Path| {
        let found = fs::metadata(above);
        found.is_ok_and(|found| found.mode() & 0o001 != 0 || found.uid() == user.as_raw())
    };
    folder.ancestors().skip(1).all(may_pass)
}

fn say_so(folder: &Path) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        eprintln!(
            "warning: apt fetches as root, because its user {USER} does not exist or cannot enter {}\n\
             hint: set IPVS_LATENCY_CACHE to a folder below folders that everybody may enter",
            folder.display()
        );
    });
}

/// Returns what the signed lists say of files, by their names: from `apt-get download --print-uris`, whose lines are
/// `'URI' NAME SIZE SHA256:HASH`.
pub fn expected(printed: &str) -> BTreeMap<String, String> {
    let entry = |line: &str| {
        let mut words = line.rsplit(' ');
        let hash = words.next()?.strip_prefix("SHA256:")?;
        let name = words.nth(1)?;
        Some((name.to_owned(), hash.to_owned()))
    };
    printed.lines().filter_map(entry).collect()
}

/// Copies what was fetched to where only we write, and compares the copies with the signed lists.
///
/// # Errors
/// When a copy is not what the lists say.
pub fn take(from: &Path, to: &Path, expected: &BTreeMap<String, String>) -> Result<Vec<PathBuf>> {
    let mut taken = Vec::new();
    for (name, hash) in expected {
        let copy = to.join(name);
        let is_name = !name.contains('/')
            && Path::new(name)
                .extension()
                .is_some_and(|extension| extension == "deb");
        ensure!(is_name, "apt names a file {name:?}, which is no package's");
        let source = from.join(name);
        let file = fs::symlink_metadata(&source)
            .with_context(|| format!("cannot find {name} though apt has fetched it"))?;
        ensure!(file.is_file(), "apt has fetched {name}, and it is no file");
        fs::copy(&source, &copy).with_context(|| format!("cannot copy {name}"))?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o644))?;
        let sum = output_of("sha256sum", &["--", &copy.to_string_lossy()])?;
        ensure!(
            sum.trim_start_matches('\\').split(' ').next() == Some(hash),
            "cannot use {name}: it is not what the signed lists say (SHA256 {hash})"
        );
        taken.push(copy);
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn files_and_hashes_are_read_off_what_apt_prints() {
        let printed = format!(
            "Reading package lists...\n\
             'http://m.example/pool/k/kmod_30%2b2_amd64.deb' kmod_30+2_amd64.deb 97000 SHA256:{EMPTY}\n\
             'http://m.example/pool/x.deb' x_1_all.deb 5 MD5Sum:00\n"
        );
        let found = expected(&printed);
        assert_eq!(
            found,
            BTreeMap::from([("kmod_30+2_amd64.deb".to_owned(), EMPTY.to_owned())])
        );
    }

    #[test]
    fn only_what_the_lists_say_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        for made in [&from, &to] {
            fs::create_dir(made).unwrap();
        }
        let file = from.join("a.deb");
        let one = |name: &str| BTreeMap::from([(name.to_owned(), EMPTY.to_owned())]);
        let error = |name: &str| take(&from, &to, &one(name)).unwrap_err().to_string();
        assert!(error("a.deb").contains("cannot find a.deb"));
        fs::write(&file, "").unwrap();
        assert_eq!(take(&from, &to, &one("a.deb")).unwrap(), [to.join("a.deb")]);
        fs::write(&file, "planted").unwrap();
        assert!(error("a.deb").contains("not what the signed lists say"));
        assert!(error("../a.deb").contains("no package's"));
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
        assert!(error("a.deb").contains("no file"));
    }

    #[test]
    fn a_folder_below_a_closed_one_cannot_be_entered_by_another_user() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let mode =
            |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        let stranger = Uid::from_raw(65_533);
        mode(0o700);
        assert!(!can_enter(stranger, &inner));
        mode(0o711);
        assert!(can_enter(stranger, &inner));
    }
}
