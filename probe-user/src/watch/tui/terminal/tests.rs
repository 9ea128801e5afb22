use std::{
    io::{Read as _, Write as _},
    process::{Command, Stdio},
};

use nix::{pty::openpty, sys::termios::tcgetattr};
use ratatui::style::{Color, Modifier};
use terminput::KeyCode;

use super::*;

fn with_runtime(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

fn pressed(code: KeyCode) -> Typed {
    Typed::Key(KeyEvent::new(code))
}

#[test]
fn a_terminal_without_a_size_is_drawn_as_a_usual_one() {
    for (found, drawn) in [
        ((0, 0), (80, 24)),
        ((0, 24), (80, 24)),
        ((120, 40), (120, 40)),
        ((3, 2), (3, 2)),
    ] {
        assert_eq!(known(found), drawn);
    }
}

#[test]
fn a_burst_of_keys_is_there_at_once() {
    with_runtime(async {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut keyboard = Keyboard::new(reader.into()).unwrap();
        assert_eq!(keyboard.typed_there().unwrap(), None);
        writer.write_all(&[b'j'; 600]).unwrap();
        let there = std::iter::from_fn(|| keyboard.typed_there().unwrap());
        assert_eq!(there.count(), 600);
    });
}

#[test]
fn keys_come_as_they_are_pressed_and_a_terminal_that_is_gone_is_an_error() {
    with_runtime(async {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut keyboard = Keyboard::new(reader.into()).unwrap();
        writer.write_all(b"q\x1b[A").unwrap();
        assert_eq!(keyboard.typed().await.unwrap(), pressed(KeyCode::Char('q')));
        assert_eq!(keyboard.typed().await.unwrap(), pressed(KeyCode::Up));
        writer.write_all(b"x").unwrap();
        assert_eq!(keyboard.typed().await.unwrap(), pressed(KeyCode::Char('x')));
        drop(writer);
        let gone = keyboard.typed().await.unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn a_key_is_not_lost_when_waiting_for_it_is_given_up() {
    with_runtime(async {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut keyboard = Keyboard::new(reader.into()).unwrap();
        tokio::select! {
            biased;
            _ = keyboard.typed() => panic!("nothing was pressed"),
            () = tokio::task::yield_now() => {}
        }
        writer.write_all(b"q").unwrap();
        assert_eq!(keyboard.typed().await.unwrap(), pressed(KeyCode::Char('q')));
    });
}

/// In the process that is to panic.
const PANICS: &str = "IPVS_LATENCY_TEST_PANICS_WITH_A_SCREEN";

#[test]
fn a_panic_gives_the_terminal_back_before_it_says_anything() {
    if std::env::var_os(PANICS).is_some() {
        with_runtime(async {
            let _terminal = Terminal::open().unwrap();
            panic!("this is said on the ordinary screen");
        });
    }
    let pty = openpty(None, None).unwrap();
    let before = tcgetattr(&pty.slave).unwrap();
    let end = || Stdio::from(pty.slave.try_clone().unwrap());
    let name = "a_panic_gives_the_terminal_back_before_it_says_anything";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--nocapture", name])
        .env(PANICS, "1")
        .stdin(end())
        .stdout(end())
        .stderr(end())
        .spawn()
        .unwrap();
    assert!(!child.wait().unwrap().success());
    assert_eq!(tcgetattr(&pty.slave).unwrap(), before);
    drop(pty.slave);
    let mut written = Vec::new();
    // A terminal without a program ends with an error.
    let _end = File::from(pty.master).read_to_end(&mut written);
    let written = String::from_utf8(written).unwrap();
    let place = |what: &str| {
        let place = written.rfind(what);
        place.unwrap_or_else(|| panic!("no {what:?} in {written:?}"))
    };
    assert!(place("\x1b[?1049h") < place("\x1b[?1049l"), "{written:?}");
    assert!(place("\x1b[?25l") < place("\x1b[?25h"), "{written:?}");
    let said = place("this is said on the ordinary screen");
    assert!(place("\x1b[?1049l") < said, "{written:?}");
}

#[test]
fn a_screen_is_left_as_text_with_its_styles_and_without_blanks_at_the_end() {
    let mut buffer = Buffer::empty(Rect::new(0, 0, 8, 2));
    buffer.set_string(0, 0, "DEAD", Style::new().fg(Color::Red));
    buffer.set_string(5, 0, "1", Style::new().add_modifier(Modifier::BOLD));
    buffer.set_string(0, 1, "plain", Style::new());
    let mut out = Vec::new();
    print(&buffer, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(
        text,
        "\u{1b}[0m\u{1b}[38;5;1mDEAD\u{1b}[0m \u{1b}[0m\u{1b}[1m1\u{1b}[0m\nplain\n"
    );
}
