use super::*;

const JIFFY_NS: u64 = 4_000_000;
const TIMER: u64 = 0xffff_8880_5d13_fea0;
const OTHER: u64 = 0xffff_8880_5d14_0ea0;

fn at(time_ms: u64, cpu: u32, what: What) -> Record {
    Record {
        time_ns: time_ms * 1_000_000,
        cpu,
        tid: 42,
        what,
    }
}

fn entered(timer: u64, time_ms: u64) -> Record {
    let jiffies = 1_000 + time_ms / 4;
    at(time_ms, 0, What::Entered { timer, jiffies })
}

fn left(timer: u64, time_ms: u64) -> Record {
    at(time_ms, 0, What::Left { timer })
}

/// Set to expire after two seconds, on CPU 1.
fn set(timer: u64, time_ms: u64) -> Record {
    let jiffies = 1_000 + time_ms / 4;
    let due = Due {
        expires: jiffies + 500,
        level: 1,
        cpu: Some(1),
    };
    at(
        time_ms,
        0,
        What::Set {
            timer,
            jiffies,
            due,
        },
    )
}

/// The runs that these records end, and the ledger after them.
fn taken(records: &[Record]) -> (Ledger, Vec<(u64, u64, u64)>) {
    let mut ledger = Ledger::new(JIFFY_NS);
    let runs = records.iter().filter_map(|record| ledger.take(record));
    let runs = runs.map(|run| {
        assert_eq!((run.kind, run.pid), (EventKind::Run as u32, 42));
        (
            run.ipvs,
            run.start_ns / 1_000_000,
            run.duration_ns / 1_000_000,
        )
    });
    let runs = runs.collect();
    (ledger, runs)
}

fn look(ledger: &Ledger, time_ms: u64) -> Snapshot {
    ledger.look(TIMER, time_ms * 1_000_000).unwrap()
}

#[test]
fn a_run_is_from_the_entry_to_the_return_of_one_timer_on_one_cpu() {
    let elsewhere = at(23, 1, What::Left { timer: TIMER });
    let (ledger, runs) = taken(&[
        left(TIMER, 10),
        entered(TIMER, 20),
        set(TIMER, 21),
        left(OTHER, 22),
        elsewhere,
        left(TIMER, 25),
        left(TIMER, 26),
        entered(OTHER, 30),
        left(OTHER, 31),
    ]);
    assert_eq!(runs, [(TIMER, 20, 5), (OTHER, 30, 1)]);
    assert_eq!(ledger.timers().collect::<Vec<_>>(), [TIMER, OTHER]);
}

#[test]
fn a_run_without_a_return_is_counted_and_has_no_record() {
    let (ledger, runs) = taken(&[
        entered(TIMER, 20),
        entered(TIMER, 2_020),
        left(TIMER, 2_021),
    ]);
    assert_eq!(runs, [(TIMER, 2_020, 1)]);
    assert_eq!(look(&ledger, 2_030).runs, 2);
}

#[test]
fn where_records_were_lost_a_return_is_not_taken_for_that_of_an_earlier_run() {
    let (ledger, runs) = taken(&[
        entered(TIMER, 20),
        at(20, 0, What::Lost),
        left(TIMER, 2_021),
        entered(TIMER, 4_020),
        left(TIMER, 4_021),
    ]);
    assert_eq!(runs, [(TIMER, 4_020, 1)]);
    assert_eq!(look(&ledger, 4_022).runs, 2);
}

#[test]
fn runs_whose_records_were_lost_are_counted_when_the_timer_is_seen_again() {
    let mut records = vec![entered(TIMER, 20), set(TIMER, 20), left(TIMER, 21)];
    let (ledger, _) = taken(&records);
    assert_eq!(
        (look(&ledger, 30).pending, look(&ledger, 30).lost),
        (PENDING, 0)
    );
    records.push(at(100, 1, What::Lost));
    let (ledger, _) = taken(&records);
    assert_eq!(
        look(&ledger, 3_000).pending,
        PENDING_UNKNOWN,
        "it may have run"
    );
    let mut gone = ledger;
    gone.looked_at(3_000_000_000);
    assert_eq!(gone.sure_cpu(TIMER), None);
    gone.lose(1);
    gone.looked_at(6_000_000_000);
    let pending = |time_ms| look(&gone, time_ms).pending;
    // A period, and as long as for any that is late.
    assert_eq!((pending(9_000), pending(10_100)), (PENDING_UNKNOWN, 0));
    // Due at 2.02 s, it comes at 8.02 s.
    let later = [entered(TIMER, 8_020), set(TIMER, 8_020), left(TIMER, 8_021)];
    let (ledger, runs) = taken(&[&records[..], &later].concat());
    assert_eq!(runs.len(), 2);
    let told = look(&ledger, 8_030);
    assert_eq!((told.pending, told.runs, told.lost), (PENDING, 5, 3));
    // The entry of its last run before that was lost, and not that it was set in it.
    let cut = [set(TIMER, 6_004), entered(TIMER, 8_020), left(TIMER, 8_021)];
    let (ledger, _) = taken(&[&records[..], &cut].concat());
    assert_eq!(
        (look(&ledger, 8_030).runs, look(&ledger, 8_030).lost),
        (5, 3)
    );
    // In time, none was lost.
    let soon = [entered(TIMER, 2_036), set(TIMER, 2_036), left(TIMER, 2_037)];
    let (ledger, _) = taken(&[&records[..], &soon].concat());
    assert_eq!(
        (look(&ledger, 2_040).runs, look(&ledger, 2_040).lost),
        (2, 0)
    );
}

#[test]
fn an_address_that_another_namespace_was_given_is_another_timer() {
    let (mut ledger, _) = taken(&[entered(TIMER, 20), set(TIMER, 20), left(TIMER, 21)]);
    assert_eq!(ledger.take_renewed(), []);
    ledger.take(&at(900, 1, set(TIMER, 900).what));
    assert_eq!(ledger.take_renewed(), [TIMER]);
    assert_eq!(ledger.take_renewed(), []);
    let told = look(&ledger, 901);
    assert_eq!((told.pending, told.runs), (PENDING, 0));
}

#[test]
fn a_timer_is_pending_from_when_it_is_set_until_it_expires() {
    let (mut ledger, _) = taken(&[entered(TIMER, 20)]);
    assert_eq!(look(&ledger, 21).pending, 0);
    ledger.take(&set(TIMER, 22));
    ledger.take(&left(TIMER, 23));
    let told = look(&ledger, 23);
    assert_eq!((told.pending, told.cpu, told.level), (1, 1, 1));
    assert_eq!(told.expires, 1_505);
    // A jiffy is 4 ms here, and 1,005 when the timer was set.
    assert_eq!(look(&ledger, 423).jiffies, 1_105);
    ledger.take(&entered(TIMER, 2_040));
    ledger.take(&left(TIMER, 2_041));
    assert_eq!(look(&ledger, 2_042).pending, 0, "it was not set again");
}

#[test]
fn a_timer_that_is_far_over_its_time_is_not_pending() {
    let (ledger, _) = taken(&[entered(TIMER, 20), set(TIMER, 20), left(TIMER, 21)]);
    let due_ms = (wheel::turn(1_505, 1) - 1_005) * 4 + 20;
    let pending = |time_ms| look(&ledger, time_ms).pending;
    assert_eq!(pending(due_ms + 4_000), 1, "its CPU may be kept from it");
    assert_eq!(pending(due_ms + OVERDUE_NS / 1_000_000 + 10), 0);
    let is_late = |timer, time_ms| ledger.is_late(timer, time_ms * 1_000_000);
    assert!(!is_late(TIMER, due_ms + 400) && is_late(TIMER, due_ms + 600));
    assert!(!is_late(OTHER, 1_000_000));
    assert!(ledger.is_awaited(TIMER) && !ledger.is_awaited(OTHER));
}

#[test]
fn a_timer_that_was_forgotten_is_not_looked_at() {
    let (mut ledger, _) = taken(&[entered(TIMER, 20), left(TIMER, 21)]);
    ledger.forget(TIMER);
    assert_eq!(ledger.look(TIMER, 0), None);
    let end = ledger.end(4_021_000_000);
    assert_eq!((end.kind, end.jiffies), (SnapshotKind::End as u32, 2_005));
}
