use super::*;
use crate::{
    Clock, Cost, Histogram, Latest, LockWaitSums, NamespaceView, Overview, Summary, WallTime,
};

const MS: u64 = 1_000_000;
const MAX_NS: u64 = 10 * MS;
const ROOT: u32 = 1;

fn view(netns: u32, estimators: u32, durations_ns: &[u64]) -> NamespaceView {
    let mut latest = Latest::default();
    for duration_ns in durations_ns {
        latest.push(*duration_ns, netns);
    }
    NamespaceView {
        netns,
        estimators: Some(estimators),
        state: Some(State::Active),
        max_ns: durations_ns.iter().copied().max(),
        max_cpu: Some(netns),
        latest,
        period_ns: Some(2_000 * MS),
        ..NamespaceView::default()
    }
}

fn overview(namespaces: Vec<NamespaceView>) -> Overview {
    Overview {
        at: WallTime(0),
        now_ns: 0,
        clock: Clock {
            jiffy_ns: 4 * MS,
            wall_offset_ns: 0,
        },
        observed_ns: 0,
        all: Summary::default(),
        histogram: Histogram::fine(),
        max_blackout: None,
        latest_blackout: None,
        namespaces,
        cpus: Vec::new(),
        next_run: None,
        cost: None,
        focus: None,
        lock_waits: LockWaitSums::default(),
        attached: true,
    }
}

/// The blackout of a run that nothing followed.
fn alone(netns: u32, duration_ns: u64) -> Blackout {
    Blackout {
        duration_ns,
        calls: 1,
        cpu: 2,
        longest_ns: duration_ns,
        netns,
        estimators: Some(1),
    }
}

#[test]
fn before_the_first_run_there_is_no_worst() {
    let none = overview(vec![view(ROOT, 30_001, &[])]);
    assert_eq!(none.worst(Span::All, MAX_NS), None);
}

#[test]
fn an_outlier_of_an_idle_namespace_does_not_hide_the_busy_one() {
    let mut namespaces = vec![view(ROOT, 601, &[MS, MS, MS])];
    namespaces.extend((2..600).map(|netns| view(netns, 1, &[2_000, 2_280_000, 2_000])));
    let worst = overview(namespaces).worst(Span::All, MAX_NS).unwrap();
    assert_eq!((worst.netns, worst.duration_ns), (ROOT, MS));
}

#[test]
fn of_one_run_no_more_is_believed_than_the_list_makes_likely() {
    let mut overview = overview(vec![view(ROOT, 601, &[MS]), view(2, 1, &[3 * MS])]);
    overview.cost = Some(Cost {
        estimators: 601,
        run_ns: MS,
        base_ns: Some(2_000),
    });
    assert_eq!(overview.worst(Span::All, MAX_NS).unwrap().netns, ROOT);
}

#[test]
fn what_alone_is_over_the_maximum_is_the_worst_though_it_is_not_typical() {
    let namespaces = vec![
        view(ROOT, 601, &[MS, MS, MS]),
        view(2, 1, &[2_000, 2_000, 12 * MS]),
    ];
    let mut overview = overview(namespaces);
    overview.max_blackout = Some(alone(2, 12 * MS));
    let worst = overview.worst(Span::All, MAX_NS).unwrap();
    assert_eq!((worst.netns, worst.stall_ns()), (2, 12 * MS));
    assert_eq!((worst.typical_ns, worst.cpu), (2_000, 2));
}

/// It may be gone, or the probes had no room for it.
#[test]
fn a_stall_of_a_namespace_of_which_nothing_is_known_is_the_worst_all_the_same() {
    for namespaces in [vec![view(ROOT, 601, &[MS, MS, MS])], vec![]] {
        let mut overview = overview(namespaces);
        overview.max_blackout = Some(alone(crate::NETNS_UNKNOWN, 12 * MS));
        let worst = overview.worst(Span::All, MAX_NS).unwrap();
        assert_eq!((worst.netns, worst.stall_ns()), (0, 12 * MS));
        assert_eq!((worst.cpu, worst.period_ns), (2, None));
    }
}

#[test]
fn a_blackout_of_many_short_runs_is_the_worst_where_no_run_is() {
    let namespaces = vec![
        view(ROOT, 601, &[MS, MS, MS]),
        view(2, 1, &[2_000, 2_000, 2_000]),
    ];
    let mut overview = overview(namespaces);
    let blackout = Blackout {
        duration_ns: 63_900_000,
        calls: 601,
        cpu: 5,
        longest_ns: 2_000,
        netns: 2,
        estimators: Some(1),
    };
    overview.max_blackout = Some(blackout);
    let worst = overview.worst(Span::All, MAX_NS).unwrap();
    assert_eq!(
        (worst.netns, worst.cpu, worst.stall_ns()),
        (2, 5, 63_900_000)
    );
    assert_eq!(worst.blackout, Some(blackout));
    let latest = overview.worst(Span::Latest, MAX_NS).unwrap();
    assert_eq!((latest.netns, latest.stall_ns()), (ROOT, MS), "it is over");
}

#[test]
fn a_namespace_that_is_gone_is_not_the_worst() {
    let gone = NamespaceView {
        state: Some(State::Absent),
        ..view(ROOT, 30_001, &[90 * MS; 3])
    };
    let worst = overview(vec![gone, view(2, 1, &[2_000])]).worst(Span::All, MAX_NS);
    assert_eq!(worst.unwrap().netns, 2);
}

#[test]
fn a_run_that_comes_rarely_costs_less_than_one_as_long_that_comes_often() {
    let rare = NamespaceView {
        period_ns: Some(300_000 * MS),
        ..view(2, 30_001, &[20 * MS; 3])
    };
    let worst = overview(vec![view(ROOT, 20_001, &[15 * MS; 3]), rare]);
    let worst = worst.worst(Span::Latest, MAX_NS).unwrap();
    assert_eq!(worst.netns, ROOT);
    assert!((worst.share().unwrap() - 0.0075).abs() < 1e-9);
}
