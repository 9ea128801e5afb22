//! A node to show: the one of the README, two minutes old.

use terminput::{KeyCode, KeyEvent};

use crate::watch::tui::{App, Look, WatchedNode};
use host::netns_owners::NetnsOwners;
use model::{
    Blackout, Call, Clock, Cost, CpuView, Focus, Histogram, Latest, LockWait, LockWaitSums,
    NamespaceView, NextRun, Notice, Operation, Output, Overview, State, StateChange, Summary,
    Topic,
};

pub const ROOT: u32 = 4_026_531_840;
pub const POD: u32 = 4_026_532_141;
pub const SECOND: u64 = 1_000_000_000;
pub const MS: u64 = 1_000_000;
/// When the screen is looked at: two minutes after measuring began.
pub const NOW: u64 = 7_320 * SECOND;

pub const CLOCK: Clock = Clock {
    jiffy_ns: 4_000_000,
    // 2026-11-22T14:00:36Z.
    wall_offset_ns: 1_795_356_036_000_000_000,
};

pub const LOOK: Look = Look {
    ascii: false,
    colour: true,
};

pub fn host() -> WatchedNode {
    WatchedNode {
        release: "6.1.0-56-amd64".into(),
        hostname: "node-17".into(),
        possible_cpus: Some(4),
        root_netns: ROOT,
    }
}

pub fn owners() -> NetnsOwners {
    NetnsOwners::with_names(&[
        (POD, "pod shop/checkout-7d9f8b6c54-x2x7k"),
        (POD + 61, "container 3f9a1c0de4b7 (nginx)"),
        (POD + 122, "pid 4711 sleep"),
    ])
}

/// Lengths that look measured, and are the same every time.
fn length_ns(netns: u32, number: u64) -> u64 {
    let noise = (number * 2_654_435_761 + u64::from(netns)) % 97;
    if netns == ROOT {
        15_100_000 + noise * 380_000 + u64::from(number.is_multiple_of(29)) * 18_000_000
    } else {
        42_400 + noise * noise * 8 + noise * 60
    }
}

pub fn call(netns: u32, number: u64) -> Call {
    let place = u64::from(netns - ROOT) % 7;
    let start_ns = NOW - 120 * SECOND + number * 2_060 * MS + place * 31 * MS + 8 * MS;
    let duration_ns = length_ns(netns, number);
    Call {
        start_ns,
        at: CLOCK.wall(start_ns),
        duration_ns,
        cpu: u32::from(netns != ROOT),
        netns,
        estimators: Some(if netns == ROOT { 30_001 } else { 1 }),
        interrupted_pid: if number.is_multiple_of(5) {
            1_302_144
        } else {
            0
        },
        interrupted_comm: number.is_multiple_of(10).then(|| "kube-proxy".into()),
        blackout: (netns == POD + 122).then_some(Blackout {
            duration_ns: duration_ns * 3,
            calls: 3,
            ..Blackout::default()
        }),
    }
}

pub const NETNS: [u32; 4] = [ROOT, POD, POD + 61, POD + 122];

/// Two minutes of calls, and what happened among them.
pub fn outputs() -> Vec<Output> {
    let calls = (0..58).flat_map(|number| NETNS.map(|netns| Output::Call(call(netns, number))));
    let mut outputs: Vec<Output> = calls.collect();
    let at = |ago: u64| (NOW - ago * SECOND, CLOCK.wall(NOW - ago * SECOND));
    let (start_ns, wall) = at(75);
    outputs.push(Output::Notice(Notice {
        start_ns,
        at: wall,
        topic: Topic::Livepatch,
        text: "livepatch ipvs_estimator_v3 is in force".into(),
    }));
    outputs.push(change(
        62,
        ROOT,
        State::Slowed,
        "its timer expires in 300.0 s",
    ));
    outputs.push(change(
        48,
        ROOT,
        State::Active,
        "it runs every two seconds or so",
    ));
    let (start_ns, wall) = at(3);
    outputs.push(Output::LockWait(LockWait {
        start_ns,
        at: wall,
        duration_ns: 12_345_678,
        cpu: 3,
        netns: ROOT,
        operation: Operation::Start,
        pid: 2_931,
    }));
    let (start_ns, wall) = at(2);
    outputs.push(Output::Notice(Notice {
        start_ns,
        at: wall,
        topic: Topic::Mark,
        text: "marked".into(),
    }));
    outputs.sort_by_key(Output::start_ns);
    outputs
}

pub fn change(ago: u64, netns: u32, to: State, why: &str) -> Output {
    Output::StateChange(StateChange {
        start_ns: NOW - ago * SECOND,
        at: CLOCK.wall(NOW - ago * SECOND),
        netns,
        from: Some(State::Active),
        to,
        why: why.into(),
    })
}

fn namespace(netns: u32) -> NamespaceView {
    let lengths: Vec<u64> = (0..58).map(|number| length_ns(netns, number)).collect();
    let due_ns = NOW + 300 * MS + u64::from(netns % 7) * 210 * MS;
    NamespaceView {
        netns,
        estimators: Some(if netns == ROOT { 30_001 } else { 1 }),
        state: Some(State::Active),
        why: Some("it runs every two seconds or so".into()),
        run_estimation: Some(1),
        calls: 58,
        last_ns: lengths.last().copied(),
        max_ns: lengths.iter().max().copied(),
        max_cpu: Some(u32::from(netns != ROOT)),
        latest: latest(netns),
        stall_ns_per_s: Some(lengths.iter().sum::<u64>() / 120),
        period_ns: Some(2_060 * MS),
        next_run: Some(NextRun {
            due_ns,
            cpu: u32::from(netns != ROOT),
            netns,
        }),
        lost: 0,
        missed: 0,
    }
}

fn latest(netns: u32) -> Latest {
    let mut latest = Latest::default();
    for number in 53..58 {
        latest.push(length_ns(netns, number), u32::from(netns != ROOT));
    }
    latest
}

/// The runs of the root namespace.
fn focus() -> Focus {
    let mut histogram = Histogram::coarse();
    let lengths: Vec<u64> = (0..58).map(|number| length_ns(ROOT, number)).collect();
    for length in &lengths {
        histogram.record(*length);
    }
    let (longest, max_ns) = (0..)
        .zip(&lengths)
        .max_by_key(|(_, length)| **length)
        .unwrap();
    Focus {
        netns: ROOT,
        summary: Summary {
            calls: 58,
            recorded: 58,
            expected: 58,
            min_ns: lengths.iter().min().copied(),
            p50_ns: Some(histogram.quantile_ns(0.5)),
            p90_ns: Some(histogram.quantile_ns(0.9)),
            p99_ns: None,
            max_ns: Some(*max_ns),
            max_at: Some(call(ROOT, longest).at),
            stall_ns_per_s: Some(lengths.iter().sum::<u64>() / 120),
            lost: 0,
            missed: 0,
        },
        histogram,
        cost: Some(Cost {
            estimators: 30_001,
            run_ns: 3_871_777,
            base_ns: Some(1_773),
        }),
    }
}

fn cpu(number: u32, netns: &[u32]) -> CpuView {
    let lengths: Vec<u64> = netns
        .iter()
        .flat_map(|netns| (0..58).map(|number| length_ns(*netns, number)))
        .collect();
    let max_ns = lengths.iter().max().copied().unwrap_or(0);
    CpuView {
        cpu: number,
        calls: lengths.len() as u64,
        stall_ns_per_s: Some(lengths.iter().sum::<u64>() / 120),
        max_ns,
        longest_blackout: Some(Blackout {
            duration_ns: max_ns + 40_000,
            calls: netns.len() as u64,
            ..Blackout::default()
        }),
    }
}

/// Sums over what [`outputs`] has.
pub fn overview() -> Overview {
    let outputs = outputs();
    let calls = outputs.iter().filter_map(|output| match output {
        Output::Call(call) => Some(call),
        _ => None,
    });
    let mut histogram = Histogram::fine();
    for call in calls.clone() {
        histogram.record(call.duration_ns);
    }
    let longest = calls.clone().max_by_key(|call| call.duration_ns).unwrap();
    let total_ns: u64 = calls.clone().map(|call| call.duration_ns).sum();
    let namespaces: Vec<NamespaceView> = NETNS.iter().map(|netns| namespace(*netns)).collect();
    let count = calls.clone().count() as u64;
    Overview {
        at: CLOCK.wall(NOW),
        now_ns: NOW,
        clock: CLOCK,
        observed_ns: 120 * SECOND,
        all: Summary {
            calls: count,
            recorded: count,
            expected: count,
            min_ns: calls.map(|call| call.duration_ns).min(),
            p50_ns: Some(histogram.quantile_ns(0.5)),
            p90_ns: Some(histogram.quantile_ns(0.9)),
            p99_ns: None,
            max_ns: Some(longest.duration_ns),
            max_at: Some(longest.at),
            stall_ns_per_s: Some(total_ns / 120),
            lost: 0,
            missed: 0,
        },
        histogram,
        max_blackout: Some(Blackout {
            duration_ns: longest.duration_ns + 40_000,
            calls: 3,
            ..Blackout::default()
        }),
        latest_blackout: None,
        focus: Some(focus()),
        next_run: namespaces
            .iter()
            .filter_map(|one| one.next_run)
            .min_by_key(|next| next.due_ns),
        namespaces,
        cpus: vec![cpu(0, &[ROOT]), cpu(1, &[POD, POD + 61, POD + 122])],
        cost: Some(Cost {
            estimators: 30_001,
            run_ns: 3_871_777,
            base_ns: Some(1_773),
        }),
        lock_waits: LockWaitSums {
            count: 2,
            total_ns: 15_200_000,
            longest_ns: 12_345_678,
            unrecorded: 0,
        },
        attached: true,
    }
}

/// Nothing was seen yet.
pub fn empty_overview() -> Overview {
    Overview {
        histogram: Histogram::fine(),
        all: Summary::default(),
        max_blackout: None,
        focus: None,
        next_run: None,
        namespaces: Vec::new(),
        cpus: Vec::new(),
        cost: None,
        lock_waits: LockWaitSums::default(),
        observed_ns: SECOND,
        ..overview()
    }
}

/// A screen that was told `overview` and [`outputs`].
pub fn app_of(look: Look, overview: Overview) -> App {
    let mut app = App::new(host(), look, 0);
    app.name(owners());
    app.feed(&outputs());
    let before = Overview {
        now_ns: NOW - 120 * SECOND,
        ..empty_overview()
    };
    app.show(before);
    app.show(overview);
    app.tick(NOW);
    app
}

pub fn app() -> App {
    app_of(LOOK, overview())
}

/// A node of many pods.
pub fn crowded(number: u32) -> Overview {
    let netns = (0..number).map(|place| ROOT + place * 61);
    let namespaces = netns.map(|netns| NamespaceView {
        netns,
        ..namespace(if netns == ROOT { ROOT } else { netns })
    });
    Overview {
        namespaces: namespaces.collect(),
        cpus: (0..64).map(|number| cpu(number, &[POD + number])).collect(),
        ..overview()
    }
}

pub fn press(app: &mut App, keys: &str) {
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\u{1b}' => KeyCode::Esc,
            '\u{8}' => KeyCode::Backspace,
            '\t' => KeyCode::Tab,
            letter => KeyCode::Char(letter),
        };
        app.press(KeyEvent::new(code));
    }
}
