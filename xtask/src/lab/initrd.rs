//! What the guest finds at its start: the userland, the kernel's modules and PID 1.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

use super::LabSpec;
use super::archive::Archive;
use super::modules::{self, Indexes};
use crate::kernel::Kernel;
use crate::{cache, userland};

/// The archives that a kind of guest has in common, packed where that has not been done; their names tell their content.
pub fn parts(spec: &LabSpec, kernel: &Kernel) -> Result<Vec<PathBuf>> {
    let mut parts = vec![packed_folder(&userland::root()?)?, packed_modules(kernel)?];
    if spec.bpftrace {
        parts.push(packed_folder(&userland::bpftrace_root()?)?);
    }
    if spec.systemd {
        parts.push(packed_folder(&userland::systemd_root()?)?);
    }
    Ok(parts)
}

/// Puts the archives and PID 1 one behind the other, as the kernel accepts them, into a file without a name.
pub fn assemble(parts: &[PathBuf], init: &Path) -> Result<File> {
    let mut initrd = tempfile::tempfile().context("cannot make a temporary file for the initrd")?;
    for part in parts {
        let mut part =
            File::open(part).with_context(|| format!("cannot read {}", part.display()))?;
        io::copy(&mut part, &mut initrd).context("cannot write the initrd")?;
        align(&mut initrd)?;
    }
    let mut archive = Archive::new(&mut initrd);
    archive.add(init, "/init")?;
    archive.finish()?;
    Ok(initrd)
}

/// An archive may only begin at a multiple of four bytes.
fn align(initrd: &mut File) -> io::Result<()> {
    let gap = initrd.stream_position()?.wrapping_neg() % 4;
    initrd.write_all(&[0; 4][..usize::try_from(gap).unwrap_or(0)])
}

/// The archive of a folder, packed again only when the folder is another one.
fn packed_folder(folder: &Path) -> Result<PathBuf> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let made = fs::metadata(folder)?
        .modified()?
        .duration_since(UNIX_EPOCH)?
        .as_secs();
    let place = cache::root()?
        .join("lab")
        .join(format!("{name}-{made}.cpio"));
    if !cache::is_there(&place)? {
        keep(&place, |file| {
            let mut archive = Archive::new(BufWriter::new(file));
            archive.add(folder, ".")?;
            Ok(archive.finish()?.flush()?)
        })?;
    }
    Ok(place)
}

/// The archive of the modules that guests of this kernel get, with the indexes for `modprobe`.
fn packed_modules(kernel: &Kernel) -> Result<PathBuf> {
    let place = cache::root()?.join("lab").join(format!(
        "modules-{}-{:016x}.cpio",
        kernel.release,
        modules::recipe()
    ));
    if !cache::is_there(&place)? {
        keep(&place, |file| pack_modules(kernel, file))?;
    }
    Ok(place)
}

fn pack_modules(kernel: &Kernel, file: &mut NamedTempFile) -> Result<()> {
    let read = |name: &str| {
        let path = kernel.modules.join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let (dependencies, soft, aliases) = (
        read("modules.dep")?,
        read("modules.softdep")?,
        read("modules.alias")?,
    );
    let root = format!("/usr/lib/modules/{}", kernel.release);
    let mut archive = Archive::new(BufWriter::new(file));
    let mut names: Vec<String> = modules::chosen(&Indexes {
        dependencies: &dependencies,
        soft: &soft,
        aliases: &aliases,
    })
    .into_iter()
    .map(str::to_owned)
    .collect();
    for entry in fs::read_dir(&kernel.modules)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.starts_with("modules.").then_some(name));
    }
    let mut folders = BTreeSet::new();
    for name in names {
        let path = format!("{root}/{name}");
        // The kernel makes no folder that has no entry of its own before what lies in it.
        let parents: Vec<&Path> = Path::new(&path).ancestors().skip(1).collect();
        for parent in parents
            .into_iter()
            .rev()
            .filter(|parent| parent.starts_with("/usr/lib/modules"))
        {
            if folders.insert(parent.to_path_buf()) {
                archive.add_folder(&parent.to_string_lossy())?;
            }
        }
        archive.add(&kernel.modules.join(&name), &path)?;
    }
    Ok(archive.finish()?.flush()?)
}

/// Fills a file and only then gives it its name in the cache: another process never sees half of it.
pub fn keep(place: &Path, fill: impl FnOnce(&mut NamedTempFile) -> Result<()>) -> Result<()> {
    let folder = place.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut draft = NamedTempFile::new_in(folder)
        .with_context(|| format!("cannot write in {}", folder.display()))?;
    fill(&mut draft).with_context(|| format!("cannot make {}", place.display()))?;
    draft.persist(place)?;
    Ok(())
}
