//! The process of a guard: it waits for the end of the one that it watches, and takes back what that one left half way.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    thread::sleep,
};

use livepatch_image::Name;
use nix::sys::prctl;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

use super::{
    change,
    drive::Drive,
    guard::{BETWEEN_TRIES, READY},
    lock::Lock,
    reason::Messages,
    site::Site,
    switch::{self, Switch},
    unload::{self, Removed},
};
use crate::cli::GuardArgs;

/// Stands guard. On standard error it is handed the lock, if there is one.
pub fn run(args: &GuardArgs, site: &Site) -> ExitCode {
    match watch(args, site) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn watch(args: &GuardArgs, site: &Site) -> anyhow::Result<()> {
    // Who asks which process holds the lock would see `exe`.
    let _ = prctl::set_name(c"ipvs-latency");
    // Who ends the tool by name, or the session by its process group, is not to end what clears up after it.
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    // It has the lock as standard error, and what is said must not end up in the lock's file.
    let lock = Lock::inherited(nix::unistd::dup(io::stderr())?.into());
    nix::unistd::dup2_stderr(File::open("/dev/null")?)?;
    let messages = Messages::as_found(&site.root);
    // Held open from here on: whoever lives there may go meanwhile.
    let switches = args.switch.iter();
    let switches =
        switches.map(|from| Switch::of(&site.root, &from.namespace, from.netns, from.value));
    let switches: Vec<Switch> = switches.collect::<io::Result<_>>()?;
    // Whom this is for may be dead already.
    let mut ready = io::stdout().lock();
    let _ = ready.write_all(&[READY]).and_then(|()| ready.flush());
    if is_dismissed() {
        return Ok(());
    }
    set_back(&switches);
    if let Some(name) = &args.name {
        let name = Name::from(name.clone());
        // `status` names this process from here on, and a crash now is not one under the hotfix.
        change::note_way_back(site, &name);
        take_back(&site.root, &name);
        drop(messages);
        change::settle(site, &name);
    }
    drop(lock);
    Ok(())
}

/// Waits for the word, or for the end of all who could give it.
fn is_dismissed() -> bool {
    let mut word = [0];
    loop {
        match io::stdin().read(&mut word) {
            Ok(length) => return length > 0,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// Sets the switches back, however often that has to be tried.
fn set_back(switches: &[Switch]) {
    while switch::set_back(switches).is_err() {
        sleep(BETWEEN_TRIES);
    }
}

/// Takes the hotfix back, however long the kernel needs, and whatever this process lacks meanwhile.
fn take_back(root: &Path, name: &Name) {
    loop {
        let mut drive = Drive::unattended(root.to_owned(), name.clone());
        while let Ok(is_over) = try_once(&mut drive) {
            if is_over {
                return;
            }
            sleep(BETWEEN_TRIES);
        }
        sleep(BETWEEN_TRIES);
    }
}

/// Whether nothing is left to do.
fn try_once(drive: &mut Drive) -> anyhow::Result<bool> {
    if unload::out_of_force(drive, false)?.is_some() {
        return Ok(false);
    }
    Ok(match unload::remove_unless_called(drive)? {
        Removed::Yes | Removed::Kept(_) => true,
        Removed::NotYet(_) => false,
    })
}
