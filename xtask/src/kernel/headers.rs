//! Kernel headers to build modules with, unpacked and made to work where they lie.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result as AnyResult};

use super::{Error, Found, Kernel, Line, expire, read_note};
use crate::cache;
use crate::packages::{Suite, unpack};
use crate::programs::{find_program, output_of};

/// What building a module needs none of.
const LEAVE_OUT: &[&str] = &["./usr/share"];

/// Gives the folder for `make -C` that fits the kernel that [`super::fetch`] gives for the line.
///
/// The folder names itself by absolute paths: it works where it is and not as a copy.
///
/// # Errors
/// [`Error::Unavailable`] when the kernel or its headers cannot be had, or no compiler here is new enough.
pub fn fetch(line: &Line) -> Result<PathBuf, Error> {
    let kernel = super::fetch(line)?;
    let why = match of(&kernel) {
        Err(why @ Error::Unavailable { .. }) => why,
        done => return done,
    };
    // The archive may have moved on from the cached kernel: then take both anew.
    expire(*line);
    let newer = super::fetch(line)?;
    if newer.release == kernel.release {
        Err(why)
    } else {
        of(&newer)
    }
}

fn of(kernel: &Kernel) -> Result<PathBuf, Error> {
    let release = kernel.release.as_str();
    let root = cache::root()?.join("headers").join(release);
    let folder = root
        .join("usr/src")
        .join(format!("linux-headers-{release}"));
    // Their scripts and tools are run by make.
    if cache::is_there(&folder)? {
        return Ok(folder);
    }
    let lock = cache::lock()?;
    if cache::is_there(&folder)? {
        return Ok(folder);
    }
    let found = kernel
        .line
        .and_then(read_note)
        .filter(|found| found.release == release);
    let found =
        found.with_context(|| format!("the cache does not say where {release} came from"))?;
    unpack_headers(&lock, &found, &root)?;
    Ok(folder)
}

fn unpack_headers(lock: &cache::Lock, found: &Found, place: &Path) -> Result<(), Error> {
    let release = found.release.as_str();
    let unavailable = |why: anyhow::Error| {
        Error::unavailable(
            format_args!("headers of {release}"),
            format_args!("{why:#}"),
        )
    };
    eprintln!("fetching the headers of {release} from {}", found.suite);
    let stage = lock.stage()?;
    let (debs, root) = (stage.path().join("debs"), stage.path().join("root"));
    fs::create_dir(&debs).context("cannot make a folder for the packages")?;
    let suite = Suite::open(lock, &found.suite).map_err(unavailable)?;
    let wanted =
        |name: &str| name.starts_with("linux-headers-") || name.starts_with("linux-kbuild-");
    let packages = suite
        .with_dependencies(&[format!("linux-headers-{release}")], wanted)
        .map_err(unavailable)?;
    for deb in suite.download(packages.iter().map(|package| package.name.as_str()), &debs)? {
        unpack(&deb, &root, LEAVE_OUT)?;
    }
    let folder = root
        .join("usr/src")
        .join(format!("linux-headers-{release}"));
    choose_compiler(&folder).map_err(unavailable)?;
    repair(&root, &folder, release, place)
        .with_context(|| format!("cannot make the headers of {release} work from the cache"))?;
    lock.publish(&root, place)?;
    Ok(())
}

/// Points everything that means `/usr/src` at the place where the headers will lie.
fn repair(root: &Path, folder: &Path, release: &str, place: &Path) -> AnyResult<()> {
    let sources = root.join("usr/src");
    for entry in fs::read_dir(&sources)? {
        let makefile = entry?.path().join("Makefile");
        if let Ok(text) = fs::read_to_string(&makefile) {
            fs::write(
                &makefile,
                text.replace("/usr/src/", &format!("{}/usr/src/", place.display())),
            )?;
        }
    }
    // With it, make wants pahole for every module, whose BTF nothing here reads.
    remove_if_there(&folder.join("vmlinux"))?;
    let modules = root.join("lib/modules").join(release);
    fs::create_dir_all(&modules)?;
    remove_if_there(&modules.join("build"))?;
    symlink(
        format!("../../../src/linux-headers-{release}"),
        modules.join("build"),
    )?;
    Ok(())
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Lets the machine's own compiler stand in where the kernel's is not installed.
fn choose_compiler(folder: &Path) -> AnyResult<()> {
    let file = folder.join(".kernelvariables");
    let text =
        fs::read_to_string(&file).with_context(|| format!("{} is missing", file.display()))?;
    let wanted = compiler_of(&text).context("the headers do not say which compiler they want")?;
    if find_program(&format!("x86_64-linux-gnu-gcc-{wanted}")).is_some() {
        return Ok(());
    }
    let ours = output_of("gcc", &["-dumpversion"]).ok();
    let ours = ours.and_then(|version| version.trim().split('.').next()?.parse::<u32>().ok());
    match ours {
        // An older compiler lacks options; a newer one has them all. Kernel and module agree on the ABI either way.
        Some(major) if major >= wanted => {
            let text = with_compiler(&text, "gcc");
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
        }
        Some(major) => anyhow::bail!("they want gcc {wanted} and this machine has gcc {major}"),
        None => anyhow::bail!("they want gcc {wanted} and this machine has no gcc"),
    }
}

/// The major version of gcc that a `.kernelvariables` names.
fn compiler_of(variables: &str) -> Option<u32> {
    let line = variables.lines().find(|line| line.starts_with("CC "))?;
    line.rsplit_once("gcc-")?.1.trim().parse().ok()
}

fn with_compiler(variables: &str, compiler: &str) -> String {
    let replace = |line: &str| {
        let line = if line.starts_with("CC ") {
            format!("CC = {compiler}")
        } else {
            line.to_owned()
        };
        line + "\n"
    };
    variables.lines().map(replace).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VARIABLES: &str = "override ARCH = x86\n\
        CC = $(if $(DEBIAN_KERNEL_USE_CCACHE),$(CCACHE)) $(CROSS_COMPILE)gcc-10\n\
        DEBIAN_KERNEL_NO_CC_VERSION_CHECK = y\n";

    #[test]
    fn the_compiler_is_read_and_replaced() {
        assert_eq!(compiler_of(VARIABLES), Some(10));
        assert_eq!(compiler_of("CC = clang\n"), None);
        assert_eq!(
            with_compiler(VARIABLES, "gcc"),
            "override ARCH = x86\nCC = gcc\nDEBIAN_KERNEL_NO_CC_VERSION_CHECK = y\n"
        );
    }
}
