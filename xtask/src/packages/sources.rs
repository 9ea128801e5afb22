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
        self.signed_by
            .as_deref()
            .is_none_or(|keyring| keyring.contains("debian-archive"))
    }
}

/// Writes the source (deb822) for `suite`, in the same archive and with the same trust as the machine's own.
///
/// `keyring` is Debian's keyring for all releases, where the machine has one: a keyring of one release
/// does not vouch for the others. `None` when no entry of the machine is a Debian archive.
#[must_use]
pub fn for_suite(machine: &[Source], suite: &str, keyring: Option<&Path>) -> Option<String> {
    let archive = archive_of(suite)?;
    let best = |archive: Archive| {
        let fits = || machine.iter().filter(move |source| source.serves(archive));
        fits()
            .find(|source| source.looks_official())
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
    let signed_by = if source.suites.iter().any(|known| known == suite) {
        source.signed_by.clone()
    } else {
        keyring
            .map(|path| path.display().to_string())
            .or_else(|| source.signed_by.clone())
    };
    Some(render(&uris, suite, signed_by.as_deref(), &source.trust))
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
        match name.to_ascii_lowercase().as_str() {
            "signed-by" => self.signed_by = Some(value.to_owned()),
            "trusted" => self.trust.push(("Trusted".into(), value.into())),
            "check-valid-until" => self.trust.push(("Check-Valid-Until".into(), value.into())),
            "check-date" => self.trust.push(("Check-Date".into(), value.into())),
            _ => {}
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
