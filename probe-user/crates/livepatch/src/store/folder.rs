//! A folder that was opened once, and whose files are opened, written and removed through it: no name above them is
//! looked up again.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read as _, Write as _},
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{AtFlags, OFlag, RenameFlags, openat, readlinkat, renameat, renameat2},
    sys::stat::{FileStat, Mode, fchmod, fstat, fstatat, mkdirat},
    unistd::{UnlinkatFlags, fsync, symlinkat, unlinkat},
};

use super::walk::{self, Objection, Walked, is_regular, walk};

/// The first letters of a file that is not in place yet.
pub const NEW: &str = ".new-";

/// An open folder to which only root or this process's user can write.
#[derive(Debug)]
pub struct Folder {
    opened: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens the folder at `path`, as the host under `top` has it; `None` where there is none.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or others could change it.
    pub fn open(top: &Path, path: &Path) -> io::Result<Option<Self>> {
        let walked = walk(top, path)?;
        if walked.missing.is_empty() {
            return Self::of(top, walked).map(Some);
        }
        refuse(walked.objection).map(|()| None)
    }

    /// Opens the folder at `path`, and makes it with all above it that is not there, with this mode whatever the umask.
    ///
    /// # Errors
    ///
    /// When one of them cannot be made or opened, or others could change it.
    pub fn make(top: &Path, path: &Path, mode: Mode) -> io::Result<Self> {
        let mut walked = walk(top, path)?;
        let missing = std::mem::take(&mut walked.missing);
        for _ in &missing {
            walked.path.pop();
        }
        let Some((first, rest)) = missing.split_first() else {
            return Self::of(top, walked);
        };
        // The last existing folder may be sticky, like /tmp.
        refuse(walked.objection.take())?;
        let above = Self {
            opened: listable(&walked.opened)?,
            path: shown(top, &walked.path),
        };
        let mut folder = above.make_in(first, mode)?;
        for part in rest {
            folder = folder.make_in(part, mode)?;
        }
        Ok(folder)
    }

    fn of(top: &Path, walked: Walked) -> io::Result<Self> {
        let path = shown(top, &walked.path);
        let at = || path.clone();
        refuse(walked.objection.or_else(|| walk::writers(&walked.stat, at)))?;
        Ok(Self {
            opened: listable(&walked.opened)?,
            path,
        })
    }

    /// Returns where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes every right that this mode does not include.
    ///
    /// # Errors
    ///
    /// When it is another user's.
    pub fn tighten(&self, mode: Mode) -> io::Result<()> {
        tighten(&self.opened, mode)
    }

    /// Opens a folder in it; `None` where there is none.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, is a link, or others could change it.
    pub fn folder(&self, name: impl AsRef<OsStr>) -> io::Result<Option<Self>> {
        let name = name.as_ref();
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = match openat(&self.opened, name, flags, Mode::empty()) {
            Err(Errno::ENOENT) => return Ok(None),
            opened => opened?,
        };
        let path = self.path.join(name);
        refuse(objection(&fstat(&opened)?, &path))?;
        Ok(Some(Self { opened, path }))
    }

    /// Opens a folder in it, which is made with this mode where there is none.
    ///
    /// # Errors
    ///
    /// As [`Self::folder`], and when it cannot be made.
    pub fn make_in(&self, name: impl AsRef<OsStr>, mode: Mode) -> io::Result<Self> {
        let name = name.as_ref();
        let is_new = match mkdirat(&self.opened, name, mode) {
            Err(Errno::EEXIST) => false,
            result => result.map(|()| true)?,
        };
        let folder = self.folder(name)?.ok_or(Errno::ENOENT)?;
        if is_new {
            // A list of the folder above may give more, and the umask less.
            fchmod(&folder.opened, mode)?;
            self.sync()?;
        }
        Ok(folder)
    }

    /// Opens a file in it; `None` where there is none. Never waits, for a writer of a pipe least of all.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, is no regular file, or others could change it.
    pub fn file(&self, name: impl AsRef<OsStr>) -> io::Result<Option<File>> {
        let name = name.as_ref();
        let file = self.regular(name, OFlag::O_RDONLY, Mode::empty())?;
        if let Some(file) = &file {
            refuse(objection(&fstat(file)?, &self.path.join(name)))?;
        }
        Ok(file)
    }

    /// Opens a file as [`Self::file`] does, also one that others could change.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or is no regular file.
    pub fn regular(
        &self,
        name: impl AsRef<OsStr>,
        flags: OFlag,
        mode: Mode,
    ) -> io::Result<Option<File>> {
        let name = name.as_ref();
        let path = self.path.join(name);
        // Opening a device may have an effect.
        match fstatat(&self.opened, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) if flags.contains(OFlag::O_CREAT) => {}
            Err(Errno::ENOENT) => return Ok(None),
            stat => is_regular(&stat?, &path)?,
        }
        let flags =
            flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let opened = match openat(&self.opened, name, flags, mode) {
            Err(Errno::ENOENT) => return Ok(None),
            opened => opened?,
        };
        is_regular(&fstat(&opened)?, &path)?;
        Ok(Some(opened.into()))
    }

    /// Returns the content of a file in it; `None` where there is none.
    ///
    /// # Errors
    ///
    /// As [`Self::file`], and when it has more than `most` bytes.
    pub fn read(&self, name: impl AsRef<OsStr>, most: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.file(name)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        // It may grow while it is read.
        file.take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            let text = format!("it has more than {most} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        Ok(Some(bytes))
    }

    /// Writes a file, over an older one too: the whole file is there or none of it, and it is on disk when this
    /// returns.
    ///
    /// # Errors
    ///
    /// When it cannot be written: what was there is there still.
    pub fn put(&self, name: impl AsRef<OsStr>, mode: Mode, content: &[u8]) -> io::Result<()> {
        let (written, mut file) = self.new_file(mode)?;
        let put = file
            .write_all(content)
            .and_then(|()| file.sync_all())
            .and_then(|()| self.rename(&written, name.as_ref()));
        if put.is_err() {
            let _ = unlinkat(
                &self.opened,
                written.as_os_str(),
                UnlinkatFlags::NoRemoveDir,
            );
        }
        put
    }

    /// Makes a file with a name that is not in use.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn new_file(&self, mode: Mode) -> io::Result<(OsString, File)> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        loop {
            let name = OsString::from(format!("{NEW}{:016x}", fastrand::u64(..)));
            let opened = match openat(&self.opened, name.as_os_str(), flags, mode) {
                Err(Errno::EEXIST) => continue,
                opened => opened?,
            };
            fchmod(&opened, mode)?;
            return Ok((name, opened.into()));
        }
    }

    /// Renames a file in it, over a file of that name too. The change is on disk when this returns.
    ///
    /// # Errors
    ///
    /// When the file system refuses.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        renameat(&self.opened, from, &self.opened, to)?;
        self.sync()
    }

    /// Exchanges the names of two files in it.
    ///
    /// # Errors
    ///
    /// When one is not there, or the file system cannot do that.
    pub fn exchange(&self, one: &OsStr, other: &OsStr) -> io::Result<()> {
        renameat2(
            &self.opened,
            one,
            &self.opened,
            other,
            RenameFlags::RENAME_EXCHANGE,
        )?;
        self.sync()
    }

    /// Removes a file, and tells whether it was there.
    ///
    /// # Errors
    ///
    /// When it cannot be removed.
    pub fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<bool> {
        match unlinkat(&self.opened, name.as_ref(), UnlinkatFlags::NoRemoveDir) {
            Err(Errno::ENOENT) => Ok(false),
            removed => {
                removed?;
                self.sync().map(|()| true)
            }
        }
    }

    /// Removes a folder in it, if it is empty.
    ///
    /// # Errors
    ///
    /// When it is not there, or not empty.
    pub fn remove_folder(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        unlinkat(&self.opened, name.as_ref(), UnlinkatFlags::RemoveDir)?;
        self.sync()
    }

    /// Makes a link in it; one that leads there already is as good.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or something else is in its place.
    pub fn link(&self, name: impl AsRef<OsStr>, target: &Path) -> io::Result<()> {
        let name = name.as_ref();
        match symlinkat(target, &self.opened, name) {
            Err(Errno::EEXIST) if self.target(name)?.is_some_and(|there| there == target) => {}
            made => made?,
        }
        self.sync()
    }

    /// Returns where a link in it leads; `None` for what is no link, or not there.
    ///
    /// # Errors
    ///
    /// When it cannot be looked at.
    pub fn target(&self, name: impl AsRef<OsStr>) -> io::Result<Option<PathBuf>> {
        match readlinkat(&self.opened, name.as_ref()) {
            Err(Errno::ENOENT | Errno::EINVAL) => Ok(None),
            target => Ok(Some(target?.into())),
        }
    }

    /// Returns what is under a name in it; `None` where nothing is.
    ///
    /// # Errors
    ///
    /// When it cannot be looked at.
    pub fn look(&self, name: impl AsRef<OsStr>) -> io::Result<Option<FileStat>> {
        match fstatat(&self.opened, name.as_ref(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => Ok(None),
            stat => Ok(Some(stat?)),
        }
    }

    /// Returns the names in it, sorted.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        // An open folder keeps its read position: so the list has a descriptor of its own.
        let mut names = Vec::new();
        for entry in Dir::from_fd(listable(&self.opened)?)?.iter() {
            let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Syncs the names in it to disk.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn sync(&self) -> io::Result<()> {
        Ok(fsync(&self.opened)?)
    }
}

/// Removes every right of an open file that this mode does not include.
///
/// # Errors
///
/// When it is another user's.
pub fn tighten(opened: impl std::os::fd::AsFd, mode: Mode) -> io::Result<()> {
    let opened = opened.as_fd();
    let now = Mode::from_bits_truncate(fstat(opened)?.st_mode);
    if !mode.contains(now) {
        fchmod(opened, now & mode)?;
    }
    Ok(())
}

/// Returns the same folder, opened for listing and syncing.
fn listable(opened: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(openat(opened, ".", flags, Mode::empty())?)
}

/// Returns how a path under `top` is named here.
#[must_use]
pub fn shown(top: &Path, path: &Path) -> PathBuf {
    top.join(path.strip_prefix("/").unwrap_or(path))
}

fn objection(stat: &FileStat, path: &Path) -> Option<Objection> {
    let at = || path.to_owned();
    walk::theirs(stat, at).or_else(|| walk::writers(stat, at))
}

fn refuse(objection: Option<Objection>) -> io::Result<()> {
    match objection {
        None => Ok(()),
        Some(objection) => {
            let text = format!("it {objection}: remove that right, or name another folder");
            Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let place = tempfile::tempdir().unwrap();
        let mode = Mode::S_IRWXU;
        let folder = Folder::make(place.path(), Path::new("/in"), mode).unwrap();
        folder.put("file", Mode::S_IRUSR, b"x").unwrap();
        folder.make_in("inner", mode).unwrap();
        folder.link("link", Path::new("inner")).unwrap();
        (place, folder)
    }

    fn is_inherited(opened: impl AsFd) -> bool {
        let flags = fcntl(opened, FcntlArg::F_GETFD).unwrap();
        !FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC)
    }

    #[test]
    fn what_is_opened_is_no_link_is_not_waited_for_and_is_not_handed_on() {
        let (place, folder) = folder();
        for not_a_folder in ["file", "link"] {
            assert!(folder.folder(not_a_folder).is_err(), "{not_a_folder}");
        }
        assert!(folder.folder("gone").unwrap().is_none());
        assert!(folder.file("gone").unwrap().is_none());
        for not_a_file in ["inner", "link"] {
            assert!(folder.file(not_a_file).is_err(), "{not_a_file}");
        }
        let file = folder.file("file").unwrap().unwrap();
        let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL).unwrap());
        assert!(flags.contains(OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK));
        let inner = folder.folder("inner").unwrap().unwrap();
        let (_, new) = folder.new_file(Mode::S_IRUSR).unwrap();
        assert!(!is_inherited(file) && !is_inherited(new));
        let again = Folder::open(place.path(), Path::new("/in"));
        let again = again.unwrap().unwrap();
        assert!(!is_inherited(again.opened) && !is_inherited(inner.opened));
    }

    #[test]
    fn a_link_that_leads_elsewhere_stays_and_is_told() {
        let (_place, folder) = folder();
        folder.link("link", Path::new("inner")).unwrap();
        for (name, is_link) in [("link", true), ("file", false)] {
            assert!(folder.link(name, Path::new("elsewhere")).is_err());
            let target = folder.target(name).unwrap();
            assert_eq!(target, is_link.then(|| "inner".into()), "{name}");
        }
    }
}
