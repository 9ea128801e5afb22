//! The process of a guard: it waits for the end of the one that it watches, and takes back what that one left half way.

use std::{
    fs::File,
    io::{self, Read, Write as _},
    sync::{Arc, atomic::AtomicBool},
};

use nix::sys::prctl;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

use super::{
    change,
    guard::{BETWEEN_TRIES, READY},
    lock::Lock,
    switch::{self, Switch, SwitchedFrom},
};
use crate::{
    site::Site,
    transition::{
        drive::Drive,
        reason::Messages,
        rollback::{self, Removed},
    },
};
use livepatch_image::Name;

/// What a guard rolls back.
#[derive(Debug, Default)]
pub struct Guarded {
    /// The livepatch, by the name of its module.
    pub name: Option<Name>,
    /// The switches `run_estimation`, with what they are to be set back to.
    pub switches: Vec<SwitchedFrom>,
}

/// Stands guard. On standard error it is handed the lock, if there is one.
///
/// # Errors
///
/// When it cannot: the process that it is for sees that it ended.
pub fn watch(guarded: &Guarded, site: &Site) -> anyhow::Result<()> {
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
    let switches = guarded.switches.iter();
    let switches = switches.map(|from| Switch::of(&from.namespace, from.netns, from.value));
    let switches: Vec<Switch> = switches.collect::<io::Result<_>>()?;
    // Whom this is for may be dead already.
    let mut ready = io::stdout().lock();
    let _ = ready.write_all(&[READY]).and_then(|()| ready.flush());
    if is_dismissed(&mut io::stdin()) {
        return Ok(());
    }
    set_back(site, &switches);
    if let Some(name) = &guarded.name {
        roll_back(site, name, messages);
    }
    drop(lock);
    Ok(())
}

/// Waits for the word, or for the end of all who could give it.
fn is_dismissed(pipe: &mut impl Read) -> bool {
    let mut word = [0];
    loop {
        match pipe.read(&mut word) {
            Ok(length) => return length > 0,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// Sets the switches back, however often that has to be tried.
pub fn set_back(site: &Site, switches: &[Switch]) {
    while switch::set_back(site.kernel(), switches).is_err() {
        site.progress().wait(BETWEEN_TRIES);
    }
}

/// Rolls the hotfix back, however long the kernel needs, and whatever this process lacks meanwhile. Then the kernel's
/// `messages` are as they were found, and the journal says how far it came.
pub fn roll_back(site: &Site, name: &Name, messages: Option<Messages>) {
    // `status` names this process from here on, and a crash now is not one under the hotfix.
    change::note_way_back(site, name);
    until_over(site, name);
    drop(messages);
    change::settle(site, name);
}

fn until_over(site: &Site, name: &Name) {
    loop {
        let mut drive = Drive::unattended(site, name.clone());
        while let Ok(is_over) = try_once(&mut drive) {
            if is_over {
                return;
            }
            site.progress().wait(BETWEEN_TRIES);
        }
        site.progress().wait(BETWEEN_TRIES);
    }
}

/// Whether nothing is left to do.
fn try_once(drive: &mut Drive) -> anyhow::Result<bool> {
    if rollback::out_of_force(drive, false)?.is_some() {
        return Ok(false);
    }
    Ok(match rollback::remove_unless_called(drive)? {
        Removed::Yes | Removed::Kept(_) => true,
        Removed::NotYet(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use std::{
        env,
        path::Path,
        process::{Command, Stdio},
    };

    use super::*;
    use crate::{
        made_node::{self, MadeNode},
        transaction::guard,
    };

    /// A pipe that gives these, one a read.
    struct Pipe(Vec<io::Result<&'static [u8]>>);

    impl Read for Pipe {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let bytes = self.0.remove(0)?;
            buffer[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        }
    }

    #[test]
    fn a_guard_is_dismissed_by_a_word_alone() {
        let read = |results: Vec<io::Result<&'static [u8]>>| {
            let mut pipe = Pipe(results);
            (is_dismissed(&mut pipe), pipe.0.len())
        };
        let interrupted = || Err(io::ErrorKind::Interrupted.into());
        assert_eq!(read(vec![Ok(b".")]), (true, 0));
        assert_eq!(read(vec![Ok(b"")]), (false, 0), "all who could are gone");
        assert_eq!(read(vec![interrupted(), Ok(b".")]), (true, 0));
        assert_eq!(read(vec![interrupted(), Ok(b"")]), (false, 0));
        let broken = Err(io::ErrorKind::Other.into());
        assert_eq!(read(vec![broken, Ok(b".")]), (false, 1), "not dismissed");
    }

    /// Has a process stand guard over `made` of that node until it is dismissed, or those who could do so are gone. Returns
    /// what it said and whether the livepatch is in force afterwards.
    fn guarded(node: &MadeNode, is_dismissed: bool) -> (String, bool) {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", STANDS_GUARD, "--nocapture"])
            .env(NODE, node.root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(node.root().join("lock")).unwrap())
            .spawn()
            .unwrap();
        if is_dismissed {
            let pipe = child.stdin.as_mut().unwrap();
            pipe.write_all(&[guard::DISMISSED]).unwrap();
        }
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success());
        let said = String::from_utf8(ended.stdout).unwrap();
        (said, node.world().livepatch("made").is_some())
    }

    const NODE: &str = "IPVS_LATENCY_TEST_GUARD";
    const STANDS_GUARD: &str = "transaction::guard_process::tests::a_guard_takes_back_what_nobody_finishes_unless_it_is_dismissed";

    /// In a process of its own, whose standard streams the guard takes.
    #[test]
    fn a_guard_takes_back_what_nobody_finishes_unless_it_is_dismissed() {
        if let Some(root) = env::var_os(NODE) {
            let root = Path::new(&root);
            let guarded = Guarded {
                name: Some("made".into()),
                switches: Vec::new(),
            };
            watch(&guarded, &made_node::site(root, &root.join("state"))).unwrap();
            return;
        }
        let node = MadeNode::new();
        node.put_in_force("made", "ip_vs");
        for is_dismissed in [true, false] {
            let (said, is_in_force) = guarded(&node, is_dismissed);
            assert_eq!(said.matches(char::from(READY)).count(), 1, "{said}");
            assert_eq!(is_in_force, is_dismissed, "{said}");
        }
        assert!(!node.world().is_loaded("made"));
        let lock = std::fs::read_to_string(node.root().join("lock")).unwrap();
        assert_eq!(lock, "", "nothing was written to the lock");
    }
}
