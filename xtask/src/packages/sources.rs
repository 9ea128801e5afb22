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
mod tests {
    use super::*;

    const DEB822: &str = "\
Types: deb
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Check-Valid-Until: no

Enabled: no
Types: deb
URIs: http://other.example/
Suites: sid
Components: main
";

    #[test]
    fn both_forms_of_source_files_are_read() {
        let sources = parse_deb822(DEB822);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].suites, ["bookworm", "bookworm-updates"]);
        assert_eq!(
            sources[1].trust,
            [("Check-Valid-Until".to_owned(), "no".to_owned())]
        );

        let line = "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main non-free # x";
        let source = parse_line(line).expect("a source");
        assert_eq!(source.uris, ["http://mirror.example/debian"]);
        assert_eq!(source.signed_by.as_deref(), Some("/k.gpg"));
        assert_eq!(source.components, ["main", "non-free"]);
        for line in [
            "",
            "# deb http://a b c",
            "deb-src http://a b c",
            "deb http://a",
        ] {
            assert_eq!(parse_line(line), None, "{line}");
        }
    }

    #[test]
    fn a_key_inside_a_source_is_kept_whole() {
        let text = "Types: deb\nURIs: http://a/\nSuites: sid\nComponents: main\nSigned-By:\n -----BEGIN\n .\n abc\n";
        let sources = parse_deb822(text);
        assert_eq!(
            sources[0].signed_by.as_deref(),
            Some("\n -----BEGIN\n .\n abc")
        );
    }

    #[test]
    fn another_suite_is_asked_of_the_same_archive() {
        let machine = parse_deb822(DEB822);
        let keyring = Path::new("/k/all.gpg");
        for (suite, uri, signed_by) in [
            (
                "trixie-backports",
                "http://mirror.example/debian",
                "/k/all.gpg",
            ),
            ("sid", "http://mirror.example/debian", "/k/all.gpg"),
            (
                "bullseye-security",
                "http://mirror.example/debian-security",
                "/k/all.gpg",
            ),
            (
                "bookworm",
                "http://mirror.example/debian",
                "/usr/share/keyrings/debian-archive-keyring.gpg",
            ),
        ] {
            let text = for_suite(&machine, suite, Some(keyring)).expect(suite);
            assert!(
                text.contains(&format!("URIs: {uri}\nSuites: {suite}\n")),
                "{text}"
            );
            assert!(
                text.contains(&format!("Signed-By: {signed_by}\n")),
                "{text}"
            );
        }
    }

    #[test]
    fn the_machines_own_checks_stay_in_force() {
        let text = for_suite(&parse_deb822(DEB822), "bookworm-security", None).expect("a source");
        assert!(
            text.ends_with("Targets: Packages\nCheck-Valid-Until: no\n"),
            "{text}"
        );
    }

    /// One option of a source, in either form, with what is written for the suite that it was given for and for others.
    #[test]
    fn what_lowers_the_checks_stays_with_the_suite_that_it_was_given_for() {
        for (option, value, tightens) in [
            ("Trusted", "yes", false),
            ("Trusted", "1", false),
            ("Trusted", "no", true),
            ("Allow-Insecure", "yes", false),
            ("Allow-Insecure", "no", true),
            ("Allow-Weak", "yes", false),
            ("Allow-Weak", "false", true),
            ("Allow-Downgrade-To-Insecure", "yes", false),
            ("Allow-Downgrade-To-Insecure", "off", true),
            ("Check-Valid-Until", "no", false),
            ("Check-Valid-Until", "Yes", true),
            ("Check-Date", "no", false),
            ("Check-Date", "true", true),
            ("Check-Date", "perhaps", false),
            ("Valid-Until-Min", "864000", false),
            ("Valid-Until-Max", "864000", true),
            ("Date-Max-Future", "864000", false),
        ] {
            let name = option.to_ascii_lowercase();
            let line =
                format!("deb [arch=amd64 {name}={value}] http://m.example/debian bookworm main");
            let stanza = format!(
                "Types: deb\nURIs: http://m.example/debian\nSuites: bookworm bookworm-updates\n\
                 Components: main\n{name}: {value}\n"
            );
            let written = format!("{option}: {value}\n");
            for machine in [
                parse_line(&line).into_iter().collect(),
                parse_deb822(&stanza),
            ] {
                let has = |suite: &str| {
                    for_suite(&machine, suite, None)
                        .expect(suite)
                        .contains(&written)
                };
                assert!(has("bookworm"), "{written} for its own suite");
                for other in ["trixie", "bookworm-backports", "bookworm-security", "sid"] {
                    assert_eq!(has(other), tightens, "{written} for {other}");
                }
            }
        }
    }

    #[test]
    fn a_suite_with_a_source_of_its_own_gets_that_and_not_the_first_of_its_archive() {
        let lines = [
            "deb [trusted=yes] http://old.example/debian bookworm main",
            "deb [signed-by=/k/debian-archive-trixie.gpg] http://new.example/debian trixie main",
        ];
        let machine: Vec<_> = lines.into_iter().filter_map(parse_line).collect();
        let text = for_suite(&machine, "trixie", None).expect("a source");
        assert!(text.contains("URIs: http://new.example/debian\n"), "{text}");
        assert!(
            text.ends_with("Signed-By: /k/debian-archive-trixie.gpg\n"),
            "{text}"
        );
    }

    #[test]
    fn who_signs_an_archive_signs_its_other_suites() {
        let keyring = Some(Path::new("/k/all.gpg"));
        for (line, signed_by) in [
            (
                "deb [signed-by=/k/site.gpg] http://m.example/debian bookworm main",
                "/k/site.gpg",
            ),
            (
                "deb [signed-by=/k/debian-archive-12.gpg] http://m.example/debian bookworm main",
                "/k/all.gpg",
            ),
            (
                "deb [signed-by=/k/site.gpg] http://deb.debian.org/debian bookworm main",
                "/k/all.gpg",
            ),
            ("deb http://m.example/debian bookworm main", "/k/all.gpg"),
        ] {
            let machine: Vec<_> = parse_line(line).into_iter().collect();
            let text = for_suite(&machine, "trixie", keyring).expect("a source");
            assert!(
                text.contains(&format!("Signed-By: {signed_by}\n")),
                "{line}: {text}"
            );
        }
    }

    #[test]
    fn without_a_security_source_it_is_looked_for_beside_the_main_one() {
        let machine: Vec<_> = parse_line("deb http://mirror.example/debian/ trixie main")
            .into_iter()
            .collect();
        let text = for_suite(&machine, "trixie-security", None).expect("a source");
        assert!(
            text.contains("URIs: http://mirror.example/debian-security\n"),
            "{text}"
        );
    }

    #[test]
    fn other_archives_are_not_taken_for_debians() {
        let lines = [
            "deb [signed-by=/k/vendor.gpg] http://vendor.example/apt bookworm main",
            "deb http://mirror.example/debian bookworm main",
            "deb http://tool.example/ nodistro main",
            "deb http://tool.example/linux bookworm stable",
            "deb cdrom:[disc]/ bookworm main",
        ];
        let machine: Vec<_> = lines.into_iter().filter_map(parse_line).collect();
        let text = for_suite(&machine, "sid", None).expect("a source");
        assert!(
            text.contains("URIs: http://mirror.example/debian\n"),
            "{text}"
        );
        assert_eq!(for_suite(&machine[2..], "sid", None), None);
    }
}
