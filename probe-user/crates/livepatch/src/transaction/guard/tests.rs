//! A shell stands in for the guard: it says that it is up, and waits at the end of the pipe.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use std::path::Path;

use super::*;
use crate::made_node::{self, MadeNode};

/// Returns a guard for tests, which writes into that file how it ended.
pub(crate) fn stand_in(said: &Path) -> Guard {
    Guard::of(orders(said)).unwrap()
}

fn orders(said: &Path) -> Orders {
    Orders {
        program: made_node::guard(said),
        by_hand: "type this".into(),
        lock: None,
    }
}

/// Kills it.
pub(crate) fn kill_guard(guard: &Guard) {
    let pid = i32::try_from(guard.pid()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    // Until the kernel has it.
    while matches!(guard.0.borrow_mut().child.try_wait(), Ok(None)) {
        sleep(Duration::from_millis(1));
    }
}

/// Makes the start of another fail.
pub(crate) fn cannot_be_replaced(guard: &Guard) {
    guard.0.borrow_mut().orders.program.path = "/nowhere".into();
}

#[test]
fn a_guard_that_does_not_come_up_is_an_error_and_not_waited_for() {
    let node = MadeNode::new();
    node.world().no_guard_comes_up();
    let posted = Guard::post(&node.site(), Guarded::Hotfix(&"x".into()), None);
    let error = posted.unwrap_err().to_string();
    assert!(error.starts_with("it ended at once"), "{error}");
}

#[test]
fn a_guard_that_is_lost_is_replaced_and_the_next_waits_for_the_same_calls() {
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("said");
    let guard = stand_in(&said);
    assert!(matches!(guard.look(false), Looked::There));
    assert!(!guard.is_lost());
    let first = guard.pid();
    // A call into the kernel that began under the first guard.
    let call = guard.lifeline().unwrap();
    kill_guard(&guard);
    assert!(guard.is_lost());
    let Looked::Replaced(told) = guard.look(false) else {
        panic!("it was not replaced");
    };
    assert!(!guard.is_lost());
    let second = guard.pid();
    assert_ne!(first, second);
    for words in [
        format!("process {first}, "),
        "signal: 9".into(),
        format!("process {second} guards it now"),
    ] {
        assert!(told.contains(&words), "no {words:?} in {told}");
    }
    // The tool dies: the call still lasts, and the second guard waits for it.
    let mut child = {
        let post = Rc::into_inner(guard.0).unwrap().into_inner();
        post.child
    };
    sleep(Duration::from_millis(50));
    assert!(matches!(child.try_wait(), Ok(None)), "it did not wait");
    drop(call);
    child.wait().unwrap();
    assert_eq!(std::fs::read_to_string(&said).unwrap(), "alone\n");
}

#[test]
fn a_guard_that_took_anothers_place_is_dismissed_as_the_first_would_be() {
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("said");
    let guard = stand_in(&said);
    kill_guard(&guard);
    assert!(matches!(guard.look(true), Looked::Replaced(_)));
    let kept = guard.clone();
    assert_eq!(guard.dismiss(), None);
    assert_eq!(std::fs::read_to_string(&said).unwrap(), "dismissed\n");
    // A later check starts no other, which would roll back what has to stay.
    let last = kept.pid();
    assert!(!kept.is_lost());
    assert!(matches!(kept.look(true), Looked::Dismissed));
    assert_eq!(kept.pid(), last);
}

/// Stops a guard, as a person or a debugger may, and waits until it is.
fn stop(guard: &Guard) {
    let pid = Pid::from_raw(i32::try_from(guard.pid()).unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    let stopped = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT;
    waitid(Id::Pid(pid), stopped).unwrap();
}

#[test]
fn a_guard_that_was_stopped_goes_on_at_the_next_look_and_ends_when_it_is_dismissed() {
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("said");
    let guard = stand_in(&said);
    stop(&guard);
    assert!(matches!(guard.look(false), Looked::There));
    let pid = Pid::from_raw(i32::try_from(guard.pid()).unwrap());
    let look = WaitPidFlag::WCONTINUED | WaitPidFlag::WNOWAIT;
    assert!(matches!(
        waitid(Id::Pid(pid), look),
        Ok(WaitStatus::Continued(_))
    ));
    stop(&guard);
    assert_eq!(guard.dismiss(), None);
    assert_eq!(std::fs::read_to_string(&said).unwrap(), "dismissed\n");
}

#[test]
fn where_no_guard_can_be_posted_that_is_said_until_one_can() {
    let folder = tempfile::tempdir().unwrap();
    let guard = stand_in(&folder.path().join("said"));
    let program = guard.0.borrow().orders.program.path.clone();
    kill_guard(&guard);
    cannot_be_replaced(&guard);
    for at_once in [false, false, true] {
        let Looked::Missing(why) = guard.look(at_once) else {
            panic!("there is none");
        };
        assert!(why.contains("no other can be started"), "{why}");
    }
    guard.0.borrow_mut().orders.program.path = program;
    // Nothing has elapsed since a time to come, however slow this computer is.
    guard.0.borrow_mut().tried = Instant::now() + 60 * BETWEEN_TRIES;
    assert!(
        matches!(guard.look(false), Looked::Missing(_)),
        "it was tried just now"
    );
    let before = Instant::now().checked_sub(BETWEEN_TRIES).unwrap();
    guard.0.borrow_mut().tried = before;
    assert!(matches!(guard.look(false), Looked::Replaced(_)));
    kill_guard(&guard);
    assert!(matches!(guard.look(true), Looked::Replaced(_)));
    assert!(matches!(guard.look(false), Looked::There));
    assert_eq!(guard.dismiss(), None);
}

#[test]
fn a_guard_is_told_what_to_take_back_and_a_person_what_to_do_without_it() {
    let name = Name::from("-made");
    let hotfix = Guarded::Hotfix(&name);
    assert_eq!(hotfix.args(), ["--", "-made"]);
    let own = made_node::own_netns();
    let find = |found| Switch::of("/proc/self/ns/net".as_ref(), own, found).unwrap();
    let switches = [find(1), find(0)];
    let guarded = Guarded::Switches(&switches);
    let args = guarded.args();
    assert_eq!(args.len(), switches.len());
    for (arg, switch) in args.iter().zip(&switches) {
        let from = arg.to_str().unwrap().strip_prefix("--switch=").unwrap();
        let expected = SwitchedFrom {
            netns: own,
            namespace: switch.held_as(),
            value: switch.found,
        };
        assert_eq!(from.parse(), Ok(expected));
    }
    assert_eq!(
        guarded.by_hand(),
        format!("set net.ipv4.vs.run_estimation to 1 in netns {own}, to 0 in netns {own}")
    );
}
