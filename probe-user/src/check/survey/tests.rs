use std::{fs, os::unix::fs::symlink};

use super::*;
use host::typed::typed;
use model::{Clock, Histogram, NextRun, Options, Session};

fn view(netns: u32, state: State) -> NamespaceView {
    NamespaceView {
        netns,
        estimators: Some(1),
        state: Some(state),
        run_estimation: Some(1),
        calls: 1,
        period_ns: Some(2_016_000_000),
        ..NamespaceView::default()
    }
}

fn overview(namespaces: Vec<NamespaceView>) -> Overview {
    let clock = Clock {
        jiffy_ns: 4_000_000,
        wall_offset_ns: 0,
    };
    let session = Session::new(Options::default(), 0, clock);
    Overview {
        namespaces,
        histogram: Histogram::fine(),
        ..session.overview(10_000_000_000)
    }
}

/// A host with a busy namespace 1 of process 1 and a namespace 7 of process 42. Neither can be opened, for links to no
/// namespace stand for them.
fn host() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (pid, netns) in [(1, 1), (42, 7)] {
        let folder = root.path().join(format!("proc/{pid}"));
        fs::create_dir_all(folder.join("ns")).unwrap();
        fs::create_dir_all(folder.join("net")).unwrap();
        symlink(format!("net:[{netns}]"), folder.join("ns/net")).unwrap();
        fs::write(folder.join("comm"), "nginx\n").unwrap();
        let table = "IP Virtual Server\nProt\n  -> RemoteAddress:Port\nTCP  0A600001:0050 rr\n  -> 0A000001:0050 Masq\n";
        fs::write(folder.join("net/ip_vs"), table).unwrap();
    }
    fs::create_dir(root.path().join("proc/2")).unwrap();
    fs::write(root.path().join("proc/2/comm"), "kthreadd\n").unwrap();
    root
}

#[test]
fn whether_a_namespace_has_no_process_is_only_known_where_the_hosts_are_in_sight() {
    let root = host();
    fs::write(root.path().join("proc/2/comm"), "sh\n").unwrap();
    let mut owners = NetnsOwners::read(root.path());
    owners.set_root_netns(9);
    let survey = Survey {
        root: root.path(),
        owners: &owners,
        root_netns: Some(9),
    };
    let views = [1, 8, 9].map(|netns| view(netns, State::Active));
    let told: Vec<_> = survey
        .measured(&views)
        .into_iter()
        .map(|one| (one.netns, one.named.who))
        .collect();
    assert_eq!(
        told,
        [
            (1, Some("nginx".into())),
            (8, None),
            (9, Some("host".into()))
        ]
    );
}

#[test]
fn a_run_that_is_at_hand_or_past_is_not_told_as_one_to_come() {
    let seen = overview(vec![]);
    for (ahead_ns, expected) in [
        (-1_400_000_000, None),
        (0, None),
        (4_000_000, None),
        (4_000_001, Some(4_000_001)),
    ] {
        let waiting = NamespaceView {
            next_run: Some(NextRun {
                due_ns: seen.now_ns.saturating_add_signed(ahead_ns),
                cpu: 3,
                netns: 2,
            }),
            ..view(2, State::Active)
        };
        let described = Namespace {
            netns: 2,
            ..Namespace::default()
        };
        let told = &complete(vec![described], &overview(vec![waiting]))[0];
        assert_eq!(told.next_run_in_ns, expected, "{ahead_ns}");
        assert_eq!(told.next_cpu, expected.map(|_| 3));
    }
}

#[test]
fn namespaces_are_described_by_who_lives_there_and_what_is_balanced() {
    let root = host();
    let owners = NetnsOwners::read(root.path());
    let survey = Survey {
        root: root.path(),
        owners: &owners,
        root_netns: Some(1),
    };
    let long = |netns| NamespaceView {
        estimators: Some(3),
        ..view(netns, State::Active)
    };
    let views = [
        long(1),
        view(7, State::Active),
        long(8),
        view(9, State::Absent),
    ];
    let described = survey.measured(&views);
    let told: Vec<_> = described
        .iter()
        .map(|one| {
            (
                one.netns,
                one.named.who.as_deref(),
                one.services,
                one.destinations,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (1, Some("host"), Some(1), Some(1)),
            // A list of one needs no counting.
            (7, Some("nginx"), Some(0), Some(0)),
            (8, None, None, None),
        ]
    );
    let empty: Vec<bool> = described.iter().map(|one| one.is_empty).collect();
    assert_eq!(empty, [false, false, true]);
    let closed = |one: &Namespace| one.named.door.is_none() && one.enter.is_none();
    assert!(described.iter().all(closed), "{described:?}");
}

/// A host whose process `pid` lives in the namespace of this test, as its own process does if `is_inside`. Returns the
/// inode number of the namespace too.
fn real(pid: u32, is_inside: bool) -> (tempfile::TempDir, u32) {
    let root = tempfile::tempdir().unwrap();
    for process in [Some(pid.to_string()), is_inside.then(|| "self".into())] {
        let Some(process) = process else { continue };
        let folder = root.path().join("proc").join(process).join("ns");
        fs::create_dir_all(&folder).unwrap();
        symlink("/proc/self/ns/net", folder.join("net")).unwrap();
    }
    fs::create_dir_all(root.path().join("proc/2")).unwrap();
    fs::write(root.path().join("proc/2/comm"), "kthreadd\n").unwrap();
    let netns = netns::own_inode(Path::new("/")).unwrap();
    (root, netns)
}

#[test]
fn a_namespace_is_entered_by_a_path_unless_it_is_the_root_one_and_the_user_is_there() {
    for (pid, is_inside, root_netns, entered) in [
        (1, true, true, Some("")),
        (1, false, true, Some("proc/1/ns/net")),
        (42, true, false, Some("proc/42/ns/net")),
        (42, false, false, Some("proc/42/ns/net")),
    ] {
        let (root, netns) = real(pid, is_inside);
        let mut owners = NetnsOwners::default();
        owners.read_again(root.path());
        let mut doors = owners.doors().clone();
        doors.add_process(netns, pid);
        owners.set_doors(doors);
        let survey = Survey {
            root: root.path(),
            owners: &owners,
            root_netns: root_netns.then_some(netns),
        };
        let described = survey.measured(&[view(netns, State::Active)]);
        let below = |path: &str| root.path().join(path).to_str().unwrap().to_owned();
        let expected = entered.map(|path| match path {
            "" => String::new(),
            path => below(path),
        });
        assert_eq!(described[0].enter, expected, "{pid} {is_inside}");
        let door = below(&format!("proc/{pid}/ns/net"));
        assert_eq!(described[0].named.door, Some(door), "{pid} {is_inside}");
    }
}

/// A person types the command where this runs: there the host's files are under the root folder.
#[test]
fn every_file_of_a_namespace_is_where_it_was_found() {
    for (root, name, file) in [
        ("/", "run/netns/blue", Some("/run/netns/blue")),
        ("/host", "run/netns/blue", Some("/host/run/netns/blue")),
        ("/host/", "proc/42/ns/net", Some("/host/proc/42/ns/net")),
        ("/", "run/netns/a;reboot", None),
        ("/a b", "proc/42/ns/net", None),
    ] {
        assert_eq!(typed(Path::new(root), name).as_deref(), file, "{root}");
    }
    let here = typed(Path::new("host"), "proc/42/ns/net").unwrap();
    assert!(here.starts_with('/') && here.ends_with("/host/proc/42/ns/net"));
}

#[test]
fn a_namespace_that_ends_meanwhile_is_left_out_and_the_worst_comes_first() {
    let describe = |netns| Namespace {
        netns,
        ..Namespace::default()
    };
    let due = NextRun {
        due_ns: 10_400_000_000,
        cpu: 3,
        netns: 2,
    };
    let slow = NamespaceView {
        period_ns: Some(2_560_000_000),
        next_run: Some(due),
        ..view(2, State::Active)
    };
    let long = NamespaceView {
        estimators: Some(30_001),
        ..view(3, State::Active)
    };
    let views = vec![
        view(1, State::Active),
        slow,
        long,
        view(4, State::Dead),
        view(5, State::Absent),
    ];
    let described = [1, 2, 3, 4, 5, 6].map(describe).into();
    let namespaces = complete(described, &overview(views));
    let told: Vec<_> = namespaces
        .iter()
        .map(|one| (one.netns, one.state))
        .collect();
    assert_eq!(
        told,
        [
            (4, Some(State::Dead)),
            (2, Some(State::Slowed)),
            (3, Some(State::Active)),
            (1, Some(State::Active)),
        ]
    );
    let slow = &namespaces[1];
    assert_eq!(
        (slow.next_run_in_ns, slow.next_cpu),
        (Some(400_000_000), Some(3))
    );
    assert_eq!(namespaces[0].next_run_in_ns, None);
}

#[test]
fn without_probes_the_state_is_what_the_kernel_has() {
    let root = host();
    let owners = NetnsOwners::read(root.path());
    let survey = Survey {
        root: root.path(),
        owners: &owners,
        root_netns: Some(1),
    };
    for (kind, state) in [
        (Some(Kind::Kthread), Some(State::Kthread)),
        (Some(Kind::Absent), Some(State::Absent)),
        (Some(Kind::Timer), None),
        (None, None),
    ] {
        let namespaces = survey.unmeasured(kind);
        assert_eq!(namespaces.len(), 2);
        for namespace in namespaces {
            assert_eq!(namespace.state, state);
            assert_eq!(
                (namespace.services, namespace.destinations),
                (Some(1), Some(1))
            );
            assert_eq!((namespace.estimators, namespace.next_cpu), (None, None));
            assert_eq!(namespace.run_estimation, None, "no switch is in sight");
        }
    }
}

#[test]
fn services_that_are_not_all_are_not_told() {
    let told = |netns, services, estimators| Namespace {
        netns,
        services: Some(services),
        destinations: Some(2 * services),
        estimators,
        ..Namespace::default()
    };
    let mut namespaces = [
        told(1, 9_998, Some(30_001)),
        told(2, 10_000, Some(30_001)),
        told(3, 9_998, None),
        told(5, 0, Some(1)),
    ];
    let doubts = doubt(&mut namespaces);
    let known = namespaces.map(|one| one.services.is_some() && one.destinations.is_some());
    assert_eq!(known, [false, true, true, true]);
    assert_eq!(doubts.len(), 1);
    assert!(
        doubts[0].contains("netns 1 ") && doubts[0].contains("30001 estimators"),
        "{doubts:?}"
    );
    let uncounted = Namespace::default();
    let absent = Namespace {
        state: Some(State::Absent),
        ..Namespace::default()
    };
    let doubts = doubt(&mut [uncounted.clone(), absent, uncounted]);
    assert_eq!(doubts.len(), 1);
    for words in ["of 2 network namespaces", "CAP_SYS_ADMIN", "CAP_NET_ADMIN"] {
        assert!(doubts[0].contains(words), "{doubts:?}");
    }
}
