use std::fs;

use super::*;

fn entry(content: &[u8], phase: Phase) -> Entry {
    Entry {
        sha256: Digest::of(content),
        name: "est_skip".into(),
        file: "/root/est_skip.ko".into(),
        boot_id: "one".into(),
        pid: 7,
        phase,
        since_s: 10_000,
        accepted: Vec::new(),
        module: Mark::default(),
    }
}

fn boot(id: &str, began_s: u64, shutdowns_s: &[u64]) -> Boot {
    Boot {
        id: id.into(),
        began_s: Some(began_s),
        shutdowns_s: shutdowns_s.to_vec(),
    }
}

#[test]
fn a_node_went_down_under_what_was_there_when_it_did() {
    use Phase::*;
    let same = boot("one", 9_000, &[]);
    let cut = boot("two", 10_100, &[]);
    let late = boot("two", 20_000, &[]);
    let orderly = boot("two", 10_100, &[10_050]);
    let before = boot("two", 10_100, &[9_999]);
    let weeks = boot("two", 2_000_000, &[1_999_990]);
    let minutes = boot("two", 2_000_000, &[10_299]);
    for (phase, boot, went_down) in [
        (Loading, &same, false),
        (Loading, &cut, true),
        (Unloading, &cut, true),
        (Loading, &orderly, true),
        (Loading, &weeks, false),
        (Unloading, &weeks, false),
        (Loading, &minutes, true),
        (Unloading, &late, true),
        (InForce, &cut, true),
        (InForce, &late, true),
        (InForce, &orderly, false),
        (Left, &cut, true),
        (Left, &late, false),
        (Left, &orderly, false),
        (InForce, &before, true),
        (Gone, &cut, true),
        (Gone, &late, false),
        (Gone, &orderly, false),
        (ShutDown, &cut, false),
    ] {
        let entry = entry(b"a", phase);
        assert_eq!(entry.went_down(boot), went_down, "{phase:?} {boot:?}");
    }
}

#[test]
fn what_was_noted_is_there_again_and_a_file_has_one_entry() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("deep/er");
    let mut journal = Journal::read(&place).unwrap();
    assert_eq!(journal.entries(), []);
    journal.note(entry(b"a", Phase::Loading)).unwrap();
    journal.note(entry(b"b", Phase::Loading)).unwrap();
    journal.advance(&Digest::of(b"a"), Phase::InForce).unwrap();
    journal.advance(&Digest::of(b"c"), Phase::InForce).unwrap();
    let again = Journal::read(&place).unwrap();
    assert_eq!(again.entries(), journal.entries());
    assert_eq!(again.entries().len(), 2);
    let found = again.entry_of(&Digest::of(b"a")).unwrap();
    assert_eq!(found.phase, Phase::InForce);
    assert!(found.since_s > 10_000, "{found:?}");
    assert_eq!(
        again.named("est_skip", &boot("one", 0, &[])).unwrap(),
        found
    );
    assert!(again.named("est_skip", &boot("two", 0, &[])).is_none());
    let files = fs::read_dir(&place).unwrap().count();
    assert_eq!(files, 1, "no temporary file is left");
}

#[test]
fn a_name_means_what_is_there_and_else_what_was_noted_last() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::read(folder.path()).unwrap();
    let named = |journal: &Journal| {
        let found = journal.named("est_skip", &boot("one", 0, &[]));
        found.unwrap().sha256.clone()
    };
    journal.note(entry(b"a", Phase::Left)).unwrap();
    journal.note(entry(b"b", Phase::Loading)).unwrap();
    assert_eq!(named(&journal), Digest::of(b"b"));
    journal.advance(&Digest::of(b"a"), Phase::Gone).unwrap();
    assert_eq!(named(&journal), Digest::of(b"b"), "a is gone");
    journal.advance(&Digest::of(b"b"), Phase::Gone).unwrap();
    assert_eq!(named(&journal), Digest::of(b"b"), "so is b");
    journal.note(entry(b"a", Phase::InForce)).unwrap();
    journal.advance(&Digest::of(b"b"), Phase::Gone).unwrap();
    assert_eq!(named(&journal), Digest::of(b"a"));
}

#[test]
fn it_stays_small_and_forgets_what_did_no_harm_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::read(folder.path()).unwrap();
    journal.note(entry(b"crash", Phase::Loading)).unwrap();
    for number in 0..=MOST {
        let content = number.to_le_bytes();
        journal.note(entry(&content, Phase::Gone)).unwrap();
    }
    assert_eq!(journal.entries().len(), MOST);
    assert!(journal.entry_of(&Digest::of(b"crash")).is_some());
}

/// Returns the journal of one entry, with a value of that entry, or of the document, replaced.
fn made(key: &str, value: &serde_json::Value) -> Result<Vec<Entry>, JournalError> {
    let mut document = serde_json::json!({
        "schema": SCHEMA,
        "entries": [entry(b"a", Phase::InForce)],
    });
    if document.get(key).is_some() {
        document[key] = value.clone();
    } else {
        document["entries"][0][key] = value.clone();
    }
    entries(Path::new("/journal"), document.to_string().as_bytes())
}

#[test]
fn what_no_program_of_ours_wrote_is_damage_and_never_a_panic() {
    use serde_json::json;
    assert_eq!(made("pid", &json!(7)).unwrap().len(), 1);
    let whole = Digest::of(b"a").to_string();
    for (key, value) in [
        ("since_s", json!(u64::MAX)),
        ("since_s", json!(LAST_S + 1)),
        ("since_s", json!(-1)),
        ("since_s", json!(1e300)),
        ("since_s", json!("1")),
        ("pid", json!(u64::MAX)),
        ("sha256", json!("")),
        ("sha256", json!(whole.to_uppercase())),
        ("name", json!("")),
        ("name", json!("..")),
        ("name", json!("a/b")),
        ("name", json!("a\u{1b}[2J")),
        ("name", json!("a".repeat(1_000))),
        ("boot_id", json!("a\nb")),
        ("boot_id", json!("a".repeat(1_000))),
        ("phase", json!("dancing")),
        ("module", json!(7)),
        ("module", json!({"loading": -1})),
        ("entries", json!({})),
        (
            "entries",
            json!([entry(b"a", Phase::Gone), entry(b"a", Phase::InForce)]),
        ),
        ("schema", json!("1")),
        ("schema", json!(-1)),
    ] {
        let error = made(key, &value).unwrap_err();
        assert!(
            matches!(error, JournalError::Damaged(..)),
            "{key} {value}: {error}"
        );
        assert!(!error.to_string().contains(char::is_control), "{error}");
    }
    let many: Vec<Entry> = (0..=MOST)
        .map(|number| entry(&number.to_le_bytes(), Phase::Gone))
        .collect();
    assert!(made("entries", &json!(many)).is_err());
    for bytes in [
        &b""[..],
        b"\xff",
        b"[1]",
        b"{\"schema\":1}",
        &b"[".repeat(100_000),
    ] {
        let error = entries(Path::new("/journal"), bytes).unwrap_err();
        assert!(matches!(error, JournalError::Damaged(..)), "{error}");
    }
}

#[test]
fn what_is_at_its_limit_is_read_and_what_is_beyond_is_damage() {
    use serde_json::json;
    let ids = |length| json!("a".repeat(length));
    let many = |most: usize| {
        let contents = (0..most).map(usize::to_le_bytes);
        let entries: Vec<Entry> = contents.map(|one| entry(&one, Phase::Gone)).collect();
        json!(entries)
    };
    for (key, at, beyond) in [
        ("since_s", json!(LAST_S), json!(LAST_S + 1)),
        ("boot_id", ids(LONGEST_BOOT_ID), ids(LONGEST_BOOT_ID + 1)),
        ("entries", many(MOST), many(MOST + 1)),
    ] {
        assert!(made(key, &at).is_ok(), "{key}");
        assert!(made(key, &beyond).is_err(), "{key}");
    }
    let most = usize::try_from(MOST_BYTES).unwrap();
    let read = |length| {
        let mut bytes = br#"{"schema": 1, "entries": []}"#.to_vec();
        bytes.resize(length, b' ');
        entries(Path::new("/journal"), &bytes)
    };
    assert_eq!(read(most).unwrap(), []);
    let error = read(most + 1).unwrap_err().to_string();
    assert!(error.contains("more than 1048576 bytes"), "{error}");
}

#[test]
fn what_is_loaded_under_a_name_is_of_this_boot_and_not_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::read(folder.path()).unwrap();
    for (name, boot_id, phase) in [
        ("est_skip", "one", Phase::Left),
        ("est_skip", "one", Phase::InForce),
        ("est_skip", "one", Phase::Gone),
        ("est_skip", "two", Phase::InForce),
        ("another", "one", Phase::InForce),
        ("another", "two", Phase::Gone),
    ] {
        let entry = Entry {
            name: name.into(),
            boot_id: boot_id.into(),
            ..entry(format!("{name} {boot_id} {phase:?}").as_bytes(), phase)
        };
        journal.note(entry).unwrap();
    }
    let loaded = journal.loaded_as("est_skip", &boot("one", 0, &[]));
    assert_eq!(loaded, journal.entries()[..2]);
}

#[test]
fn numbers_at_their_limits_are_told_without_a_panic() {
    let mut late = entry(b"a", Phase::Gone);
    for since_s in [0, LAST_S, LAST_S + 1, u64::MAX] {
        late.since_s = since_s;
        assert!(late.since().ends_with('Z'));
        for began_s in [0, u64::MAX] {
            let is_soon = began_s <= since_s.saturating_add(AFTERMATH_S);
            assert_eq!(late.went_down(&boot("two", began_s, &[])), is_soon);
        }
    }
}

#[test]
fn one_of_another_schema_is_told_and_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    let text = "{\"schema\": 9, \"of\": \"a later version\"}";
    fs::write(&file, text).unwrap();
    let error = Journal::read(folder.path()).unwrap_err();
    assert!(matches!(error, JournalError::Schema(_, 9)), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn what_is_no_file_or_too_large_is_neither_waited_for_nor_read_whole() {
    use nix::{sys::stat::Mode, unistd::mkfifo};
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    mkfifo(&file, Mode::S_IRWXU).unwrap();
    let error = Journal::read(folder.path()).unwrap_err();
    assert!(matches!(error, JournalError::Read(..)), "{error}");
    fs::remove_file(&file).unwrap();
    let huge = fs::File::create(&file).unwrap();
    huge.set_len(1 << 40).unwrap();
    let error = Journal::read(folder.path()).unwrap_err();
    assert!(matches!(error, JournalError::Damaged(..)), "{error}");
}

#[test]
fn a_path_cannot_write_to_the_terminal_and_an_entry_of_before_is_read() {
    let told = made("file", &serde_json::json!("/a\u{1b}[2J\n/b\u{fc}")).unwrap();
    assert_eq!(told[0].file, "/a?[2J?/b\u{fc}");
    let mut document = serde_json::json!({"schema": 1, "entries": [entry(b"a", Phase::Left)]});
    let old = document["entries"][0].as_object_mut().unwrap();
    old.remove("module").unwrap();
    let told = entries(Path::new("/journal"), document.to_string().as_bytes()).unwrap();
    assert_eq!(told, [entry(b"a", Phase::Left)]);
}

#[test]
fn one_that_is_damaged_or_cannot_be_written_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE), "{\"schema\": 1, \"entr").unwrap();
    let error = Journal::read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("is damaged"), "{error}");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let mut journal = Journal {
        folder: file,
        entries: Vec::new(),
    };
    let error = journal.note(entry(b"a", Phase::Loading)).unwrap_err();
    assert!(error.to_string().contains("cannot be written"), "{error}");
}
