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
const TOTAL: u32 = 96;

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
    memory.add(entry, vec![0; 16]);
    list(memory, number, EST_LIST);
}

/// Makes a list of two, whose head is at this offset: a service, and the total, which lies in the structure.
fn list(memory: &mut MadeMemory, number: u64, at: u32) {
    let head = ipvs(number) + u64::from(at);
    let (service, total) = (ENTRIES + number * APART, ipvs(number) + u64::from(TOTAL));
    for (address, next, previous) in [
        (head, service, total),
        (service, total, head),
        (total, head, service),
    ] {
        memory.write_word(address, next);
        memory.write_word(address + 8, previous);
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
        let known = if namespaces > 1 { 0 } else { ABSENT };
        assert_eq!(offsets.ipvs_gen, known, "one number proves nothing");
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
    memory.write_word(SWITCHES + 64 + 8, ipvs(1));
    let switch = Err(Underivable::NotFound("sysctl_run_estimation"));
    assert_eq!(found(&mut memory), switch);
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
fn two_words_that_look_right_in_every_namespace_are_no_answer() {
    for namespaces in [1, 3] {
        let mut memory = kernel(namespaces);
        for number in 0..namespaces {
            memory.write_word(ipvs(number) + 64, net(number));
        }
        assert_eq!(found(&mut memory), Err(Underivable::NotFound("net")));
        let mut memory = kernel(namespaces);
        for number in 0..namespaces {
            memory.write_word(ipvs(number) + 128, ESTIMATION_TIMER);
        }
        assert_eq!(found(&mut memory), Err(Underivable::NotFound("est_timer")));
    }
}

#[test]
fn a_timer_whose_function_a_hotfix_changed_is_found_by_those_of_other_namespaces() {
    let mut memory = kernel(3);
    let function = |number| ipvs(number) + u64::from(EST_TIMER + TIMER_FUNCTION);
    memory.write_word(function(1), ESTIMATION_TIMER + 0x8000);
    assert_eq!(found(&mut memory).unwrap().ipvs_est_timer, EST_TIMER);
    for number in [0, 2] {
        memory.write_word(function(number), ESTIMATION_TIMER + 0x8000);
    }
    assert_eq!(found(&mut memory), Err(Underivable::NotFound("est_timer")));
}

#[test]
fn an_address_that_is_none_finds_nothing() {
    for estimation_timer in [0, 1, u64::MAX] {
        let anchors = Anchors {
            net: net(0),
            estimation_timer,
        };
        let found = derived(&fields(), anchors, &mut kernel(2));
        assert_eq!(found, Err(Underivable::NotFound("est_timer")));
    }
}

#[test]
fn the_nearest_list_before_the_timer_that_ends_with_the_total_is_taken_behind_any_lock() {
    let mut memory = kernel(2);
    // A spinlock with its debugging between list and timer: the list's head is farther away.
    for number in 0..2 {
        let old = ipvs(number) + u64::from(EST_LIST);
        memory.write_word(old, 0);
        memory.write_word(old + 8, 0);
        list(&mut memory, number, 1872);
    }
    assert_eq!(found(&mut memory).unwrap().ipvs_est_list, 1872);
    // A list nearer to the timer that is empty, and one that ends elsewhere.
    for number in 0..2 {
        let (empty, other) = (ipvs(number) + 1928, ipvs(number) + 1904);
        memory.write_word(empty, empty);
        memory.write_word(empty + 8, empty);
        let entry = 0xffff_8880_6000_0000 + number * APART;
        memory.add(entry, vec![0; 16]);
        for (address, word) in [(other, entry), (entry, other)] {
            memory.write_word(address, word);
            memory.write_word(address + 8, word);
        }
    }
    assert_eq!(found(&mut memory).unwrap().ipvs_est_list, 1872);
}

#[test]
fn generations_that_do_not_rise_are_not_known() {
    for (numbers, is_known) in [
        (&[5, 6, 9][..], true),
        // The circle was entered in its middle.
        (&[6, 9, 5], true),
        (&[9, 6, 5], false),
        (&[5, 5, 6], false),
        (&[5, 1 << 30, 6], false),
    ] {
        let mut memory = kernel(3);
        for (number, generation) in (0..).zip(numbers) {
            memory.write(ipvs(number), &i32::to_ne_bytes(*generation));
        }
        let expected = if is_known { 0 } else { ABSENT };
        assert_eq!(
            found(&mut memory).unwrap().ipvs_gen,
            expected,
            "{numbers:?}"
        );
    }
}

#[test]
fn what_is_not_found_is_said_and_never_guessed() {
    let mut memory = kernel(2);
    memory.write_word(ipvs(1) + u64::from(EST_TIMER + TIMER_FUNCTION), 16);
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
    for readings in 0..300 {
        let mut memory = kernel(3);
        switches(&mut memory, 2, &["amemthresh", "run_estimation"]);
        memory.readings_left = Some(readings);
        if let Ok(offsets) = found(&mut memory) {
            assert_eq!(offsets.ipvs_est_timer, EST_TIMER, "after {readings}");
            assert_eq!(offsets.ipvs_est_list, EST_LIST, "after {readings}");
            let switch = [SWITCH, ABSENT].contains(&offsets.ipvs_run_estimation);
            assert!(switch, "after {readings}");
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
