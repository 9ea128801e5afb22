use super::*;

fn args(max: Option<u64>, duration: Option<u64>) -> CheckArgs {
    CheckArgs {
        json: false,
        max: max.map(Duration::from_millis),
        duration: duration.map(Duration::from_millis),
    }
}

#[test]
fn it_looks_long_enough_to_tell_states_and_longer_to_judge() {
    for (max, duration_ms, expected_ms) in [
        (None, None, 2_600),
        (Some(5), None, 5_000),
        (Some(5), Some(2_600), 2_600),
        (Some(5), Some(60_000), 60_000),
    ] {
        let expected = Duration::from_millis(expected_ms);
        assert_eq!(duration(&args(max, duration_ms)).unwrap(), expected);
    }
    let error = duration(&args(Some(5), Some(2_599)))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("2s 599ms") && error.contains("2s 600ms"),
        "{error}"
    );
}

/// A host without `ip_vs`, whose files cannot be measured.
#[test]
fn a_host_that_cannot_be_measured_is_told_all_the_same() {
    let root = tempfile::tempdir().unwrap();
    let page = look(root.path(), measure::LEAST, None).unwrap();
    assert_eq!(page.verdict, Verdict::Unknown);
    assert_eq!(
        page.message,
        "unknown: the module ip_vs is not loaded, no estimator is there"
    );
    assert_eq!(page.kernel.estimator, Some(Kind::Absent));
    assert_eq!(page.kernel.release, "unknown");
    assert!(!page.livepatch.supported);
    assert_eq!(page.missing.len(), 3, "{:?}", page.missing);
    assert!(page.mitigations.is_empty());
}

#[test]
fn what_may_not_be_seen_is_missing_and_hinders_nothing() {
    let obstacle = |sentences: &[&str]| Obstacle {
        brief: String::new(),
        sentences: sentences.iter().map(ToString::to_string).collect(),
    };
    assert!(missing(None, None, vec![]).is_empty());
    let told = missing(
        Some(obstacle(&["no BTF"])),
        Some("7 processes".into()),
        vec!["doubt".into()],
    );
    assert_eq!(told[0], "no BTF");
    assert_eq!(told[1..], ["7 processes", "doubt"]);
}
