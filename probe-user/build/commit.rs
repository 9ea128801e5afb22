//! The commit that a checkout is at: told to people with every record, so that it must be this checkout's own or none.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Variables by which a caller, such as a hook, points git at another repository.
const MISLEADING: [&str; 5] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
];

/// A commit, and what tells that there is another.
#[derive(Debug)]
pub struct Commit {
    /// As `git describe` says, with `-dirty` where a file differs from it.
    pub name: String,
    /// Files that change whenever the checkout is at another commit.
    pub signs: Vec<PathBuf>,
}

/// Returns the commit of a checkout: `None` without git, in a folder that is no checkout of its own, and in the copy of a
/// worktree, which git takes for the original.
pub fn of(checkout: &Path) -> Option<Commit> {
    let checkout = checkout.canonicalize().ok()?;
    let top = git(&checkout, &["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != checkout {
        return None;
    }
    let folder = PathBuf::from(git(&checkout, &["rev-parse", "--absolute-git-dir"])?);
    if !belongs_to(&folder, &checkout) {
        return None;
    }
    let name = git(
        &checkout,
        &["describe", "--always", "--abbrev=12", "--dirty"],
    )?;
    Some(Commit {
        name,
        signs: signs(&checkout, &folder),
    })
}

/// Whether git keeps this folder for this checkout: for a worktree, it notes there which one.
fn belongs_to(folder: &Path, checkout: &Path) -> bool {
    let entry = checkout.join(".git");
    if entry.is_dir() {
        return true;
    }
    let Ok(noted) = fs::read_to_string(folder.join("gitdir")) else {
        // A submodule: what git calls its top was compared.
        return true;
    };
    let noted = folder.join(noted.trim()).canonicalize().ok();
    noted.is_some() && noted == entry.canonicalize().ok()
}

/// The log of HEAD has a line for each commit that it was at; without a log, HEAD and the branch that it names change.
fn signs(checkout: &Path, folder: &Path) -> Vec<PathBuf> {
    let branch = git(checkout, &["symbolic-ref", "--quiet", "HEAD"]);
    let of_git = |name: &str| git(checkout, &["rev-parse", "--git-path", name]);
    let branch = branch.and_then(|branch| of_git(&branch));
    let packed = of_git("packed-refs");
    let others = branch.into_iter().chain(packed);
    let mut signs = vec![folder.join("HEAD"), folder.join("logs/HEAD")];
    signs.extend(others.map(|path| checkout.join(path)));
    // Cargo takes a file that is not there for one that changed.
    signs.retain(|path| path.is_file());
    signs
}

fn git(checkout: &Path, args: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    for name in MISLEADING {
        git.env_remove(name);
    }
    // A build changes nothing in the repository, not even the index.
    let output = git
        .args(["--no-optional-locks", "-C"])
        .arg(checkout)
        .args(args)
        .output()
        .ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    let said = said.trim_end_matches('\n');
    (output.status.success() && !said.is_empty()).then(|| said.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `None` where this machine has no git.
    fn repository(folder: &Path) -> Option<()> {
        fs::create_dir_all(folder).unwrap();
        git(folder, &["--version"])?;
        git(folder, &["init", "--quiet", "--initial-branch=main"]);
        fs::write(folder.join("file"), "one").unwrap();
        commit(folder, "one");
        Some(())
    }

    fn commit(folder: &Path, message: &str) {
        git(folder, &["add", "--all"]);
        let name = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
        let rest = ["commit", "--quiet", "--message", message];
        git(folder, &[&name[..], &rest[..]].concat());
    }

    fn copy(from: &Path, to: &Path) {
        let done = Command::new("cp").arg("-a").arg(from).arg(to).status();
        assert!(done.unwrap().success());
    }

    #[test]
    fn a_checkout_has_its_own_commit_and_says_whether_it_differs_from_it() {
        let place = tempfile::tempdir().unwrap();
        let here = place.path().join("here");
        let Some(()) = repository(&here) else {
            return eprintln!("skipped: there is no git");
        };
        let first = of(&here).unwrap();
        assert_eq!(first.name.len(), 12, "{first:?}");
        let log = fs::read(here.join(".git/logs/HEAD")).unwrap();
        assert!(first.signs.iter().any(|sign| sign.ends_with("logs/HEAD")));
        fs::write(here.join("file"), "two").unwrap();
        assert_eq!(of(&here).unwrap().name, format!("{}-dirty", first.name));
        commit(&here, "two");
        let second = of(&here).unwrap().name;
        assert!(
            second != first.name && !second.ends_with("-dirty"),
            "{second}"
        );
        assert_ne!(fs::read(here.join(".git/logs/HEAD")).unwrap(), log);
    }

    #[test]
    fn what_is_no_checkout_of_its_own_has_no_commit() {
        let place = tempfile::tempdir().unwrap();
        assert!(of(&place.path().join("missing")).is_none());
        let here = place.path().join("here");
        let Some(()) = repository(&here) else {
            return eprintln!("skipped: there is no git");
        };
        let inside = here.join("unpacked");
        fs::create_dir(&inside).unwrap();
        assert!(of(&inside).is_none(), "the commit is of what surrounds it");
        let outside = place.path().join("outside");
        fs::create_dir(&outside).unwrap();
        assert!(of(&outside).is_none());
    }

    #[test]
    fn a_worktree_has_its_commit_and_the_copy_of_one_has_none() {
        let place = tempfile::tempdir().unwrap();
        let here = place.path().join("here");
        let Some(()) = repository(&here) else {
            return eprintln!("skipped: there is no git");
        };
        let tree = place.path().join("tree");
        git(
            &here,
            &["worktree", "add", "--quiet", tree.to_str().unwrap()],
        );
        assert_eq!(of(&tree).unwrap().name, of(&here).unwrap().name);
        let copied = place.path().join("copied");
        copy(&tree, &copied);
        assert!(of(&copied).is_none());
        // The copy of a whole repository is one.
        let whole = place.path().join("whole");
        copy(&here, &whole);
        assert_eq!(of(&whole).unwrap().name, of(&here).unwrap().name);
    }
}
