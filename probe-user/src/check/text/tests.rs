use super::*;
use crate::{
    check::{
        mitigations::Node,
        page::{Blackout, Livepatches, Namespace, Run, Verdict},
    },
    record::Source,
};
use host::{
    livepatch::Object,
    netns_owners::Named,
    steering::{Interrupt, Mask, Queue, Steering},
};

const ROOT: u32 = 4_026_531_840;

fn namespace(netns: u32, who: &str, services: u32, destinations: u32) -> Namespace {
    Namespace {
        netns,
        named: Named {
            who: Some(who.into()),
            door: Some(format!("/proc/{}/ns/net", netns % 1_000)),
        },
        is_empty: false,
        services: Some(services),
        destinations: Some(destinations),
        estimators: Some(services + destinations + 1),
        run_estimation: Some(1),
        state: Some(State::Active),
        period_ns: Some(2_016_000_000),
        next_run_in_ns: Some(440_000_000),
        next_cpu: Some(3),
        runs: 1,
        enter: Some(if netns == ROOT {
            String::new()
        } else {
            format!("/proc/{}/ns/net", netns % 1_000)
        }),
    }
}

fn host() -> Named {
    Named {
        who: Some("host".into()),
        door: Some("/proc/1/ns/net".into()),
    }
}

fn seen(run_ns: u64) -> Measured {
    Measured {
        observed_ns: 2_600_000_000,
        max_ns: 10_000_000,
        runs: 3,
        lost: 0,
        missed: 0,
        longest_run: Some(Run {
            duration_ns: run_ns,
            cpu: 3,
            netns: Some(ROOT),
            named: host(),
            estimators: Some(30_001),
        }),
        longest_blackout: Some(Blackout {
            duration_ns: run_ns + 20_000,
            calls: 2,
            cpu: 3,
            netns: Some(ROOT),
            named: host(),
        }),
        half_ns: Some(run_ns / 2),
    }
}

fn worst(measured: &Measured) -> Option<WorstStall> {
    let run = measured.longest_run.as_ref()?;
    Some(WorstStall {
        netns: run.netns,
        named: host(),
        duration_ns: run.duration_ns,
        typical_ns: run.duration_ns,
        blackout_ns: None,
        period_ns: Some(2_016_000_000),
        cpu: run.cpu,
        share: Some(0.0019),
    })
}

/// A page whose mitigations are those of its facts.
fn page(namespaces: Vec<Namespace>, measured: Option<Measured>, kind: Option<Kind>) -> Page {
    let steering = Steering {
        queues: vec![Queue {
            file: "/sys/class/net/eth0/queues/rx-0/rps_cpus".into(),
            mask: Mask::parse("f").unwrap(),
        }],
        interrupts: vec![Interrupt {
            file: "/proc/irq/24/smp_affinity_list".into(),
            allowed: vec![0, 1, 2, 3],
            effective: vec![3],
        }],
        online: vec![0, 1, 2, 3],
    };
    let node = Node {
        release: "6.1.0-56-amd64",
        kind,
        namespaces: &namespaces,
        measured: measured.as_ref(),
        livepatching: true,
        hotfix: None,
        steering: &steering,
    };
    Page {
        record: "check",
        schema: 1,
        source: Source {
            node: Some("node-7".into()),
            version: "0.1.0",
            commit: None,
        },
        at: "2026-11-22T16:02:34.668Z".into(),
        now_ns: 10_000_000_000,
        verdict: Verdict::Ok,
        message: "ok: what was found".into(),
        kernel: Kernel {
            release: "6.1.0-56-amd64".into(),
            estimator: kind,
            possible_cpus: Some(8),
            online_cpus: Some(4),
        },
        root_netns: Some(ROOT),
        worst: measured.as_ref().and_then(worst),
        mitigations: node.mitigations(),
        measured,
        threads: None,
        namespaces,
        missing: Vec::new(),
        mechanism: None,
        cannot: &[],
        unavailable: Vec::new(),
        livepatch: Livepatches {
            unseen: false,
            supported: true,
            patches: Vec::new(),
        },
    }
}

fn text(page: &Page) -> String {
    let mut out = Vec::new();
    write(&mut out, page).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_busy_node() {
    let pod = namespace(
        4_026_532_141,
        "pod coredns-5d78c9869d-abcde-with-a-long-name",
        0,
        0,
    );
    let off = Namespace {
        state: Some(State::Skipping),
        run_estimation: Some(0),
        ..namespace(4_026_532_202, "nginx + 4 more", 1, 2)
    };
    let nobody = Namespace {
        services: None,
        destinations: None,
        ..namespace(4_026_532_263, "no process", 1, 0)
    };
    let namespaces = vec![namespace(ROOT, "host", 10_000, 20_000), off, nobody, pod];
    insta::assert_snapshot!(text(&page(
        namespaces,
        Some(seen(3_870_000)),
        Some(Kind::Timer)
    )));
}

#[test]
fn an_idle_node() {
    let namespaces = vec![namespace(ROOT, "host", 0, 0)];
    insta::assert_snapshot!(text(&page(
        namespaces,
        Some(seen(1_800)),
        Some(Kind::Timer)
    )));
}

#[test]
fn a_dead_estimator_under_a_livepatch() {
    let dead = Namespace {
        state: Some(State::Dead),
        next_run_in_ns: None,
        next_cpu: None,
        period_ns: None,
        ..namespace(ROOT, "host", 10_000, 20_000)
    };
    let mut page = page(vec![dead], Some(seen(1_800)), Some(Kind::Timer));
    page.livepatch.patches = vec![Livepatch {
        name: "no_walk".into(),
        enabled: Some(true),
        transition: Some(false),
        objects: vec![
            Object {
                name: "ip_vs".into(),
                patched: Some(true),
                functions: vec!["estimation_timer".into()],
            },
            Object {
                name: "nfs".into(),
                patched: Some(false),
                functions: vec!["nfs_open".into(), "nfs_close".into()],
            },
        ],
    }];
    insta::assert_snapshot!(text(&page));
}

#[test]
fn kernel_threads() {
    let thread = Namespace {
        estimators: None,
        state: Some(State::Kthread),
        period_ns: None,
        next_run_in_ns: None,
        next_cpu: None,
        ..namespace(ROOT, "host", 10, 20)
    };
    let mut page = page(vec![thread], None, Some(Kind::Kthread));
    page.missing = vec!["this kernel estimates in kernel threads".into()];
    page.livepatch.supported = false;
    insta::assert_snapshot!(text(&page));
}

#[test]
fn no_ip_vs() {
    let absent = Namespace {
        netns: ROOT,
        state: Some(State::Absent),
        ..Namespace::default()
    };
    let mut page = page(vec![absent], None, Some(Kind::Absent));
    page.missing = vec!["the module ip_vs is not loaded: load it with `modprobe ip_vs`".into()];
    insta::assert_snapshot!(text(&page));
}

#[test]
fn a_thousand_namespaces_fill_no_more_than_a_screen_and_are_counted() {
    let namespaces: Vec<Namespace> = (0..1_000)
        .map(|index| namespace(ROOT + index, "app", 2, 3))
        .collect();
    let text = text(&page(namespaces, Some(seen(80_000)), Some(Kind::Timer)));
    assert_eq!(
        text.lines().filter(|line| line.contains(" app ")).count(),
        20
    );
    assert!(
        text.contains("and 980 more (all of them: --json), of at most 6 estimators\n"),
        "{text}"
    );
}

#[test]
fn commands_stand_alone_on_a_line_and_sentences_are_folded() {
    let namespaces = vec![namespace(ROOT, "host", 10_000, 20_000)];
    let page = page(namespaces, Some(seen(3_870_000)), Some(Kind::Timer));
    let text = text(&page);
    for one in &page.mitigations {
        for command in [&one.command, &one.undo] {
            assert!(
                text.lines().any(|line| line.trim() == command),
                "{command} in {text}"
            );
        }
    }
    let sentences = text.lines().filter(|line| !line.starts_with("    "));
    assert!(
        sentences.clone().all(|line| line.chars().count() <= 120),
        "{text}"
    );
}

#[test]
fn the_json_of_a_busy_node() {
    let namespaces = vec![
        namespace(ROOT, "host", 10_000, 20_000),
        Namespace {
            netns: 4_026_532_141,
            ..Namespace::default()
        },
    ];
    let mut page = page(namespaces, Some(seen(3_870_000)), Some(Kind::Timer));
    page.mitigations.truncate(1);
    insta::assert_snapshot!(serde_json::to_string_pretty(&page).unwrap());
}
