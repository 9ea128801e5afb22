//! kpatch beside us: what one loads, the other sees and takes back.

use xtask::lab::LabSpec;
use xtask::scenario;
use xtask::userland;

use super::{FOLDER, HOLD, LEFT, RENAMED, TRY, ended, with_modules};

const SCRIPT: &str = r"
try theirs 'kpatch load $F/est_skip.ko'
try list 'ipvs-latency hotfix list'
try status 'ipvs-latency hotfix status'
try twice 'ipvs-latency hotfix load $F/est_skip.ko'
renamed est_copy est_skip; try another 'ipvs-latency hotfix load /tmp/est_skip.ko'
try unload 'ipvs-latency hotfix unload $F/est-skip.ko'; left unload
try 'no more' 'kpatch list'

try ours 'ipvs-latency hotfix load $F/est_skip.ko'
try 'their list' 'kpatch list'
try 'their load' 'kpatch load $F/est_skip.ko'
try 'their unload' 'kpatch unload est_skip'; left 'their unload'
try after 'ipvs-latency hotfix status'
try again 'ipvs-latency hotfix load $F/est_skip.ko'

try replaced 'kpatch load $F/est_replace.ko'; try them 'ipvs-latency hotfix list'
try anew 'ipvs-latency hotfix load $F/est_skip.ko'; try 'both anew' 'ipvs-latency hotfix list'
try replacement 'ipvs-latency hotfix unload livepatch/est-replace.ko'

try beneath 'kpatch load $F/est_same_name.ko'
try both 'ipvs-latency hotfix list'
try upper 'ipvs-latency hotfix unload est_same_name'
try lower 'kpatch unload est_skip'; left lower

insmod $F/hold_task.ko
nap 60; kpatch load $F/est_hold.ko > /dev/null 2>&1 & loading=$!
sleep 5; try midway 'ipvs-latency hotfix status'
try meanwhile 'ipvs-latency hotfix load $F/est_skip.ko'
try turned 'ipvs-latency hotfix unload est_hold --timeout 90s'
wait $loading; wait $napping; left turned
";

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn what_kpatch_loads_is_seen_and_taken_back_and_what_we_load_kpatch_sees_and_takes_back() {
    let programs = match userland::kpatch() {
        Ok(programs) => programs,
        Err(error) => return scenario::skip(&format!("kpatch cannot be had: {error:#}")),
    };
    let mut spec = with_modules(LabSpec::deterministic());
    spec.copies.extend(programs);
    let script = format!("{TRY}{LEFT}{HOLD}{RENAMED}export F={FOLDER}\n{SCRIPT}");
    let sections = scenario::run(spec, &script).unwrap();
    let done = |name: &str, words: &[&str]| ended(&sections, name, "0", words);
    let nothing_left = |name: &str| {
        let left = sections.text(&format!("left {name}")).unwrap();
        assert_eq!(left, "", "{name}");
    };
    done("theirs", &["loading patch module: "]);
    done("list", &["est_skip [in force]"]);
    done(
        "status",
        &["est_skip: in force", "estimation_timer of ip_vs: patched"],
    );
    done(
        "twice",
        &["est_skip is enabled already, from this very file"],
    );
    ended(&sections, "another", "2", &["blocker already-loaded: "]);
    done("unload", &["est_skip is gone", "every estimator ran since"]);
    nothing_left("unload");
    done("no more", &["Loaded patch modules:\n\n"]);
    done("ours", &["est_skip is in force"]);
    done("their list", &["est_skip [enabled]"]);
    done("their load", &["already loaded and enabled"]);
    done("their unload", &["unloading patch module: est_skip"]);
    nothing_left("their unload");
    // What the journal has of it does not outlive that.
    done("after", &["no livepatch is loaded"]);
    done("again", &["est_skip is in force"]);
    // A replacement leaves the module behind, and "load them again" works all the same.
    done("replaced", &["loading patch module: "]);
    done(
        "them",
        &[
            "est_replace [in force]",
            "est_skip [out of force, module loaded]",
        ],
    );
    done("anew", &["note left-behind: ", "est_skip is in force"]);
    done(
        "both anew",
        &["est_replace [in force]", "est_skip [in force]"],
    );
    done("replacement", &["est_replace is gone"]);
    done("beneath", &["loading patch module: "]);
    done("both", &["est_same_name [in force]", "est_skip [in force]"]);
    done("upper", &["est_same_name is gone"]);
    done("lower", &["unloading patch module: est_skip"]);
    nothing_left("lower");
    ended(
        &sections,
        "midway",
        "1",
        &["est_hold: coming into force", "not through: sh (tid "],
    );
    ended(
        &sections,
        "meanwhile",
        "2",
        &["blocker transition-running: "],
    );
    ended(&sections, "turned", "0", &["est_hold is gone"]);
    nothing_left("turned");
}
