//! Timers that would call code of a module that is about to be removed.

use crate::steps::Steps;
use xtask::lab::LabSpec;

use super::{FOLDER, with_modules};

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_module_that_a_timer_still_calls_is_taken_out_of_force_and_stays_loaded() {
    let spec = LabSpec {
        kernel_parameters: vec!["panic_on_oops=1".to_owned()],
        ..LabSpec::deterministic()
    };
    let mut steps = Steps::on(with_modules(spec));
    steps.shell(format!("insmod {FOLDER}/est_own_function.ko; sleep 5"));
    steps
        .step("told", "ipvs-latency hotfix status")
        .exits(0)
        .says(&["calls code of the module est_own_function: the node crashes"]);
    steps
        .step("json", "ipvs-latency hotfix status --json")
        .document(|status| {
            let estimators = status["estimators"].as_array().unwrap();
            assert!(!estimators.is_empty());
            for estimator in estimators {
                assert_eq!(estimator["calls"], "est_own_function", "{estimator}");
            }
        });
    let kept = [
        "out of force, but its module has to stay loaded",
        "the node would crash",
    ];
    steps
        .step("kept", "ipvs-latency hotfix unload est_own_function")
        .exits(3)
        .says(&kept);
    steps.shell("sleep 10");
    steps.shell("left kept");
    steps
        .step("again", "ipvs-latency hotfix unload est_own_function")
        .exits(3)
        .says(&kept);
    steps.shell("rmmod ip_vs_rr ip_vs; modprobe ip_vs");
    steps
        .step("anew", "ipvs-latency hotfix unload est_own_function")
        .exits(0)
        .says(&["est_own_function is gone"])
        .leaves_nothing();
    steps.shell("sleep 5");
    let sections = steps.run();
    let left = sections.text("left kept").unwrap();
    assert_eq!(left, "/sys/module/est_own_function/taint\n");
}
