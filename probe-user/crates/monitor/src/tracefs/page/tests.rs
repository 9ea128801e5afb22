use super::*;
use crate::recorded;

fn layout(kernel: &str) -> Layout {
    let text = recorded::text(kernel, "events/header_page");
    Layout::parse(&text).unwrap()
}

/// The records of a CPU's pages, each with its time, type and task.
fn read(kernel: &str, name: &str, cpu: u32) -> (Vec<String>, usize) {
    let layout = layout(kernel);
    let pages = recorded::file(kernel, &format!("ring/{name}.cpu{cpu}.raw"));
    let (mut told, mut missed) = (Vec::new(), 0);
    for page in pages.chunks(layout.page_bytes()) {
        layout.entries(page, |entry| match entry {
            Entry::Missed => missed += 1,
            Entry::Record(time_ns, record) => {
                let kind = u16::from_le_bytes(*record.first_chunk().unwrap());
                let pid = number(&record[4..]).unwrap().0;
                told.push(format!("{time_ns} {kind} {pid}"));
            }
        });
    }
    (told, missed)
}

/// The same as another program decoded them.
fn decoded(kernel: &str, name: &str, cpu: u32) -> (Vec<String>, usize) {
    let text = recorded::text(kernel, &format!("ring/{name}.decoded"));
    let page = format!("# cpu{cpu} page");
    let missed = text
        .lines()
        .filter(|line| line.starts_with(&page) && line.split(' ').any(|word| word == "missed"));
    let begin = format!("cpu{cpu} ");
    let lines = text.lines().filter_map(|line| line.strip_prefix(&begin));
    let told = lines.map(|line| {
        let value = |name: &str| {
            let mut words = line.split(' ');
            let value = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            value.unwrap().to_owned()
        };
        let time = line.split(' ').next().unwrap();
        format!("{time} {} {}", value("common_type"), value("common_pid"))
    });
    (told.collect(), missed.count())
}

#[test]
fn recorded_pages_are_read_as_another_program_read_them() {
    for kernel in ["3.10.0-1127", "4.18.0-147", "5.15.135"] {
        for name in ["runs", "life", "overrun"] {
            let mut records = 0;
            for cpu in [0, 1] {
                let found = read(kernel, name, cpu);
                assert_eq!(
                    found,
                    decoded(kernel, name, cpu),
                    "{kernel} {name} CPU {cpu}"
                );
                records += found.0.len();
            }
            assert!(records > 40, "{kernel} {name}: {records}");
        }
        assert_eq!(read(kernel, "overrun", 0).1, 1, "{kernel}");
    }
}

/// What a page of these entries holds, that begins at 100.
fn told(data: &[u32]) -> Vec<(u64, usize)> {
    let layout = layout("5.15.135");
    let bytes: Vec<u8> = data.iter().flat_map(|word| word.to_le_bytes()).collect();
    let begin = [100_u64, bytes.len() as u64].map(u64::to_le_bytes).concat();
    let page = [begin, bytes].concat();
    let mut told = Vec::new();
    layout.entries(&page, |entry| {
        if let Entry::Record(time_ns, record) = entry {
            told.push((time_ns, record.len()));
        }
    });
    told
}

#[test]
fn times_add_up_over_what_is_no_record() {
    let after = |delta: u32, kind: u32| delta << KIND_BITS | kind;
    let short = [after(5, 2), 1, 2];
    assert_eq!(told(&short), [(105, 8)]);
    let extended = [after(1, TIME_EXTEND), 1, after(2, 1), 9];
    assert_eq!(told(&extended), [(103 + (1 << 27), 4)]);
    let stamped = [after(7, TIME_STAMP), 2, after(1, 1), 9];
    assert_eq!(told(&stamped), [(8 + (2 << 27), 4)]);
    let padded = [after(3, PADDING), 8, 0, after(1, 1), 9];
    assert_eq!(told(&padded), [(104, 4)]);
    // Nine bytes take twelve, and the number of the length four.
    let long = [after(4, 0), 13, 1, 2, 3, after(1, 1), 9];
    assert_eq!(told(&long), [(104, 9), (105, 4)]);
}

#[test]
fn what_is_cut_short_or_empty_ends_a_page() {
    let whole = [3 << KIND_BITS | 2, 1, 2];
    for data in [
        &whole[..2],
        &[0],
        &[0, 3],
        &[0, 100],
        &[PADDING, 1, 1],
        &[PADDING | 1 << KIND_BITS],
        &[],
    ] {
        assert_eq!(told(data), [], "{data:?}");
    }
    let layout = layout("5.15.135");
    layout.entries(&[1, 2, 3], |entry| panic!("{entry:?}"));
    assert!(Layout::parse("field: u64 timestamp;\toffset:0;\tsize:8;\n").is_none());
}
