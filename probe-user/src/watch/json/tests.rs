use monitor::mechanism::Mechanism;
use probe_ebpf::{Event, EventKind};
use serde_json::Value;

use super::*;
use model::{Blackout, Call, Clock, LockWait, Notice, Options, Session, Span, StateChange};

const AT: WallTime = WallTime(1_700_000_005_123_000_000);

fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("memory takes all");
    String::from_utf8(out).expect("text")
}

fn names() -> Names {
    let host = Named {
        who: Some("host".into()),
        door: Some("/proc/1/ns/net".into()),
    };
    Names::from([(4_026_531_840, host)])
}

fn call() -> Call {
    Call {
        start_ns: 5_123_000_000,
        at: AT,
        duration_ns: 345_402,
        cpu: 1,
        netns: 4_026_531_840,
        estimators: Some(30_001),
        interrupted_pid: 0,
        interrupted_comm: None,
        blackout: Some(Blackout {
            duration_ns: 400_000,
            calls: 3,
            ..Blackout::default()
        }),
    }
}

#[test]
fn a_call_has_the_fields_of_the_contract_and_null_for_what_is_not_known() {
    let known = text(|out| output(out, &Output::Call(call()), &names()));
    let unknown = Output::Call(Call {
        estimators: None,
        blackout: None,
        ..call()
    });
    insta::assert_snapshot!(known + &text(|out| output(out, &unknown, &names())), @r#"
    {"type":"call","schema":1,"start_ns":5123000000,"at":"2023-11-14T22:13:25.123Z","duration_ns":345402,"cpu":1,"netns":4026531840,"who":"host","door":"/proc/1/ns/net","estimators":30001,"interrupted_pid":0,"interrupted_comm":null,"blackout_ns":400000}
    {"type":"call","schema":1,"start_ns":5123000000,"at":"2023-11-14T22:13:25.123Z","duration_ns":345402,"cpu":1,"netns":4026531840,"who":"host","door":"/proc/1/ns/net","estimators":null,"interrupted_pid":0,"interrupted_comm":null,"blackout_ns":null}
    "#);
}

#[test]
fn a_lock_wait_tells_what_waited_for_how_long() {
    let waits = [Operation::Start, Operation::Stop].map(|operation| {
        let wait = Output::LockWait(LockWait {
            start_ns: 5_123_000_000,
            at: AT,
            duration_ns: 3_870_000,
            cpu: 1,
            netns: 4_026_531_840,
            operation,
            pid: 812,
        });
        text(|out| output(out, &wait, &names()))
    });
    insta::assert_snapshot!(waits.concat(), @r#"
    {"type":"lock_wait","schema":1,"start_ns":5123000000,"at":"2023-11-14T22:13:25.123Z","duration_ns":3870000,"cpu":1,"netns":4026531840,"who":"host","door":"/proc/1/ns/net","operation":"start","pid":812}
    {"type":"lock_wait","schema":1,"start_ns":5123000000,"at":"2023-11-14T22:13:25.123Z","duration_ns":3870000,"cpu":1,"netns":4026531840,"who":"host","door":"/proc/1/ns/net","operation":"stop","pid":812}
    "#);
}

#[test]
fn a_change_of_state_tells_from_what_to_what_and_why() {
    let changes = [None, Some(State::Active)].map(|from| {
        let change = Output::StateChange(StateChange {
            start_ns: 5_123_000_000,
            at: AT,
            netns: 4_026_531_840,
            from,
            to: State::Dead,
            why: "its timer is not pending".into(),
        });
        text(|out| output(out, &change, &names()))
    });
    insta::assert_snapshot!(changes.concat(), @r#"
    {"type":"state","schema":1,"start_ns":5123000000,"at":"2023-11-14T22:13:25.123Z","netns":4026531840,"who":"host","door":"/proc/1/ns/net","from":null,"to":"DEAD","why":"its timer is not pending"}
    {"type":"state","schema":1,"start_ns":5123000000,"at":"2023-11-14T22:13:25.123Z","netns":4026531840,"who":"host","door":"/proc/1/ns/net","from":"ACTIVE","to":"DEAD","why":"its timer is not pending"}
    "#);
}

#[test]
fn a_notice_tells_what_it_is_about() {
    let notice = Output::Notice(Notice {
        start_ns: 5_123_000_000,
        at: AT,
        topic: Topic::IpVs,
        text: "ip_vs is loaded, and the probes are in place".into(),
    });
    insta::assert_snapshot!(text(|out| output(out, &notice, &names())), @r#"{"type":"notice","schema":1,"start_ns":5123000000,"at":"2023-11-14T22:13:25.123Z","topic":"ip_vs","text":"ip_vs is loaded, and the probes are in place"}"#);
}

fn run(netns: u32, duration_ns: u64) -> Event {
    Event {
        kind: EventKind::Run as u32,
        cpu: 0,
        start_ns: 1_000_000_000,
        duration_ns,
        ipvs: u64::from(netns),
        netns,
        estimators: 30_001,
        pid: 0,
        reserved: 0,
    }
}

fn session_with(runs: &[Event]) -> Session {
    let clock = Clock {
        jiffy_ns: 4_000_000,
        wall_offset_ns: 1_700_000_000_000_000_000,
    };
    let mut session = Session::new(Options::default(), 0, clock);
    session.take(runs, &[], 20_000_000_000);
    session
}

#[test]
fn a_summary_has_the_sums_of_all_and_of_each_namespace() {
    let mut runs = vec![run(1, 4_000_000); 6];
    runs.push(run(2, 2_000));
    let session = session_with(&runs);
    let worst = session.overview(20_000_000_000).worst(Span::All, u64::MAX);
    insta::assert_snapshot!(text(|out| summary(out, &session.summary(20_000_000_000), worst, &names())), @r#"
    {"type":"summary","schema":1,"at":"2023-11-14T22:13:40.000Z","observed_ns":20000000000,"calls":7,"recorded":7,"expected":7,"min_ns":2000,"p50_ns":4000000,"p90_ns":null,"p99_ns":null,"max_ns":4000000,"max_at":"2023-11-14T22:13:21.000Z","stall_ns_per_s":1200100,"lost":0,"missed":0,"max_blackout_ns":4000000,"lock_waits":0,"lock_wait_ns":0,"lock_wait_max_ns":null,"operations_lost":0,"namespaces":[{"netns":1,"who":null,"door":null,"state":null,"estimators":30001,"run_estimation":null,"calls":6,"recorded":6,"expected":6,"min_ns":4000000,"p50_ns":4000000,"p90_ns":null,"p99_ns":null,"max_ns":4000000,"max_at":"2023-11-14T22:13:21.000Z","stall_ns_per_s":1200000,"lost":0,"missed":0},{"netns":2,"who":null,"door":null,"state":null,"estimators":30001,"run_estimation":null,"calls":1,"recorded":1,"expected":1,"min_ns":2000,"p50_ns":null,"p90_ns":null,"p99_ns":null,"max_ns":2000,"max_at":"2023-11-14T22:13:21.000Z","stall_ns_per_s":100,"lost":0,"missed":0}],"worst":{"netns":1,"who":null,"door":null,"duration_ns":4000000,"typical_ns":4000000,"blackout_ns":4000000,"period_ns":null,"cpu":0,"share":null}}
    "#);
}

#[test]
fn of_no_calls_everything_but_the_counts_is_null() {
    let report = session_with(&[]).interval(20_000_000_000);
    insta::assert_snapshot!(text(|out| interval(out, &report, &names())), @r#"
    {"type":"interval","schema":1,"at":"2023-11-14T22:13:40.000Z","observed_ns":20000000000,"calls":0,"recorded":0,"expected":0,"min_ns":null,"p50_ns":null,"p90_ns":null,"p99_ns":null,"max_ns":null,"max_at":null,"stall_ns_per_s":null,"lost":0,"missed":0,"max_blackout_ns":null,"lock_waits":0,"lock_wait_ns":0,"lock_wait_max_ns":null,"operations_lost":0,"namespaces":[]}
    "#);
}

#[test]
fn every_record_is_one_line_that_begins_with_its_type_and_schema() {
    let mut session = session_with(&[run(1, 4_000_000)]);
    let lines = text(|out| output(out, &Output::Call(call()), &names()))
        + &text(|out| interval(out, &session.interval(1), &names()))
        + &text(|out| summary(out, &session.summary(1), None, &names()));
    assert_eq!(lines.lines().count(), 3);
    for (line, kind) in lines.lines().zip(["call", "interval", "summary"]) {
        let start = format!("{{\"type\":\"{kind}\",\"schema\":1,");
        assert!(line.starts_with(&start), "{line}");
        let value: Value = serde_json::from_str(line).expect("JSON");
        assert!(value.is_object());
    }
}

#[test]
fn an_error_of_the_writer_is_passed_up() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = output(&mut Closed, &Output::Call(call()), &names()).expect_err("closed");
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn the_first_record_says_which_node_and_tool_it_is_from() {
    let beginning = Beginning {
        start_ns: 5_123_000_000,
        at: AT,
        release: "6.1.0-56-amd64".into(),
        hostname: "node-7".into(),
        possible_cpus: Some(2),
        root_netns: 4_026_531_840,
        mechanism: Mechanism::Perf,
    };
    let record: Value =
        serde_json::from_str(&text(|out| start(out, &beginning, Kind::Timer))).unwrap();
    assert_eq!(record["type"], "start");
    assert_eq!(
        (&record["node"], &record["kernel"]),
        (&"node-7".into(), &"6.1.0-56-amd64".into())
    );
    assert_eq!(record["version"], env!("CARGO_PKG_VERSION"));
    assert!(record.get("commit").is_some());
    assert_eq!(record["mechanism"], "perf");
    assert_eq!(record["cannot"][0], "lock_waits");
}
