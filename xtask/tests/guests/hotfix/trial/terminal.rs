//! `hotfix apply` on a terminal.

use xtask::scenario;

use super::big;
use crate::hotfix::FOLDER;
use crate::terminal::{self, Recording};

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
        .shows(&["load the livepatch est_skip", "[y/N]"]);
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
