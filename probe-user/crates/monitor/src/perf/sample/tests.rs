use super::{super::ring::unread, *};
use crate::recorded;

/// The type of the recorded samples.
const RECORDED: u32 =
    PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ID | PERF_SAMPLE_CPU | PERF_SAMPLE_RAW;

const KERNELS: [&str; 3] = ["3.10.0-1127", "4.18.0-147", "5.15.135"];

/// What was not read of a recorded ring: a page with both ends, and the data area.
fn left(ring: &[u8]) -> Vec<u8> {
    let (control, area) = ring.split_at(4096);
    let [head, tail] = [1024, 1032].map(|offset| number(control, offset).unwrap());
    let ranges = unread(area.len(), tail, head);
    ranges
        .into_iter()
        .flat_map(|range| &area[range])
        .copied()
        .collect()
}

/// The records of a CPU as another program decoded them: a line of words each.
fn lines(kernel: &str, name: &str, cpu: u32) -> Vec<String> {
    let text = recorded::text(kernel, &format!("perf/{name}.txt"));
    let begin = format!("cpu={cpu} at=");
    let lines = text.lines().filter(|line| line.starts_with(&begin));
    lines.map(str::to_owned).collect()
}

fn value<'a>(line: &'a str, name: &str) -> &'a str {
    let mut words = line.split(' ');
    let found = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {name} in {line}"))
}

/// Says a record as the other program does, as far as both do.
fn said(entry: &Entry) -> String {
    match entry {
        Entry::Lost(lost) => format!("lost={lost}"),
        Entry::Sample(sample) => format!(
            "time={} raw={} type={:#x}",
            sample.time_ns,
            sample.raw.len(),
            half(sample.raw, 0).unwrap() & 0xffff,
        ),
    }
}

fn expected(line: &str) -> String {
    if line.contains(" LOST ") {
        return format!("lost={}", value(line, "lost"));
    }
    let [time, raw, kind] = ["time", "raw_size", "common_type"].map(|name| value(line, name));
    format!("time={time} raw={raw} type={kind}")
}

#[test]
fn recorded_rings_are_read_as_another_program_read_them() {
    let mut lost = 0;
    for kernel in KERNELS {
        for name in ["runs", "wrap", "lost"] {
            let mut records = 0;
            for cpu in [0, 1] {
                let bytes = left(&recorded::file(
                    kernel,
                    &format!("perf/{name}.cpu{cpu}.ring"),
                ));
                let told: Vec<String> = entries(&bytes, RECORDED)
                    .map(|entry| said(&entry))
                    .collect();
                let lines = lines(kernel, name, cpu);
                let others: Vec<String> = lines.iter().map(|line| expected(line)).collect();
                assert_eq!(told, others, "{kernel} {name} CPU {cpu}");
                lost += told.iter().filter(|said| said.starts_with("lost")).count();
                records += told.len();
            }
            assert!(records > 0, "{kernel} {name}");
        }
    }
    assert!(lost >= 4, "{lost} records say that others were lost");
}

#[test]
fn what_is_cut_short_is_no_record() {
    let bytes = left(&recorded::file("5.15.135", "perf/runs.cpu0.ring"));
    let whole = entries(&bytes, RECORDED).count();
    for length in 0..bytes.len() {
        assert!(
            entries(&bytes[..length], RECORDED).count() < whole,
            "{length} bytes"
        );
    }
    // A record that claims to be shorter than its own header ends the reading.
    assert_eq!(
        entries(&[9, 0, 0, 0, 0, 0, 4, 0, 1, 2, 3, 4], RECORDED).count(),
        0
    );
    assert_eq!(entries(&[9, 0, 0, 0, 0, 0, 0, 0], RECORDED).count(), 0);
}

#[test]
fn a_sample_has_no_more_than_its_type_says() {
    let (time, length) = (7_u64.to_le_bytes(), 4_u32.to_le_bytes());
    let body = [&time[..], &length, &[1, 2, 3, 4, 9, 9, 9, 9]].concat();
    let size = u8::try_from(HEADER + body.len()).unwrap();
    let bytes = [&[9, 0, 0, 0, 0, 0, size, 0][..], &body].concat();
    let told: Vec<_> = entries(&bytes, SAMPLE_TYPE).collect();
    let expected = Sample {
        time_ns: 7,
        raw: &[1, 2, 3, 4],
    };
    assert_eq!(told, [Entry::Sample(expected)]);
}

#[test]
fn a_register_is_read_where_there_is_one() {
    let record = |kind: u32, body: &[u64]| -> Vec<u8> {
        let size = u16::try_from(HEADER + body.len() * 8).unwrap();
        let header = [&kind.to_le_bytes()[..], &[0, 0], &size.to_le_bytes()].concat();
        let body = body.iter().flat_map(|number| number.to_le_bytes());
        header.into_iter().chain(body).collect()
    };
    let bytes = [
        record(PERF_RECORD_SAMPLE, &[2, 0xffff_8880_0000_0040]),
        record(PERF_RECORD_LOST, &[1, 7]),
        record(PERF_RECORD_SAMPLE, &[NO_REGISTERS]),
        record(PERF_RECORD_SAMPLE, &[2, 5]),
    ]
    .concat();
    let found: Vec<u64> = registers(&bytes).collect();
    assert_eq!(found, [0xffff_8880_0000_0040, 5]);
}
