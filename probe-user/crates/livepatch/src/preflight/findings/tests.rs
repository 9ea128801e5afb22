use super::*;
use crate::preflight::node::{OnDisk, Symbols, Traced};
use host::livepatch::{Livepatch, Object};
use livepatch_image::{Answer, Rearms, Reason, Replaced, When, samples::sample};

const KALLSYMS: &str = "ffffffffc09f1230 t estimation_timer\t[ip_vs]\n";

/// A node that has nothing against the sample.
fn node() -> Node {
    Node {
        release: "6.1.0-56-amd64".into(),
        capabilities: Some(u64::MAX),
        modules_disabled: Some(false),
        sig_enforce: Some(false),
        lockdown: Some("none".into()),
        blacklist: Some("(null)".into()),
        livepatching: true,
        ftrace_enabled: Some(true),
        symbols: Some(Symbols::parse(KALLSYMS, &["estimation_timer"])),
        traced: Traced {
            untraceable: Some(Vec::new()),
            redirected: Some(Vec::new()),
        },
        on_disk: OnDisk::Same,
        replace_offset: Some(24),
        jiffy_ns: Some(4_000_000),
        ..Node::default()
    }
}

fn patch(name: &str, function: &str) -> Livepatch {
    Livepatch {
        name: name.into(),
        enabled: Some(true),
        transition: Some(false),
        objects: vec![Object {
            name: "ip_vs".into(),
            patched: Some(true),
            functions: vec![function.into()],
        }],
    }
}

fn estimator() -> Vec<Replaced> {
    sample().replaces
}

fn names(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.name).collect()
}

type Change = fn(&mut Module, &mut Node);

#[test]
fn nothing_speaks_against_a_good_hotfix_on_a_good_node() {
    let found = Findings::of(&sample(), &node());
    assert_eq!(names(&found.blockers), [""; 0]);
    assert_eq!(names(&found.warnings), [""; 0]);
    assert_eq!(names(&found.notes), ["unsigned", "taint", "statistics"]);
}

#[test]
fn each_blocker_is_told_alone() {
    let table: [(&str, Change); 24] = [
        ("name-unusable", |module, _| {
            module.name_trouble = Some("is empty");
        }),
        ("livepatches-unknown", |_, node| {
            node.livepatches_unknown = Some("EIO".into());
        }),
        ("address-escapes", |module, _| {
            module.address_escapes = Answer::Yes;
        }),
        ("no-livepatch-mark", |module, _| module.marked = false),
        ("no-privilege", |_, node| {
            node.capabilities = Some(!(1 << 16));
        }),
        ("no-privilege", |_, node| node.confined = Some(true)),
        ("modules-disabled", |_, node| {
            node.modules_disabled = Some(true);
        }),
        ("signature-required", |_, node| {
            node.sig_enforce = Some(true);
        }),
        ("lockdown", |_, node| {
            node.lockdown = Some("integrity".into());
        }),
        ("blacklisted", |_, node| {
            node.blacklist = Some("nouveau,made,mad".into());
        }),
        ("no-livepatching", |_, node| node.livepatching = false),
        ("ftrace-off", |_, node| node.ftrace_enabled = Some(false)),
        ("other-kernel", |module, _| {
            module.vermagic = Some("6.1.0-55-amd64 SMP".into());
        }),
        ("other-kernel", |module, _| module.vermagic = None),
        ("ip-vs-differs", |_, node| {
            node.on_disk = OnDisk::Other("/lib/ip_vs.ko".into());
        }),
        ("object-not-loaded", |_, node| {
            node.absent_objects = vec!["ip_vs".into()];
        }),
        ("symbol-missing", |_, node| {
            node.symbols = Some(Symbols::default());
        }),
        ("symbol-missing", |module, _| {
            module.replaces[0].position = 2;
        }),
        ("symbol-ambiguous", |_, node| {
            node.symbols = Some(Symbols::parse(&KALLSYMS.repeat(2), &["estimation_timer"]));
        }),
        ("untraceable", |_, node| {
            node.traced.untraceable = Some(estimator());
        }),
        ("foreign-redirection", |_, node| {
            node.traced.redirected = Some(estimator());
        }),
        ("foreign-redirection", |_, node| {
            node.traced.redirected = Some(estimator());
            node.patches = vec![patch("other", "ip_vs_in")];
        }),
        ("transition-running", |_, node| {
            node.patches = vec![Livepatch {
                transition: Some(true),
                ..patch("other", "ip_vs_in")
            }];
        }),
        ("already-loaded", |_, node| node.name_taken = Taken::Yes),
    ];
    for (name, change) in table {
        let (mut module, mut node) = (sample(), node());
        change(&mut module, &mut node);
        let found = Findings::of(&module, &node);
        assert_eq!(names(&found.blockers), [name], "{found:?}");
        assert_eq!(names(&found.warnings), [""; 0], "{name}");
    }
}

#[test]
fn what_looks_like_a_blocker_and_is_none() {
    let table: [(&str, Change); 8] = [
        ("a module left behind", |_, node| {
            node.name_taken = Taken::Yes;
            node.left_behind = Some("made".into());
        }),
        ("signed under lockdown", |module, node| {
            (module.signed, node.lockdown) = (true, Some("integrity".into()));
        }),
        ("signed where that is asked for", |module, node| {
            (module.signed, node.sig_enforce) = (true, Some(true));
        }),
        ("redirected by a livepatch", |_, node| {
            node.traced.redirected = Some(estimator());
            node.patches = vec![patch("other", "estimation_timer")];
        }),
        ("the second of two functions", |module, node| {
            module.replaces[0].position = 2;
            node.symbols = Some(Symbols::parse(&KALLSYMS.repeat(2), &["estimation_timer"]));
        }),
        ("blacklisted for its beginning alone", |_, node| {
            node.blacklist = Some("mad,made_up".into());
        }),
        ("no lockdown in this kernel", |_, node| node.lockdown = None),
        ("nothing can be read", |_, node| {
            let known = (std::mem::take(&mut node.release), node.livepatching);
            *node = Node::default();
            (node.release, node.livepatching) = known;
        }),
    ];
    for (what, change) in table {
        let (mut module, mut node) = (sample(), node());
        change(&mut module, &mut node);
        let found = Findings::of(&module, &node);
        assert_eq!(names(&found.blockers), [""; 0], "{what}");
        let blind = node.symbols.is_none();
        assert_eq!(
            names(&found.notes).contains(&"not-checked"),
            blind,
            "{what}"
        );
    }
}

/// A load of it does nothing, whatever else speaks against a load.
#[test]
fn the_very_file_that_is_enabled_is_a_note_and_nothing_keeps_it_from_being_loaded() {
    let (mut module, mut node) = (sample(), node());
    node.name_taken = Taken::ByThisFile;
    node.modules_disabled = Some(true);
    node.patches = vec![patch("made", "estimation_timer")];
    let found = Findings::of(&module, &node);
    assert_eq!(names(&found.blockers), [""; 0]);
    assert_eq!(names(&found.warnings), [""; 0]);
    let notes = ["enabled", "unsigned", "taint", "statistics"];
    assert_eq!(names(&found.notes), notes);
    // Who may not load may not load it either.
    node.confined = Some(true);
    let found = Findings::of(&module, &node);
    assert_eq!(names(&found.blockers), ["no-privilege"]);
    node.confined = Some(false);
    // What is true of the file stays true.
    (module.rearms, module.address_escapes) = (Rearms::No, Answer::Yes);
    let found = Findings::of(&module, &node);
    assert_eq!(names(&found.blockers), ["address-escapes"]);
    assert_eq!(names(&found.warnings), ["no-rearm"]);
}

#[test]
fn the_file_itself_is_not_what_is_replaced_already() {
    let mut node = node();
    node.name_taken = Taken::ByThisFile;
    node.patches = vec![patch("made", "estimation_timer"), patch("b", "ip_vs_in")];
    let found = Findings::of(&sample(), &node);
    let others = found.notes.iter().find(|one| one.name == "other-patches");
    let text = &others.unwrap().text;
    assert!(text.contains("on other functions"), "{text}");
}

#[test]
fn a_kernel_with_threads_is_told_beside_the_missing_function() {
    let kallsyms = "0000000000000000 t ip_vs_estimation_kthread\t[ip_vs]\n";
    let symbols = Some(Symbols::parse(kallsyms, &["estimation_timer"]));
    let found = Findings::of(&sample(), &Node { symbols, ..node() });
    assert_eq!(
        names(&found.blockers),
        ["estimator-threads", "symbol-missing"]
    );
}

/// No kernel of the lab is built so.
#[test]
fn a_kernel_that_has_ip_vs_in_itself_is_told_by_where_the_function_is() {
    let kallsyms = "ffffffff81000000 t estimation_timer\n";
    let symbols = Some(Symbols::parse(kallsyms, &["estimation_timer"]));
    let found = Findings::of(&sample(), &Node { symbols, ..node() });
    assert_eq!(names(&found.blockers), ["symbol-missing"]);
    let text = &found.blockers[0].text;
    assert!(text.contains("(it is in vmlinux)"), "{text}");
}

#[test]
fn each_warning_has_its_conditions() {
    let table: [(&[&str], Change); 9] = [
        (&["no-rearm"], |module, _| module.rearms = Rearms::No),
        (&["rearm-some-paths"], |module, _| {
            module.rearms = Rearms::SomePaths;
        }),
        (&["rearm-unknown"], |module, _| {
            module.rearms = Rearms::Unknown;
        }),
        (&["rearm-unknown"], |module, _| {
            module.replaces.clear();
            module.rearms = Rearms::Unknown;
        }),
        (&[], |module, node| {
            module.replaces[0].function = "ip_vs_in".into();
            module.rearms = Rearms::Unknown;
            let kallsyms = "0000000000000000 t ip_vs_in\t[ip_vs]\n";
            node.symbols = Some(Symbols::parse(kallsyms, &["ip_vs_in"]));
        }),
        (&[], |_, node| {
            node.patches = vec![patch("other", "ip_vs_in")];
        }),
        (&["replaces-others"], |module, node| {
            module.set_switch(24);
            node.patches = vec![patch("other", "ip_vs_in")];
        }),
        (&[], |module, _| module.set_switch(24)),
        (&["replaces-others"], |_, node| {
            node.replace_offset = None;
            node.patches = vec![patch("other", "ip_vs_in")];
        }),
    ];
    for (index, (expected, change)) in table.into_iter().enumerate() {
        let (mut module, mut node) = (sample(), node());
        change(&mut module, &mut node);
        let found = Findings::of(&module, &node);
        assert_eq!(names(&found.warnings), expected, "{index}: {found:?}");
        assert_eq!(names(&found.blockers), [""; 0], "{index}: {found:?}");
    }
}

#[test]
fn notes_tell_what_else_comes_with_it() {
    let table: [(&str, &str, Change); 14] = [
        (
            "left-behind",
            "named made is still loaded (/sys/module/made): a load removes it",
            |_, node| {
                node.name_taken = Taken::Yes;
                node.left_behind = Some("made".into());
            },
        ),
        (
            "callbacks",
            "pre_patch) and after it is disabled",
            |module, _| {
                module.callbacks = vec![When::PrePatch, When::PostUnpatch];
            },
        ),
        ("not-checked", "more than any livepatch has", |module, _| {
            module.too_big = true;
        }),
        (
            "run-estimation",
            "never while it is loaded",
            |module, node| {
                (module.rearms, node.run_estimation) = (Rearms::SomePaths, true);
            },
        ),
        (
            "other-patches",
            "have to be loaded again",
            |module, node| {
                module.set_switch(24);
                node.patches = vec![patch("a", "estimation_timer")];
            },
        ),
        ("other-patches", "depends on whether", |_, node| {
            node.replace_offset = None;
            node.patches = vec![patch("a", "estimation_timer")];
        }),
        ("addresses-hidden", "kptr_restrict=1", |_, node| {
            node.addresses_hidden = Some(true);
        }),
        ("long-period", "5.3 s", |module, _| {
            module.period_jiffies = Some(1_250);
        }),
        ("signature-not-checked", "only the kernel", |module, _| {
            module.signed = true;
        }),
        ("address-unknown", "cannot be told", |module, _| {
            module.address_escapes = Answer::Unknown;
        }),
        ("ip-vs-not-compared", "because", |_, node| {
            node.on_disk = OnDisk::Unknown("because".into());
        }),
        ("run-estimation", "run_estimation=0", |_, node| {
            node.run_estimation = true;
        }),
        ("other-patches", "on other functions", |_, node| {
            node.patches = vec![patch("a", "ip_vs_in")];
        }),
        (
            "other-patches",
            "brings that replacement back",
            |_, node| {
                node.patches = vec![patch("a", "estimation_timer"), patch("b", "ip_vs_in")];
            },
        ),
    ];
    for (name, words, change) in table {
        let (mut module, mut node) = (sample(), node());
        change(&mut module, &mut node);
        let found = Findings::of(&module, &node);
        let told = found.notes.iter().find(|one| one.name == name);
        assert!(
            told.is_some_and(|note| note.text.contains(words)),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn what_makes_the_estimator_dead_is_named_as_far_as_it_is_known() {
    let field = |offset, number, equal| Reason::Field {
        offset,
        number,
        equal,
    };
    for (reasons, words) in [
        (
            vec![field(-72, 0, true)],
            "where run_estimation is 0 (`sysctl",
        ),
        (
            vec![field(-72, 1, false)],
            "where run_estimation is 0 (`sysctl",
        ),
        (
            vec![field(-72, 0, false)],
            "where run_estimation is 1 (the default",
        ),
        (vec![field(-72, 3, true)], "where run_estimation is 3, the"),
        (
            vec![field(8, 2, false)],
            "where the number 8 bytes behind the timer is not 2, the",
        ),
        (vec![], "where a condition holds that cannot be named"),
        (
            vec![field(-72, 0, true), Reason::Other],
            "recommend), and where a condition holds that cannot",
        ),
        (
            (0..9).map(|offset| field(offset, 0, true)).collect(),
            "the number 2 bytes behind the timer is 0, and where a condition",
        ),
    ] {
        let mut module = sample();
        (module.rearms, module.unset_when) = (Rearms::SomePaths, reasons);
        let mut node = node();
        node.run_estimation_from_timer = Some(-72);
        let found = Findings::of(&module, &node);
        assert_eq!(names(&found.warnings), ["rearm-some-paths"]);
        let text = &found.warnings[0].text;
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn every_text_is_prose_that_the_page_can_close_with_a_full_stop() {
    let mut module = sample();
    (module.marked, module.rearms, module.address_escapes) = (false, Rearms::No, Answer::Yes);
    let found = Findings::of(&module, &Node::default());
    for finding in found
        .blockers
        .iter()
        .chain(&found.warnings)
        .chain(&found.notes)
    {
        assert!(
            !finding.text.ends_with('.') && !finding.text.contains("  "),
            "{finding:?}"
        );
    }
    assert!(found.blockers.len() >= 4);
}

#[test]
fn names_are_put_together_as_in_prose() {
    assert_eq!(joined::<&str>(&[]), "");
    assert_eq!(joined(&["a"]), "a");
    assert_eq!(joined(&["a", "b"]), "a and b");
    assert_eq!(joined(&["a", "b", "c"]), "a, b and c");
}
