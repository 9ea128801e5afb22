//! The calls into the kernel that change its livepatches.

use std::{fmt, fs, io, path::Path, str::FromStr};

use nix::kmod::{DeleteModuleFlags, delete_module, init_module};

use host::{livepatch, module};
use livepatch_image::Name;

/// What is asked of the kernel in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// Load a module.
    Insert,
    /// Remove the module.
    Remove,
    /// Write 1 to `enabled`.
    Enable,
    /// Write 0 to `enabled`.
    Disable,
}

impl StepKind {
    const ALL: [Self; 4] = [Self::Insert, Self::Remove, Self::Enable, Self::Disable];
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Insert => "insert",
            Self::Remove => "remove",
            Self::Enable => "enable",
            Self::Disable => "disable",
        })
    }
}

impl FromStr for StepKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        let found = all.find(|kind| kind.to_string() == text);
        found.ok_or_else(|| "it is not insert, remove, enable or disable".into())
    }
}

/// Makes the call, which may never return. The `module` is the one to insert, as bytes.
///
/// # Errors
///
/// When the kernel refuses it.
pub fn make(kind: StepKind, name: &Name, module: &[u8], root: &Path) -> io::Result<()> {
    let switch = |value: &str| fs::write(livepatch::folder(root, name).join("enabled"), value);
    match kind {
        StepKind::Insert => Ok(init_module(module, c"")?),
        StepKind::Remove => {
            let name = std::ffi::CString::new(module::kernels_name(root, name)?.bytes())?;
            Ok(delete_module(&name, DeleteModuleFlags::O_NONBLOCK)?)
        }
        StepKind::Enable => switch("1"),
        StepKind::Disable => switch("0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_from_its_word() {
        for kind in StepKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("inserted".parse::<StepKind>().is_err());
    }
}
