use super::*;
use crate::kernel_memory::made::MadeMemory;

const NET: u64 = 0xffff_8880_1000_0000;
const IPVS: u64 = 0xffff_8880_2000_0000;
const ENTRIES: u64 = 0xffff_8880_3000_0000;
const SWITCHES: u64 = 0xffff_8880_4000_0000;
const HEAD: u64 = 0xffff_ffff_8200_0000;
const ESTIMATION_TIMER: u64 = 0xffff_ffff_c02b_3080;
/// From one made namespace to the next.
const APART: u64 = 0x1_0000;

/// Where this made kernel keeps its fields.
const NET_LIST: u32 = 40;
const NET_IPVS: u32 = 4488;
const TIMER_FUNCTION: u32 = 24;
const IPVS_NET: u32 = 2160;
const EST_LIST: u32 = 1928;
const EST_TIMER: u32 = 1952;
const SWITCH: u32 = 1880;
const TABLE: u32 = 1704;

fn fields() -> Fields {
    Fields::made(
        &[
            ("task_struct", "nsproxy", 2800),
            ("nsproxy", "net_ns", 40),
            ("net", "list", NET_LIST),
            ("net", "ns", 128),
            ("net", "ipvs", NET_IPVS),
            ("ns_common", "inum", 16),
            ("timer_list", "entry", 0),
            ("timer_list", "expires", 16),
            ("timer_list", "function", TIMER_FUNCTION),
            ("timer_list", "flags", 32),
            ("hlist_node", "pprev", 8),
            ("ctl_table", "procname", 0),
            ("ctl_table", "data", 8),
        ],
        &[("ctl_table", 64)],
    )
}

/// A kernel with so many namespaces, linked behind the circle's head.
fn kernel(namespaces: u64) -> MadeMemory {
    let mut memory = MadeMemory::default();
    memory.add(HEAD, vec![0; 16]);
    for number in 0..namespaces {
        let next = if number + 1 == namespaces {
            HEAD
        } else {
            net(number + 1) + u64::from(NET_LIST)
        };
        namespace(&mut memory, number, next);
    }
    memory.write_word(HEAD, net(0) + u64::from(NET_LIST));
    memory
}

fn net(number: u64) -> u64 {
    NET + number * APART
}

fn ipvs(number: u64) -> u64 {
    IPVS + number * APART
}

fn namespace(memory: &mut MadeMemory, number: u64, following: u64) {
    let (net, ipvs, entry) = (net(number), ipvs(number), ENTRIES + number * APART);
    memory.add(net, vec![0; 5000]);
    memory.write_word(net + u64::from(NET_LIST), following);
    memory.write_word(net + u64::from(NET_IPVS), ipvs);
    memory.add(ipvs, vec![0; 4096]);
    memory.write(ipvs, &u32::try_from(number).unwrap().to_ne_bytes());
    memory.write_word(ipvs + u64::from(IPVS_NET), net);
    let timer = ipvs + u64::from(EST_TIMER);
    memory.write_word(timer + u64::from(TIMER_FUNCTION), ESTIMATION_TIMER);
    let head = ipvs + u64::from(EST_LIST);
    memory.add(entry, vec![0; 16]);
    for (address, word) in [
        (head, entry),
        (head + 8, entry),
        (entry, head),
        (entry + 8, head),
    ] {
        memory.write_word(address, word);
    }
}

/// Gives a namespace its table of switches, with these names.
fn switches(memory: &mut MadeMemory, number: u64, names: &[&str]) {
    let (table, ipvs) = (SWITCHES + number * APART, ipvs(number));
    memory.write_word(ipvs + u64::from(TABLE), table);
    memory.add(table, vec![0; 8192]);
    for (place, name) in (0..).zip(names) {
        let text = table + 4096 + place * 64;
        memory.write(text, name.as_bytes());
        memory.write_word(table + place * 64, text);
        let data = ipvs + u64::from(SWITCH) - 4 + 4 * place;
        memory.write_word(table + place * 64 + 8, data);
    }
}

fn found(memory: &mut MadeMemory) -> Result<Offsets, Underivable> {
    let anchors = Anchors {
        net: net(0),
        estimation_timer: ESTIMATION_TIMER,
    };
    derived(&fields(), anchors, memory)
}

#[test]
fn every_field_is_found_by_what_it_holds() {
    for namespaces in [1, 2, 5, 40] {
        let mut memory = kernel(namespaces);
        switches(&mut memory, 0, &["amemthresh", "run_estimation", "other"]);
        let offsets = found(&mut memory).unwrap();
        assert_eq!(offsets.ipvs_net, IPVS_NET);
        assert_eq!(offsets.ipvs_est_timer, EST_TIMER);
        assert_eq!(offsets.ipvs_est_list, EST_LIST);
        assert_eq!(offsets.ipvs_gen, 0);
        assert_eq!(offsets.ipvs_run_estimation, SWITCH);
        assert_eq!((offsets.net_ipvs, offsets.net_inum), (NET_IPVS, 144));
        assert_eq!(offsets.timer_pprev, 8);
    }
}

#[test]
fn a_kernel_without_the_switch_has_none() {
    let mut memory = kernel(2);
    assert_eq!(found(&mut memory).unwrap().ipvs_run_estimation, ABSENT);
    switches(&mut memory, 1, &["amemthresh", "am_droprate"]);
    assert_eq!(found(&mut memory).unwrap().ipvs_run_estimation, ABSENT);
    // A switch whose value lies elsewhere is none of this namespace.
    switches(&mut memory, 0, &["amemthresh", "run_estimation"]);
    let table = SWITCHES + 64 + 8;
    memory.write_word(table, ipvs(1));
    assert_eq!(found(&mut memory).unwrap().ipvs_run_estimation, ABSENT);
}

#[test]
fn a_word_that_looks_right_in_one_namespace_alone_is_not_taken() {
    let mut memory = kernel(3);
    // Before the right place, and in the first namespace only.
    memory.write_word(ipvs(0) + 64, net(0));
    memory.write_word(ipvs(0) + 128, ESTIMATION_TIMER);
    let offsets = found(&mut memory).unwrap();
    assert_eq!(offsets.ipvs_net, IPVS_NET);
    assert_eq!(offsets.ipvs_est_timer, EST_TIMER);
}

#[test]
fn the_nearest_list_before_the_timer_is_taken_behind_any_lock() {
    let mut memory = kernel(2);
    // A spinlock with its debugging between list and timer: the list's head is farther away.
    for number in 0..2 {
        let (old, new) = (ipvs(number) + u64::from(EST_LIST), ipvs(number) + 1872);
        let entry = ENTRIES + number * APART;
        for (address, word) in [
            (old, 0),
            (old + 8, 0),
            (new, entry),
            (new + 8, entry),
            (entry, new),
            (entry + 8, new),
        ] {
            memory.write_word(address, word);
        }
    }
    assert_eq!(found(&mut memory).unwrap().ipvs_est_list, 1872);
    // An empty list is none: `est_list` has the namespace's total at least.
    for number in 0..2 {
        let nearer = ipvs(number) + 1928;
        memory.write_word(nearer, nearer);
        memory.write_word(nearer + 8, nearer);
    }
    assert_eq!(found(&mut memory).unwrap().ipvs_est_list, 1872);
}

#[test]
fn generations_that_are_alike_or_no_numbers_are_not_known() {
    let mut memory = kernel(2);
    memory.write(ipvs(1), &0u32.to_ne_bytes());
    assert_eq!(found(&mut memory).unwrap().ipvs_gen, ABSENT);
    let mut memory = kernel(2);
    memory.write_word(ipvs(1), net(1));
    memory.write(ipvs(1), &u32::MAX.to_ne_bytes());
    assert_eq!(found(&mut memory).unwrap().ipvs_gen, ABSENT);
}

#[test]
fn what_is_not_found_is_said_and_never_guessed() {
    let mut memory = kernel(2);
    memory.write_word(
        ipvs(1) + u64::from(EST_TIMER + TIMER_FUNCTION),
        ESTIMATION_TIMER + 16,
    );
    assert_eq!(found(&mut memory), Err(Underivable::NotFound("est_timer")));
    let mut memory = kernel(1);
    memory.write_word(ipvs(0) + u64::from(EST_LIST), 0);
    assert_eq!(found(&mut memory), Err(Underivable::NotFound("est_list")));
    let mut memory = kernel(1);
    memory.write_word(net(0) + u64::from(NET_IPVS), 0);
    assert_eq!(found(&mut memory), Err(Underivable::NotFound("net")));
    memory.remove(net(0));
    assert_eq!(found(&mut memory), Err(Underivable::NotFound("net")));
}

#[test]
fn memory_that_cannot_be_read_at_any_moment_gives_the_right_offsets_or_none() {
    for readings in 0..200 {
        let mut memory = kernel(3);
        memory.readings_left = Some(readings);
        if let Ok(offsets) = found(&mut memory) {
            assert_eq!(offsets.ipvs_est_timer, EST_TIMER, "after {readings}");
            assert_eq!(offsets.ipvs_est_list, EST_LIST, "after {readings}");
        }
    }
}

#[test]
fn a_circle_that_does_not_close_ends() {
    let mut memory = kernel(1);
    let link = net(0) + u64::from(NET_LIST);
    memory.write_word(link, HEAD);
    memory.write_word(HEAD, HEAD);
    assert_eq!(found(&mut memory).unwrap().ipvs_net, IPVS_NET);
    memory.write_word(link, 1);
    assert_eq!(found(&mut memory).unwrap().ipvs_net, IPVS_NET);
}
