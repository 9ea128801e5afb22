use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
};

use nix::{sys::stat::umask, unistd::mkfifo};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn open_up(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_file_is_replaced_whole_and_removed_once() {
    let place = tempfile::tempdir().unwrap();
    let deep = place.path().join("a/b");
    put(&deep, "c", b"one").unwrap();
    put(&deep, "c", b"two").unwrap();
    assert_eq!(read(&deep, "c", 3).unwrap().unwrap(), b"two");
    assert_eq!((mode(&deep), mode(&deep.join("c"))), (0o700, 0o600));
    let folder = open(&deep).unwrap().unwrap();
    assert_eq!(folder.names().unwrap(), ["c"], "no temporary file is left");
    assert!(folder.remove("c").unwrap());
    assert!(!folder.remove("c").unwrap());
    assert_eq!(read(&deep, "c", 3).unwrap(), None);
    assert!(open(&place.path().join("x")).unwrap().is_none());
}

#[test]
fn what_is_in_the_way_stays_and_is_told() {
    let place = tempfile::tempdir().unwrap();
    let taken = place.path().join("taken/inside");
    make(&taken).unwrap();
    put(place.path(), "taken", b"x").unwrap_err();
    let folder = open(place.path()).unwrap().unwrap();
    folder.remove("taken").unwrap_err();
    folder.remove_folder("taken").unwrap_err();
    fs::write(place.path().join("file"), "").unwrap();
    make(&place.path().join("file/folder")).unwrap_err();
    assert!(taken.is_dir());
    assert_eq!(folder.names().unwrap(), ["file", "taken"]);
}

#[test]
fn what_others_could_read_is_tightened_but_for_a_folder_that_is_shared() {
    let place = tempfile::tempdir().unwrap();
    let state = place.path().join("state");
    let release = state.join("hotfixes/6.1");
    fs::create_dir_all(&release).unwrap();
    let file = release.join("a.ko");
    fs::write(&file, "").unwrap();
    let loosen = || {
        for folder in [&state, &state.join("hotfixes"), &release] {
            open_up(folder, 0o755);
        }
        open_up(&file, 0o644);
    };
    loosen();
    make(&state).unwrap();
    assert_eq!(
        [mode(&state), mode(&release), mode(&file)],
        [0o700, 0o700, 0o600]
    );
    loosen();
    fs::write(state.join("theirs"), "").unwrap();
    open_up(&state.join("theirs"), 0o644);
    make(&state).unwrap();
    assert_eq!([mode(&state), mode(&state.join("theirs"))], [0o755, 0o644]);
    assert_eq!([mode(&release), mode(&file)], [0o700, 0o600]);
}

#[test]
fn what_others_could_change_is_neither_read_nor_written() {
    let place = tempfile::tempdir().unwrap();
    let state = place.path().join("state");
    put(&state, "file", b"x").unwrap();
    let told = |error: io::Error| {
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
        error.to_string()
    };
    for (mode, who) in [
        (0o770, "group"),
        (0o707, "everybody"),
        (0o1777, "everybody"),
    ] {
        open_up(&state, mode);
        let error = told(read(&state, "file", 9).unwrap_err());
        assert!(
            error.contains("can be changed by ") && error.contains(who),
            "{error}"
        );
        told(put(&state, "file", b"y").unwrap_err());
    }
    open_up(&state, 0o700);
    open_up(&state.join("file"), 0o620);
    told(read(&state, "file", 9).unwrap_err());
    put(&state, "file", b"y").unwrap();
    assert_eq!(read(&state, "file", 9).unwrap().unwrap(), b"y");
}

#[test]
fn what_is_no_file_or_too_big_is_neither_waited_for_nor_read() {
    let place = tempfile::tempdir().unwrap();
    mkfifo(&place.path().join("pipe"), Mode::S_IRWXU).unwrap();
    fs::create_dir(place.path().join("folder")).unwrap();
    symlink("/dev/zero", place.path().join("link")).unwrap();
    let huge = fs::File::create(place.path().join("huge")).unwrap();
    huge.set_len(1 << 40).unwrap();
    open_up(&place.path().join("huge"), 0o600);
    for (name, words) in [
        ("pipe", "is a pipe"),
        ("folder", "is a directory"),
        ("link", "is a link"),
        ("huge", "more than 9 bytes"),
    ] {
        let error = read(place.path(), name, 9).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn the_path_is_what_is_opened_later_whatever_becomes_of_the_link() {
    let root = tempfile::tempdir().unwrap();
    let kept = root.path().join("kept");
    put(&kept, "file", b"x").unwrap();
    symlink("/kept", root.path().join("link")).unwrap();
    let state_dir = resolved(root.path(), &root.path().join("link"));
    assert_eq!(state_dir, kept);
    fs::remove_file(root.path().join("link")).unwrap();
    assert_eq!(read(&state_dir, "file", 9).unwrap().unwrap(), b"x");
    // A link that others could change is not followed once and for all: it is refused at each use.
    let shared = root.path().join("shared");
    fs::create_dir(&shared).unwrap();
    open_up(&shared, 0o775);
    symlink("/kept", shared.join("link")).unwrap();
    let state_dir = resolved(root.path(), &shared.join("link"));
    let error = read(&state_dir, "file", 9).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
    let elsewhere = tempfile::tempdir().unwrap();
    assert_eq!(resolved(root.path(), elsewhere.path()), elsewhere.path());
}

/// In a process of its own, as the umask is of the whole process.
#[test]
fn the_umask_neither_opens_nor_closes_what_is_made() {
    const PLACE: &str = "IPVS_LATENCY_TEST_UMASK";
    let Some(place) = std::env::var_os(PLACE) else {
        for mask in ["0", "277"] {
            let place = tempfile::tempdir().unwrap();
            let status = std::process::Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "store::state_dir::tests::the_umask_neither_opens_nor_closes_what_is_made",
                ])
                .env(PLACE, place.path().join(mask))
                .status()
                .unwrap();
            assert!(status.success());
            let state = place.path().join(mask);
            assert_eq!(
                [
                    mode(&state),
                    mode(&state.join("deep")),
                    mode(&state.join("deep/file"))
                ],
                [0o700, 0o700, 0o600]
            );
        }
        return;
    };
    let place = PathBuf::from(place);
    let mask = place.file_name().unwrap().to_str().unwrap();
    umask(Mode::from_bits_truncate(
        u32::from_str_radix(mask, 8).unwrap(),
    ));
    put(&place.join("deep"), "file", b"x").unwrap();
}
