//! Network namespaces, as people name them.

pub mod doors;

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    str::FromStr,
    thread,
};

use nix::{
    fcntl::OFlag,
    sched::{CloneFlags, setns},
    sys::statfs::{FsType, fstatfs},
    unistd::gettid,
};
use thiserror::Error;

use self::doors::Doors;

/// The file system of namespaces (`include/uapi/linux/magic.h`).
const NSFS_MAGIC: FsType = FsType(0x6e73_6673);

/// The forms that a namespace may be given in.
const FORMS: &str = "an inode number (4026531840), a path (/proc/1/ns/net), the name of a file that one is mounted on (as \
                     `ip netns` and docker have them), or pid:N";

/// A network namespace as it was named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetnsName {
    /// Inode number of the namespace.
    Inode(u32),
    /// A file that stands for the namespace.
    Path(PathBuf),
    /// The name of a file that the namespace is mounted on, as of those of `ip netns`.
    Name(String),
    /// The namespace of a process.
    Pid(u32),
}

/// Why a namespace could not be found.
#[derive(Debug, Error)]
pub enum NetnsError {
    /// Not one of the accepted forms.
    #[error("it is none of the accepted forms: {FORMS}")]
    Form,
    /// A file that stands for something else.
    #[error("{0} is no network namespace; accepted is {FORMS}")]
    NoNamespace(PathBuf),
    /// A file of another namespace than the intended one.
    #[error("{path} stands for the namespace {found} now, and not for {meant}")]
    Other {
        /// The file.
        path: PathBuf,
        /// Inode number of its namespace.
        found: u64,
        /// Inode number of the intended namespace.
        meant: u32,
    },
    /// A name that several namespaces have.
    #[error("{0} network namespaces have this name: give a path, or an inode number")]
    Ambiguous(usize),
    /// A well-formed name of nothing.
    #[error("no network namespace is there ({path}: {source}); accepted is {FORMS}")]
    Missing {
        /// The file that should stand for the namespace.
        path: PathBuf,
        /// What opening it said.
        source: io::Error,
    },
}

impl fmt::Display for NetnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inode(inode) => inode.fmt(f),
            Self::Path(path) => path.display().fmt(f),
            Self::Name(name) => name.fmt(f),
            Self::Pid(pid) => write!(f, "pid:{pid}"),
        }
    }
}

impl FromStr for NetnsName {
    type Err = NetnsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(pid) = text.strip_prefix("pid:") {
            return pid.parse().map(Self::Pid).map_err(|_| NetnsError::Form);
        }
        if text.contains('/') {
            return Ok(Self::Path(text.into()));
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::Inode).map_err(|_| NetnsError::Form);
        }
        if text.is_empty() || text.starts_with('-') || text.chars().any(char::is_whitespace) {
            return Err(NetnsError::Form);
        }
        Ok(Self::Name(text.to_owned()))
    }
}

impl NetnsName {
    /// The inode number of the namespace.
    ///
    /// # Errors
    ///
    /// When the file that stands for it is not there.
    pub fn inode(&self, root: &Path) -> Result<u32, NetnsError> {
        match self {
            Self::Inode(inode) => Ok(*inode),
            Self::Path(path) => inode_of(path),
            Self::Name(name) => inode_of(&root.join("run/netns").join(name))
                .or_else(|error| mounted(root, name).unwrap_or(Err(error))),
            Self::Pid(pid) => inode_of(&root.join(format!("proc/{pid}/ns/net"))),
        }
    }
}

/// Returns the namespace that is mounted on a file of this name outside `/run/netns`; `None` without one.
fn mounted(root: &Path, name: &str) -> Option<Result<u32, NetnsError>> {
    match Doors::read(root).named(name)[..] {
        [] => None,
        [netns] => Some(Ok(netns)),
        ref several => Some(Err(NetnsError::Ambiguous(several.len()))),
    }
}

/// The namespace of the host's first process: the root namespace, unless we are in a container that
/// hides it.
///
/// # Errors
///
/// When it may not be looked at, and this process lives in another.
pub fn root_inode(root: &Path) -> Result<u32, NetnsError> {
    let told = NetnsName::Pid(1).inode(root);
    told.or_else(|error| {
        own_inode(root)
            .filter(|_| lives_with_first(root))
            .ok_or(error)
    })
}

/// Returns whether this process lives in the namespace of the first one. Everybody may look at the files in its
/// `/proc/1/net`, and those of another namespace are other files.
fn lives_with_first(root: &Path) -> bool {
    let file = |process| {
        let found = fs::metadata(root.join(format!("proc/{process}/net/dev"))).ok()?;
        Some((found.dev(), found.ino()))
    };
    file("1").is_some_and(|first| file("self") == Some(first))
}

/// The namespace of this process; `None` where it may not be looked at.
#[must_use]
pub fn own_inode(root: &Path) -> Option<u32> {
    inode_of(&root.join("proc/self/ns/net")).ok()
}

/// Returns the folder of the files of the namespace that this thread is in: `/proc/net` is of that of the process.
#[must_use]
pub fn own_files(root: &Path) -> PathBuf {
    let thread = root.join("proc/thread-self");
    // Linux before 3.17 has the other alone.
    let thread = if thread.exists() {
        thread
    } else {
        root.join(format!("proc/self/task/{}", gettid()))
    };
    thread.join("net")
}

/// Opens a file of a namespace, and checks that its inode number is the one that is `meant`. It stays that namespace,
/// whatever happens to the file.
///
/// # Errors
///
/// When the file cannot be opened, or stands for something else by now.
pub fn open(path: &Path, meant: u32) -> Result<File, NetnsError> {
    let (file, found) = opened(path, OFlag::O_NONBLOCK)?;
    if found != u64::from(meant) {
        let path = path.to_owned();
        return Err(NetnsError::Other { path, found, meant });
    }
    Ok(file)
}

/// Does something in a namespace, in a thread of its own.
///
/// # Errors
///
/// When the namespace may not be entered, which needs `CAP_SYS_ADMIN`, and when what is done fails.
pub fn inside<T: Send>(
    namespace: &File,
    act: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    thread::scope(|scope| {
        let actor = scope.spawn(|| {
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            act()
        });
        let panicked = |_| Err(io::Error::other("the thread in that namespace panicked"));
        actor.join().unwrap_or_else(panicked)
    })
}

fn inode_of(path: &Path) -> Result<u32, NetnsError> {
    // It is looked at and not opened: whatever a person names may be a pipe, or a device.
    let (_, inode) = opened(path, OFlag::O_PATH)?;
    // Inode numbers of namespaces are 32 bits wide in the kernel (`ns_common.inum`).
    u32::try_from(inode).map_err(|_| NetnsError::Form)
}

/// Returns a namespace, and the inode number of what was opened.
fn opened(path: &Path, how: OFlag) -> Result<(File, u64), NetnsError> {
    let missing = |source| NetnsError::Missing {
        path: path.to_owned(),
        source,
    };
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(how.bits());
    let file = options.open(path).map_err(missing)?;
    let system = fstatfs(&file).map_err(|errno| missing(errno.into()))?;
    if system.filesystem_type() != NSFS_MAGIC {
        return Err(NetnsError::NoNamespace(path.to_owned()));
    }
    let inode = file.metadata().map_err(missing)?.ino();
    Ok((file, inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_told_from_the_others() {
        let cases = [
            ("4026531840", NetnsName::Inode(4_026_531_840)),
            ("/proc/1/ns/net", NetnsName::Path("/proc/1/ns/net".into())),
            ("./here", NetnsName::Path("./here".into())),
            ("cni-5f2a", NetnsName::Name("cni-5f2a".into())),
            ("pid:42", NetnsName::Pid(42)),
        ];
        for (text, name) in cases {
            assert_eq!(text.parse::<NetnsName>().unwrap(), name, "{text}");
        }
    }

    #[test]
    fn what_has_no_form_is_refused_with_the_accepted_ones() {
        for text in ["", "pid:", "pid:x", "4294967296", "-1", "a b"] {
            let error = text.parse::<NetnsName>().map(|name| format!("{name:?}"));
            let error = error.expect_err(text).to_string();
            assert!(error.contains("pid:N"), "{text}: {error}");
        }
    }

    #[test]
    fn a_name_of_nothing_says_which_file_was_looked_for() {
        let root = tempfile::tempdir().unwrap();
        let error = NetnsName::Name("blue".into())
            .inode(root.path())
            .unwrap_err();
        assert!(error.to_string().contains("run/netns/blue"), "{error}");
    }
}
