use super::*;
use crate::recorded;

fn formats(kernel: &str) -> Formats {
    let file = |event: &str| {
        let name = event.replace('/', ".");
        let text = recorded::text(kernel, &format!("events/{name}.format"));
        Format::parse(&text).unwrap()
    };
    let [entry, exit, start] = EVENTS.map(file);
    Formats::of(&entry, &exit, &start).unwrap()
}

/// A record with these numbers at these places, four or eight bytes each.
fn record(id: u64, fields: &[(usize, usize, u64)]) -> Vec<u8> {
    let mut record = vec![0; 44];
    record[..2].copy_from_slice(&id.to_le_bytes()[..2]);
    record[4] = 42;
    for (offset, size, number) in fields {
        record[*offset..offset + size].copy_from_slice(&number.to_le_bytes()[..*size]);
    }
    record
}

const TIMER: u64 = 0xffff_8880_5d13_fea0;

#[test]
fn the_events_of_each_recorded_kernel_are_read() {
    for kernel in ["3.10.0-1127", "4.18.0-147", "5.15.135"] {
        let formats = formats(kernel);
        let [entry, exit, start] = formats.ids();
        let timer = (8, 8, TIMER);
        let read = |record: Vec<u8>| {
            let record = formats.read_record(1, 9, &record)?;
            assert_eq!((record.time_ns, record.cpu, record.tid), (9, 1, 42));
            Some(record.what)
        };
        assert_eq!(
            read(record(entry, &[timer, (16, 8, 4_295_000_000)])),
            Some(What::Entered {
                timer: TIMER,
                jiffies: 4_295_000_000,
            }),
            "{kernel}"
        );
        assert_eq!(
            read(record(exit, &[timer])),
            Some(What::Left { timer: TIMER }),
            "{kernel}"
        );
        assert_eq!(read(record(start + 100, &[timer])), None, "{kernel}");
        assert_eq!(
            read(record(exit, &[timer])[..12].to_vec()),
            None,
            "{kernel}"
        );
        assert_eq!(read(vec![1]), None, "{kernel}");
    }
}

/// When a timer is due that was set two seconds ahead, on CPU 1 and in bucket 90.
fn due(kernel: &str, ahead: u64) -> Due {
    let formats = formats(kernel);
    let [_, _, start] = formats.ids();
    let now = 4_295_000_000;
    let flags = 90 << BUCKET_SHIFT | 1;
    let record = record(
        start,
        &[
            (8, 8, TIMER),
            (24, 8, now + ahead),
            (32, 8, now),
            (40, 4, flags),
        ],
    );
    let read = formats.read_record(0, 0, &record).map(|record| record.what);
    let Some(What::Set {
        timer,
        jiffies,
        due,
    }) = read
    else {
        panic!("{kernel}: no start");
    };
    assert_eq!((timer, jiffies), (TIMER, now), "{kernel}");
    Due {
        expires: due.expires - now,
        ..due
    }
}

#[test]
fn when_a_timer_is_due_goes_by_what_its_kernel_says() {
    // The bucket tells the level.
    let expected = Due {
        expires: 500,
        level: 1,
        cpu: Some(1),
    };
    assert_eq!(due("5.15.135", 500), expected);
    // The bucket may be that of the time before.
    let expected = Due {
        expires: 2_000,
        level: 2,
        cpu: Some(1),
    };
    assert_eq!(due("4.18.0-147", 2_000), expected);
    // There is no wheel with levels, and so the timer is due when it says.
    let found = due("3.10.0-1127", 2_000);
    assert_eq!(wheel::turn(found.expires, found.level), 2_000);
    assert_eq!(found.cpu, None);
}
