use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
};

use super::*;

fn open(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Returns a root folder with `usr/bin`, and `bin` that leads there.
fn host() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for folder in ["", "usr", "usr/bin"] {
        let folder = root.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        open(&folder, 0o755);
    }
    symlink("usr/bin", root.path().join("bin")).unwrap();
    root
}

#[test]
fn links_lead_where_they_would_lead_the_host_and_the_path_without_them_is_told() {
    let root = host();
    symlink("/usr", root.path().join("usr/all")).unwrap();
    symlink("../../../../bin", root.path().join("usr/up")).unwrap();
    symlink("round", root.path().join("round")).unwrap();
    for (path, resolved, missing) in [
        ("/bin", "/usr/bin", 0),
        ("usr/./all/bin/../bin", "/usr/bin", 0),
        ("/usr/up", "/usr/bin", 0),
        ("/bin/not/there", "/usr/bin/not/there", 2),
        ("/../..", "/", 0),
    ] {
        let walked = walk(root.path(), Path::new(path)).unwrap();
        assert_eq!(walked.path, Path::new(resolved), "{path}");
        assert_eq!(walked.missing.len(), missing, "{path}");
        assert_eq!((walked.objection, walked.lasting), (None, None), "{path}");
    }
    let failed = |path: &str| {
        walk(root.path(), Path::new(path))
            .unwrap_err()
            .raw_os_error()
    };
    assert_eq!(failed("/round"), Some(Errno::ELOOP as i32));
    assert_eq!(failed("/gone/../bin"), Some(Errno::ENOENT as i32));
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(failed("/file/in"), Some(Errno::ENOTDIR as i32));
    let error = walk(&file, Path::new("/")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::ENOTDIR as i32));
}

#[test]
fn so_many_links_are_followed_as_the_kernel_follows_and_no_more() {
    let root = host();
    symlink("usr", root.path().join("1")).unwrap();
    for link in 2..=MOST_LINKS + 1 {
        symlink((link - 1).to_string(), root.path().join(link.to_string())).unwrap();
    }
    let walk = |links: u32| walk(root.path(), Path::new(&links.to_string()));
    assert_eq!(walk(MOST_LINKS).unwrap().path, Path::new("/usr"));
    let error = walk(MOST_LINKS + 1).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::ELOOP as i32));
}

#[test]
fn what_belongs_to_another_user_is_objected_to_unless_that_is_root() {
    let own = Uid::effective().as_raw();
    let mut stat = fstat(fs::File::open("/").unwrap()).unwrap();
    for (owner, is_theirs) in [(0, false), (own, false), (own + 1, true)] {
        stat.st_uid = owner;
        let expected = is_theirs.then(|| Objection::Owner(Uid::from_raw(owner), "/".into()));
        assert_eq!(theirs(&stat, || "/".into()), expected);
    }
}

#[test]
fn whoever_could_change_a_part_of_the_way_is_objected_to() {
    let root = host();
    let (bin, at) = (root.path().join("usr/bin"), PathBuf::from("/usr/bin"));
    let everybody = Some(Objection::Everybody(at.clone()));
    let group = Some(Objection::Group(fs_gid(&bin), at));
    for (mode, now, lasting) in [
        (0o755, &None, &None),
        (0o775, &group, &group),
        (0o757, &everybody, &everybody),
        (0o1777, &None, &everybody),
        (0o1775, &None, &group),
    ] {
        open(&bin, mode);
        for path in ["/bin", "/bin/not/there"] {
            let walked = walk(root.path(), Path::new(path)).unwrap();
            assert_eq!(
                (&walked.objection, &walked.lasting),
                (now, lasting),
                "{mode:o} {path}"
            );
        }
    }
    open(&bin, 0o755);
    let file = bin.join("file");
    fs::write(&file, "").unwrap();
    open(&file, 0o664);
    let walked = walk(root.path(), Path::new("/bin/file")).unwrap();
    assert!(
        matches!(walked.objection, Some(Objection::Group(..))),
        "{walked:?}"
    );
}

fn fs_gid(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).unwrap().gid()
}

/// Returns a list that lets user 1001 write, in the kernel's form (`include/uapi/linux/posix_acl_xattr.h`): a version,
/// then tag, rights and number of each entry.
fn list_for_1001() -> Vec<u8> {
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 7, u32::MAX),
        (0x02, 7, 1001),
        (0x04, 5, u32::MAX),
        (0x10, 7, u32::MAX),
        (0x20, 5, u32::MAX),
    ];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, number) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(rights.to_le_bytes());
        list.extend(number.to_le_bytes());
    }
    list
}

#[test]
fn a_right_that_an_access_control_list_gives_is_objected_to() {
    let root = host();
    let path = std::ffi::CString::new(root.path().join("usr/bin").to_str().unwrap()).unwrap();
    let list = list_for_1001();
    // SAFETY: path, name and value are there for the whole call, and the value is as long as is said.
    let set = unsafe {
        nix::libc::setxattr(
            path.as_ptr(),
            c"system.posix_acl_access".as_ptr(),
            list.as_ptr().cast(),
            list.len(),
            0,
        )
    };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
    let walked = walk(root.path(), Path::new("/bin")).unwrap();
    assert!(
        matches!(walked.objection, Some(Objection::Group(..))),
        "{walked:?}"
    );
}

#[test]
fn each_objection_says_who_could_change_what() {
    let at = || PathBuf::from("/a");
    for (objection, words) in [
        (
            Objection::Owner(Uid::from_raw(7), at()),
            "by user 7, whose /a is",
        ),
        (Objection::Group(7, at()), "by group 7, by way of /a"),
        (Objection::Everybody(at()), "by everybody, by way of /a"),
        (Objection::Mounted(at()), "by whoever mounted /a"),
    ] {
        let shown = objection.to_string();
        assert!(
            shown.starts_with("can be changed ") && shown.contains(words),
            "{shown}"
        );
    }
}
