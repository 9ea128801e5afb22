//! The units of systemd that load what is installed at every boot, and note at every shutdown that it was one in good
//! order (`systemd.service(5)`).
//!
//! They are two, for systemd runs `ExecStop` of those alone that started without a failure: where one hotfix of
//! several could not be loaded, the shutdown is to be noted all the same.

use std::{
    io,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    sys::stat::{Mode, SFlag},
};
use thiserror::Error;

use super::trusted;
use crate::{
    store::{
        folder::Folder,
        walk::{kind, walk},
    },
    transaction::cure,
};

/// Loads at boot.
pub const LOAD: &str = "ipvs-latency-hotfix.service";

/// Notes at shutdown.
pub const SHUT_DOWN: &str = "ipvs-latency-hotfix-shut-down.service";

/// The folder of units that administrators own.
const FOLDER: &str = "etc/systemd/system";

/// What wants both.
const WANTS: &str = "multi-user.target.wants";

/// The mode of the folders of units: everybody may read them.
const FILE_MODE: Mode = Mode::from_bits_truncate(0o644);
const FOLDER_MODE: Mode = Mode::from_bits_truncate(0o755);

/// No unit has more bytes.
const MOST_BYTES: u64 = 1 << 20;

/// The first line of a unit of ours.
const MARK: &str =
    "# By `ipvs-latency hotfix install`, which writes this file anew: change it in a drop-in.";

/// Keeps what is installed from being loaded, for a boot (`kernel-command-line(7)`).
pub const KILL_SWITCH: &str = "ipvs_latency.hotfix=0";

/// The units that make IPVS services: a hotfix is loaded before them. A unit may name others that do not exist.
const CONSUMERS: &str = "kubelet.service kube-proxy.service k3s.service k3s-agent.service rke2-server.service \
    rke2-agent.service k0scontroller.service k0sworker.service snap.microk8s.daemon-kubelite.service \
    keepalived.service ipvsadm.service";

/// The time limit of the loading unit, so that the node's services start. It is longer than a load that reaches all its
/// own time limits.
const LIMIT: &str = "10min";

/// Takes away rights that neither unit needs. None of these gives the unit mounts of its own (`ProtectSystem=` and the
/// like): a process that a load leaves behind must see the node's.
const CONFINED: &str = "\
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_UNIX AF_NETLINK
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native";

/// Where `modprobe` may be.
const MODPROBE: [&str; 4] = [
    "/usr/sbin/modprobe",
    "/sbin/modprobe",
    "/usr/bin/modprobe",
    "/bin/modprobe",
];

/// Why there are no units.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "each variant's sentence says what it is")]
pub enum UnitError {
    #[error(
        "systemd would run {0} as root at every boot, which {1}: copy the program to /usr/local/sbin, and install with that one"
    )]
    Program(PathBuf, String),
    #[error(
        "root would load modules out of {0} at every boot, which {1}: name another folder with --state-dir"
    )]
    StateDir(PathBuf, String),
    #[error("systemd reads units from {0} at every boot, which {1}: remove that right")]
    Folder(PathBuf, String),
    #[error("the unit {0} cannot be written ({1}){cure}", cure = cure::of_write(.1))]
    Write(PathBuf, io::Error),
    #[error("the unit {0} cannot be removed ({1}): remove it by hand")]
    Remove(PathBuf, io::Error),
}

/// The units of a host, yet to be written.
#[derive(Debug, PartialEq, Eq)]
pub struct Units {
    root: PathBuf,
    program: PathBuf,
    load: String,
    shut_down: String,
}

/// What became of one of them.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    /// It is there and wanted at boot.
    Ours(PathBuf),
    /// Somebody else has put another file in its place, or masked it.
    LeftAlone(PathBuf),
}

impl Units {
    /// Makes them for a program and a folder of state, both as the host under `root` has them; `None` where it has no
    /// systemd.
    ///
    /// # Errors
    ///
    /// When somebody else than root could change what they would run.
    pub fn plan(root: &Path, program: &Path, state_dir: &Path) -> Result<Option<Self>, UnitError> {
        let has = |path: &str| root.join(path).exists();
        if !has("run/systemd/system") && !has("etc/systemd") {
            return Ok(None);
        }
        let refused = |why| UnitError::Program(program.to_owned(), why);
        // A folder that cannot be read cannot be written to either.
        let units = walk(root, Path::new(FOLDER)).ok();
        if let Some(why) = units.and_then(|walked| walked.lasting) {
            return Err(UnitError::Folder(root.join(FOLDER), why.to_string()));
        }
        // The path that was checked, not a link that may lead elsewhere at the next boot.
        let own = trusted::file(root, program)
            .and_then(namable)
            .map_err(refused)?;
        let state_dir = trusted::resolved(root, state_dir)
            .and_then(namable)
            .map_err(|why| UnitError::StateDir(state_dir.to_owned(), why))?;
        let (program, state_dir) = (own.display(), state_dir.display());
        let command = format!("{program} --root / --state-dir {state_dir} hotfix");
        // The path keeps the name `modprobe`: the program behind it has several names, and acts by the one it is called
        // by.
        let is_roots = |path: &&&str| trusted::file(root, Path::new(path)).is_ok();
        let modprobe = MODPROBE.iter().find(is_roots);
        Ok(Some(Self {
            root: root.to_owned(),
            load: load(&command, &state_dir.to_string(), modprobe),
            shut_down: shut_down(&command, &state_dir.to_string()),
            program: own,
        }))
    }

    /// Returns the program that they run, as the host has it.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Writes them where they are not yet, and has them wanted at boot.
    ///
    /// # Errors
    ///
    /// When one cannot be written.
    pub fn write(&self) -> Result<[Written; 2], UnitError> {
        Ok([
            put(&self.root, LOAD, &self.load)?,
            put(&self.root, SHUT_DOWN, &self.shut_down)?,
        ])
    }
}

/// Refuses a path that cannot be named in a unit.
fn namable(path: PathBuf) -> Result<PathBuf, String> {
    // Of others, systemd takes some for itself: spaces, quotes, %, $.
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-_.:@+".contains(byte);
    if !path.as_os_str().as_encoded_bytes().iter().all(fits) {
        return Err("has a character in its path that a unit cannot name".into());
    }
    Ok(path)
}

fn load(command: &str, state_dir: &str, modprobe: Option<&&str>) -> String {
    let before = modprobe.map_or_else(String::new, |path| format!("ExecStartPre=-{path} ip_vs\n"));
    // What a load leaves behind where the kernel does not answer is to stay (KillMode).
    format!(
        "{MARK}
[Unit]
Description=Load the installed hotfixes of the IPVS estimator
ConditionKernelCommandLine=!{KILL_SWITCH}
IgnoreOnIsolate=yes
RequiresMountsFor={state_dir}
After=local-fs.target systemd-modules-load.service
Before={CONSUMERS}

[Service]
Type=oneshot
TimeoutStartSec={LIMIT}
{CONFINED}
RemainAfterExit=yes
KillMode=process
{before}ExecStart={command} load --all

[Install]
WantedBy=multi-user.target
"
    )
}

fn shut_down(command: &str, state_dir: &str) -> String {
    // It outlives `systemctl rescue`, after which the node may be shut down, too (IgnoreOnIsolate).
    format!(
        "{MARK}
[Unit]
Description=Note in the journal of ipvs-latency that this node is shut down in good order
IgnoreOnIsolate=yes
RequiresMountsFor={state_dir}
After=local-fs.target

[Service]
Type=oneshot
{CONFINED}
RemainAfterExit=yes
ExecStop={command} shut-down

[Install]
WantedBy=multi-user.target
"
    )
}

fn put(root: &Path, name: &str, text: &str) -> Result<Written, UnitError> {
    let file = root.join(FOLDER).join(name);
    let failed = |error| UnitError::Write(file.clone(), error);
    let folder = Folder::make(root, Path::new(FOLDER), FOLDER_MODE).map_err(failed)?;
    if !is_ours(&folder, name).map_err(failed)?.unwrap_or(true) {
        return Ok(Written::LeftAlone(file));
    }
    let wants = folder.make_in(WANTS, FOLDER_MODE).map_err(failed)?;
    folder
        .put(name, FILE_MODE, text.as_bytes())
        .map_err(failed)?;
    let target = Path::new("/").join(FOLDER).join(name);
    wants.link(name, &target).map_err(failed)?;
    Ok(Written::Ours(file))
}

/// Removes those that are ours, and tells which were there.
///
/// # Errors
///
/// When one cannot be removed.
pub fn remove(root: &Path) -> Result<Vec<PathBuf>, UnitError> {
    let at = root.join(FOLDER);
    let mut removed = Vec::new();
    let folder = match Folder::open(root, Path::new(FOLDER)) {
        Err(error) if error.raw_os_error() == Some(Errno::ENOTDIR as i32) => None,
        folder => folder.map_err(|error| UnitError::Remove(at.clone(), error))?,
    };
    let Some(folder) = folder else {
        return Ok(removed);
    };
    for name in [LOAD, SHUT_DOWN] {
        let file = at.join(name);
        let failed = |error| UnitError::Remove(file.clone(), error);
        if is_ours(&folder, name).map_err(failed)? != Some(true) {
            continue;
        }
        if let Some(wants) = folder.folder(WANTS).map_err(failed)? {
            wants.remove(name).map_err(failed)?;
        }
        folder.remove(name).map_err(failed)?;
        removed.push(file);
    }
    Ok(removed)
}

/// Returns whether we wrote a unit; `None` where there is none. A link is not ours: it masks the unit.
fn is_ours(folder: &Folder, name: &str) -> io::Result<Option<bool>> {
    match folder.look(name)?.as_ref().map(kind) {
        None => Ok(None),
        Some(SFlag::S_IFREG) => {
            let text = folder.read(name, MOST_BYTES)?;
            Ok(text.map(|text| text.starts_with(MARK.as_bytes())))
        }
        Some(_) => Ok(Some(false)),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    /// A host with systemd and a program.
    fn host() -> tempfile::TempDir {
        nix::sys::stat::umask(Mode::S_IWGRP | Mode::S_IWOTH);
        let root = tempfile::tempdir().unwrap();
        for folder in ["run/systemd/system", "usr/sbin", "var/lib"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        for file in ["usr/sbin/tool", "usr/sbin/modprobe"] {
            fs::write(root.path().join(file), "").unwrap();
        }
        root
    }

    fn plan(root: &Path, program: &str) -> Result<Option<Units>, UnitError> {
        Units::plan(root, Path::new(program), Path::new("/var/lib/state"))
    }

    #[test]
    fn the_units_are_written_wanted_written_anew_and_removed() {
        let root = host();
        let folder = root.path().join(FOLDER);
        let units = plan(root.path(), "/usr/sbin/tool").unwrap().unwrap();
        for _ in 0..2 {
            let ours = [LOAD, SHUT_DOWN].map(|name| Written::Ours(folder.join(name)));
            assert_eq!(units.write().unwrap(), ours);
        }
        let text = fs::read_to_string(folder.join(LOAD)).unwrap();
        for line in [
            "ConditionKernelCommandLine=!ipvs_latency.hotfix=0",
            "NoNewPrivileges=yes",
            "ExecStartPre=-/usr/sbin/modprobe ip_vs",
            "ExecStart=/usr/sbin/tool --root / --state-dir /var/lib/state hotfix load --all",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}: {text}");
        }
        let text = fs::read_to_string(folder.join(SHUT_DOWN)).unwrap();
        assert!(text.contains("hotfix shut-down\n"), "{text}");
        for name in [LOAD, SHUT_DOWN] {
            let link = fs::read_link(folder.join(WANTS).join(name)).unwrap();
            assert_eq!(link, Path::new("/").join(FOLDER).join(name));
        }
        let both = [LOAD, SHUT_DOWN].map(|name| folder.join(name));
        assert_eq!(remove(root.path()).unwrap(), both);
        assert_eq!(fs::read_dir(folder.join(WANTS)).unwrap().count(), 0);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        assert_eq!(remove(root.path()).unwrap().len(), 0);
    }

    #[test]
    fn a_unit_that_somebody_else_wrote_or_masked_is_left_alone() {
        let root = host();
        let folder = root.path().join(FOLDER);
        fs::create_dir_all(&folder).unwrap();
        symlink("/dev/null", folder.join(LOAD)).unwrap();
        fs::write(folder.join(SHUT_DOWN), "[Unit]\n").unwrap();
        let units = plan(root.path(), "/usr/sbin/tool").unwrap().unwrap();
        let left = [LOAD, SHUT_DOWN].map(|name| Written::LeftAlone(folder.join(name)));
        assert_eq!(units.write().unwrap(), left);
        assert_eq!(remove(root.path()).unwrap().len(), 0);
        assert!(folder.join(LOAD).is_symlink() && folder.join(SHUT_DOWN).exists());
    }

    #[test]
    fn what_root_would_run_is_roots_own_and_there() {
        let root = host();
        let refused = |program: &str| plan(root.path(), program).unwrap_err().to_string();
        fs::create_dir_all(root.path().join("tmp")).unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
        fs::set_permissions(root.path().join("tmp"), open).unwrap();
        for file in ["tmp/tool", "usr/sbin/t ool"] {
            fs::write(root.path().join(file), "").unwrap();
        }
        for (program, words) in [
            ("/usr/sbin/gone", "is not there"),
            ("/tmp/tool", "by everybody, by way of /tmp"),
            ("/usr/sbin/t ool", "a character"),
        ] {
            let error = refused(program);
            assert!(error.contains(words), "{program}: {error}");
        }
        let state = Path::new("/tmp/state");
        let error = Units::plan(root.path(), Path::new("/usr/sbin/tool"), state).unwrap_err();
        assert!(error.to_string().contains("--state-dir"), "{error}");
    }

    #[test]
    fn a_unit_names_what_a_link_leads_to_and_a_program_only_if_it_is_roots() {
        let root = host();
        symlink("/var/lib", root.path().join("link")).unwrap();
        let tool = Path::new("/usr/sbin/tool");
        let units = Units::plan(root.path(), tool, Path::new("/link/state"));
        let load = units.unwrap().unwrap().load;
        assert!(load.contains("--state-dir /var/lib/state hotfix"), "{load}");
        let modprobe = root.path().join("usr/sbin/modprobe");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o775);
        fs::set_permissions(modprobe, open).unwrap();
        let units = plan(root.path(), "/usr/sbin/tool").unwrap().unwrap();
        assert!(!units.load.contains("modprobe"), "{}", units.load);
    }

    #[test]
    fn units_are_not_written_where_others_could_change_them() {
        let root = host();
        let folder = root.path().join(FOLDER);
        fs::create_dir_all(&folder).unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o775);
        fs::set_permissions(&folder, open).unwrap();
        let error = plan(root.path(), "/usr/sbin/tool").unwrap_err().to_string();
        assert!(error.contains("can be changed by group "), "{error}");
    }

    #[test]
    fn a_host_without_systemd_gets_none_and_one_that_is_in_the_way_is_told() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(plan(root.path(), "/usr/sbin/tool").unwrap(), None);
        let root = host();
        let units = plan(root.path(), "/usr/sbin/tool").unwrap().unwrap();
        fs::create_dir_all(root.path().join(FOLDER).join(WANTS).join(LOAD)).unwrap();
        fs::write(root.path().join(FOLDER).join(LOAD), MARK).unwrap();
        let error = remove(root.path()).unwrap_err().to_string();
        assert!(error.contains("cannot be removed"), "{error}");
        fs::remove_dir_all(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc"), "").unwrap();
        let error = units.write().unwrap_err().to_string();
        assert!(error.contains("cannot be written"), "{error}");
    }
}
