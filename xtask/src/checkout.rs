//! The checkout that is worked on, looked for at run time: a copied one has the original's path compiled in.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What the folder of this package has in every checkout, and no other folder is likely to.
const MARK: &str = "xtask/src/checkout.rs";

/// Returns the folder of the checkout.
///
/// # Errors
/// When neither cargo, nor this program's place, nor the working folder tells where it is.
pub fn folder() -> Result<PathBuf> {
    folder_from(
        env::var_os("CARGO_MANIFEST_DIR"),
        env::current_exe().ok(),
        env::current_dir().ok(),
    )
    .context(
        "cannot find the checkout: neither this program nor the working folder is inside one\n\
         hint: run `cargo xtask` inside the checkout",
    )
}

/// Returns the place of a file of the checkout. Where that is not found, whoever opens the file says which is missing.
#[must_use]
pub fn file(name: &str) -> PathBuf {
    folder().unwrap_or_default().join(name)
}

/// Cargo names the package that it runs or tests. Run without cargo, the program lies in the checkout's target folder,
/// unless that was moved elsewhere.
fn folder_from(
    package: Option<OsString>,
    program: Option<PathBuf>,
    working: Option<PathBuf>,
) -> Option<PathBuf> {
    [package.map(PathBuf::from), program, working]
        .iter()
        .flatten()
        .find_map(|place| place.ancestors().find(|folder| is_one(folder)))
        .map(Path::to_owned)
}

fn is_one(folder: &Path) -> bool {
    folder.join(MARK).is_file()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn made(at: &Path) -> PathBuf {
        fs::create_dir_all(at.join("xtask/src")).unwrap();
        fs::create_dir_all(at.join("target/debug")).unwrap();
        fs::write(at.join(MARK), "").unwrap();
        at.to_owned()
    }

    #[test]
    fn a_copy_is_found_where_it_is_and_not_where_the_original_was() {
        let places = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| made(&places.path().join(name)));
        let package = |of: &Path| Some(of.join("xtask").into_os_string());
        let program = |of: &Path| Some(of.join("target/debug/xtask"));
        let elsewhere = Some(places.path().to_owned());
        for (package, program, working, found) in [
            (package(&two), program(&one), elsewhere.clone(), Some(&two)),
            (None, program(&two), Some(one.clone()), Some(&two)),
            (
                None,
                elsewhere.clone(),
                Some(two.join("hotfix")),
                Some(&two),
            ),
            (
                Some("/nowhere".into()),
                elsewhere.clone(),
                Some(one.clone()),
                Some(&one),
            ),
            (None, None, elsewhere, None),
        ] {
            assert_eq!(folder_from(package, program, working).as_ref(), found);
        }
    }

    #[test]
    fn no_path_of_the_checkout_is_compiled_in() {
        // In two parts, so that this line is none of those looked for.
        let compiled_in = [
            concat!("env!(\"CARGO_MANI", "FEST_DIR\")"),
            concat!("env!(\"CARGO_BIN", "_EXE_"),
        ];
        let mut folders = vec![folder().unwrap()];
        let mut looked_at = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap_or_default();
                if path.is_dir() && name != "target" && name != ".git" {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    looked_at += 1;
                    let text = fs::read_to_string(&path).unwrap();
                    let found = compiled_in.iter().find(|words| text.contains(**words));
                    assert_eq!(found, None, "{}", path.display());
                }
            }
        }
        assert!(looked_at > 100, "{looked_at}");
    }
}
