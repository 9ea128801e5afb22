//! The story that this tool began with: a hotfix that runs the estimator more rarely, and one that could not be taken
//! back.

use xtask::scenario;

use super::{APPLY, Applied, big, ticks, walked};
use crate::hotfix::{FOLDER, LEFT};

/// The third one sets the timer far ahead (five seconds here, where theirs was five minutes), the second one not at all.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn the_hotfix_that_is_rarer_is_proven_and_taken_back_and_the_one_that_has_no_way_back_is_told_as_such()
 {
    let script = format!(
        "{APPLY}{LEFT}cd {FOLDER}; truth_begin\n\
         runs_of before 6.1\n\
         apply third est_5s.ko --trial; left third; runs_of third 6.1\n\
         apply second est_no_rearm.ko; left second; runs_of second 6.1\n\
         apply forced est_no_rearm.ko --accept no-rearm; left forced; runs_of forced 6.1\n\
         echo == status; ipvs-latency hotfix status; echo == rest\n\
         ipvsadm -C; rmmod ip_vs_rr ip_vs; modprobe -a ip_vs ip_vs_rr; truth_follow\n\
         truth_clear; sleep 6.1; echo == revived; truth_runs\n"
    );
    let sections = scenario::run(big(), &script).unwrap();
    assert!(ticks(&sections, "before"));

    let third = Applied::of(&sections, "third");
    third.is("improved", "given_back", "0");
    third.state_after("SLOWED");
    let why = third.document["why"].as_str().unwrap();
    assert!(why.contains("rarer, not shorter"), "{why}");
    let before = third.document["tests"]["stall_ratio"].as_f64().unwrap();
    assert!((0.3..0.5).contains(&before), "two fifths of it: {before}");
    // Back at its rhythm, whole, as before.
    let rolled_back = &third.document["rolled_back"]["namespaces"][0];
    assert_eq!(rolled_back["state"], "ACTIVE", "{rolled_back}");
    assert!(ticks(&sections, "third"));

    let second = Applied::of(&sections, "second");
    second.is("refused", "unchanged", "2");
    for words in ["no-rearm", "--accept no-rearm"] {
        assert!(
            second.said.contains(words),
            "no {words:?} in {}",
            second.said
        );
    }
    assert!(ticks(&sections, "second"));

    let forced = Applied::of(&sections, "forced");
    forced.is("disabled", "needs_person", "3");
    let why = forced.document["why"].as_str().unwrap();
    assert!(why.contains("no longer runs at all"), "{why}");
    let back = forced.document["back"].as_str().unwrap();
    assert!(
        back.contains("is DEAD") && back.contains("only loading ip_vs anew"),
        "{back}"
    );
    assert_eq!(walked(&sections, "forced"), (0, 0));
    assert!(sections.text("status").unwrap().contains("is DEAD"));
    for name in ["third", "second", "forced"] {
        assert_eq!(
            sections.text(&format!("left {name}")).unwrap(),
            "",
            "{name}"
        );
    }
    // And that is true.
    assert!((3..=4).contains(&sections.truth("revived").unwrap().len()));
}
