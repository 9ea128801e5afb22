use std::collections::BTreeSet;

use super::{
    super::{document::CpuTime, request::Request},
    *,
};
use crate::{
    record::{Origin, Source},
    watch::Sums,
};
use host::netns_owners::{Named, NetnsOwners};
use livepatch::trial::verdict::{Judgement, Tests, Verdict};
use livepatch::trial::{
    judge,
    made_phase::{Made, plan, side as made_side},
    trial_outcome::{Fate, TrialOutcome},
    trial_record::TrialRecord,
};
use livepatch_image::Digest;
use model::State;

fn sums(calls: u64, duration_ns: u64, period_ns: u64) -> Sums {
    Sums {
        calls,
        recorded: calls,
        expected: calls,
        min_ns: Some(duration_ns),
        p50_ns: (calls >= 6).then_some(duration_ns),
        p90_ns: None,
        p99_ns: None,
        max_ns: Some(duration_ns + 1_000),
        max_at: None,
        stall_ns_per_s: (duration_ns * 1_000_000_000).checked_div(period_ns),
        lost: 0,
        missed: 0,
    }
}

fn side(state: State, calls: u64, duration_ns: u64) -> SideDocument {
    let period_ns = 2_016_000_000;
    let namespace = |netns, estimators| NamespaceDocument {
        netns,
        named: Named::default(),
        state: Some(state),
        period_ns: Some(period_ns),
        estimators: Some(estimators),
        run_estimation: Some(1),
        statistics: Some(Statistics::Frozen).filter(|_| state == State::Skipping),
        compared: usize::try_from(calls).unwrap(),
        sums: sums(calls, duration_ns, period_ns),
    };
    let mut namespaces = vec![namespace(4_026_531_840, 30_001)];
    namespaces.extend((0..5).map(|number| namespace(4_026_532_141 + number, 1)));
    SideDocument {
        start_ns: 0,
        end_ns: calls * period_ns,
        observed_ns: calls * period_ns,
        all: sums(calls * 6, duration_ns, period_ns),
        namespaces,
        timer_softirq: Some(vec![
            CpuTime {
                cpu: 0,
                ns_per_s: 21_000,
            },
            CpuTime {
                cpu: 3,
                ns_per_s: duration_ns / 2,
            },
        ]),
        cut_short: false,
        durations_ns: vec![duration_ns; usize::try_from(calls).unwrap()],
    }
}

fn request() -> Request {
    Request {
        origin: Origin {
            source: Source {
                node: Some("node-7".into()),
                version: "0.1.0",
                commit: Some("e4f66cadf7a4"),
            },
            kernel: "6.1.0-56-amd64".into(),
            at: "2026-11-27T14:03:05.123Z".into(),
        },
        command: "ipvs-latency hotfix apply est_skip.ko --trial --yes".into(),
        file: Some("/root/est_skip.ko".into()),
        sha256: Some(Digest::of(b"abc")),
        user: "anna".into(),
    }
}

fn document() -> Document {
    Document {
        schema: 1,
        request: request(),
        name: Some("est_skip".into()),
        verdict: Verdict::Improved,
        why: "In netns 4026531840 (root), runs are 99.98 % shorter (p 0.0022; 6 runs before, 6 after).".into(),
        netns: Some(4_026_531_840),
        named: Named::default(),
        stopped: Vec::new(),
        before: Some(side(State::Active, 6, 3_870_943)),
        after: Some(side(State::Skipping, 6, 787)),
        rolled_back: Some(side(State::Active, 6, 3_870_944)),
        tests: Tests {
            stall_ratio: Some(0.0002),
            stall_p: Some(0.0022),
            longest_ratio: Some(0.0004),
            longest_above: Some(0),
            shift_percent: Some(-99.98),
            shift_interval_percent: Some([-99.98, -99.97]),
            shift_confidence_percent: Some(95.9),
            p_value: Some(0.0022),
            cliffs_delta: Some(-1.0),
            estimators_change_percent: Some(0.0),
        },
        min_effect_percent: Some(5.0),
        warnings: vec!["Traffic moved meanwhile: 10 connections and packets a second before, 90 after.".into()],
        side_effects: vec!["The kernel is tainted until the node boots again, whether the livepatch is there or not.".into()],
        host: NodeAfter::RolledBack,
        outcome: Fate::RolledBack,
        undo: None,
        state_after: Some(State::Skipping),
        back: Some("est_skip is gone, and every estimator ran since (6 network namespaces)".into()),
        kernel_log: Vec::new(),
    }
}

fn told(document: &Document) -> String {
    let mut out = Vec::new();
    write(document, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_trial_is_told_as_a_change_board_reads_it() {
    insta::assert_snapshot!(told(&document()));
}

#[test]
fn what_was_ended_early_has_what_was_measured_and_nothing_else() {
    let told = told(&Document {
        verdict: Verdict::Aborted,
        why: "A key or a signal asked to end.".into(),
        netns: None,
        after: None,
        rolled_back: None,
        warnings: Vec::new(),
        side_effects: Vec::new(),
        host: NodeAfter::Unchanged,
        outcome: Fate::Unchanged,
        back: None,
        ..document()
    });
    insta::assert_snapshot!(told);
}

#[test]
fn the_exit_code_tells_the_verdict_and_the_host() {
    for (verdict, host, code) in [
        (Verdict::Improved, NodeAfter::Patched, 0),
        (Verdict::Improved, NodeAfter::RolledBack, 0),
        (Verdict::Improved, NodeAfter::NeedsPerson, 3),
        (Verdict::Regressed, NodeAfter::RolledBack, 1),
        (Verdict::Unchanged, NodeAfter::Patched, 1),
        (Verdict::Disabled, NodeAfter::NeedsPerson, 3),
        (Verdict::Aborted, NodeAfter::Unchanged, 1),
        (Verdict::Refused, NodeAfter::Unchanged, 2),
    ] {
        let document = Document {
            verdict,
            host,
            ..document()
        };
        assert_eq!(document.code(), code, "{verdict} {host:?}");
    }
}

#[test]
fn what_stays_has_its_way_back_as_commands_that_can_be_copied() {
    let command = "ipvs-latency hotfix unload est_skip";
    let one = Document {
        host: NodeAfter::Patched,
        outcome: Fate::Kept,
        undo: Some(vec![command.into()]),
        ..document()
    };
    assert!(told(&one).contains(&format!("\nUndo: {command}\n")));
    let json = serde_json::to_value(&one).unwrap();
    assert_eq!(
        (&json["undo"], &json["outcome"]),
        (&command.into(), &"kept".into())
    );
    let long = "x".repeat(2 * crate::width::columns());
    let two = Document {
        undo: Some(vec![long.clone(), "second".into()]),
        ..one
    };
    assert!(told(&two).contains(&format!("\nUndo:\n  {long}\n  second\n")));
    let json = serde_json::to_value(&two).unwrap();
    assert_eq!(json["undo"], format!("{long}; second"));
    let json = serde_json::to_value(document()).unwrap();
    assert!(json["undo"].is_null() && !told(&document()).contains("Undo"));
}

#[test]
fn a_document_is_a_change_record() {
    let json = serde_json::to_value(document()).unwrap();
    for (name, value) in [
        ("node", "node-7"),
        ("kernel", "6.1.0-56-amd64"),
        ("version", "0.1.0"),
        ("commit", "e4f66cadf7a4"),
        ("at", "2026-11-27T14:03:05.123Z"),
        (
            "command",
            "ipvs-latency hotfix apply est_skip.ko --trial --yes",
        ),
        ("file", "/root/est_skip.ko"),
        ("user", "anna"),
        ("outcome", "rolled_back"),
        ("host", "given_back"),
    ] {
        assert_eq!(json[name], value, "{name}");
    }
    assert_eq!(json["sha256"], Digest::of(b"abc").to_string());
    let told = told(&document());
    for words in [
        "node-7",
        "2026-11-27 14:03:05 UTC",
        "anna",
        "commit e4f66cadf7a4",
    ] {
        assert!(told.contains(words), "no {words} in {told}");
    }
}

/// Every number of a text, with its unit.
fn numbers(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = text;
    while let Some(start) = rest.find(|one: char| one.is_ascii_digit()) {
        rest = &rest[start..];
        let mut end = rest
            .find(|one: char| !one.is_ascii_digit() && one != '.')
            .unwrap_or(rest.len());
        end = rest[..end].trim_end_matches('.').len();
        let unit = [" ns", " us", " ms", " s", " %"].into_iter().find(|unit| {
            let behind = rest[end..].strip_prefix(unit);
            behind
                .is_some_and(|behind| !behind.starts_with(|one: char| one.is_ascii_alphanumeric()))
        });
        found.insert(rest[..end].to_owned() + unit.unwrap_or_default());
        rest = &rest[end..];
    }
    found
}

#[test]
fn numbers_are_found_with_their_units() {
    let found =
        numbers("runs are 99.98 % shorter (p < 0.0001; 6 runs before, 1 sample): 2.02 s, 387 ns.");
    let expected = ["99.98 %", "0.0001", "6", "1", "2.02 s", "387 ns"];
    assert_eq!(found, expected.map(str::to_owned).into());
}

/// Returns the text of a trial that saw these.
fn tried(before: &[Made], after: &[Made], runs: usize) -> (Document, String) {
    let plan = plan(runs);
    let (before, after) = (made_side(before), made_side(after));
    let judged: Judgement = judge::judge(&before, &after, &plan, None, Some(7));
    let record = TrialRecord {
        name: "est_skip".into(),
        livepatch: Some(Digest::of(b"")),
        outcome: TrialOutcome::of(judged, NodeAfter::RolledBack, None),
        before: Some(before),
        after: Some(after),
        rolled_back: None,
        replaced: Vec::new(),
        undo: None,
        kernel_log: Vec::new(),
        owners: NetnsOwners::default(),
    };
    let document = Document::of(request(), record, &plan);
    let text = told(&document);
    (document, text)
}

#[track_caller]
fn assert_agrees(document: &Document, text: &str) {
    let table = &text[text.find("\nnetns ").unwrap()..text.find("\nSide effect").unwrap()];
    let shown = numbers(table);
    for number in numbers(&document.why) {
        assert!(shown.contains(&number), "no {number} in the table:\n{text}");
    }
    let blank = text.split_whitespace().find(|word| *word == "-");
    assert_eq!(blank, None, "{text}");
}

#[test]
fn every_number_of_the_sentence_is_in_the_table() {
    let mut random = fastrand::Rng::with_seed(12);
    let mut verdicts = BTreeSet::new();
    for _ in 0..3_000 {
        let planned = random.usize(4..=7);
        let (noise, outliers) = [(0.2, 0.1), (0.01, 0.0)][random.usize(0..2)];
        let mut some = |factor: f64, more: usize| -> Vec<u64> {
            let runs = (0..planned + more).map(|_| {
                let outlier = if random.f64() < outliers { 10.0 } else { 1.0 };
                3_870_000.0 * factor * outlier * (1.0 + noise * random.f64())
            });
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "some milliseconds"
            )]
            runs.map(|ns| ns as u64).collect()
        };
        let factors = [0.0002, 0.5, 0.97, 1.0, 1.2, 3.0];
        let (idle_before, idle_after) = (some(0.001, 1), some(0.001, 0));
        let (busy_before, all_after) = (some(1.0, 0), factors.map(|factor| some(factor, 1)));
        let mut busy = Made::active(7, 30_001, random.choice(&all_after).unwrap());
        match random.u32(0..8) {
            // Rarer, and with fewer runs than were planned.
            0 => {
                busy.period_ns = 300_000_000_000;
                busy.durations_ns.truncate(random.usize(0..=2));
                busy.state = State::Slowed;
            }
            1 => busy.period_ns = 5_120_000_000,
            2 => busy.state = State::Dead,
            3 => busy.estimators = random.u32(27_000..33_500),
            _ => {}
        }
        let mut idle = Made::active(9, 1, &idle_after);
        if random.f64() < 0.1 {
            idle.state = State::Dead;
        }
        let before = [
            Made::active(7, 30_001, &busy_before),
            Made::active(9, 1, &idle_before),
        ];
        let (document, text) = tried(&before, &[busy, idle], planned);
        assert_agrees(&document, &text);
        verdicts.insert(document.verdict.to_string());
    }
    // All the ways to say it were there.
    let all = [
        "disabled",
        "improved",
        "inconclusive",
        "regressed",
        "unchanged",
    ];
    assert_eq!(verdicts, all.map(str::to_owned).into());
}

#[test]
fn what_too_few_runs_say_nothing_of_has_no_row() {
    let four = [3_870_000, 3_880_000, 3_890_000, 3_900_000];
    let before = [Made::active(7, 30_001, &four)];
    let (_, text) = tried(&before, &before, 4);
    for row in ["median", "p90", "p99"] {
        assert!(!text.contains(&format!("\n{row} ")), "{row}: {text}");
    }
    // One side has enough and the other has not: there is nothing to compare it with.
    let six = [Made::active(7, 30_001, &[3_870_000; 6])];
    let (_, text) = tried(&six, &before, 6);
    assert!(!text.contains("\nmedian "), "{text}");
    assert!(text.contains("\nlongest "), "{text}");
    // No run at all is a word.
    let dead = [Made {
        durations_ns: Vec::new(),
        state: State::Dead,
        ..before[0].clone()
    }];
    let (_, text) = tried(&six, &dead, 6);
    let period = text.lines().find(|line| line.starts_with("period"));
    assert!(period.unwrap().ends_with("no run"), "{text}");
    // A namespace that is gone is not there.
    let (document, text) = tried(&six, &[], 6);
    assert!(document.why.contains("is gone"), "{}", document.why);
    assert!(text.contains("not there"), "{text}");
    assert_agrees(&document, &text);
}
