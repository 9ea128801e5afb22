//! Timers that would call code of a module that is about to be removed.

use xtask::lab::LabSpec;
use xtask::scenario;

use super::{FOLDER, LEFT, TRY, document, ended, with_modules};

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_module_that_a_timer_still_calls_is_taken_out_of_force_and_stays_loaded() {
    let spec = LabSpec {
        kernel_parameters: vec!["panic_on_oops=1".to_owned()],
        ..LabSpec::deterministic()
    };
    let script = format!(
        "{TRY}{LEFT}insmod {FOLDER}/est_own_function.ko; sleep 5\n\
         try told 'ipvs-latency hotfix status'; try json 'ipvs-latency hotfix status --json'\n\
         try kept 'ipvs-latency hotfix unload est_own_function'; sleep 10; left kept\n\
         try again 'ipvs-latency hotfix unload est_own_function'\n\
         rmmod ip_vs_rr ip_vs; modprobe ip_vs\n\
         try anew 'ipvs-latency hotfix unload est_own_function'; left anew; sleep 5\n"
    );
    let sections = scenario::run(with_modules(spec), &script).unwrap();
    ended(
        &sections,
        "told",
        "0",
        &["calls code of the module est_own_function: the node crashes"],
    );
    let estimators = document(&sections, "json")["estimators"].clone();
    let estimators = estimators.as_array().unwrap();
    assert!(!estimators.is_empty());
    for estimator in estimators {
        assert_eq!(estimator["calls"], "est_own_function", "{estimator}");
    }
    for name in ["kept", "again"] {
        let words = [
            "out of force, but its module has to stay loaded",
            "the node would crash",
        ];
        ended(&sections, name, "3", &words);
    }
    let left = sections.text("left kept").unwrap();
    assert_eq!(left, "/sys/module/est_own_function/taint\n");
    ended(&sections, "anew", "0", &["est_own_function is gone"]);
    assert_eq!(sections.text("left anew").unwrap(), "");
}
