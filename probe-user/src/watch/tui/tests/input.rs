//! Keys, without a terminal.

use terminput::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    fixture::{NOW, POD, ROOT, SECOND, app, app_of, call, change, crowded, overview, press},
    *,
};
use crate::watch::tui::{
    app::{Bars, DEEPEST_ZOOM, SECONDS_PER_COLUMN, rows::Sort},
    keys::{Action, Scroll, TABLE},
    layout::Table,
};

fn after(action: Action) -> (App, Option<Request>) {
    let mut app = app_of(fixture::LOOK, crowded(1_000));
    app.resize(80, 24);
    app.focus = Pane::Tables;
    let request = app.update(action);
    (app, request)
}

#[test]
fn every_key_of_the_table_does_what_it_says() {
    for (key, action) in TABLE.iter().flat_map(|entry| entry.keys) {
        let mut pressed = app_of(fixture::LOOK, crowded(1_000));
        pressed.resize(80, 24);
        pressed.focus = Pane::Tables;
        let request = pressed.press(*key);
        let (updated, wanted) = after(*action);
        assert_eq!(request, wanted, "{key:?}");
        let state = |app: &App| format!("{app:?}");
        assert_eq!(state(&pressed), state(&updated), "{key:?}");
    }
}

#[test]
fn what_the_event_loop_is_to_do_is_asked_of_it() {
    for (action, request) in [
        (Action::Quit, Some(Request::Quit { keep: false })),
        (Action::QuitKeeping, Some(Request::Quit { keep: true })),
        (Action::Reset, None),
        (Action::Mark, Some(Request::Mark)),
        (Action::Suspend, Some(Request::Suspend)),
        (Action::Help, None),
        (Action::Pause, None),
        (Action::Sort, None),
        (Action::Redraw, None),
    ] {
        assert_eq!(after(action).1, request, "{action:?}");
    }
}

#[test]
fn what_the_screen_does_by_itself_it_does() {
    assert!(after(Action::Help).0.help);
    assert!(after(Action::Pause).0.is_paused());
    assert!(after(Action::Alone).0.alone);
    assert_eq!(after(Action::BarScale).0.bars, Bars::Logarithmic);
    assert!(after(Action::Redraw).0.take_redraw());
    assert_eq!(after(Action::NextPane).0.focus, Pane::Histogram);
    assert_eq!(after(Action::PreviousPane).0.focus, Pane::Calls);
    assert_eq!(
        after(Action::Choose(Pane::Timeline)).0.focus,
        Pane::Timeline
    );
    assert_eq!(after(Action::Sort).0.sort, Sort::Max);
    assert_eq!(after(Action::OtherTable).0.table, Table::Cpus);
    assert_eq!(after(Action::ZoomIn).0.zoom, 1);
    assert_eq!(after(Action::Filter).0.prompt.as_deref(), Some(""));
    let (mut app, _) = after(Action::Scroll(Scroll::LineDown));
    assert_eq!(app.first_row(Table::Namespaces, 4), 1);
    app.update(Action::Scroll(Scroll::First));
    assert_eq!(app.first_row(Table::Namespaces, 4), 0);
}

#[test]
fn no_key_has_two_meanings_and_a_key_without_one_does_nothing() {
    let keys: Vec<_> = TABLE.iter().flat_map(|entry| entry.keys).collect();
    for (key, action) in &keys {
        assert_eq!(keys::action(*key), Some(*action), "{key:?}");
    }
    for unknown in [
        KeyEvent::new(KeyCode::Char('x')),
        KeyEvent::new(KeyCode::F(5)),
        KeyEvent::new(KeyCode::Char('q')).modifiers(KeyModifiers::ALT),
        KeyEvent::new(KeyCode::Char('r')).modifiers(KeyModifiers::CTRL),
    ] {
        assert_eq!(keys::action(unknown), None, "{unknown:?}");
    }
}

#[test]
fn a_filter_is_typed_applied_and_cleared() {
    let mut app = app();
    press(&mut app, "/roox\u{8}t");
    assert_eq!(app.prompt.as_deref(), Some("root"));
    assert_eq!(
        app.namespace_rows.len(),
        4,
        "nothing is applied while typing"
    );
    insta::assert_snapshot!(screen(&mut app, 80, 24).lines().last().unwrap(), @" namespaces that match: root   Enter applies, Esc shows all");
    press(&mut app, "\n");
    assert_eq!((app.prompt.as_deref(), app.namespace_rows.len()), (None, 1));
    let text = screen(&mut app, 80, 24);
    assert!(text.contains("only root: 1 of 4"), "{text}");
    assert!(!text.contains(&fixture::POD.to_string()), "{text}");
    press(&mut app, "\u{1b}");
    assert_eq!(app.namespace_rows.len(), 4);
    for (text, rows) in [("CHECKOUT", 1), ("40265321", 1), ("4026", 4), ("nobody", 0)] {
        press(&mut app, &format!("/{text}\n"));
        assert_eq!(app.namespace_rows.len(), rows, "{text}");
        press(&mut app, "\u{1b}");
    }
}

#[test]
fn while_a_filter_is_typed_letters_are_letters_and_ctrl_c_still_quits() {
    let mut app = app();
    press(&mut app, "/q?s m");
    assert_eq!(app.prompt.as_deref(), Some("q?s m"));
    assert!(!app.help && !app.is_paused());
    let ctrl_c = KeyEvent::new(KeyCode::Char('c')).modifiers(KeyModifiers::CTRL);
    assert_eq!(app.press(ctrl_c), Some(Request::Quit { keep: false }));
    press(&mut app, &"x".repeat(500));
    assert_eq!(app.prompt.as_deref().map(str::len), Some(40));
}

#[test]
fn a_paused_screen_stands_still_and_goes_on_with_all_that_came() {
    let mut app = app();
    let before = screen(&mut app, 120, 40);
    press(&mut app, " ");
    let paused = screen(&mut app, 120, 40);
    assert!(paused.contains("PAUSED"), "{paused}");
    let more: Vec<Output> = (58..90)
        .map(|number| Output::Call(call(ROOT, number)))
        .collect();
    app.feed(&more);
    app.show(Overview {
        now_ns: NOW + 60 * SECOND,
        ..crowded(100)
    });
    app.tick(NOW + 61 * SECOND);
    assert_eq!(screen(&mut app, 120, 40), paused);
    press(&mut app, "s");
    assert_eq!(
        app.namespace_rows.len(),
        4,
        "what is sorted is what is shown"
    );
    press(&mut app, "ssss ");
    let after = screen(&mut app, 120, 40);
    assert!(!after.contains("PAUSED") && after != before, "{after}");
    assert_eq!(app.namespace_rows.len(), 100);
}

#[test]
fn a_zoomed_histogram_tells_what_is_beside_it() {
    let mut app = app();
    press(&mut app, "a1++l");
    let title = |app: &mut App, columns, lines| {
        let text = screen(app, columns, lines);
        let line = text.lines().find(|line| line.contains("1 Histogram"));
        line.unwrap().split("2 Timeline").next().unwrap().to_owned()
    };
    insta::assert_snapshot!(title(&mut app, 80, 24), @"▸ 1 Histogram all log zoom 2  58 beside─");
    insta::assert_snapshot!(title(&mut app, 120, 40), @"▸ 1 Histogram all log zoom 2 ─ 0 below, 58 above─");
}

#[test]
fn zooming_ends_somewhere_in_both_directions() {
    let mut app = app();
    press(&mut app, "1++++++++++++++++++++");
    assert_eq!(app.zoom, DEEPEST_ZOOM);
    press(&mut app, "--------------------");
    assert_eq!(app.zoom, 0);
    press(&mut app, "2++++++++++++++++++++");
    assert_eq!(SECONDS_PER_COLUMN[app.pace], 1);
    press(&mut app, "--------------------");
    assert_eq!(SECONDS_PER_COLUMN[app.pace], 60);
    assert_eq!(app.zoom, 0, "the histogram was not chosen");
}

#[test]
fn scrolling_ends_at_the_first_and_the_last_row() {
    let mut app = app_of(fixture::LOOK, crowded(100));
    app.resize(80, 24);
    press(&mut app, "4kkk");
    let height = app.table_size().0;
    assert_eq!(app.first_row(Table::Namespaces, height), 0);
    press(&mut app, "G");
    assert_eq!(app.first_row(Table::Namespaces, height), 100 - height);
    press(&mut app, "jjj");
    assert_eq!(app.first_row(Table::Namespaces, height), 100 - height);
    press(&mut app, "k");
    assert_eq!(app.first_row(Table::Namespaces, height), 99 - height);
    app.press(KeyEvent::new(KeyCode::PageUp));
    assert_eq!(app.first_row(Table::Namespaces, height), 100 - 2 * height);
    press(&mut app, "g");
    assert_eq!(app.first_row(Table::Namespaces, height), 0);
    press(&mut app, "G");
    app.show(overview());
    let text = screen(&mut app, 80, 24);
    assert!(
        text.contains(&ROOT.to_string()),
        "fewer rows are all in sight: {text}"
    );
}

#[test]
fn a_log_that_is_scrolled_back_stays_where_it_is() {
    let mut app = app();
    app.resize(80, 24);
    press(&mut app, "3kkkkkkkk");
    let shown = |app: &mut App| {
        let text = screen(app, 80, 24);
        let lines = text
            .lines()
            .skip_while(|line| !line.contains("3 Calls"))
            .skip(1);
        lines.take(3).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = shown(&mut app);
    app.feed(&[Output::Call(call(ROOT, 58)), Output::Call(call(ROOT, 59))]);
    assert_eq!(shown(&mut app), before);
    press(&mut app, "j");
    assert_eq!(shown(&mut app)[..2], before[1..]);
    press(&mut app, "G");
    assert_eq!(app.log_bottom, None);
    let newest = shown(&mut app);
    press(&mut app, "g");
    assert_ne!(shown(&mut app), newest);
    let first = shown(&mut app);
    press(&mut app, "kkk");
    assert_eq!(shown(&mut app), first);
}

#[test]
fn escape_takes_back_one_thing_at_a_time() {
    let mut app = app();
    press(&mut app, "/root\nz?");
    press(&mut app, "\u{1b}");
    assert!(!app.help && app.alone);
    press(&mut app, "\u{1b}");
    assert!(!app.alone && app.namespace_rows.len() == 1);
    press(&mut app, "\u{1b}");
    assert_eq!(app.namespace_rows.len(), 4);
}

/// The log's lines in sight at 80x24.
fn log_in_sight(app: &mut App) -> Vec<String> {
    app.resize(80, 24);
    let text = screen(app, 80, 24);
    let from_title = text.lines().skip_while(|line| !line.contains("3 Calls"));
    let lines = from_title.skip(1).take_while(|line| !line.contains("4 "));
    lines.map(str::to_owned).collect()
}

#[test]
fn a_log_scrolled_back_to_what_is_no_longer_kept_shows_the_oldest_that_is() {
    let mut app = app();
    app.resize(80, 24);
    press(&mut app, "3g");
    let height = log_in_sight(&mut app).len();
    assert!(log_in_sight(&mut app).iter().all(|line| !line.is_empty()));
    let many = |from, to| -> Vec<Output> {
        (from..to)
            .map(|number| Output::Call(call(ROOT, number)))
            .collect()
    };
    // The fixture's 232 calls are pushed out, some of these, too; other lines are kept beside them.
    app.feed(&many(58, 1_100));
    press(&mut app, "/root\n");
    press(&mut app, "g");
    let first = log_in_sight(&mut app);
    assert!(first.iter().all(|line| !line.is_empty()), "{first:?}");
    // Nothing but calls of the root namespace fits the filter after this.
    app.feed(&many(1_100, 2_500));
    app.feed(
        &(0..1_000)
            .map(|_| change(1, POD, State::Active, ""))
            .collect::<Vec<_>>(),
    );
    let after = log_in_sight(&mut app);
    assert_eq!(after.len(), height);
    assert!(after.iter().all(|line| !line.is_empty()), "{after:?}");
    let oldest = call(ROOT, 1_500).at.time_of_day();
    assert!(after[0].contains(&oldest), "no {oldest} in {after:?}");
}

#[test]
fn fewer_or_other_namespaces_than_were_filtered_are_shown() {
    let rows = |app: &App| app.namespace_rows.len();
    for filter in ["4026532", "root", "nobody"] {
        let mut app = app_of(fixture::LOOK, crowded(100));
        press(&mut app, &format!("/{filter}\n"));
        // As many as the filter left were taken for the same ones.
        let left = rows(&app);
        for number in [left, left + 1, 0, 1, 4, 100] {
            app.show(crowded(u32::try_from(number).unwrap()));
            assert!(app.namespace_rows.iter().all(|row| *row < number));
            screen(&mut app, 80, 24);
            press(&mut app, "\u{1b}");
            assert_eq!(rows(&app), number, "all are shown without a filter");
            press(&mut app, &format!("/{filter}\n"));
        }
    }
}

/// Numbers, as good as random and the same for a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        // Knuth's MMIX generator, of which the upper bits are the good ones.
        let next = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = next.wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn of<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.below(these.len())]
    }
}

#[test]
fn nothing_that_can_happen_in_any_order_is_a_panic() {
    let overviews: Vec<_> = [0, 1, 3, 30, 90].map(crowded).into();
    let keys = [
        "/root\n",
        "/40265\n",
        "/nobody\n",
        "\u{1b}",
        " ",
        "r",
        "m",
        "s",
        "c",
        "1",
        "2",
        "3",
        "4",
        "z",
        "?",
        "j",
        "k",
        "g",
        "G",
        "+",
        "-",
        "l",
        "\t",
        "/x",
        "\n",
    ];
    let sizes = [
        (80, 24),
        (120, 40),
        (200, 60),
        (60, 20),
        (100, 33),
        (0, 0),
        (3, 2),
    ];
    for seed in 1..=12 {
        let mut dice = Dice(seed);
        let mut app = app_of(fixture::LOOK, overview());
        let mut now_ns = NOW;
        for step in 0..400 {
            match dice.below(6) {
                0 => app.show(Overview {
                    now_ns,
                    attached: dice.below(8) > 0,
                    ..dice.of(&overviews.iter().collect::<Vec<_>>()).clone()
                }),
                1 => {
                    let number = dice.below(2_000) as u64;
                    app.feed(&[Output::Call(call(dice.of(&fixture::NETNS), number))]);
                }
                2 => {
                    now_ns += dice.of(&[0, SECOND, 4_000 * SECOND]);
                    app.tick(now_ns);
                }
                _ => press(&mut app, dice.of(&keys)),
            }
            let (columns, lines) = dice.of(&sizes);
            drawn(&mut app, columns, lines);
            let rows = app.namespace_rows.len();
            let there = app.data().overview.as_ref().unwrap().namespaces.len();
            let is_filtered = !app.filter.text().is_empty();
            assert!(
                rows == there || (is_filtered && rows < there),
                "seed {seed}, step {step}"
            );
        }
    }
}
