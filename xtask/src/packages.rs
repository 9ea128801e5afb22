//! Debian packages of any suite, fetched with an apt of our own and unpacked, never installed.
//!
//! Each suite has its own folder of package lists, so that one that cannot be reached does not get in
//! the way of the others. The machine's apt configuration (proxies, certificates, checks) stays in force,
//! and so does apt's verification. Nothing here needs root.

mod archive;
mod sandbox;
mod sources;
pub mod tree;

use std::collections::BTreeSet;
use std::fs;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

pub use archive::unpack;

use crate::cache;

/// Lists older than this are fetched again before a package is chosen from them.
const LISTS_MAX_AGE: Duration = Duration::from_hours(1);

/// Debian's keyring of all releases, under the names the package `debian-archive-keyring` has given it.
const KEYRINGS: &[&str] = &[
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
];

/// One Debian suite with its package lists at hand.
#[derive(Debug)]
pub struct Suite {
    name: String,
    dir: PathBuf,
}

/// What the package lists say of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The names it depends on, first alternatives only.
    pub depends: Vec<String>,
}

impl Suite {
    /// Gets a suite's package lists, unless they are at hand and fresh. The cache must be locked.
    ///
    /// # Errors
    /// When the machine's sources name no Debian archive, or the archive does not have or vouch for the suite.
    pub fn open(_lock: &cache::Lock, name: &str) -> Result<Self> {
        let suite = Self {
            name: name.to_owned(),
            dir: cache::root()?.join("apt").join(name),
        };
        // Apt's configuration is in it.
        cache::is_there(&suite.dir)?;
        let keyring = KEYRINGS.iter().map(Path::new).find(|path| path.exists());
        let source = sources::for_suite(&sources::of_machine(Path::new("/etc/apt")), name, keyring).context(
            "the apt sources of this machine name no Debian archive, from which kernels could be fetched",
        )?;
        suite.prepare(&source)?;
        if !cache::fresh(&suite.stamp(), LISTS_MAX_AGE) {
            suite.update()?;
        }
        Ok(suite)
    }

    /// The suite's name, as in `bookworm-security`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn stamp(&self) -> PathBuf {
        self.dir.join("updated")
    }

    fn prepare(&self, source: &str) -> Result<()> {
        let source_file = self.dir.join("suite.sources");
        let failed = || format!("cannot write to {}", self.dir.display());
        for folder in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(self.dir.join(folder)).with_context(failed)?;
        }
        if fs::read_to_string(&source_file).ok().as_deref() != Some(source) {
            // Another mirror than last time: its lists are still to come.
            let _ = fs::remove_file(self.stamp());
            fs::write(&source_file, source).with_context(failed)?;
        }
        fs::write(self.dir.join("status"), "").with_context(failed)?;
        fs::write(self.dir.join("apt.conf"), self.configuration()).with_context(failed)
    }

    /// Read by apt after the machine's own configuration: only what must differ.
    fn configuration(&self) -> String {
        let dir = self.dir.display();
        // The hooks are about the machine's own lists; the preferences are about the packages installed on this machine;
        // and what the machine takes without a signature is not what is to be run from here.
        format!(
            r#"#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Architectures;
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
APT::Update::Error-Mode "any";
APT::Default-Release "";
Acquire::Languages "none";
Dir::Etc::sourcelist "{dir}/suite.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{dir}";
Dir::State::lists "{dir}/lists";
Dir::State::status "{dir}/status";
Dir::Cache "{dir}";
Dir::Cache::archives "{dir}/archives";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "";
"#
        )
    }

    fn apt(&self, tool: &str) -> Command {
        let mut command = Command::new(tool);
        command
            .arg("-c")
            .arg(self.dir.join("apt.conf"))
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    fn update(&self) -> Result<()> {
        eprintln!("fetching the package lists of {}", self.name);
        for folder in ["lists/partial", "archives/partial"] {
            sandbox::open_to_it(&self.dir.join(folder))?;
        }
        let _ = fs::remove_file(self.stamp());
        run(self.apt("apt-get").arg("update"))
            .with_context(|| format!("the package lists of {} cannot be had", self.name))?;
        fs::write(self.stamp(), "").context("cannot note when the package lists were fetched")
    }

    /// The names of all packages that begin with `prefix`.
    ///
    /// # Errors
    /// When apt fails.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let text = output(self.apt("apt-cache").args(["pkgnames", prefix]))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// What the lists say of one package.
    ///
    /// # Errors
    /// When the suite does not have it.
    pub fn show(&self, package: &str) -> Result<Package> {
        let text = output(
            self.apt("apt-cache")
                .args(["show", "--no-all-versions", package]),
        )
        .with_context(|| format!("{} has no package {package}", self.name))?;
        parse_stanza(&text).with_context(|| {
            format!(
                "apt's answer about {package} in {} is not understood",
                self.name
            )
        })
    }

    /// The packages, and all they depend on in turn as far as `follow` says yes to a name.
    ///
    /// # Errors
    /// When a package named or followed is not in the suite.
    pub fn with_dependencies(
        &self,
        packages: &[String],
        follow: impl Fn(&str) -> bool,
    ) -> Result<Vec<Package>> {
        let mut found: Vec<Package> = Vec::new();
        let mut waiting = packages.to_vec();
        while let Some(name) = waiting.pop() {
            if found.iter().any(|package| package.name == name) {
                continue;
            }
            let package = self.show(&name)?;
            waiting.extend(package.depends.iter().filter(|name| follow(name)).cloned());
            found.push(package);
        }
        Ok(found)
    }

    /// The names of everything apt would install for `packages` on a machine that has nothing.
    ///
    /// # Errors
    /// When apt finds no solution.
    pub fn closure(&self, packages: &[&str]) -> Result<BTreeSet<String>> {
        let arguments = ["-q", "-y", "-s", "--no-install-recommends", "install"];
        let text =
            output(self.apt("apt-get").args(arguments).args(packages)).with_context(|| {
                format!(
                    "apt cannot resolve {} in {}",
                    packages.join(", "),
                    self.name
                )
            })?;
        Ok(parse_installations(&text))
    }

    /// Downloads packages, verified by apt, into a folder; gives their files.
    ///
    /// # Errors
    /// When one cannot be had, or is not what the signed lists say.
    pub fn download<'a>(
        &self,
        packages: impl IntoIterator<Item = &'a str>,
        into: &Path,
    ) -> Result<Vec<PathBuf>> {
        let packages: Vec<&str> = packages.into_iter().collect();
        let fetched = into.join("fetched");
        fs::create_dir(&fetched).with_context(|| format!("cannot make {}", fetched.display()))?;
        sandbox::open_to_it(&fetched)?;
        let get = || {
            let mut command = self.apt("apt-get");
            command
                .arg("download")
                .args(&packages)
                .current_dir(&fetched);
            run(&mut command)
        };
        let failed = || format!("cannot download {} from {}", packages.join(", "), self.name);
        if get().is_err() {
            // The archive drops a version as soon as there is a newer one: look again, once.
            self.update()?;
            get().with_context(failed)?;
        }
        let listed = self
            .apt("apt-get")
            .args(["download", "--print-uris"])
            .args(&packages)
            .output();
        let listed = listed.with_context(failed)?;
        let expected = sandbox::expected(&String::from_utf8_lossy(&listed.stdout));
        ensure!(
            expected.len() == packages.len(),
            "{} packages were asked of {} and it names {}",
            packages.len(),
            self.name,
            expected.len()
        );
        let files = sandbox::take(&fetched, into, &expected)?;
        fs::remove_dir_all(&fetched)
            .with_context(|| format!("cannot remove {}", fetched.display()))?;
        Ok(files)
    }
}

/// Makes the next [`Suite::open`] of every suite fetch its package lists.
pub fn expire() {
    // What cannot be read or removed was not there to be believed.
    let suites = cache::root().map(|root| fs::read_dir(root.join("apt")));
    for suite in suites.into_iter().flatten().flatten().flatten() {
        let _ = fs::remove_file(suite.path().join("updated"));
    }
}

/// Runs apt where its progress is for people: a bar on a terminal, errors alone elsewhere.
fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdout(progress()?)
        .status()
        .with_context(|| missing_tool(command))?;
    ensure!(
        status.success(),
        "{} ended with {status}",
        command.get_program().display()
    );
    Ok(())
}

/// Where a child's progress on stdout belongs: our stderr where that is a terminal (our stdout is for data),
/// else nowhere.
///
/// # Errors
/// When stderr is closed.
pub fn progress() -> Result<Stdio> {
    let stderr = std::io::stderr();
    if !stderr.is_terminal() {
        return Ok(Stdio::null());
    }
    Ok(stderr
        .as_fd()
        .try_clone_to_owned()
        .context("stderr is closed")?
        .into())
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| missing_tool(command))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}", command.get_program().display(), said.trim());
    }
    String::from_utf8(output.stdout).context("apt's output is not text")
}

fn missing_tool(command: &Command) -> String {
    format!(
        "cannot run {}: kernels and headers are fetched with Debian's own tools",
        command.get_program().display()
    )
}

fn parse_stanza(text: &str) -> Option<Package> {
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::trim))
    };
    let depends = [field("Pre-Depends"), field("Depends")];
    let first_name = |alternatives: &str| {
        let first = alternatives.split('|').next().unwrap_or_default();
        let name = first.split(['(', ':']).next().unwrap_or_default().trim();
        (!name.is_empty()).then(|| name.to_owned())
    };
    Some(Package {
        name: field("Package")?.to_owned(),
        version: field("Version")?.to_owned(),
        depends: depends
            .iter()
            .flatten()
            .flat_map(|list| list.split(','))
            .filter_map(first_name)
            .collect(),
    })
}

fn parse_installations(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_depends_on_names_without_versions_and_alternatives() {
        let text = "Package: linux-image-7.1-amd64\nVersion: 7.1-1\nPre-Depends: linux-base (>= 4.17~)\n\
                    Depends: dracut | initramfs-tools (>= 0.1), linux-binary-7.1-amd64 (= 7.1-1), perl:any\n";
        let package = parse_stanza(text).expect("a stanza");
        assert_eq!(
            (package.name.as_str(), package.version.as_str()),
            ("linux-image-7.1-amd64", "7.1-1")
        );
        assert_eq!(
            package.depends,
            ["linux-base", "dracut", "linux-binary-7.1-amd64", "perl"]
        );
        assert_eq!(parse_stanza("N: no such package\n"), None);
    }

    #[test]
    fn a_simulated_installation_lists_its_packages() {
        let text = "Reading package lists...\nInst dash (0.5 Debian:12 [amd64])\nInst libc6 [2] (3 x [amd64])\nConf dash\n";
        let expected = BTreeSet::from(["dash".to_owned(), "libc6".to_owned()]);
        assert_eq!(parse_installations(text), expected);
    }
}
