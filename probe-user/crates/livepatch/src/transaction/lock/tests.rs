use std::{
    fs::{self, OpenOptions, Permissions},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::{self, Command, Stdio},
};

use super::*;
use crate::made_node;

fn take(folder: &Path) -> Result<Lock, LockError> {
    Lock::take(&made_node::site(Path::new("/"), folder))
}

fn asked(folder: &Path) -> Option<String> {
    held_by(&made_node::site(Path::new("/"), folder))
}

/// Returns whether something becomes so: a process that another test is just starting has what is open here for a moment,
/// its locks too.
fn soon(is_so: impl Fn() -> bool) -> bool {
    (0..1_000).any(|_| {
        is_so() || {
            sleep(Duration::from_millis(1));
            false
        }
    })
}

fn take_again(folder: &Path) -> Lock {
    made_node::take_lock_again(&made_node::site(Path::new("/"), folder))
}

#[test]
fn the_second_is_told_who_has_it_and_gets_it_when_all_who_had_it_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("state");
    assert_eq!(asked(&place), None);
    let lock = take(&place).unwrap();
    let handed = lock.to_hand_on().unwrap();
    let error = take(&place).unwrap_err().to_string();
    let own = process::id().to_string();
    assert!(error.contains(&format!("process {own} ")), "{error}");
    assert_eq!(asked(&place), Some(own));
    drop(lock);
    assert!(take(&place).is_err());
    drop(Lock::inherited(handed));
    drop(take_again(&place));
}

#[test]
fn a_holder_that_cannot_be_seen_is_unknown_and_not_absent() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(FILE)).unwrap();
    assert_eq!(asked(folder.path()).unwrap(), "(unknown)");
}

#[test]
fn a_folder_that_cannot_be_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = take(&file).unwrap_err();
    assert!(matches!(error, LockError::Unavailable(..)), "{error}");
}

#[test]
fn a_lock_that_was_removed_or_replaced_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let lock = take(&state).unwrap();
    let place = lock.place(&state).unwrap();
    assert!(!place.is_lost());
    drop(lock);
    drop(take(&state).unwrap());
    assert!(!place.is_lost(), "taken again");
    fs::rename(&state, folder.path().join("away")).unwrap();
    assert!(place.is_lost(), "removed");
    drop(take(&state).unwrap());
    assert!(place.is_lost(), "replaced");
    fs::remove_dir_all(&state).unwrap();
    fs::write(&state, "no folder").unwrap();
    assert!(!place.is_lost(), "that cannot be seen");
}

/// Returns a process that is none of ours, and holds the lock by an open file that this one opened and has closed
/// since: the kernel's list of locks names this one.
fn stranger(lock: &Path) -> process::Child {
    let file = OpenOptions::new().read(true).open(lock).unwrap();
    file.lock_shared().unwrap();
    let mut command = Command::new("/bin/sleep");
    command
        .arg("600")
        .arg0("ipvs-latency")
        .stdin(Stdio::from(file));
    command.spawn().unwrap()
}

#[test]
fn a_stranger_is_named_and_passed_by_who_asks_for_that_alone() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("state");
    drop(take(&place).unwrap());
    // What an earlier version wrote there.
    fs::write(place.join(FILE), "1").unwrap();
    let mut stranger = stranger(&place.join(FILE));
    let error = take(&place).unwrap_err().to_string();
    let words = format!("process {} (sleep, of user ", stranger.id());
    assert!(
        error.contains(&words) && error.contains("no ipvs-latency"),
        "{error}"
    );
    assert_eq!(asked(&place), None, "no process changes this node");
    let past = Lock::take_past_strangers(&made_node::site(Path::new("/"), &place)).unwrap();
    assert_eq!(asked(&place), Some(process::id().to_string()));
    assert!(
        Lock::take_past_strangers(&made_node::site(Path::new("/"), &place)).is_err(),
        "one of ours is no stranger"
    );
    drop(past);
    drop(take_again(&place));
    let mut names: Vec<_> = fs::read_dir(&place)
        .unwrap()
        .map(|one| one.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, [FILE, PAST]);
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

/// In a mount namespace of another process, the file has any name.
#[test]
fn a_stranger_that_opened_the_lock_by_another_name_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("state");
    drop(take(&place).unwrap());
    let other = folder.path().join("x");
    fs::hard_link(place.join(FILE), &other).unwrap();
    let mut stranger = stranger(&other);
    let error = take(&place).unwrap_err().to_string();
    let words = format!("process {} (sleep, of user ", stranger.id());
    assert!(error.contains(&words), "{error}");
    drop(Lock::take_past_strangers(&made_node::site(Path::new("/"), &place)).unwrap());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn what_everybody_could_open_once_is_replaced() {
    for loose in [0o666, 0o644] {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("state");
        fs::create_dir(&place).unwrap();
        fs::write(place.join(FILE), "101").unwrap();
        for (path, mode) in [(place.clone(), 0o755), (place.join(FILE), loose)] {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        let before = File::open(place.join(FILE)).unwrap();
        let lock = take(&place).unwrap();
        assert!(soon(|| before.try_lock_shared().is_ok()), "{loose:o}");
        assert!(
            take(&place)
                .unwrap_err()
                .to_string()
                .contains("is changing this node")
        );
        drop(lock);
        drop(take_again(&place));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&place), mode(&place.join(FILE))), (0o700, 0o600));
    }
}
