use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier},
};

use self::fixture::{
    LOOK, MS, NOW, POD, ROOT, SECOND, app, app_of, call, change, crowded, empty_overview, host,
    overview, press,
};
use super::{
    app::{census::Census, timeline::SECONDS},
    keys::{self, Action, Pane},
    layout::Table,
    view, *,
};
use model::{Call, NamespaceView, State};

mod fixture;
mod input;
mod small;

fn drawn(app: &mut App, columns: u16, lines: u16) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, columns, lines));
    app.resize(columns, lines);
    view::draw(&mut buffer, app);
    buffer
}

fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let line: String = (0..buffer.area.width)
            .map(|x| buffer[(x, y)].symbol())
            .collect();
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn screen(app: &mut App, columns: u16, lines: u16) -> String {
    text(&drawn(app, columns, lines))
}

fn dead() -> Overview {
    let mut overview = overview();
    overview.namespaces[0].state = Some(State::Dead);
    overview.namespaces[0].why = Some("its timer is not pending and no run is under way".into());
    overview.namespaces[0].next_run = None;
    overview.namespaces[2].state = Some(State::Skipping);
    overview
}

#[test]
fn the_screen_at_80x24() {
    insta::assert_snapshot!(screen(&mut app(), 80, 24));
}

#[test]
fn the_screen_at_120x40() {
    insta::assert_snapshot!(screen(&mut app(), 120, 40));
}

#[test]
fn the_screen_at_200x60() {
    insta::assert_snapshot!(screen(&mut app(), 200, 60));
}

#[test]
fn every_pane_alone() {
    for (key, name) in [
        ("1", "histogram"),
        ("2", "timeline"),
        ("3", "calls"),
        ("4", "tables"),
    ] {
        for (columns, lines) in [(80, 24), (120, 40), (200, 60)] {
            let mut app = app();
            press(&mut app, key);
            press(&mut app, "\n");
            let name = format!("{name}_alone_{columns}x{lines}");
            insta::assert_snapshot!(name, screen(&mut app, columns, lines));
        }
    }
}

#[test]
fn with_ascii_alone_every_cell_is_ascii() {
    let look = Look {
        ascii: true,
        colour: false,
    };
    let mut app = app_of(look, overview());
    app.host.hostname = "knoten-ä".into();
    insta::assert_snapshot!("ascii_80x24", screen(&mut app, 80, 24));
    for keys in ["", "1\n", "2", "3", "4", "c", "?", "?/x"] {
        press(&mut app, keys);
        for (columns, lines) in [(80, 24), (200, 60), (60, 20)] {
            let text = screen(&mut app, columns, lines);
            assert!(text.is_ascii(), "{keys} at {columns}x{lines}:\n{text}");
        }
    }
}

#[test]
fn without_colours_no_cell_has_one_and_nothing_is_missing() {
    let plain = Look {
        ascii: false,
        colour: false,
    };
    let (mut plain, mut coloured) = (app_of(plain, dead()), app_of(LOOK, dead()));
    for keys in ["", "3\n", "z?", "?/x"] {
        press(&mut plain, keys);
        press(&mut coloured, keys);
        let buffer = drawn(&mut plain, 120, 40);
        for cell in &buffer.content {
            assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
        }
        assert_eq!(text(&buffer), screen(&mut coloured, 120, 40));
    }
    let buffer = drawn(&mut app_of(LOOK, dead()), 120, 40);
    assert!(buffer.content.iter().any(|cell| cell.fg == Color::Red));
}

#[test]
fn before_anything_is_known_the_screen_says_so() {
    let mut waiting = App::new(host(), LOOK, 0);
    insta::assert_snapshot!("nothing_yet_80x24", screen(&mut waiting, 80, 24));
    let mut no_run = App::new(host(), LOOK, 0);
    no_run.show(empty_overview());
    insta::assert_snapshot!("no_run_yet_80x24", screen(&mut no_run, 80, 24));
}

#[test]
fn a_terminal_that_is_too_small_is_told_what_is_needed() {
    insta::assert_snapshot!(screen(&mut app(), 59, 20), @"
    terminal is 59x20: 60x15 or more is needed; ipvs-latency
    watch --plain writes lines
    ");
    insta::assert_snapshot!(screen(&mut app(), 12, 4), @"
    terminal is
    12x4: 60x15
    or more is
    needed;
    ");
}

#[test]
fn what_is_under_way_is_told_with_what_is_left_of_it() {
    let mut app = app();
    app.course = Some(Course {
        doing: "skip: before the change".to_owned(),
        runs: Some((3, 6)),
        left_ns: Some(7 * SECOND + 1),
    });
    let lines = screen(&mut app, 80, 24);
    assert_eq!(
        lines.lines().next(),
        Some(" skip: before the change [#####.....] 3 of 6 runs about 8 s left  q ends it")
    );
    insta::assert_snapshot!(screen(&mut app, 60, 14), @"
    terminal is 60x14: 60x15 or more is needed; what was begun
    goes on meanwhile
    ");
}

#[test]
fn what_is_wrong_stands_on_top_the_worst_first() {
    let mut app = app_of(LOOK, dead());
    insta::assert_snapshot!("dead_80x24", screen(&mut app, 80, 24));
    let buffer = drawn(&mut app, 80, 24);
    assert!(buffer[(70, 0)].modifier.contains(Modifier::REVERSED));
}

#[test]
fn a_change_of_state_is_told_for_ten_seconds() {
    let mut app = app_of(LOOK, overview());
    app.max_ns = SECOND;
    app.feed(&[change(0, POD, State::Skipping, "run_estimation is 0")]);
    let banner = |app: &mut App| screen(app, 80, 24).lines().next().unwrap().to_owned();
    app.tick(NOW + 9 * SECOND);
    assert_eq!(
        banner(&mut app),
        " SKIPPING (was ACTIVE)  netns 4026532141: run_estimation is 0"
    );
    app.tick(NOW + 10 * SECOND);
    let calm = " OK 36.4 ms every 2.1 s on CPU 0, netns root (30,001 estimators)";
    assert_eq!(banner(&mut app), calm);
}

#[test]
fn of_several_changes_the_gravest_is_told_and_a_flood_of_calls_does_not_hide_it() {
    let mut app = app_of(LOOK, overview());
    app.feed(&[
        change(1, POD, State::Dead, "its timer is not pending"),
        change(0, POD + 61, State::Active, "it runs"),
    ]);
    let flood: Vec<Output> = (0..5_000)
        .map(|number| Output::Call(call(ROOT, number)))
        .collect();
    app.feed(&flood);
    assert_eq!(
        screen(&mut app, 80, 24).lines().next().unwrap(),
        " DEAD (was ACTIVE), and 1 more  netns 4026532141: its timer is not pending"
    );
}

#[test]
fn a_stall_stands_on_top_of_all_but_a_dead_estimator() {
    let stall = " STALL 36.4 ms every 2.1 s on CPU 0, netns root (30,001 estimators)";
    for (fresh, shown) in [
        (State::Skipping, stall.to_owned()),
        (State::Absent, stall.to_owned()),
        (
            State::Dead,
            format!(" DEAD (was ACTIVE)  netns {POD}: because"),
        ),
    ] {
        let mut app = app_of(LOOK, overview());
        app.feed(&[change(1, POD, fresh, "because")]);
        assert_eq!(screen(&mut app, 80, 24).lines().next().unwrap(), shown);
        let buffer = drawn(&mut app, 80, 24);
        assert!(buffer[(70, 0)].modifier.contains(Modifier::REVERSED));
    }
}

#[test]
fn percentiles_and_histogram_are_of_the_worst_namespace_until_all_are_asked_for() {
    let mut app = app();
    let (worst, all) = (screen(&mut app, 120, 40), {
        press(&mut app, "a");
        screen(&mut app, 120, 40)
    });
    for (text, runs, median, title) in [
        (
            &worst,
            "58 in 2m 00s, root",
            "p50 33.8 ms",
            "1 Histogram root linear",
        ),
        (&all, "232 in 2m 00s, all", "p50 ", "1 Histogram all linear"),
    ] {
        for part in [runs, median, title] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
    }
    assert!(!all.contains("p50 33.8 ms"), "{all}");
    press(&mut app, "a");
    assert_eq!(screen(&mut app, 120, 40), worst);
}

#[test]
fn without_ip_vs_it_waits_for_it() {
    let detached = Overview {
        attached: false,
        next_run: None,
        ..overview()
    };
    let text = screen(&mut app_of(LOOK, detached), 80, 24);
    assert!(
        text.contains("ip_vs is not loaded: waiting for it"),
        "{text}"
    );
}

#[test]
fn runs_that_were_not_seen_are_always_in_sight() {
    let mut overview = overview();
    (overview.all.lost, overview.all.missed) = (1_234, 7);
    let mut app = app_of(LOOK, overview);
    press(&mut app, "a");
    for keys in ["", "1\n", "2", "3", "4"] {
        press(&mut app, keys);
        for (columns, lines) in [(80, 24), (120, 40), (200, 60)] {
            let text = screen(&mut app, columns, lines);
            assert!(text.contains("lost 1,234  missed 7"), "{text}");
            assert!(text.contains("stall >= "), "{text}");
        }
    }
}

#[test]
fn what_a_number_of_calls_allows_to_be_said_is_said_and_no_more() {
    let durations = |recorded, p50_ns, p90_ns, p99_ns| {
        let mut overview = overview();
        overview.all.recorded = recorded;
        (
            overview.all.p50_ns,
            overview.all.p90_ns,
            overview.all.p99_ns,
        ) = (p50_ns, p90_ns, p99_ns);
        overview.all.max_ns = Some(54_304_381);
        let mut app = app_of(LOOK, overview);
        press(&mut app, "a");
        let text = screen(&mut app, 80, 24);
        text.lines().nth(3).unwrap().to_owned()
    };
    insta::assert_snapshot!(durations(2, None, None, None), @" duration  p50 needs 6, p90 29, p99 299: max of 2 is 54.3 ms");
    insta::assert_snapshot!(durations(40, Some(60_000), Some(28_700_000), None), @" duration  p50 60.0 us  p90 28.7 ms  p99 needs 299: max of 40 is 54.3 ms");
    insta::assert_snapshot!(durations(12_345, Some(60_000), Some(28_700_000), Some(54_100_000)), @" duration  p50 60.0 us  p90 28.7 ms  p99 54.1 ms  min 42.4 us  of 12,345 runs");
}

#[test]
fn a_thousand_namespaces() {
    let mut app = app_of(LOOK, crowded(1_000));
    press(&mut app, "4");
    insta::assert_snapshot!("thousand_80x24", screen(&mut app, 80, 24));
    insta::assert_snapshot!("thousand_200x60", screen(&mut app, 200, 60));
}

#[test]
fn the_help_shows_every_key() {
    let mut app = app();
    press(&mut app, "?");
    let text = screen(&mut app, 80, 24);
    for entry in keys::TABLE {
        assert!(text.contains(entry.shown), "{}", entry.shown);
        assert!(text.contains(entry.help), "{}", entry.help);
    }
    insta::assert_snapshot!("help_80x24", text);
}

#[test]
fn no_size_is_a_panic_whatever_the_state() {
    let widths = [
        0, 1, 2, 7, 40, 79, 80, 81, 100, 119, 130, 159, 160, 161, 250,
    ];
    let heights = [0, 1, 2, 5, 23, 24, 25, 33, 40, 60, 80];
    for overview in [overview(), empty_overview(), crowded(300)] {
        let mut app = app_of(LOOK, overview);
        // Keys, as good as random and the same every time.
        let pressed = "4GjjkcGs+l3gGkk2--z\tz1+++++++lz/4\n3g?c\u{1b}4sGscG \u{1b} m2++++1-";
        for (step, key) in pressed.chars().cycle().take(200).enumerate() {
            press(&mut app, &key.to_string());
            let width = widths[step * 7 % widths.len()];
            let height = heights[step * 5 % heights.len()];
            drawn(&mut app, width, height);
        }
        for width in widths {
            for height in heights {
                drawn(&mut app, width, height);
            }
        }
    }
}

#[test]
fn log_and_timeline_stay_bounded_under_a_hundred_thousand_calls() {
    let mut app = App::new(host(), LOOK, 0);
    for number in 0..100_000 {
        app.feed(&[Output::Call(call(ROOT, number))]);
    }
    assert_eq!(app.data().log.len(), 1_000);
    let newest = call(ROOT, 99_999).start_ns / SECOND;
    let timeline = &app.data().timeline;
    assert!(timeline.column(newest - SECONDS + 1..newest + 1).max_ns > 15 * MS);
    assert_eq!(timeline.column(0..newest - SECONDS + 1).max_ns, 0);
}

#[test]
fn short_calls_are_on_the_timeline_and_not_in_the_log() {
    let mut app = App::new(host(), LOOK, MS);
    app.feed(&[Output::Call(call(POD, 1)), Output::Call(call(ROOT, 1))]);
    assert_eq!(app.data().log.len(), 1);
    let second = call(POD, 1).start_ns / SECOND;
    assert!(app.data().timeline.column(second..second + 1).max_ns > 0);
}

#[test]
fn a_moment_without_a_look_is_not_taken_for_one_without_a_run() {
    let mut app = App::new(host(), LOOK, 0);
    let at = |second: u64, attached| Overview {
        now_ns: second * SECOND,
        attached,
        ..empty_overview()
    };
    for (second, attached) in [(100, true), (103, true), (104, false), (110, true)] {
        app.show(at(second, attached));
    }
    let observed: Vec<u64> = (95..115)
        .filter(|second| app.data().timeline.column(*second..second + 1).observed)
        .collect();
    assert_eq!(observed, [100, 101, 102, 103, 110]);
}

#[test]
fn a_name_from_elsewhere_cannot_break_the_screen() {
    let mut app = app();
    let evil = "\u{1b}[2J\r\nüber-ビール\t end";
    app.name(NetnsOwners::with_names(&[(POD, evil)]));
    let buffer = drawn(&mut app, 120, 40);
    assert!(
        buffer
            .content
            .iter()
            .all(|cell| !cell.symbol().contains(char::is_control))
    );
}

#[test]
fn rows_are_sorted_only_as_asked() {
    let mut app = app();
    app.update(Action::Choose(Pane::Tables));
    let netns = |app: &App| {
        let overview = app.data().overview.as_ref().unwrap();
        let rows = app.namespace_rows.iter();
        rows.map(|row| overview.namespaces[*row].netns)
            .collect::<Vec<_>>()
    };
    let by = |key: fn(&NamespaceView) -> u64| {
        let mut views = overview().namespaces;
        views.sort_by_key(key);
        views.iter().map(|view| view.netns).collect::<Vec<_>>()
    };
    assert_eq!(
        netns(&app),
        by(|view| u64::MAX - view.stall_ns_per_s.unwrap())
    );
    app.update(Action::Sort);
    assert_eq!(netns(&app), by(|view| u64::MAX - view.max_ns.unwrap()));
    app.update(Action::Sort);
    assert_eq!(netns(&app)[0], ROOT);
    app.update(Action::Sort);
    assert_eq!(netns(&app), by(|view| view.next_run.unwrap().due_ns));
    app.update(Action::Sort);
    assert_eq!(netns(&app), fixture::NETNS);
    assert_eq!(app.table, Table::Namespaces);
}

#[test]
fn what_is_older_than_the_last_hour_is_not_put_into_a_newer_second() {
    let mut app = App::new(host(), LOOK, 0);
    let at = |second: u64, duration_ns| {
        Output::Call(Call {
            start_ns: second * SECOND,
            duration_ns,
            ..call(ROOT, 0)
        })
    };
    app.feed(&[at(10_000, MS), at(10_000 - SECONDS, 9 * MS)]);
    let max_ns = |app: &App, second: u64| app.data().timeline.column(second..second + 1).max_ns;
    assert_eq!(max_ns(&app, 10_000), MS);
    // The oldest that is kept.
    app.feed(&[at(10_001 - SECONDS, 2 * MS)]);
    assert_eq!(max_ns(&app, 10_001 - SECONDS), 2 * MS);
    assert_eq!(max_ns(&app, 10_000), MS);
}

#[test]
fn a_fresh_change_does_not_hide_what_is_worse_and_still_stands() {
    let first_line = |to, overview| {
        let mut app = app_of(LOOK, overview);
        app.max_ns = SECOND;
        app.feed(&[change(1, POD, to, "because")]);
        let text = screen(&mut app, 80, 24);
        text.lines().next().unwrap().to_owned()
    };
    let skipping = || {
        let mut overview = overview();
        overview.namespaces[2].state = Some(State::Skipping);
        overview
    };
    let fresh = |to| format!(" {to} (was ACTIVE)  netns {POD}: because");
    for (to, overview, shown) in [
        (State::Absent, dead(), " DEAD  netns 4026531840"),
        (State::Slowed, dead(), " DEAD  netns 4026531840"),
        (State::Dead, dead(), &*fresh(State::Dead)),
        (State::Absent, skipping(), " SKIPPING  netns 4026532202"),
        (State::Skipping, skipping(), &*fresh(State::Skipping)),
        (State::Slowed, skipping(), &*fresh(State::Slowed)),
        (State::Absent, overview(), &*fresh(State::Absent)),
    ] {
        let line = first_line(to, overview);
        assert!(line.starts_with(shown), "{to}: {line}");
    }
}

#[test]
fn a_namespace_without_an_estimator_does_not_have_the_longest_list() {
    let mut overview = overview();
    overview.namespaces[0].state = Some(State::Absent);
    overview.namespaces[2].estimators = Some(7);
    assert_eq!(Census::of(&overview.namespaces).longest, Some(2));
    for namespace in &mut overview.namespaces {
        namespace.state = Some(State::Absent);
    }
    assert_eq!(Census::of(&overview.namespaces).longest, None);
}
