use super::*;
use crate::watch::threads::made::{ROOT, made};

const LOOK: Look = Look {
    ascii: false,
    colour: false,
};

fn face(slow_ns: u64) -> ThreadFace {
    let node = WatchedNode {
        release: "6.12.117+deb12-amd64".into(),
        hostname: "node-7".into(),
        possible_cpus: Some(4),
        root_netns: ROOT,
    };
    let (outputs, period) = made();
    let mut face = ThreadFace::new(node, LOOK, slow_ns);
    face.feed(&outputs);
    face.live.period = Some(period);
    face
}

fn screen(face: &mut ThreadFace, columns: u16, lines: u16) -> String {
    let mut buffer = Buffer::empty(Rect::new(0, 0, columns, lines));
    Face::draw(face, &mut buffer);
    let lines = (0..lines).map(|y| {
        let line: String = (0..columns).map(|x| buffer[(x, y)].symbol()).collect();
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn press(face: &mut ThreadFace, letters: &str) -> Option<Request> {
    let keys = letters
        .chars()
        .map(|letter| KeyEvent::new(terminput::KeyCode::Char(letter)));
    keys.fold(None, |_, key| Face::press(face, key))
}

#[test]
fn threads_and_their_slow_runs_at_80x24() {
    insta::assert_snapshot!(screen(&mut face(100_000), 80, 24));
}

#[test]
fn threads_and_their_slow_runs_at_120x40() {
    insta::assert_snapshot!(screen(&mut face(100_000), 120, 40));
}

#[test]
fn a_terminal_of_any_size_is_drawn_and_one_that_is_too_small_says_so() {
    for columns in [1, 20, 59, 60, 88, 200] {
        for lines in [1, 2, 14, 15, 60] {
            let mut face = face(0);
            press(&mut face, "?");
            let text = screen(&mut face, columns, lines);
            let is_small = columns < 60 || lines < 15;
            assert_eq!(
                text.contains("ipvs-latency  node-7"),
                !is_small,
                "{columns}x{lines}"
            );
        }
    }
}

#[test]
fn the_log_scrolls_to_its_ends_and_stays_where_it_is_looked_at() {
    let mut face = face(0);
    let newest = screen(&mut face, 80, 24);
    assert!(newest.contains("they were not for 250 ms"));
    press(&mut face, "g");
    let oldest = screen(&mut face, 80, 24);
    assert!(oldest.contains("22:13:21.000"), "{oldest}");
    assert!(oldest.contains("End: to the latest"));
    let (outputs, _) = made();
    face.feed(&outputs[..7]);
    assert_eq!(screen(&mut face, 80, 24), oldest);
    press(&mut face, "kkkk");
    assert_eq!(screen(&mut face, 80, 24), oldest, "there is nothing above");
    press(&mut face, "G");
    let last = screen(&mut face, 80, 24);
    assert!(last.contains("22:13:21.120"), "{last}");
}

#[test]
fn a_paused_screen_stands_still_and_nothing_is_lost_meanwhile() {
    let mut face = face(0);
    press(&mut face, " ");
    let paused = screen(&mut face, 80, 24);
    assert!(paused.contains(" PAUSED "));
    let (outputs, _) = made();
    face.feed(&outputs[..3]);
    face.live.period = None;
    assert_eq!(screen(&mut face, 80, 24), paused);
    press(&mut face, " ");
    let live = screen(&mut face, 80, 24);
    assert!(live.contains("22:13:21.040"), "{live}");
    assert!(!live.contains("PAUSED"));
}

#[test]
fn a_reset_is_asked_for_and_other_keys_ask_for_what_they_say() {
    let mut face = face(0);
    assert_eq!(press(&mut face, "r"), None);
    assert!(screen(&mut face, 80, 24).contains("count from now on?"));
    assert_eq!(press(&mut face, "n"), None);
    assert!(!screen(&mut face, 80, 24).contains("count from now on?"));
    assert_eq!(press(&mut face, "rr"), Some(Request::Reset));
    assert_eq!(press(&mut face, "m"), Some(Request::Mark));
    assert_eq!(press(&mut face, "?"), None);
    assert!(screen(&mut face, 80, 24).contains("quit; Q leaves"));
    assert_eq!(press(&mut face, "q"), None, "q closes the help");
    assert_eq!(press(&mut face, "q"), Some(Request::Quit { keep: false }));
    assert_eq!(press(&mut face, "Q"), Some(Request::Quit { keep: true }));
    let ctrl_c =
        KeyEvent::new(terminput::KeyCode::Char('c')).modifiers(terminput::KeyModifiers::CTRL);
    press(&mut face, "r");
    let asked = Face::press(&mut face, ctrl_c);
    assert_eq!(asked, Some(Request::Quit { keep: false }));
}

#[test]
fn no_more_of_the_log_is_kept_than_there_is_room_for() {
    let mut face = face(0);
    let (outputs, _) = made();
    for _ in 0..5 {
        face.feed(&outputs);
    }
    assert_eq!(face.live.log.len(), KEPT);
}
