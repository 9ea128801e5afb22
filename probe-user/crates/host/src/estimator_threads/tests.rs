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
        ("netns_ipvs", "gen", 1600),
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
        ("ip_vs_est_tick_data", "chains", 16),
        ("ip_vs_est_tick_data", "present", 24),
    ];
    Layout::of(&Fields::made(&offsets, &[])).unwrap()
}

#[test]
fn the_length_of_a_chain_is_read_only_where_a_tick_has_one_chain() {
    for (behind, expected) in [(24, 24), (16 + 48 * 8, ABSENT)] {
        let offsets = [
            ("task_struct", "worker_private", 2648),
            ("kthread", "data", 24),
            ("net", "ns", 120),
            ("ns_common", "inum", 16),
            ("netns_ipvs", "net", 2024),
            ("netns_ipvs", "gen", 1600),
            ("netns_ipvs", "est_calc_phase", 1832),
            ("ip_vs_est_kt_data", "ipvs", 0),
            ("ip_vs_est_kt_data", "id", 640),
            ("ip_vs_est_kt_data", "est_row", 656),
            ("ip_vs_est_tick_data", "chains", 16),
            ("ip_vs_est_tick_data", "present", behind),
            ("ip_vs_est_tick_data", "chain_len", behind + 16),
        ];
        let probed = probed(&Fields::made(&offsets, &[])).unwrap();
        assert_eq!(probed.chain_length, expected);
        assert_eq!((probed.net_inum, probed.data_row), (136, 656));
    }
    let missing = probed(&Fields::made(&[], &[])).unwrap_err();
    assert_eq!(missing.to_string(), "ip_vs_est_tick_data.chains");
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
        memory.write_word(ipvs + 1600, number);
        memory.write(ipvs + 1616, &1u32.to_ne_bytes());
    }
    memory.write_word(HEAD, NET + 40);
    memory.write(IPVS + 1836, &135u32.to_ne_bytes());
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
        generation: 0,
        run_estimation: 1,
        is_stopped: false,
        is_calibrating: false,
        chain_max: 6480,
        threads: vec![thread(0, Some(131), 28_800), thread(2, None, 1_201)],
    };
    let idle = Estimation {
        netns: 4_026_531_841,
        generation: 1,
        chain_max: 0,
        threads: Vec::new(),
        ..busy.clone()
    };
    assert_eq!(found, [busy, idle]);
}

#[test]
fn a_namespace_calibrates_while_its_first_thread_is_there_and_has_no_limit_yet() {
    for (tid, is_calibrating, chain_max, calibrates) in [
        (Some(131), true, 0, true),
        (Some(131), false, 0, true),
        (Some(131), true, 6480, true),
        (Some(131), false, 6480, false),
        (None, true, 0, false),
    ] {
        let thread = |id, tid| Thread {
            id,
            tid,
            estimators: 1,
            most: 0,
        };
        let estimation = Estimation {
            netns: 7,
            generation: 0,
            run_estimation: 1,
            is_stopped: false,
            is_calibrating,
            chain_max,
            threads: vec![thread(0, tid), thread(1, Some(132))],
        };
        assert_eq!(estimation.calibrates_now(), calibrates, "{estimation:?}");
    }
}

#[test]
fn what_the_threads_of_all_namespaces_do_is_one_of_three() {
    let namespace = |tid, chain_max| Estimation {
        netns: 7,
        generation: 0,
        run_estimation: 1,
        is_stopped: false,
        is_calibrating: false,
        chain_max,
        threads: vec![Thread {
            id: 0,
            tid,
            estimators: 1,
            most: 0,
        }],
    };
    let without = namespace(None, 0);
    let calibrates = namespace(Some(131), 0);
    let estimates = namespace(Some(132), 6480);
    for (namespaces, activity) in [
        (vec![], Activity::None),
        (vec![&without], Activity::None),
        (vec![&without, &estimates], Activity::Estimating),
        (vec![&estimates, &calibrates], Activity::Calibrating),
    ] {
        let namespaces: Vec<Estimation> = namespaces.into_iter().cloned().collect();
        assert_eq!(Activity::of(&namespaces), activity, "{namespaces:?}");
    }
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
fn a_namespace_one_of_whose_fields_cannot_be_read_is_not_left_out() {
    let mut memory = kernel();
    // Behind the fields that say that it is a namespace, and before the others.
    memory.add(IPVS + APART, vec![0; 1700]);
    memory.add(IPVS + APART + 2024, (NET + APART).to_ne_bytes().to_vec());
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
