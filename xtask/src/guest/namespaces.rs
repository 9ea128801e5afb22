//! More network namespaces, named as `ip netns` names them.

use std::fs::{File, create_dir_all};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, anyhow};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Where `ip netns` looks.
const FOLDER: &str = "/run/netns";

/// Makes `count` namespaces, `lab1` onwards, one after the other.
pub fn make(count: u32) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    share(Path::new(FOLDER)).with_context(|| format!("cannot prepare {FOLDER}"))?;
    for number in 1..=count {
        // `unshare` changes the calling thread alone, and the thread ends with the namespace safely mounted.
        thread::spawn(move || make_one(&Path::new(FOLDER).join(format!("lab{number}"))))
            .join()
            .map_err(|_| anyhow!("making a namespace panicked"))?
            .with_context(|| format!("cannot make network namespace lab{number}"))?;
    }
    Ok(())
}

/// Lets a mount made later in another mount namespace, by `ip netns exec` for one, show up everywhere.
fn share(folder: &Path) -> Result<()> {
    create_dir_all(folder)?;
    mount(
        Some(folder),
        folder,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )?;
    mount(
        None::<&str>,
        folder,
        None::<&str>,
        MsFlags::MS_SHARED | MsFlags::MS_REC,
        None::<&str>,
    )?;
    Ok(())
}

fn make_one(name: &PathBuf) -> Result<()> {
    File::create(name)?;
    unshare(CloneFlags::CLONE_NEWNET)?;
    mount(
        Some("/proc/thread-self/ns/net"),
        name,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )?;
    Ok(())
}
