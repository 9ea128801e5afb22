//! Programs of this machine: where they are, and what they print.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// Where to look for programs: `PATH`, and the administrator's folders that a user's `PATH` may lack.
#[must_use]
pub fn command_path() -> OsString {
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let folders = folders_of(std::env::var_os("PATH"))
        .into_iter()
        .chain(system);
    // What was split has no colon in it.
    std::env::join_paths(folders).unwrap_or_default()
}

/// Returns the folders of a `PATH`. An empty part, and the whole where it is not set, means the working folder: whoever
/// else writes there would have a program of theirs run.
#[must_use]
pub fn folders_of(path: Option<OsString>) -> Vec<PathBuf> {
    let path = path.unwrap_or_default();
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .collect()
}

/// Finds a program as a shell would, and in the administrator's folders.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&command_path())
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// Returns whether a program is there.
#[must_use]
pub fn has(program: &str) -> bool {
    find_program(program).is_some()
}

/// What a program prints, as text.
///
/// # Errors
/// When it cannot be run, fails, or prints no text.
pub fn output_of<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, arguments: &[S]) -> Result<String> {
    let program = program.as_ref();
    let shown = Path::new(program).display();
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot run {shown}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{shown} ended with {}: {}",
        output.status,
        said.trim()
    );
    String::from_utf8(output.stdout)
        .with_context(|| format!("{shown} printed something that is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_program_is_looked_for_in_the_working_folder() {
        for (path, folders) in [
            (None, vec![]),
            (Some(""), vec![]),
            (Some("/bin:"), vec!["/bin"]),
            (Some(":/bin::.:bin:/sbin"), vec!["/bin", "/sbin"]),
        ] {
            let folders: Vec<PathBuf> = folders.into_iter().map(PathBuf::from).collect();
            assert_eq!(folders_of(path.map(OsString::from)), folders, "{path:?}");
        }
    }
}
