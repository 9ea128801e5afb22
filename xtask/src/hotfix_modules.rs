//! The hotfixes that tests load: `hotfix/` built with the headers of a kernel that the lab boots.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result as AnyResult, ensure};

use crate::kernel::{self, Error, Line};
use crate::programs::output_of;
use crate::{cache, checkout};

/// Gives the folder with the modules of a line, built where one of the sources, the headers or the compiler is new.
///
/// # Errors
/// [`Error::Unavailable`] when the headers cannot be had; otherwise when the modules do not build.
pub fn folder(line: Line) -> Result<PathBuf, Error> {
    let headers = kernel::headers(&line)?;
    let release = kernel::fetch(&line)?.release;
    let sources = sources()?;
    let mut hasher = DefaultHasher::new();
    (
        &sources,
        &headers,
        output_of("gcc", &["-v", "-dumpfullversion"])?,
    )
        .hash(&mut hasher);
    let place = cache::root()?
        .join("hotfixes")
        .join(format!("{release}-{:016x}", hasher.finish()));
    if cache::is_there(&place)? {
        return Ok(place);
    }
    let lock = cache::lock()?;
    if cache::is_there(&place)? {
        return Ok(place);
    }
    let stage = lock.stage()?;
    let (building, built) = (stage.path().join("building"), stage.path().join("built"));
    build(&sources, &headers, &building)?;
    collect(&building, &built)?;
    lock.publish(&built, &place)?;
    Ok(place)
}

/// Every source by its name.
fn sources() -> AnyResult<BTreeMap<String, Vec<u8>>> {
    let folder = checkout::folder()?.join("hotfix");
    let mut sources = BTreeMap::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        sources.insert(name, fs::read(entry.path())?);
    }
    Ok(sources)
}

/// Kbuild writes beside the sources, so these are copies.
fn build(sources: &BTreeMap<String, Vec<u8>>, headers: &Path, folder: &Path) -> AnyResult<()> {
    fs::create_dir(folder)?;
    for (name, content) in sources {
        fs::write(folder.join(name), content)?;
    }
    let output = Command::new("make")
        .arg("-C")
        .arg(headers)
        .arg(format!("M={}", folder.display()))
        .arg(format!(
            "-j{}",
            std::thread::available_parallelism().map_or(1, usize::from)
        ))
        .stdin(Stdio::null())
        // What cargo's own make says to its jobs is not for this one.
        .env_remove("MAKEFLAGS")
        .output()
        .context("cannot run make: run `cargo xtask setup`")?;
    ensure!(
        output.status.success(),
        "the hotfixes do not build:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(())
}

/// Of what a build leaves behind, the modules.
fn collect(from: &Path, to: &Path) -> AnyResult<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "ko") {
            let name = path.file_name().context("a module without a name")?;
            fs::rename(&path, to.join(name))?;
        }
    }
    Ok(())
}
