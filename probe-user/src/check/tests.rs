use super::*;

fn args(max: Option<u64>, duration: Option<u64>) -> CheckArgs {
    CheckArgs {
        json: false,
        format: CheckFormat::Text,
        max: max.map(Duration::from_millis),
        warning: None,
        critical: None,
        via: None,
        duration: duration.map(Duration::from_millis),
    }
}

#[test]
fn it_warns_from_a_tenth_of_the_maximum() {
    let limits = |warning: Option<u64>, critical: Option<u64>, max: Option<u64>| {
        let args = CheckArgs {
            warning: warning.map(Duration::from_millis),
            critical: critical.map(Duration::from_millis),
            ..args(max, None)
        };
        let limits = thresholds(&args, CheckFormat::Nagios).ok()?;
        Some((limits.warning_ns / 1_000, limits.critical_ns / 1_000))
    };
    assert_eq!(limits(None, None, None), Some((1_000, 10_000)));
    assert_eq!(limits(None, None, Some(50)), Some((5_000, 50_000)));
    assert_eq!(limits(Some(3), Some(20), None), Some((3_000, 20_000)));
    assert_eq!(limits(Some(30), Some(20), None), None);
    let text = CheckArgs {
        critical: Some(Duration::from_millis(1)),
        ..args(None, None)
    };
    assert!(thresholds(&text, CheckFormat::Text).is_err());
}

#[test]
fn it_looks_long_enough_to_tell_states_and_a_little_longer_for_a_run_that_is_due() {
    for (max, duration_ms, expected_ms) in [
        (None, None, [2_600, 3_400]),
        (Some(5), None, [2_600, 3_400]),
        (Some(5), Some(2_600), [2_600, 2_600]),
        (None, Some(60_000), [60_000, 60_000]),
    ] {
        let [least, most] = expected_ms.map(Duration::from_millis);
        assert_eq!(time(&args(max, duration_ms)).unwrap(), Time { least, most });
    }
    let error = time(&args(Some(5), Some(2_599))).unwrap_err().to_string();
    assert!(
        error.contains("2s 599ms") && error.contains("2s 600ms"),
        "{error}"
    );
}

/// A host without `ip_vs`, which cannot be measured.
#[test]
fn a_host_that_cannot_be_measured_is_told_all_the_same() {
    let root = tempfile::tempdir().unwrap();
    for folder in ["sys/module", "sys/kernel"] {
        std::fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    let page = look(
        root.path(),
        None,
        time(&args(None, None)).unwrap(),
        headline::DEFAULT_MAX_NS,
    )
    .unwrap();
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
fn a_host_whose_sysfs_is_not_there_is_not_one_without_ip_vs() {
    let root = tempfile::tempdir().unwrap();
    let time = time(&args(None, None)).unwrap();
    let page = look(root.path(), None, time, headline::DEFAULT_MAX_NS).unwrap();
    assert_eq!(
        page.message,
        "unknown: whether the module ip_vs is loaded cannot be seen"
    );
    assert_eq!(page.kernel.estimator, None);
    assert!(page.livepatch.unseen && page.livepatch.supported);
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
