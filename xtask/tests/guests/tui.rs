//! `ipvs-latency watch` on a terminal, as a user sees it. Guest time counts instructions here, so that what
//! is on the screen after so many seconds is the same on every machine.

use std::time::Duration;

use xtask::{
    kernel::under_test,
    lab::LabSpec,
    scenario::{self, Sections},
};

use crate::{
    terminal::{self, Recording},
    watch::big::{INSTRUCTIONS_A_SECOND, RESIDENT_KIB},
};

fn run(mut spec: LabSpec, script: &str) -> Sections {
    spec.copies.push(terminal::script());
    // Guests of a second or two of work each, or something hangs.
    spec.timeout = Duration::from_mins(3);
    scenario::run(spec, &format!(". {}\n{script}", terminal::SCRIPT)).unwrap()
}

/// A program that draws as full-screen programs do, so that the harness is tested against something known.
const STAND_IN: &str = r#"
    cat > /tmp/draw <<'END'
echo $$ > /tmp/drawer; found=$(stty -g); stty -icanon -echo min 0 time 2
trap 'stty $found; printf "\033[?25h\033[?1049l"; exit 3' TERM
draw() { printf '\033[2J\033[H\033[31mit is %s\033[0m' "$(stty size)"; }
trap draw WINCH
printf '\033[?1049h\033[?25l'; draw
while key=$(dd bs=1 count=1 2>/dev/null); [ "$key" != q ]; do
    [ "$key" ] && printf '\033[3;1Hkey %s' "$key"
done
stty $found; printf '\033[?25h\033[?1049l'
END
    terminal_open 80 24
    type 'stty -a > /tmp/before; sh /tmp/draw; echo left with $?\r'; sleep 2; mark drawn
    resize 60 20; sleep 2; mark small
    type x; sleep 1; mark pressed
    type q; sleep 1; mark left
    type 'stty -a > /tmp/after; sh /tmp/draw; echo left with $?\r'; sleep 2
    kill -TERM $(cat /tmp/drawer); sleep 1; mark ended
    terminal_shows stand-in
    echo == settings; cmp /tmp/before /tmp/after || diff /tmp/before /tmp/after; true
"#;

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn what_is_drawn_in_the_guest_is_seen_here() {
    let sections = run(LabSpec::deterministic(), STAND_IN);
    let recording = Recording::of(&sections, "stand-in");
    let drawn = recording.at("drawn");
    drawn.shows(&["it is 24 80"]);
    assert!(drawn.is_alternate());
    assert_eq!(recording.colours("opened", "drawn"), [31]);
    recording.at("small").shows(&["it is 20 60"]);
    recording.at("pressed").shows(&["key x"]);
    recording.at("left").shows(&["$ stty -a", "left with 0"]);
    recording.at("left").is_left_clean();
    recording.at("ended").shows(&["left with 3"]);
    // Rows and columns changed, and nothing else.
    let settings = sections.text("settings").unwrap();
    assert!(
        settings
            .lines()
            .all(|line| line.contains("columns") || !line.starts_with(['<', '>'])),
        "{settings}"
    );
}

/// The screen over 30,001 estimators, in several sizes.
const LOOKS: &str = "
    terminal_open 80 24
    type 'stty -a > /tmp/before; ipvs-latency watch; echo left with $?\\r'; sleep 12; mark s80x24
    resize 120 40; sleep 3; mark s120x40
    resize 50 12; sleep 3; mark s50x12
    resize 200 60; sleep 3; mark s200x60
    type '?'; sleep 2; mark help
    type '\\033'; sleep 2; mark helped
    type 'q'; sleep 3; mark quit
    resize 80 24
    type 'stty -a > /tmp/after; clear; ipvs-latency watch; echo left with $?\\r'; sleep 8; mark again
    type 'Q'; sleep 3; mark last
    terminal_shows watch
    echo == settings; diff /tmp/before /tmp/after; true
";

/// Glyphs that bars are drawn with.
const BARS: &str = "▏▎▍▌▋▊▉█▁▂▃▄▅▆▇#";

/// The first network namespace, as the screen shows it.
fn root() -> String {
    under_test::root_netns().to_string()
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn the_screen_opens_over_30001_estimators_follows_its_size_and_leaves_the_terminal_as_it_was() {
    let spec = LabSpec {
        services: 10_000,
        destinations: 2,
        netns: 3,
        ..LabSpec::deterministic()
    };
    let sections = run(spec, LOOKS);
    let watch = Recording::of(&sections, "watch");
    for size in ["s80x24", "s120x40", "s200x60", "helped"] {
        let screen = watch.at(size);
        assert!(screen.is_alternate(), "{size}:\n{}", screen.text());
        screen.shows(&[&root(), "root", "30,001"]);
        let text = screen.text();
        assert!(
            text.contains(|glyph| BARS.contains(glyph)),
            "{size}: no bar on:\n{text}"
        );
    }
    watch.at("s50x12").shows(&["60x15", "50x12"]);
    watch.at("help").shows(&["?", "help", "quit"]);
    assert_ne!(watch.at("help").text(), watch.at("s200x60").text());

    watch.at("quit").is_left_clean();
    watch
        .at("quit")
        .shows(&["ipvs-latency watch; echo", "left with 0"]);
    assert_eq!(sections.text("settings").unwrap(), "");

    let (last, quit) = (watch.at("last"), watch.at("quit"));
    last.is_left_clean();
    last.shows(&["left with 0"]);
    // Only `Q` leaves something of the screen behind.
    last.shows(&[&root()]);
    assert!(!quit.text().contains(&root()), "{}", quit.text());
}

/// Every way to leave the screen, each on a terminal of its own.
const WAYS: &str = r"
    session() {
        terminal_open 100 30
        type 'stty -a > /tmp/before\r'; type 'ipvs-latency watch\r'; sleep 4; mark running
        pid=$(pgrep -x ipvs-latency)
    }
    over() {
        sleep 3; mark left
        type 'echo left with $?\r'; type 'stty -a > /tmp/after\r'; sleep 1; mark told
        terminal_shows $1; echo == settings $1; diff /tmp/before /tmp/after; true
    }
    session; type '\003'; over ctrl-c
    session; kill -TERM $pid; over TERM
    session; kill -HUP $pid; over HUP
    session; kill -INT $pid; over INT

    session; type '\032'; sleep 2; mark stopped; ps -o stat= -p $pid > /tmp/stopped
    sleep 11; type 'fg\r'; sleep 4; mark continued; type q; over stop
    echo == state; cat /tmp/stopped

    session; kill -TSTP $pid; sleep 2; mark stopped; ps -o stat= -p $pid > /tmp/stopped
    type 'fg\r'; sleep 4; mark continued; type q; over TSTP
    echo == state TSTP; cat /tmp/stopped

    session; kill -KILL $(pgrep -P $$ -x script); sleep 3
    echo == hung; pgrep -cx ipvs-latency
    exec 9>&-; wait $terminal_pid
    echo == kprobes; grep -c ip_vs /sys/kernel/debug/kprobes/list
    true
";

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn every_way_out_of_the_screen_gives_the_terminal_back() {
    let spec = LabSpec {
        services: 10,
        ..LabSpec::deterministic()
    };
    let sections = run(spec, WAYS);
    for way in ["ctrl-c", "TERM", "HUP", "INT", "stop", "TSTP"] {
        let recording = Recording::of(&sections, way);
        assert!(recording.at("running").is_alternate(), "{way}");
        recording.at("left").is_left_clean();
        recording.at("told").shows(&["left with 0"]);
        let settings = sections.text(&format!("settings {way}")).unwrap();
        assert_eq!(settings, "", "{way}");
    }
    for (way, state) in [("stop", "state"), ("TSTP", "state TSTP")] {
        let stop = Recording::of(&sections, way);
        stop.at("stopped").is_left_clean();
        stop.at("stopped").shows(&["Stopped"]);
        assert!(sections.text(state).unwrap().starts_with('T'), "{way}");
        let continued = stop.at("continued");
        assert!(continued.is_alternate(), "{way}:\n{}", continued.text());
        continued.shows(&[&root()]);
    }
    assert_eq!(
        sections.text("hung").unwrap(),
        "0\n",
        "it ends with its terminal"
    );
    assert_eq!(sections.text("kprobes").unwrap(), "0\n");
}

/// A terminal that takes nothing any more, and two signals.
const STALLED: &str = r"
    terminal_open 200 60
    type 'stty -a > /tmp/before\r'; type 'ipvs-latency watch\r'; sleep 5; mark running
    pid=$(pgrep -x ipvs-latency)
    kill -STOP $terminal_pid
    for columns in 190 200 190 200 190 200; do resize $columns 60; sleep 1; done
    kill -TERM $pid; sleep 2; echo == first; pgrep -cx ipvs-latency
    kill -TERM $pid; sleep 2; echo == second; pgrep -cx ipvs-latency
    kill -CONT $terminal_pid; sleep 2; mark left
    type 'echo left with $?\r'; type 'stty -a > /tmp/after\r'; sleep 1; mark told
    terminal_shows stalled; echo == settings; diff /tmp/before /tmp/after; true
";

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn a_second_signal_ends_what_a_stalled_terminal_holds_up_and_gives_it_back() {
    let spec = LabSpec {
        services: 10,
        ..LabSpec::deterministic()
    };
    let sections = run(spec, STALLED);
    let stalled = Recording::of(&sections, "stalled");
    assert!(stalled.at("running").is_alternate());
    let still_there = |after: &str| sections.text(after).unwrap().trim().to_owned();
    assert_eq!(still_there("first"), "1", "the first signal only asks");
    assert_eq!(still_there("second"), "0");
    stalled.at("left").is_left_clean();
    stalled.at("told").shows(&["left with 143"]);
    assert_eq!(sections.text("settings").unwrap(), "");
}

/// Colours and letters.
const LETTERS: &str = r#"
    session() {
        name=$1; shift; command=$1; shift
        terminal_open 120 40 $*
        type "$command\r"; sleep 9; mark shown
        type '?'; sleep 2; type q; sleep 1; type q; sleep 2; mark left
        terminal_shows $name
    }
    session colour 'ipvs-latency watch'
    session never 'ipvs-latency --color never watch'
    session no-color 'ipvs-latency watch' NO_COLOR=1
    session ascii 'ipvs-latency watch --ascii'
"#;

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn neither_colour_nor_more_than_ascii_is_written_where_it_is_not_wanted() {
    let spec = LabSpec {
        services: 1_000,
        destinations: 2,
        ..LabSpec::deterministic()
    };
    let sections = run(spec, LETTERS);
    let of = |name: &str| Recording::of(&sections, name);
    assert!(
        !of("colour").colours("opened", "shown").is_empty(),
        "colours are chosen where they may be"
    );
    assert!(!of("colour").written("opened", "shown").is_ascii());
    for name in ["no-color", "never"] {
        let colours = of(name).colours("opened", "left");
        assert_eq!(colours, [] as [u16; 0], "{name}");
    }
    assert!(of("ascii").written("opened", "left").is_ascii());
    for name in ["colour", "never", "no-color", "ascii"] {
        of(name).at("shown").shows(&[&root(), "3,001"]);
        of(name).at("left").is_left_clean();
    }
}

/// What the screen costs while nobody presses a key, and what it says in the end.
const COSTS: &str = "
    now_ns() { awk '{ printf \"%.0f\", $1 * 1e9 }' /proc/uptime; }
    truth_begin 65536
    terminal_open 200 60
    started=$(now_ns); type 'ipvs-latency watch\\r'; sleep 12; type a; sleep 1; mark open; open=$(now_ns)
    pid=$(pgrep -x ipvs-latency)
    before=$(cut -d ' ' -f 1 /proc/$pid/schedstat); sleep 20
    after=$(cut -d ' ' -f 1 /proc/$pid/schedstat); mark shown; shown=$(now_ns)
    # Ticks come every second.
    ticked=$((shown - 2000000000))
    echo == instructions; echo $(((after - before) / 20))
    echo == resident; awk '/^VmHWM/ { print $2 }' /proc/$pid/status
    type Q; sleep 3; mark left
    terminal_shows watch
    truth_runs > /run/runs
    between() { awk -v from=$1 -v to=$2 '$1 >= from && $1 < to' /run/runs | wc -l; }
    echo == at least; between $open $ticked
    echo == at most; between $started $shown
";

/// The number of runs that a screen shows.
fn shown_runs(screen: &terminal::Screen) -> u64 {
    let text = screen.text();
    let runs = text
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("runs "));
    let number = runs.and_then(|runs| runs.split_whitespace().next());
    number
        .unwrap_or_else(|| panic!("no runs on:\n{text}"))
        .replace(',', "")
        .parse()
        .unwrap()
}

#[test]
#[ignore = "boots a kernel; run by cargo xtask test"]
fn the_screen_of_a_thousand_namespaces_stays_within_the_budget() {
    let spec = LabSpec {
        services: 10,
        netns: 999,
        ..LabSpec::deterministic()
    };
    let sections = run(spec, COSTS);
    let watch = Recording::of(&sections, "watch");
    watch.at("open").shows(&[&root()]);
    watch.at("shown").shows(&[&root(), "lost 0", "missed 0"]);
    watch.at("left").is_left_clean();
    let measured = |name: &str| -> u64 { sections.text(name).unwrap().trim().parse().unwrap() };
    let (instructions, resident) = (measured("instructions"), measured("resident"));
    eprintln!("screen: {instructions} instructions a second, {resident} KiB resident");
    assert!(instructions < INSTRUCTIONS_A_SECOND, "{instructions}");
    assert!(resident <= RESIDENT_KIB, "{resident}");
    let (at_least, at_most) = (measured("at least"), measured("at most"));
    // Eight periods of a thousand estimators at least.
    assert!(at_least >= 8_000, "the estimators ran {at_least} times");
    let runs = shown_runs(&watch.at("shown"));
    eprintln!("screen: {runs} runs, of {at_least} to {at_most}");
    assert!((at_least..=at_most).contains(&runs), "{runs}");
}
