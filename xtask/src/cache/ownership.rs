//! Paths that no stranger can change: looked at folder by folder, each on what was opened, links included.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::{Group, Uid, User};

/// As many as the kernel follows.
const MOST_LINKS: u32 = 40;

/// Who may own what is used: root, and whoever runs this.
#[derive(Debug, Clone, Copy)]
pub struct Owners {
    us: u32,
    /// The group that is the user's alone, where there is one: Ubuntu and Fedora make one for each user, and let it write
    /// by default (umask 002).
    own_group: Option<u32>,
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The path without links.
    pub path: PathBuf,
    /// Whether something is there. All folders above that are there have been looked at too.
    pub exists: bool,
}

impl Owners {
    /// Root and the user of this process.
    pub fn now() -> Self {
        let us = nix::unistd::geteuid();
        Self {
            us: us.as_raw(),
            own_group: private_group(us),
        }
    }

    /// Follows an absolute path. What was looked at cannot be swapped afterwards: everything on the way belongs to the
    /// owners, and no other user may write there.
    ///
    /// # Errors
    ///
    /// When another user owns a part of it or may change it, or it cannot be opened.
    pub fn follow(self, path: &Path) -> Result<Resolved> {
        let mut walk = Walk::new(self, path)?;
        while let Some(part) = walk.waiting.pop() {
            if !walk.step(part)? {
                return walk.missing();
            }
        }
        Ok(Resolved {
            path: walk.place().to_owned(),
            exists: true,
        })
    }

    fn check(self, path: &Path, found: &FileStat, is_last: bool) -> Result<()> {
        ensure!(
            found.st_uid == 0 || found.st_uid == self.us,
            "{} belongs to the user with the number {}, and not to you or root",
            path.display(),
            found.st_uid
        );
        let kind = SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits());
        if kind == SFlag::S_IFLNK {
            return Ok(());
        }
        let mode = Mode::from_bits_truncate(found.st_mode);
        // In a sticky folder, others add names and touch none of ours.
        let shared = kind == SFlag::S_IFDIR && mode.contains(Mode::S_ISVTX) && !is_last;
        let group = Mode::S_IWGRP;
        let others = match self.own_group {
            Some(own) if own == found.st_gid => mode - group,
            _ => mode,
        };
        for (bit, who) in [(Mode::S_IWOTH, "everybody"), (group, "a group")] {
            ensure!(
                shared || !others.contains(bit),
                "{} may be changed by {who} (mode {:o})",
                path.display(),
                mode.bits()
            );
        }
        Ok(())
    }
}

/// Returns the user's own group: the one that bears the user's name, is the user's first, and has no other member. Root
/// has none: group 0 is the first of other users too in some containers.
fn private_group(us: Uid) -> Option<u32> {
    if us.is_root() {
        return None;
    }
    let user = User::from_uid(us).ok().flatten()?;
    let group = Group::from_gid(user.gid).ok().flatten()?;
    let is_alone = group.mem.iter().all(|member| *member == user.name);
    (group.name == user.name && is_alone).then(|| user.gid.as_raw())
}

/// A path that is being followed.
struct Walk {
    owners: Owners,
    /// The folders entered, from the first on.
    entered: Vec<(PathBuf, OwnedFd)>,
    /// The parts still to come, the next one last.
    waiting: Vec<OsString>,
    links: u32,
}

impl Walk {
    fn new(owners: Owners, path: &Path) -> Result<Self> {
        ensure!(path.is_absolute(), "{} is no absolute path", path.display());
        let root = PathBuf::from("/");
        let opened = nix::fcntl::open(&root, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
            .context("cannot open /")?;
        let mut walk = Self {
            owners,
            entered: vec![(root, opened)],
            waiting: Vec::new(),
            links: 0,
        };
        walk.push(path);
        walk.owners.check(
            Path::new("/"),
            &fstat(walk.here())?,
            walk.waiting.is_empty(),
        )?;
        Ok(walk)
    }

    fn push(&mut self, path: &Path) {
        let parts = path.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        });
        let parts: Vec<OsString> = parts.collect();
        self.waiting.extend(parts.into_iter().rev());
    }

    fn place(&self) -> &Path {
        self.entered.last().map_or(Path::new("/"), |(path, _)| path)
    }

    fn here(&self) -> &OwnedFd {
        // The first is never left.
        &self.entered[self.entered.len() - 1].1
    }

    /// Follows one part. Returns false if there is no such part.
    fn step(&mut self, part: OsString) -> Result<bool> {
        if part == ".." {
            self.entered.truncate((self.entered.len() - 1).max(1));
            return Ok(true);
        }
        let path = self.place().join(&part);
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = match openat(self.here(), part.as_os_str(), flags, Mode::empty()) {
            Ok(opened) => opened,
            Err(Errno::ENOENT) => {
                self.waiting.push(part);
                return Ok(false);
            }
            Err(error) => bail!("cannot open {}: {error}", path.display()),
        };
        let found = fstat(&opened).with_context(|| format!("cannot look at {}", path.display()))?;
        self.owners.check(&path, &found, self.waiting.is_empty())?;
        if found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFLNK.bits() {
            self.links += 1;
            ensure!(
                self.links <= MOST_LINKS,
                "{} is a link without an end",
                path.display()
            );
            let target = readlinkat(&opened, "")
                .with_context(|| format!("cannot read the link {}", path.display()))?;
            let target = PathBuf::from(target);
            if target.is_absolute() {
                self.entered.truncate(1);
            }
            self.push(&target);
        } else {
            self.entered.push((path, opened));
        }
        Ok(true)
    }

    /// Checks that the missing rest has to be made in a folder where no other user makes anything.
    fn missing(mut self) -> Result<Resolved> {
        ensure!(
            self.waiting.iter().all(|part| part != ".."),
            "{} does not exist, and the path continues through it",
            self.place()
                .join(self.waiting.last().map_or(Path::new(""), Path::new))
                .display()
        );
        let mut path = self.place().to_owned();
        while let Some(part) = self.waiting.pop() {
            path.push(part);
        }
        Ok(Resolved {
            path,
            exists: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

    use super::*;

    /// A user who is neither root nor the one who runs this.
    const STRANGER: u32 = 65_533;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Returns a folder with `cache/tool` in it, which may be used as it is.
    fn made() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        fs::create_dir(&cache).unwrap();
        fs::write(cache.join("tool"), "").unwrap();
        mode(&cache, 0o755);
        mode(&cache.join("tool"), 0o755);
        (folder, cache)
    }

    /// Lets a stranger own something: by giving it away where that is allowed, else by being one.
    fn estranged(path: &Path) -> Owners {
        if nix::unistd::geteuid().is_root() {
            // Of the link, where it is one.
            std::os::unix::fs::lchown(path, Some(STRANGER), None).unwrap();
            Owners::now()
        } else {
            Owners {
                us: STRANGER,
                own_group: None,
            }
        }
    }

    #[test]
    fn what_is_ours_is_used_by_whatever_path_and_told_without_links() {
        let (folder, cache) = made();
        symlink("cache", folder.path().join("link")).unwrap();
        symlink(&cache, folder.path().join("absolute")).unwrap();
        let folder = folder.path();
        for (path, exists) in [
            ("cache", true),
            ("cache/tool", true),
            ("link/tool", true),
            ("absolute/tool", true),
            ("cache/../link/./tool", true),
            ("link/none", false),
            ("link/none/at/all", false),
        ] {
            let found = Owners::now().follow(&folder.join(path)).unwrap();
            assert_eq!(found.exists, exists, "{path}");
            let told = path.replace("cache/../link/.", "cache");
            let told = told.replace("link", "cache").replace("absolute", "cache");
            assert_eq!(found.path, folder.join(told), "{path}");
        }
    }

    #[test]
    fn what_a_stranger_owns_is_not_used_nor_what_is_reached_through_it() {
        for planted in ["", "cache", "cache/tool", "link"] {
            let (folder, cache) = made();
            symlink("cache/tool", folder.path().join("link")).unwrap();
            let owners = estranged(&folder.path().join(planted));
            let path = if planted == "link" {
                folder.path().join("link")
            } else {
                cache.join("tool")
            };
            let error = owners.follow(&path).unwrap_err().to_string();
            assert!(
                error.contains("belongs to the user with the number"),
                "{planted}: {error}"
            );
            // Tidied up by whoever made it.
            let _ = chown(folder.path(), Some(nix::unistd::geteuid().as_raw()), None);
        }
    }

    #[test]
    fn what_others_may_change_is_not_used_nor_what_lies_below_it() {
        for (open, bits, who) in [
            ("cache", 0o777, "everybody"),
            ("cache", 0o775, "a group"),
            ("cache/tool", 0o757, "everybody"),
            ("cache/tool", 0o775, "a group"),
        ] {
            let (folder, cache) = made();
            mode(&folder.path().join(open), bits);
            let path = cache.join("tool");
            let owners = Owners {
                own_group: None,
                ..Owners::now()
            };
            let error = owners.follow(&path).unwrap_err().to_string();
            assert!(
                error.contains(&format!("may be changed by {who}")),
                "{error}"
            );
            // Where the group is the user's alone, its right is the user's.
            let owners = Owners {
                own_group: Some(fs::metadata(&path).unwrap().gid()),
                ..owners
            };
            assert_eq!(owners.follow(&path).is_ok(), who == "a group");
        }
    }

    #[test]
    fn a_sticky_folder_may_be_on_the_way_and_not_at_the_end() {
        let (folder, cache) = made();
        mode(folder.path(), 0o1777);
        assert!(Owners::now().follow(&cache).unwrap().exists);
        mode(&cache, 0o1777);
        assert!(Owners::now().follow(&cache).is_err());
        assert!(Owners::now().follow(&cache.join("tool")).is_ok());
    }

    #[test]
    fn a_link_to_itself_ends() {
        let folder = tempfile::tempdir().unwrap();
        symlink("link", folder.path().join("link")).unwrap();
        let error = Owners::now()
            .follow(&folder.path().join("link"))
            .unwrap_err();
        assert!(error.to_string().contains("without an end"), "{error}");
        assert!(
            Owners::now()
                .follow(&folder.path().join("none/../x"))
                .is_err()
        );
        assert!(Owners::now().follow(Path::new("relative")).is_err());
    }
}
