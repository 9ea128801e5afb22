//! Small terminals, few colours, and keys that are not to be pressed by accident.

use super::{
    fixture::{LOOK, app, app_of, crowded, overview, press},
    *,
};

#[test]
fn the_screen_without_the_line_of_a_multiplexer() {
    insta::assert_snapshot!("small_80x23", screen(&mut app(), 80, 23));
}

#[test]
fn the_screen_at_80x20() {
    insta::assert_snapshot!("small_80x20", screen(&mut app(), 80, 20));
}

#[test]
fn the_screen_at_70x18() {
    insta::assert_snapshot!("small_70x18", screen(&mut app(), 70, 18));
}

#[test]
fn the_screen_at_60x15() {
    insta::assert_snapshot!("small_60x15", screen(&mut app(), 60, 15));
}

#[test]
fn at_every_size_from_the_smallest_on_the_headline_is_whole_and_panes_do_not_overlap() {
    let headline = "STALL 36.4 ms every 2.1 s on CPU 0, netns root";
    for overview in [overview(), crowded(300)] {
        for (columns, lines) in (60..=100).flat_map(|x| (15..=40).map(move |y| (x, y))) {
            let mut app = app_of(LOOK, overview.clone());
            let text = screen(&mut app, columns, lines);
            assert!(
                text.contains(headline) || text.contains(" every "),
                "{columns}x{lines}:\n{text}"
            );
            let panes = layout::panes(columns, lines, &app.shown());
            let places = [
                panes.banner,
                panes.title,
                panes.facts,
                panes.histogram,
                panes.timeline,
                panes.calls,
                panes.namespaces,
                panes.cpus,
                panes.footer,
            ];
            for (place, one) in places.iter().enumerate() {
                assert!(one.right() <= columns && one.bottom() <= lines);
                for other in &places[place + 1..] {
                    let both = one.intersection(*other);
                    assert!(both.is_empty(), "{columns}x{lines}: {panes:?}");
                }
            }
        }
    }
}

#[test]
fn no_number_is_cut_at_any_size() {
    let cut = LOOK.glyphs().cut;
    for (columns, lines) in (60..=100).flat_map(|x| (15..=26).map(move |y| (x, y))) {
        let mut app = app();
        drawn(&mut app, columns, lines);
        let facts = layout::panes(columns, lines, &app.shown()).facts;
        let text = screen(&mut app, columns, lines);
        let above = text.lines().take(usize::from(facts.bottom()));
        for line in above {
            // The name of a container begins with digits, too.
            let line = line.replace("container ", "container-");
            let words: Vec<&str> = line.split(' ').collect();
            let is_cut = |word: &&str| {
                word.strip_suffix(cut)
                    .is_some_and(|begin| begin.ends_with(|letter: char| letter.is_ascii_digit()))
            };
            // The end of a name, as of a container, may be a digit.
            let cut_number = words.iter().find(|word| {
                is_cut(word) && word.starts_with(|letter: char| letter.is_ascii_digit())
            });
            assert_eq!(cut_number, None, "{columns}x{lines}:\n{text}");
        }
    }
}

#[test]
fn no_text_is_in_a_colour_that_a_common_background_has() {
    let mut app = app();
    for keys in ["", "?", "?3\n"] {
        press(&mut app, keys);
        for cell in &drawn(&mut app, 120, 40).content {
            let vanishes = [
                Color::DarkGray,
                Color::Blue,
                Color::LightBlue,
                Color::Black,
                Color::White,
                Color::Gray,
            ];
            assert!(!vanishes.contains(&cell.fg), "{cell:?}");
        }
    }
}

#[test]
fn counting_anew_is_asked_for_twice() {
    for (second, request) in [
        ('r', Some(Request::Reset)),
        ('y', Some(Request::Reset)),
        ('q', None),
        ('j', None),
    ] {
        let mut app = app();
        assert_eq!(app.update(Action::Reset), None);
        let asked = screen(&mut app, 80, 24);
        let last = asked.lines().last().unwrap();
        assert!(last.contains("count from now on?"), "{last}");
        let key = |letter| terminput::KeyEvent::new(terminput::KeyCode::Char(letter));
        assert_eq!(app.press(key(second)), request, "{second}");
        let after = screen(&mut app, 80, 24);
        assert!(!after.contains("count from now on?"), "{after}");
    }
}

#[test]
fn q_closes_the_help_before_it_quits() {
    let q = terminput::KeyEvent::new(terminput::KeyCode::Char('q'));
    let mut app = app();
    press(&mut app, "?");
    assert_eq!(app.press(q), None);
    assert!(!app.help);
    assert_eq!(app.press(q), Some(Request::Quit { keep: false }));
}

#[test]
fn a_pasted_text_is_for_a_filter_alone() {
    let mut app = app();
    app.paste("q?r");
    assert!(app.prompt.is_none() && !app.help && !app.asks_reset);
    press(&mut app, "/");
    app.paste("ro\not");
    assert_eq!(app.prompt.as_deref(), Some("root"));
    app.paste(&"x".repeat(500));
    assert_eq!(app.prompt.as_deref().map(str::len), Some(40));
}

#[test]
fn what_hides_something_is_named_where_it_hides_it() {
    let mut app = app_of(LOOK, crowded(61));
    press(&mut app, "/root\n");
    let text = screen(&mut app, 100, 30);
    let of = |pane: &str| {
        let line = text.lines().find(|line| line.contains(pane));
        line.unwrap_or_else(|| panic!("no {pane}:\n{text}"))
    };
    assert!(
        of("4 Namespaces").contains("filter \"root\": 1 of 61"),
        "{text}"
    );
    assert!(of("3 Calls").contains("filter \"root\""), "{text}");
    let mut slow = App::new(fixture::host(), LOOK, 100_000);
    slow.show(overview());
    let text = screen(&mut slow, 100, 30);
    assert!(text.contains("3 Calls over 100 us"), "{text}");
}
