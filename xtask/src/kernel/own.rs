//! A kernel from outside Debian: an unpacked vendor's package, or a built tree.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use super::Kernel;

/// Paths of a user's own kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnKernel {
    /// The bootable image, as `vmlinuz-RELEASE` or `arch/x86/boot/bzImage`.
    pub image: PathBuf,
    /// `lib/modules/RELEASE`, or a folder that holds it.
    pub modules: PathBuf,
}

impl OwnKernel {
    /// Returns the kernel, if all of it is there.
    ///
    /// # Errors
    /// When the image or the modules with their index are not.
    pub fn kernel(&self) -> Result<Kernel> {
        ensure!(
            self.image.is_file(),
            "there is no kernel image {}",
            self.image.display()
        );
        let modules = with_index(&self.modules)?;
        let release = modules.file_name().and_then(|name| name.to_str());
        let release = release.with_context(|| {
            format!("{} is not named by the kernel's release", modules.display())
        })?;
        Ok(Kernel {
            release: release.to_owned(),
            image: self.image.clone(),
            modules: modules.clone(),
            line: None,
        })
    }
}

/// Returns the folder that `depmod` has indexed: this one, or the only one under its `lib/modules`.
fn with_index(folder: &Path) -> Result<PathBuf> {
    let is_indexed = |folder: &Path| folder.join("modules.dep").is_file();
    let folder = folder
        .canonicalize()
        .with_context(|| format!("cannot open {}", folder.display()))?;
    if is_indexed(&folder) {
        return Ok(folder);
    }
    let releases = folder.join("lib/modules");
    let mut found = Vec::new();
    for entry in fs::read_dir(&releases).into_iter().flatten() {
        let path = entry?.path();
        if is_indexed(&path) {
            found.push(path);
        }
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => anyhow::bail!(
            "neither {0} nor a folder of {1} has a modules.dep: run `depmod -b DIR RELEASE`, where DIR holds lib/modules/RELEASE",
            folder.display(),
            releases.display()
        ),
        _ => anyhow::bail!(
            "{} has the modules of several kernels: name the folder of one",
            releases.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_with_the_index_is_found_and_names_the_release() {
        let root = tempfile::tempdir().unwrap();
        let image = root.path().join("vmlinuz");
        let own = |modules: &Path| OwnKernel {
            image: image.clone(),
            modules: modules.to_owned(),
        };
        let refused = |modules: &Path| own(modules).kernel().unwrap_err().to_string();
        assert!(refused(root.path()).contains("no kernel image"));
        fs::write(&image, "image").unwrap();
        assert!(refused(root.path()).contains("depmod -b DIR RELEASE"));
        let release = root.path().join("lib/modules/4.18.0-477.el8.x86_64");
        fs::create_dir_all(&release).unwrap();
        assert!(refused(&release).contains("depmod"));
        fs::write(release.join("modules.dep"), "").unwrap();
        for folder in [root.path(), &release] {
            let kernel = own(folder).kernel().unwrap();
            assert_eq!(kernel.release, "4.18.0-477.el8.x86_64");
            assert_eq!(kernel.modules, release.canonicalize().unwrap());
        }
        let other = root.path().join("lib/modules/5.14.0");
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join("modules.dep"), "").unwrap();
        assert!(refused(root.path()).contains("several kernels"));
        assert!(refused(&root.path().join("nothing")).contains("cannot open"));
    }
}
