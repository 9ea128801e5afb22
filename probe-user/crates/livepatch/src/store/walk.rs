//! Paths that only root could have made. Each part of a path is opened by itself, this module follows links and not the
//! kernel, and checks look at what was opened, never at a name.

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fmt, io,
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open, openat, readlinkat},
    libc::dev_t,
    sys::stat::{FileStat, Mode, SFlag, fstat},
    unistd::Uid,
};

/// As many links as the kernel follows (`path_resolution(7)`).
const MOST_LINKS: u32 = 40;

/// Why what is at a path may be another user's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objection {
    /// A part of the path is that user's.
    Owner(Uid, PathBuf),
    /// A group writes there.
    Group(u32, PathBuf),
    /// Everybody writes there.
    Everybody(PathBuf),
    /// It is on another file system than the folder above, in which everybody may write.
    Mounted(PathBuf),
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(user, at) => write!(
                f,
                "can be changed by user {user}, whose {} is",
                at.display()
            ),
            Self::Group(group, at) => {
                write!(
                    f,
                    "can be changed by group {group}, by way of {}",
                    at.display()
                )
            }
            Self::Everybody(at) => {
                write!(f, "can be changed by everybody, by way of {}", at.display())
            }
            Self::Mounted(at) => write!(
                f,
                "can be changed by whoever mounted {}, in a folder where everybody may write",
                at.display()
            ),
        }
    }
}

/// Where a path leads.
#[derive(Debug)]
pub struct Walked {
    /// The last part that is there, for looking only (`O_PATH`).
    pub opened: OwnedFd,
    /// What it is.
    pub stat: FileStat,
    /// The whole path, with its links followed; as seen from where the walk began.
    pub path: PathBuf,
    /// What is not there yet.
    pub missing: Vec<OsString>,
    /// The first objection to what is there.
    pub objection: Option<Objection>,
    /// The first objection to it over a reboot, too: what is in a sticky folder like `/tmp` is safe only for as long as
    /// it is there.
    pub lasting: Option<Objection>,
}

/// Walks to `path` as a process would whose root folder is `top`.
///
/// # Errors
///
/// When a part cannot be opened. One that is missing is no error.
pub fn walk(top: &Path, path: &Path) -> io::Result<Walked> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut walk = Walk {
        passed: Vec::new(),
        objection: None,
        lasting: None,
    };
    walk.pass(open(top, flags, Mode::empty())?, OsString::new())?;
    let mut left: VecDeque<OsString> = parts(path).collect();
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            walk.back();
            continue;
        }
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = match openat(&walk.last().opened, part.as_os_str(), flags, Mode::empty()) {
            Err(Errno::ENOENT) => {
                left.push_front(part);
                break;
            }
            opened => opened?,
        };
        let Some(target) = walk.enter(opened, part)? else {
            continue;
        };
        links += 1;
        if links > MOST_LINKS {
            return Err(Errno::ELOOP.into());
        }
        if target.is_absolute() {
            walk.passed.truncate(1);
        }
        for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
            left.push_front(part);
        }
    }
    walk.end(left.into())
}

/// A part that was passed.
struct Passed {
    name: OsString,
    opened: OwnedFd,
    stat: FileStat,
}

struct Walk {
    passed: Vec<Passed>,
    objection: Option<Objection>,
    lasting: Option<Objection>,
}

impl Walk {
    fn last(&self) -> &Passed {
        self.passed.last().expect("the top is never left")
    }

    /// Goes to the folder above; that of the top is the top.
    fn back(&mut self) {
        if self.passed.len() > 1 {
            self.passed.pop();
        }
    }

    /// Continues at what was opened, or returns where it leads as a link.
    fn enter(&mut self, opened: OwnedFd, name: OsString) -> io::Result<Option<PathBuf>> {
        if kind(&fstat(&opened)?) != SFlag::S_IFLNK {
            return self.pass(opened, name).map(|()| None);
        }
        let stat = fstat(&opened)?;
        let target = readlinkat(&opened, "")?;
        self.object(&stat, &name);
        Ok(Some(target.into()))
    }

    fn pass(&mut self, opened: OwnedFd, name: OsString) -> io::Result<()> {
        let stat = fstat(&opened)?;
        self.object(&stat, &name);
        self.passed.push(Passed { name, opened, stat });
        Ok(())
    }

    fn object(&mut self, stat: &FileStat, name: &OsStr) {
        let at = || self.path().join(name);
        let above = self.passed.last().map(|passed| &passed.stat);
        let lasting = writers(stat, at);
        let now = theirs(stat, at)
            .or_else(|| lasting.clone().filter(|_| !is_sticky(stat)))
            .or_else(|| mounted(above, stat.st_dev).then(|| Objection::Mounted(at())));
        let lasting = now.clone().or(lasting);
        self.objection = self.objection.take().or(now);
        self.lasting = self.lasting.take().or(lasting);
    }

    fn path(&self) -> PathBuf {
        let parts = self.passed.iter().map(|passed| &passed.name);
        Path::new("/").join(parts.collect::<PathBuf>())
    }

    fn end(mut self, missing: Vec<OsString>) -> io::Result<Walked> {
        if missing.iter().any(|part| part == "..") {
            return Err(Errno::ENOENT.into());
        }
        let path = missing
            .iter()
            .fold(self.path(), |path, part| path.join(part));
        let last = self.passed.pop().expect("the top is never left");
        if !missing.is_empty() && kind(&last.stat) != SFlag::S_IFDIR {
            return Err(Errno::ENOTDIR.into());
        }
        Ok(Walked {
            opened: last.opened,
            stat: last.stat,
            path,
            missing,
            objection: self.objection,
            lasting: self.lasting,
        })
    }
}

/// Returns the parts of a path, without `.` and empty ones.
fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// Returns the kind of a file.
#[must_use]
pub fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

/// Makes sure that it is a regular file.
///
/// # Errors
///
/// When it is something else: a sentence that says what.
pub fn is_regular(stat: &FileStat, path: &Path) -> io::Result<()> {
    let what = match kind(stat) {
        SFlag::S_IFREG => return Ok(()),
        SFlag::S_IFDIR => "a directory",
        SFlag::S_IFIFO => "a pipe",
        SFlag::S_IFLNK => "a link",
        SFlag::S_IFSOCK => "a socket",
        _ => "a device",
    };
    let text = format!(
        "{} is {what} and no regular file: remove it",
        path.display()
    );
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

/// Objects if it belongs to another user.
pub fn theirs(stat: &FileStat, at: impl Fn() -> PathBuf) -> Option<Objection> {
    let owner = Uid::from_raw(stat.st_uid);
    (!owner.is_root() && owner != Uid::effective()).then(|| Objection::Owner(owner, at()))
}

/// Objects if others than its owner can write to it. Where it has an access control list, the group's bits are the most
/// that any entry of the list gives (`acl(5)`).
pub fn writers(stat: &FileStat, at: impl Fn() -> PathBuf) -> Option<Objection> {
    let mode = Mode::from_bits_truncate(stat.st_mode);
    if kind(stat) == SFlag::S_IFLNK {
        // A link's own mode means nothing.
        None
    } else if mode.contains(Mode::S_IWOTH) {
        Some(Objection::Everybody(at()))
    } else if mode.contains(Mode::S_IWGRP) {
        Some(Objection::Group(stat.st_gid, at()))
    } else {
        None
    }
}

/// Returns whether it is a folder in which users cannot rename or remove what belongs to others.
fn is_sticky(stat: &FileStat) -> bool {
    kind(stat) == SFlag::S_IFDIR && Mode::from_bits_truncate(stat.st_mode).contains(Mode::S_ISVTX)
}

/// Returns whether it is on another file system than a folder above it in which everybody makes files. A file system of
/// a user's own says what it likes of its files' owners.
fn mounted(above: Option<&FileStat>, device: dev_t) -> bool {
    let is_everybodys = |above: &&FileStat| writers(above, PathBuf::new).is_some();
    above
        .filter(is_everybodys)
        .is_some_and(|above| above.st_dev != device)
}
