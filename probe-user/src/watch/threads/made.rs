//! A period that tests show: two threads of a busy namespace, and one without services.

use probe_ebpf::threads::ChainRun;

use super::ThreadPeriod;
use crate::kernel_threads::{SeenThreads, Thread};
use host::{estimator_threads::Estimation, netns_owners::Named};
use model::{
    Clock, Options,
    threads::{ThreadOutput, ThreadSession},
};
use monitor::threads::Threads;

pub const ROOT: u32 = 4_026_531_840;
const SECOND: u64 = 1_000_000_000;
/// 2023-11-14T22:13:20Z.
const CLOCK: Clock = Clock {
    jiffy_ns: 4_000_000,
    wall_offset_ns: 1_700_000_000_000_000_000,
};

fn run(number: u16) -> ChainRun {
    let thread = number % 2;
    ChainRun {
        start_ns: SECOND + u64::from(number) * 20_000_000,
        duration_ns: 40_000 + u64::from(number % 50) * 1_700,
        number: 1 + u64::from(number / 2),
        netns: ROOT,
        tid: 131 + u32::from(thread),
        estimators: if thread == 0 { 600 } else { 24 },
        lost: 0,
        cpu: 1 + thread,
        thread,
        tick: number / 2 % 50,
        disturbed: 0,
        generation: 0,
        reserved: 0,
    }
}

fn thread(number: u32, estimators: u32) -> Thread {
    Thread {
        netns: ROOT,
        generation: 0,
        number,
        named: Named {
            who: Some("host".into()),
            door: Some("/proc/1/ns/net".into()),
        },
        tid: Some(131 + number),
        name: Some(format!("ipvs-e:0:{number}")),
        estimators,
        estimators_max: 324_000,
        share: Some(0.0031),
        nice: Some(0),
        cpus: Some(vec![0, 1, 2, 3]),
        isolated_cpus: Some(Vec::new()),
        last_cpu: Some(1 + number),
    }
}

pub fn estimation(netns: u32, chain_max: u32) -> Estimation {
    Estimation {
        netns,
        generation: netns - ROOT,
        run_estimation: 1,
        is_stopped: false,
        is_calibrating: false,
        chain_max,
        threads: Vec::new(),
    }
}

/// Returns what happened in 12 s, and what it came to.
pub fn made() -> (Vec<ThreadOutput>, ThreadPeriod) {
    let mut session = ThreadSession::new(Options::default(), 0, CLOCK);
    session.attached(0);
    let runs: Vec<ChainRun> = (0..500).map(run).collect();
    let mut outputs = session.take(&runs, 11 * SECOND);
    outputs.extend(session.removed(11 * SECOND));
    outputs.extend(session.attached(11 * SECOND + SECOND / 4));
    let mut root = estimation(ROOT, 6_480);
    root.threads = [(0, 30_000), (1, 1_201)]
        .map(|(id, estimators)| host::estimator_threads::Thread {
            id,
            tid: Some(131 + id),
            estimators,
            most: 324_000,
        })
        .into();
    let period = ThreadPeriod {
        sums: session.summary(12 * SECOND),
        read: Threads {
            namespaces: vec![root, estimation(ROOT + 1, 0)],
            ..Threads::default()
        },
        seen: SeenThreads {
            observed_ns: 12 * SECOND,
            calibrating: 0,
            stopped: 0,
            abandoned: 0,
            threads: vec![thread(0, 30_000), thread(1, 1_201)],
        },
    };
    (outputs, period)
}
