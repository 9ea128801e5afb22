//! The keys, what they do and what the help says of them: one table for all three.

use terminput::{KeyCode, KeyEvent, KeyModifiers};

/// The parts of the screen that can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pane {
    /// How often which duration came.
    Histogram,
    /// The longest run of each moment.
    Timeline,
    /// Calls, and what happened among them.
    Calls,
    /// By namespace, and by CPU.
    Tables,
}

impl Pane {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Histogram, Self::Timeline, Self::Calls, Self::Tables];
}

/// How far to scroll, and where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scroll {
    /// To the line above.
    LineUp,
    /// To the line below.
    LineDown,
    /// To the page above.
    PageUp,
    /// To the page below.
    PageDown,
    /// To the first line.
    First,
    /// To the last line.
    Last,
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Show or hide the help.
    Help,
    /// Leave.
    Quit,
    /// Leave, and leave the screen behind.
    QuitKeeping,
    /// Let the screen stand still, or go on.
    Pause,
    /// Count from now on.
    Reset,
    /// Go to the next pane.
    NextPane,
    /// Go to the pane before.
    PreviousPane,
    /// Go to this pane.
    Choose(Pane),
    /// Show the chosen pane alone, or all again.
    Alone,
    /// Move in the chosen table.
    Scroll(Scroll),
    /// Sort the tables by the next criterion.
    Sort,
    /// Ask for a text that namespaces are to match.
    Filter,
    /// A smaller range in the same space.
    ZoomIn,
    /// A larger range in the same space.
    ZoomOut,
    /// Bars by count, or by its logarithm.
    BarScale,
    /// The worst namespace, or all of them together.
    Scope,
    /// Mark this moment.
    Mark,
    /// The other table of the last pane.
    OtherTable,
    /// Take back: help, one pane alone, the filter.
    Back,
    /// Give the terminal back to the shell for a while.
    Suspend,
    /// Draw everything anew.
    Redraw,
}

/// A line of the help, and the keys that it is about.
#[derive(Debug)]
pub struct KeyBinding {
    /// The keys, as people call them.
    pub shown: &'static str,
    /// What they do.
    pub help: &'static str,
    /// What each of them asks for.
    pub keys: &'static [(KeyEvent, Action)],
}

const fn key(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code)
}

const fn char(letter: char) -> KeyEvent {
    KeyEvent::new(KeyCode::Char(letter))
}

const fn ctrl(letter: char) -> KeyEvent {
    char(letter).modifiers(KeyModifiers::CTRL)
}

const BACK_TAB: KeyEvent = key(KeyCode::Tab).modifiers(KeyModifiers::SHIFT);

/// Every key.
pub const TABLE: &[KeyBinding] = &[
    KeyBinding {
        shown: "?",
        help: "this help, and back",
        keys: &[(char('?'), Action::Help)],
    },
    KeyBinding {
        shown: "q Ctrl-C  Q",
        help: "quit; Q leaves the last screen in the terminal",
        keys: &[
            (char('q'), Action::Quit),
            (ctrl('c'), Action::Quit),
            (char('Q'), Action::QuitKeeping),
        ],
    },
    KeyBinding {
        shown: "Space",
        help: "pause: the screen stands still, measuring goes on",
        keys: &[(char(' '), Action::Pause)],
    },
    KeyBinding {
        shown: "r",
        help: "reset: count from now on; asks first",
        keys: &[(char('r'), Action::Reset)],
    },
    KeyBinding {
        shown: "m",
        help: "mark this moment on the timeline and among the calls",
        keys: &[(char('m'), Action::Mark)],
    },
    KeyBinding {
        shown: "1 2 3 4",
        help: "a pane: histogram, timeline, calls, namespaces and CPUs",
        keys: &[
            (char('1'), Action::Choose(Pane::Histogram)),
            (char('2'), Action::Choose(Pane::Timeline)),
            (char('3'), Action::Choose(Pane::Calls)),
            (char('4'), Action::Choose(Pane::Tables)),
        ],
    },
    KeyBinding {
        shown: "Tab Shift-Tab",
        help: "the next pane, the one before",
        keys: &[
            (key(KeyCode::Tab), Action::NextPane),
            (BACK_TAB, Action::PreviousPane),
        ],
    },
    KeyBinding {
        shown: "Enter z",
        help: "the chosen pane alone, and back",
        keys: &[
            (key(KeyCode::Enter), Action::Alone),
            (char('z'), Action::Alone),
        ],
    },
    KeyBinding {
        shown: "Up Down k j",
        help: "scroll by a line",
        keys: &[
            (key(KeyCode::Up), Action::Scroll(Scroll::LineUp)),
            (char('k'), Action::Scroll(Scroll::LineUp)),
            (key(KeyCode::Down), Action::Scroll(Scroll::LineDown)),
            (char('j'), Action::Scroll(Scroll::LineDown)),
        ],
    },
    KeyBinding {
        shown: "PgUp PgDn",
        help: "scroll by a page",
        keys: &[
            (key(KeyCode::PageUp), Action::Scroll(Scroll::PageUp)),
            (key(KeyCode::PageDown), Action::Scroll(Scroll::PageDown)),
        ],
    },
    KeyBinding {
        shown: "Home End g G",
        help: "to the first line, to the last",
        keys: &[
            (key(KeyCode::Home), Action::Scroll(Scroll::First)),
            (char('g'), Action::Scroll(Scroll::First)),
            (key(KeyCode::End), Action::Scroll(Scroll::Last)),
            (char('G'), Action::Scroll(Scroll::Last)),
        ],
    },
    KeyBinding {
        shown: "s",
        help: "sort: stall, max, estimators, next run, number",
        keys: &[(char('s'), Action::Sort)],
    },
    KeyBinding {
        shown: "/",
        help: "only namespaces that match: number, root, who lives there",
        keys: &[(char('/'), Action::Filter)],
    },
    KeyBinding {
        shown: "+ -",
        help: "zoom the chosen histogram or timeline",
        keys: &[
            (char('+'), Action::ZoomIn),
            (char('='), Action::ZoomIn),
            (char('-'), Action::ZoomOut),
        ],
    },
    KeyBinding {
        shown: "a",
        help: "numbers of the worst namespace, or of all together",
        keys: &[(char('a'), Action::Scope)],
    },
    KeyBinding {
        shown: "l",
        help: "bars of the histogram: linear or logarithmic",
        keys: &[(char('l'), Action::BarScale)],
    },
    KeyBinding {
        shown: "c",
        help: "namespaces or CPUs",
        keys: &[(char('c'), Action::OtherTable)],
    },
    KeyBinding {
        shown: "Esc",
        help: "back: from the help, from one pane, to all namespaces",
        keys: &[(key(KeyCode::Esc), Action::Back)],
    },
    KeyBinding {
        shown: "Ctrl-Z Ctrl-L",
        help: "suspend; draw everything anew",
        keys: &[(ctrl('z'), Action::Suspend), (ctrl('l'), Action::Redraw)],
    },
];

/// What a key asks for, if it has a meaning.
#[must_use]
pub fn action(pressed: KeyEvent) -> Option<Action> {
    let mut keys = TABLE.iter().flat_map(|entry| entry.keys);
    keys.find(|(key, _)| is_same(*key, pressed))
        .map(|(_, action)| *action)
}

/// A letter's case tells of Shift; how else it was pressed differs between terminals.
fn is_same(key: KeyEvent, pressed: KeyEvent) -> bool {
    let modifiers = |event: KeyEvent| match event.code {
        KeyCode::Char(_) => event.modifiers - KeyModifiers::SHIFT,
        _ => event.modifiers,
    };
    key.code == pressed.code && modifiers(key) == modifiers(pressed)
}
