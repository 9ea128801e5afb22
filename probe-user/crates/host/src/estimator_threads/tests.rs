use super::*;
use crate::kernel_memory::made::MadeMemory;

const NET: u64 = 0xffff_8880_1000_0000;
const IPVS: u64 = 0xffff_8880_2000_0000;
const ARRAY: u64 = 0xffff_8880_3000_0000;
const DATA: u64 = 0xffff_8880_4000_0000;
const TASK: u64 = 0xffff_8880_5000_0000;
const HEAD: u64 = 0xffff_ffff_8200_0000;
/// From one made namespace to the next.
const APART: u64 = 0x1_0000;

fn layout() -> Layout {
    let offsets = [
        ("task_struct", "nsproxy", 2800),
        ("task_struct", "pid", 2432),
        ("nsproxy", "net_ns", 40),
        ("net", "list", 40),
        ("net", "ns", 120),
        ("net", "ipvs", 4296),
        ("ns_common", "inum", 16),
        ("netns_ipvs", "net", 2024),
        ("netns_ipvs", "sysctl_run_estimation", 1616),
        ("netns_ipvs", "est_stopped", 1844),
        ("netns_ipvs", "est_calc_phase", 1832),
        ("netns_ipvs", "est_chain_max", 1836),
        ("netns_ipvs", "est_kt_count", 1840),
        ("netns_ipvs", "est_kt_arr", 1816),
        ("ip_vs_est_kt_data", "id", 640),
        ("ip_vs_est_kt_data", "task", 8),
        ("ip_vs_est_kt_data", "est_count", 652),
        ("ip_vs_est_kt_data", "est_max_count", 648),
    ];
    Layout::of(&Fields::made(&offsets, &[])).unwrap()
}

/// A kernel with two namespaces behind the circle's head: one with two threads, of which the second has no task yet, and
/// one that has no service.
fn kernel() -> MadeMemory {
    let mut memory = MadeMemory::default();
    memory.add(HEAD, vec![0; 16]);
    for (number, following) in [(0, NET + APART + 40), (1, HEAD)] {
        let (net, ipvs) = (NET + number * APART, IPVS + number * APART);
        memory.add(net, vec![0; 4400]);
        memory.write_word(net + 40, following);
        memory.write_word(net + 4296, ipvs);
        let inode = 4_026_531_840 + u32::try_from(number).unwrap();
        memory.write(net + 136, &inode.to_ne_bytes());
        memory.add(ipvs, vec![0; 2200]);
        memory.write_word(ipvs + 2024, net);
        memory.write(ipvs + 1616, &1u32.to_ne_bytes());
    }
    memory.write_word(HEAD, NET + 40);
    memory.write(IPVS + 1836, &6480u32.to_ne_bytes());
    memory.write(IPVS + 1840, &3u32.to_ne_bytes());
    memory.write_word(IPVS + 1816, ARRAY);
    // The slot between the two threads is free.
    memory.add(ARRAY, vec![0; 24]);
    for (place, id, estimators) in [(0, 0, 28_800u32), (2, 2, 1_201)] {
        let data = DATA + u64::from(id) * APART;
        memory.write_word(ARRAY + place * 8, data);
        memory.add(data, vec![0; 800]);
        for (offset, value) in [(640, id), (652, estimators), (648, 324_000)] {
            memory.write(data + offset, &value.to_ne_bytes());
        }
    }
    memory.write_word(DATA + 8, TASK);
    memory.add(TASK, vec![0; 3000]);
    memory.write(TASK + 2432, &131u32.to_ne_bytes());
    memory
}

#[test]
fn every_namespace_is_read_with_its_threads_and_those_that_have_no_task() {
    let found = read(&layout(), NET, &mut kernel()).unwrap();
    let thread = |id, tid, estimators| Thread {
        id,
        tid,
        estimators,
        most: 324_000,
    };
    let busy = Estimation {
        netns: 4_026_531_840,
        run_estimation: 1,
        is_stopped: false,
        is_calibrating: false,
        chain_max: 6480,
        threads: vec![thread(0, Some(131), 28_800), thread(2, None, 1_201)],
    };
    let idle = Estimation {
        netns: 4_026_531_841,
        chain_max: 0,
        threads: Vec::new(),
        ..busy.clone()
    };
    assert_eq!(found, [busy, idle]);
}

#[test]
fn a_namespace_that_goes_away_is_left_out_and_a_circle_that_does_not_close_is_said() {
    let mut memory = kernel();
    memory.write_word(IPVS + 2024, 0);
    let found = read(&layout(), NET, &mut memory).unwrap();
    assert_eq!(found.len(), 1);
    let mut memory = kernel();
    memory.write_word(NET + 40, 0);
    assert_eq!(read(&layout(), NET, &mut memory), Err(Unreadable::Changing));
}

#[test]
fn memory_that_cannot_be_read_at_any_moment_is_never_a_panic_and_no_number_is_made_up() {
    let whole = read(&layout(), NET, &mut kernel()).unwrap();
    for readings in 0..60 {
        let mut memory = kernel();
        memory.readings_left = Some(readings);
        for found in read(&layout(), NET, &mut memory).unwrap_or_default() {
            let whole = whole.iter().find(|one| one.netns == found.netns).unwrap();
            assert_eq!(found.chain_max, whole.chain_max);
            for thread in found.threads {
                let of_whole = whole.threads.iter().find(|one| one.id == thread.id);
                assert_eq!(thread.estimators, of_whole.unwrap().estimators);
            }
        }
    }
}

#[test]
fn a_count_that_no_node_has_is_not_followed() {
    let mut memory = kernel();
    memory.write(IPVS + 1840, &u32::MAX.to_ne_bytes());
    assert_eq!(read(&layout(), NET, &mut memory), Err(Unreadable::Changing));
}
