//! Filters of trace events, which the kernel applies before it writes a record.

use std::collections::BTreeSet;

/// So many timers are filtered one by one: every other timer's return is compared with all of them. Their addresses fit a page,
/// which a filter may be (`perf_event_set_filter`, `kernel/events/core.c`).
const APART: usize = 128;

/// Returns a filter for these timers: by their addresses, or, where these are many, by the range that they lie in; `None` where
/// there are none.
#[must_use]
pub fn of_timers(timers: &BTreeSet<u64>) -> Option<String> {
    let (first, last) = (timers.first()?, timers.last()?);
    if timers.len() > APART {
        return Some(format!("timer>={first:#x}&&timer<={last:#x}"));
    }
    let each = timers.iter().map(|timer| format!("timer=={timer:#x}"));
    Some(each.collect::<Vec<_>>().join("||"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_timers_are_filtered_by_their_range() {
        let filter = |timers: &[u64]| of_timers(&timers.iter().copied().collect());
        assert_eq!(filter(&[]), None);
        assert_eq!(
            filter(&[0x20, 0x10]).as_deref(),
            Some("timer==0x10||timer==0x20")
        );
        let many: Vec<u64> = (0..129).map(|number| 0x1000 * (number + 1)).collect();
        assert_eq!(
            filter(&many).as_deref(),
            Some("timer>=0x1000&&timer<=0x81000")
        );
        let addresses: Vec<u64> = many[..128].iter().map(|low| low | 0xffff << 48).collect();
        let some = filter(&addresses).unwrap();
        assert_eq!(some.matches("||").count(), 127, "{some}");
        assert!(some.len() < 4_096, "{} bytes", some.len());
    }
}
