//! Which loaded module is meant by what was written on a command line.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::Path,
};

use anyhow::{Context as _, anyhow, bail};

use host::module;
use livepatch_image::{Module, Name, file};

/// Returns the name of the module that is meant: one that is loaded, by its bytes or by their form for people; or that
/// of a file; or else what `kpatch` makes of it, which takes a file's name, and `-` for `_`.
///
/// # Errors
///
/// When the modules that are loaded cannot be listed, or the file cannot be read.
pub fn meant(typed: &OsStr, root: &Path) -> anyhow::Result<Name> {
    if typed.is_empty() {
        bail!(
            "'' is no name of a livepatch: `ipvs-latency hotfix list` names those that are loaded"
        );
    }
    if let Some(name) = loaded(typed, root)? {
        return Ok(name);
    }
    let path = Path::new(typed);
    if !(typed.as_bytes().contains(&b'/') || path.extension() == Some(OsStr::new("ko"))) {
        return Ok(derived(typed));
    }
    let shown = path.display();
    let is_there = path.try_exists();
    if !is_there.with_context(|| format!("cannot look for {shown}"))? {
        return Ok(derived(typed));
    }
    let bytes = file::read(path).map_err(|error| anyhow!("{shown} {error}"))?;
    let module = Module::parse(&bytes).map_err(|error| anyhow!("{shown} {error}"))?;
    let name = module
        .name
        .with_context(|| format!("{shown} has no name of a module"))?;
    // Where its bytes are unusual, the form for people finds them.
    Ok(loaded(OsStr::new(&name), root)?.unwrap_or_else(|| name.into()))
}

/// Returns the loaded module that is meant, if it is one by its name.
///
/// # Errors
///
/// When the modules that are loaded cannot be listed.
pub fn loaded(typed: &OsStr, root: &Path) -> anyhow::Result<Option<Name>> {
    let names = module::all(root).context("cannot list the loaded modules in /sys/module")?;
    // By its bytes, before one whose form for people these bytes are.
    let exact = names.iter().find(|name| *name.as_os_str() == *typed);
    let found = exact.or_else(|| names.iter().find(|name| name.is_typed_as(typed)));
    Ok(found.cloned())
}

fn derived(typed: &OsStr) -> Name {
    let bytes = typed.as_bytes();
    let file = bytes.rsplit(|byte| *byte == b'/').next();
    let file = file.unwrap_or_default();
    let name = file.strip_suffix(b".ko").unwrap_or(file).iter();
    let name = name.map(|byte| if *byte == b'-' { b'_' } else { *byte });
    Name::from(OsString::from_vec(name.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_node::MadeNode;

    #[test]
    fn a_module_is_meant_by_its_bytes_by_their_form_by_its_file_or_as_kpatch_has_it() {
        let node = MadeNode::new();
        for name in ["one_", "est-x", "est!skip", "est_\u{fc}_p", r"a\x20b"] {
            node.write(&format!("sys/module/{name}/taint"), "OEK\n");
        }
        let file = node.module("one_", 500);
        std::fs::copy(&file, node.root().join("root/kept")).unwrap();
        let path = |name: &str| node.root().join(name).into_os_string();
        let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        for (typed, name) in [
            ("one_".into(), "one_"),
            ("one-".into(), "one_"),
            ("est-x".into(), "est-x"),
            ("est!skip".into(), "est!skip"),
            ("est/skip".into(), "est!skip"),
            (bytes("est_\u{fc}_p".as_bytes()), "est_\u{fc}_p"),
            (r"est_\xc3\xbc_p".into(), "est_\u{fc}_p"),
            (r"a\x20b".into(), r"a\x20b"),
            (r"a\x5cx20b".into(), r"a\x20b"),
            (file.clone().into_os_string(), "one_"),
            (path("root/livepatch-two-.ko"), "livepatch_two_"),
            ("livepatch-two-.ko".into(), "livepatch_two_"),
            ("two-".into(), "two_"),
            (path("root/kept"), "one_"),
            // There is a file of that name in the working directory of tests.
            ("Cargo.toml".into(), "Cargo.toml"),
        ] {
            let meant = meant(&typed, node.root()).unwrap();
            assert_eq!(meant, Name::from(name), "{}", typed.display());
        }
        let text = node.file("text", b"text").into_os_string();
        assert!(meant(&text, node.root()).is_err());
        std::fs::remove_dir_all(node.root().join("sys/module")).unwrap();
        let error = meant(OsStr::new("one_"), node.root()).unwrap_err();
        assert!(error.to_string().contains("cannot list"), "{error:#}");
    }
}
