use super::*;
use crate::check::page::Blackout;
use host::{
    netns_owners::Named,
    steering::{Mask, Queue},
};

fn busy() -> Namespace {
    Namespace {
        netns: 4_026_531_840,
        services: Some(10_000),
        destinations: Some(20_000),
        estimators: Some(30_001),
        run_estimation: Some(1),
        state: Some(State::Active),
        next_cpu: Some(3),
        enter: Some(String::new()),
        ..Namespace::default()
    }
}

fn idle() -> Namespace {
    Namespace {
        netns: 2,
        estimators: Some(1),
        ..busy()
    }
}

fn seen(blackout_ns: u64) -> Measured {
    Measured {
        observed_ns: 2_600_000_000,
        max_ns: 10_000_000,
        runs: 2,
        lost: 0,
        missed: 0,
        longest_run: None,
        longest_blackout: Some(Blackout {
            duration_ns: blackout_ns,
            calls: 2,
            cpu: 1,
            netns: Some(2),
            named: Named::default(),
        }),
        half_ns: Some(1_900_000),
    }
}

fn steered() -> Steering {
    Steering {
        queues: vec![Queue {
            file: "/sys/class/net/eth0/queues/rx-0/rps_cpus".into(),
            mask: Mask::parse("f").unwrap(),
        }],
        online: vec![0, 1, 2, 3],
        ..Steering::default()
    }
}

/// What is open to a node, by name.
fn open(kind: Kind, namespaces: &[Namespace], measured: Option<&Measured>) -> Vec<Mitigation> {
    Node {
        release: "6.1.0-56-amd64",
        kind: Some(kind),
        namespaces,
        measured,
        livepatching: true,
        hotfix: None,
        steering: &steered(),
    }
    .mitigations()
}

fn names(open: &[Mitigation]) -> Vec<&str> {
    open.iter().map(|one| one.name).collect()
}

const ALL: [&str; 5] = [
    "run_estimation",
    "rps_irq_masks",
    "hotfix",
    "fewer_entries",
    "newer_kernel",
];

#[test]
fn everything_is_open_to_a_busy_node_with_the_timer() {
    let measured = seen(3_870_000);
    let open = open(Kind::Timer, &[busy(), idle()], Some(&measured));
    assert_eq!(names(&open), ALL);
    assert_eq!(open[0].command, "sysctl -w net.ipv4.vs.run_estimation=0");
    assert_eq!(open[0].undo, "sysctl -w net.ipv4.vs.run_estimation=1");
    assert_eq!(
        open[1].command,
        "echo 7 | tee /sys/class/net/eth0/queues/rx-0/rps_cpus"
    );
    assert!(open[3].does.contains("15000, it would take about 1.90 ms"));
    let sentence = |text: &str| text.ends_with('.') && !text.contains('\n') && !text.contains("  ");
    for one in &open {
        assert!(sentence(&one.does) && sentence(&one.breaks), "{one:?}");
    }
}

#[test]
fn a_calm_node_is_left_alone_unless_less_was_asked_for() {
    let calm = seen(CALM_NS);
    assert_eq!(open(Kind::Timer, &[busy()], Some(&calm)), []);
    let strict = Measured {
        max_ns: CALM_NS - 1,
        ..calm
    };
    assert_eq!(names(&open(Kind::Timer, &[busy()], Some(&strict))), ALL);
}

#[test]
fn where_only_the_number_of_namespaces_stalls_no_switch_and_no_shorter_list_helps() {
    let measured = seen(3_000_000);
    let open = open(Kind::Timer, &[idle(), idle()], Some(&measured));
    assert_eq!(names(&open), ["rps_irq_masks", "hotfix", "newer_kernel"]);
    assert!(open[0].does.contains("than 1,"), "the CPU of the blackout");
}

#[test]
fn another_namespace_is_entered_and_one_that_nobody_can_enter_is_left() {
    let measured = seen(3_000_000);
    let entered = Namespace {
        netns: 4_026_532_141,
        enter: Some("/run/netns/blue".into()),
        ..busy()
    };
    let open_there = open(Kind::Timer, &[entered], Some(&measured));
    assert_eq!(
        open_there[0].command,
        "nsenter --net=/run/netns/blue sh -c '[ \"$(stat -Lc %i /proc/self/ns/net)\" = \"4026532141\" ] && \
         sysctl -w net.ipv4.vs.run_estimation=0'"
    );
    let fewer = open_there.iter().find(|one| one.name == "fewer_entries");
    let fewer = fewer.unwrap();
    assert!(
        fewer
            .command
            .starts_with("nsenter --net=/run/netns/blue ipvsadm -Ln "),
        "{fewer:?}"
    );
    assert!(
        fewer
            .undo
            .contains("nsenter --net=/run/netns/blue ipvsadm -R < RULES, "),
        "{fewer:?}"
    );
    for closed in [
        Namespace {
            enter: None,
            ..busy()
        },
        Namespace {
            run_estimation: None,
            ..busy()
        },
    ] {
        let is_closed = closed.enter.is_none();
        let open = open(Kind::Timer, &[closed], Some(&measured));
        assert_eq!(names(&open), ALL[1..]);
        let fewer = open.iter().find(|one| one.name == "fewer_entries");
        let says = fewer
            .unwrap()
            .command
            .contains("no path opens netns 4026531840");
        assert_eq!(says, is_closed);
    }
}

#[test]
fn before_ip_vs_is_loaded_again_the_rules_of_every_namespace_are_saved_where_they_are() {
    let at = |netns, door: Option<&str>| Namespace {
        netns,
        state: Some(State::Dead),
        enter: door.map(Into::into),
        ..busy()
    };
    let reload = |namespaces: &[Namespace]| {
        let mut open = open(Kind::Timer, namespaces, Some(&seen(1_000)));
        open.remove(0)
    };
    let one = reload(&[at(7, Some("/run/netns/blue")), idle()]);
    assert_eq!(
        one.command,
        "nsenter --net=/run/netns/blue ipvsadm -Sn > RULES && { nsenter --net=/run/netns/blue ipvsadm -C && \
         rmmod $(ls /sys/module/ip_vs/holders) ip_vs && modprobe ip_vs; \
         nsenter --net=/run/netns/blue ipvsadm -R < RULES; }"
    );
    let two = reload(&[at(7, Some("")), at(8, Some("/run/netns/red"))]);
    assert!(
        two.command
            .starts_with("ipvsadm -Sn > RULES && nsenter --net=/run/netns/red ipvsadm -Sn > RULES-8 && { ipvsadm -C && "),
        "{two:?}"
    );
    assert!(!two.does.contains("other"), "{two:?}");
    let many = [
        at(7, Some("")),
        at(8, None),
        at(9, Some("/a")),
        at(10, Some("/b")),
        at(11, Some("/c")),
    ];
    let many = reload(&many);
    assert!(
        many.does.contains("2 other namespaces have rules"),
        "{many:?}"
    );
    assert!(!many.command.contains("RULES-11"), "{many:?}");
}

#[test]
fn a_dead_timer_has_a_way_back_and_other_estimators_nothing_to_mend() {
    let dead = Namespace {
        state: Some(State::Dead),
        next_cpu: None,
        ..busy()
    };
    assert_eq!(
        names(&open(Kind::Timer, &[dead], Some(&seen(1_000)))),
        ["reload_ip_vs"]
    );
    for kind in [Kind::Kthread, Kind::Absent, Kind::Vendor] {
        assert_eq!(open(kind, &[busy()], None), []);
    }
}

#[test]
fn lists_that_are_not_walked_are_passed_over() {
    let skipping = Namespace {
        state: Some(State::Skipping),
        run_estimation: Some(0),
        ..busy()
    };
    let second = Namespace {
        netns: 7,
        estimators: Some(3_001),
        ..busy()
    };
    let measured = seen(3_000_000);
    let open = open(Kind::Timer, &[skipping, second], Some(&measured));
    assert_eq!(names(&open), ALL);
    assert!(open[0].does.contains("netns 7 "), "{:?}", open[0]);
}

#[test]
fn what_cannot_be_measured_is_told_by_its_list() {
    let counted = Namespace {
        estimators: None,
        next_cpu: None,
        run_estimation: None,
        ..busy()
    };
    let empty = Namespace {
        services: Some(0),
        destinations: Some(0),
        ..counted.clone()
    };
    let open_there = open(Kind::Timer, &[counted], None);
    assert_eq!(
        names(&open_there),
        ["hotfix", "fewer_entries", "newer_kernel"]
    );
    assert_eq!(open(Kind::Timer, &[empty], None), []);
}

#[test]
fn advice_names_docker_swarm_for_its_own_namespaces_alone() {
    for (door, is_swarm) in [
        ("/run/docker/netns/ingress_sbox", true),
        ("/run/docker/netns/lb_x1yp2c", true),
        ("/run/docker/netns/9f8e7d6c5b4a", false),
        ("/proc/812/ns/net", false),
    ] {
        let namespace = Namespace {
            named: Named {
                who: None,
                door: Some(door.into()),
            },
            ..busy()
        };
        let does = fewer_entries(&namespace, None).does;
        assert_eq!(does.contains("Docker Swarm"), is_swarm, "{door}: {does}");
        assert_eq!(does.contains("kube-proxy"), !is_swarm, "{door}: {does}");
    }
}
