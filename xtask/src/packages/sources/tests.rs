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

    let line =
        "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main non-free # x";
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
        let line = format!("deb [arch=amd64 {name}={value}] http://m.example/debian bookworm main");
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
