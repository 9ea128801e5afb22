//! The machine's own apt sources, read so that another Debian suite can be asked for in the same way.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Names a Debian archive gives its releases. Others' archives reuse them with a tail of their own.
const RELEASES: &[&str] = &[
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "stable",
    "oldstable",
    "oldoldstable",
    "testing",
    "unstable",
];

/// What an archive keeps beside a release, as tails of the release's name.
const POCKETS: &[&str] = &["-updates", "-backports", "-proposed-updates"];

/// One entry of the machine's apt sources.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// Base addresses, as apt takes them.
    pub uris: Vec<String>,
    /// Suites the machine uses.
    pub suites: Vec<String>,
    /// Components the machine uses.
    pub components: Vec<String>,
    /// Keyring file, or a key itself in the deb822 form.
    pub signed_by: Option<String>,
    /// Further fields that say how apt should trust this source, in deb822 spelling.
    pub trust: Vec<(String, String)>,
}

/// The options that decide whether apt believes a source, in deb822 spelling, and what tightens its checks: the other
/// values lower them.
const TRUST: [(&str, Tightens); 9] = [
    ("Trusted", Tightens::No),
    ("Allow-Insecure", Tightens::No),
    ("Allow-Weak", Tightens::No),
    ("Allow-Downgrade-To-Insecure", Tightens::No),
    ("Check-Valid-Until", Tightens::Yes),
    ("Check-Date", Tightens::Yes),
    ("Valid-Until-Max", Tightens::Anything),
    ("Valid-Until-Min", Tightens::Nothing),
    ("Date-Max-Future", Tightens::Nothing),
];

/// Which value of an option tightens what apt checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tightens {
    Yes,
    No,
    Anything,
    Nothing,
}

impl Tightens {
    /// `StringToBool`, `apt-pkg/contrib/strutl.cc` of apt 2.6.
    fn is_met_by(self, value: &str) -> bool {
        let one_of = |words: &[&str]| {
            words
                .iter()
                .any(|word| value.trim().eq_ignore_ascii_case(word))
        };
        match self {
            Self::Yes => one_of(&["yes", "true", "with", "on", "enable", "1"]),
            Self::No => one_of(&["no", "false", "without", "off", "disable", "0"]),
            Self::Anything => true,
            Self::Nothing => false,
        }
    }
}

/// Returns the entry of [`TRUST`] for an option, however it is spelled.
fn trust_option(name: &str) -> Option<(&'static str, Tightens)> {
    let mut options = TRUST.into_iter();
    options.find(|(option, _)| option.eq_ignore_ascii_case(name))
}

/// Which of Debian's two archives a suite lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Archive {
    Main,
    Security,
}

fn archive_of(suite: &str) -> Option<Archive> {
    // "bookworm/updates" was the security suite's name up to Debian 10.
    let (name, archive) = match suite
        .strip_suffix("-security")
        .or(suite.strip_suffix("/updates"))
    {
        Some(name) => (name, Archive::Security),
        None => (suite, Archive::Main),
    };
    let release = POCKETS
        .iter()
        .find_map(|pocket| name.strip_suffix(pocket))
        .unwrap_or(name);
    RELEASES.contains(&release).then_some(archive)
}

impl Source {
    fn serves(&self, archive: Archive) -> bool {
        // A disc holds one suite only.
        let disc = self.uris.iter().any(|uri| uri.starts_with("cdrom:"));
        !disc
            && self.components.iter().any(|component| component == "main")
            && self
                .suites
                .iter()
                .any(|suite| archive_of(suite) == Some(archive))
    }

    /// Debian's own archive carries Debian's keyring; some third parties use the same suite names.
    fn looks_official(&self) -> bool {
        let of_debian = |uri: &String| {
            let host = uri.split('/').nth(2).unwrap_or_default();
            host == "debian.org" || host.ends_with(".debian.org")
        };
        self.uris.iter().all(of_debian)
            || self
                .signed_by
                .as_deref()
                .is_none_or(|keyring| keyring.contains("debian-archive"))
    }

    fn has(&self, suite: &str) -> bool {
        self.suites.iter().any(|known| known == suite)
    }

    /// Returns the value of an option for another suite than this source has: options that lower the checks were meant
    /// for this suite.
    fn tightening(&self) -> Vec<(String, String)> {
        let tightens = |(name, value): &&(String, String)| {
            trust_option(name).is_some_and(|(_, tightens)| tightens.is_met_by(value))
        };
        self.trust.iter().filter(tightens).cloned().collect()
    }

    /// Whose signature another suite of the same archive is to have: Debian's keys of all releases for Debian's archive,
    /// its own key for an archive that signs by itself.
    fn signed_by_elsewhere(&self, keyring: Option<&Path>) -> Option<String> {
        let all = keyring.map(|path| path.display().to_string());
        let all = all.filter(|_| self.looks_official());
        all.or_else(|| self.signed_by.clone())
    }
}

/// Writes the source (deb822) for `suite`: the machine's own where it has one, else one of the same archive. That one
/// is trusted no further than Debian's archive is without options: they stay with the suites that they were given for.
///
/// `keyring` is Debian's keyring for all releases, where the machine has one: a keyring of one release
/// does not vouch for the others. `None` when no entry of the machine is a Debian archive.
#[must_use]
pub fn for_suite(machine: &[Source], suite: &str, keyring: Option<&Path>) -> Option<String> {
    let archive = archive_of(suite)?;
    let best = |archive: Archive| {
        let fits = || machine.iter().filter(move |source| source.serves(archive));
        let official = || fits().filter(|source| source.looks_official());
        let own = |source: &&Source| source.has(suite);
        official()
            .find(own)
            .or_else(|| official().next())
            .or_else(|| fits().find(own))
            .or_else(|| fits().next())
    };
    let (source, uris) = match (archive, best(archive)) {
        (_, Some(source)) => (source, source.uris.clone()),
        // Mirrors keep the security archive beside the main one under this name.
        (Archive::Security, None) => {
            let source = best(Archive::Main)?;
            let beside = |uri: &String| format!("{}-security", uri.trim_end_matches('/'));
            (source, source.uris.iter().map(beside).collect())
        }
        (Archive::Main, None) => return None,
    };
    let (signed_by, trust) = if source.has(suite) {
        (source.signed_by.clone(), source.trust.clone())
    } else {
        (source.signed_by_elsewhere(keyring), source.tightening())
    };
    Some(render(&uris, suite, signed_by.as_deref(), &trust))
}

fn render(
    uris: &[String],
    suite: &str,
    signed_by: Option<&str>,
    trust: &[(String, String)],
) -> String {
    let mut text = format!(
        "Types: deb\nURIs: {}\nSuites: {suite}\nComponents: main\nArchitectures: amd64\nTargets: Packages\n",
        uris.join(" ")
    );
    let signed_by = signed_by.map(|keyring| ("Signed-By", keyring));
    let trust = trust
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in signed_by.into_iter().chain(trust) {
        let _ = writeln!(text, "{name}: {value}");
    }
    text
}

/// Every enabled binary source below an apt configuration folder (`/etc/apt`).
#[must_use]
pub fn of_machine(etc_apt: &Path) -> Vec<Source> {
    let mut files = vec![etc_apt.join("sources.list")];
    let mut parts: Vec<PathBuf> = fs::read_dir(etc_apt.join("sources.list.d"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    parts.sort();
    files.append(&mut parts);
    let mut sources = Vec::new();
    for file in files {
        // A file that apt cannot read either is no source.
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => sources.extend(text.lines().filter_map(parse_line)),
            Some("sources") => sources.extend(parse_deb822(&text)),
            _ => {}
        }
    }
    sources
}

/// Reads one line of a `.list` file: `deb [options] URI SUITE COMPONENT...`.
fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let rest = line.strip_prefix("deb")?;
    let rest = rest.strip_prefix(char::is_whitespace)?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    let mut source = Source {
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        ..Source::default()
    };
    for (name, value) in options
        .split_whitespace()
        .filter_map(|option| option.split_once('='))
    {
        source.note(name, value);
    }
    Some(source)
}

/// Reads the stanzas of a `.sources` file.
fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            sources.extend(stanza(&std::mem::take(&mut fields)));
        } else if line.starts_with([' ', '\t']) {
            // A field goes on over indented lines, as an inline key does.
            if let Some((_, value)) = fields.last_mut() {
                let _ = write!(value, "\n{line}");
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    sources
}

fn stanza(fields: &[(String, String)]) -> Option<Source> {
    let words = |name: &str| -> Vec<String> {
        let field = fields
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        field
            .map(|(_, value)| value.split_whitespace().map(str::to_owned).collect())
            .unwrap_or_default()
    };
    let disabled = words("Enabled")
        .iter()
        .any(|word| word.eq_ignore_ascii_case("no"));
    if disabled || !words("Types").iter().any(|word| word == "deb") {
        return None;
    }
    let mut source = Source {
        uris: words("URIs"),
        suites: words("Suites"),
        components: words("Components"),
        ..Source::default()
    };
    for (name, value) in fields {
        source.note(name, value);
    }
    (!source.uris.is_empty()).then_some(source)
}

impl Source {
    /// Keeps the options that decide whether apt believes a source; the rest is about the machine's own use.
    fn note(&mut self, name: &str, value: &str) {
        if name.eq_ignore_ascii_case("signed-by") {
            self.signed_by = Some(value.to_owned());
        } else if let Some((option, _)) = trust_option(name) {
            self.trust.push((option.to_owned(), value.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests;
