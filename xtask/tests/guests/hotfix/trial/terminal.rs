//! `hotfix apply` on a terminal.

use xtask::scenario;

use super::big;
use crate::hotfix::FOLDER;
use crate::terminal::{self, Recording};

/// The one run of five minutes comes while the question is open: what is measured then is a node that does nothing.
#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_node_on_which_no_run_was_seen_before_is_left_as_it_is() {
    let mut spec = big();
    spec.copies.push(terminal::script());
    let script = format!(
        ". {}\nipvs-latency hotfix load {FOLDER}/est_300s.ko > /dev/null 2>&1\n\
         due() {{ ipvs-latency hotfix status --json | sed -n 's/.*\"next_run_in_ns\": \\([0-9]*\\).*/\\1/p'; }}\n\
         sleep $(($(due) / 1000000000 - 3))\n\
         terminal_open 80 50\n\
         type 'ipvs-latency hotfix apply {FOLDER}/est_copy.ko --runs 4 --max-wait 20s; echo left with $?\\r'\n\
         sleep 6; mark asked; type 'y\\r'; sleep 30; mark told; terminal_shows refused\n\
         echo == there; ls /sys/kernel/livepatch; echo == rest\n",
        terminal::SCRIPT
    );
    let sections = scenario::run(spec, &script).unwrap();
    let recording = Recording::of(&sections, "refused");
    recording
        .at("asked")
        .shows(&["load the livepatch est_copy", "[y/N]"]);
    // The first line has left the screen by then.
    let shown = [
        "nothing to compare with",
        "nothing was changed",
        "left with 2",
    ];
    recording.at("told").shows(&shown);
    assert_eq!(sections.text("there").unwrap(), "est_300s\n");
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_trial_is_shown_as_it_goes_and_told_at_its_end() {
    let mut spec = big();
    spec.copies.push(terminal::script());
    let script = format!(
        ". {}\nterminal_open 80 24\n\
         type 'stty -a > /tmp/before; ipvs-latency hotfix apply {FOLDER}/est_skip.ko --trial; echo left with $?\\r'\n\
         sleep 4; mark asked; type 'y\\r'; sleep 7; mark before\n\
         resize 120 40; sleep 12; mark after; sleep 12; mark rolled\n\
         resize 200 60; sleep 16; mark told\n\
         type 'clear; ipvs-latency hotfix apply {FOLDER}/est_skip.ko --yes; echo left with $?\\r'; sleep 20; mark again\n\
         type 'q'; sleep 8; mark quit\n\
         type 'stty -a > /tmp/after\\r'; sleep 1; terminal_shows trial\n\
         echo == settings; cmp /tmp/before /tmp/after || diff /tmp/before /tmp/after; true\n",
        terminal::SCRIPT
    );
    let sections = scenario::run(spec, &script).unwrap();
    let recording = Recording::of(&sections, "trial");
    recording
        .at("asked")
        .shows(&["Breaks: ", "load the livepatch est_skip", "[y/N]"]);
    let before = recording.at("before");
    before.shows(&["measuring before", "of 6 runs", "q ends it"]);
    assert!(before.is_alternate());
    recording
        .at("after")
        .shows(&["measuring after", "SKIPPING", "est_skip"]);
    recording.at("rolled").shows(&["measuring rolled back"]);
    let told = recording.at("told");
    told.shows(&["IMPROVED: est_skip", "rolled back", "left with 0"]);
    told.is_left_clean();
    recording.at("again").shows(&["measuring after"]);
    let quit = recording.at("quit");
    quit.shows(&["ABORTED: est_skip", "left with 1"]);
    quit.is_left_clean();
    for line in sections.text("settings").unwrap().lines() {
        assert!(
            line.contains("columns") || !line.starts_with(['<', '>']),
            "{line}"
        );
    }
}
