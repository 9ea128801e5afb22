//! What the screen shows, and what keys do to it. No terminal and no clock: both are arguments.

pub mod census;
mod data;
pub mod log;
pub mod rows;
mod scroll;
pub mod timeline;

use terminput::{KeyCode, KeyEvent};

pub use self::data::{Bars, Data, Scope};
use self::{
    census::Census,
    rows::{Filter, Sort},
    timeline::Moment,
};
use super::{
    Look, Request, WatchedNode, decoder,
    keys::{self, Action, Pane},
    layout::{self, Panes, Shown, Table},
};
use crate::{headline::DEFAULT_MAX_NS, watch::short_name};
use host::netns_owners::NetnsOwners;
use model::{Course, Output, Overview};

/// Seconds that a column of the timeline can stand for.
pub const SECONDS_PER_COLUMN: [u64; 7] = [1, 2, 5, 10, 15, 30, 60];

/// How often the histogram's range can be halved.
pub const DEEPEST_ZOOM: u32 = 6;

/// Longer texts make no sense as a filter.
const LONGEST_FILTER: usize = 40;

/// The state of the screen.
#[allow(
    clippy::struct_excessive_bools,
    reason = "what is shown and what is asked are independent of each other"
)]
#[derive(Debug)]
pub struct App {
    /// What is measured.
    pub host: WatchedNode,
    /// What the terminal can show.
    pub look: Look,
    /// Who lives in which namespace.
    pub owners: NetnsOwners,
    /// What is being done meanwhile, if something is.
    pub course: Option<Course>,
    /// The pane that keys go to.
    pub focus: Pane,
    /// It alone is shown.
    pub alone: bool,
    /// The help is shown.
    pub help: bool,
    /// Whether to count from now on was asked, and not answered yet.
    pub asks_reset: bool,
    /// The text of a filter, while it is typed.
    pub prompt: Option<String>,
    /// A wait longer than so many nanoseconds is a stall.
    pub max_ns: u64,
    /// Whose runs the histogram, the percentiles and the cost are of.
    pub scope: Scope,
    /// The namespaces to show.
    pub filter: Filter,
    /// What the tables are sorted by.
    pub sort: Sort,
    /// The table of the last pane that keys go to.
    pub table: Table,
    /// How often the histogram's range is halved.
    pub zoom: u32,
    /// How high the histogram's bars are.
    pub bars: Bars,
    /// Seconds to a column of the timeline: an index into [`SECONDS_PER_COLUMN`].
    pub pace: usize,
    /// The places of the namespaces to show.
    pub namespace_rows: Vec<usize>,
    /// The places of the CPUs.
    pub cpu_rows: Vec<usize>,
    /// The number of the log's entry at the bottom; `None`: the newest.
    pub log_bottom: Option<u64>,
    pub size: (u16, u16),
    offsets: [usize; 2],
    slow_ns: u64,
    live: Data,
    frozen: Option<Box<Data>>,
    redraw: bool,
}

impl App {
    /// Nothing measured yet; calls of at least `slow_ns` go into the log.
    pub fn new(host: WatchedNode, look: Look, slow_ns: u64) -> Self {
        Self {
            host,
            look,
            owners: NetnsOwners::default(),
            course: None,
            focus: Pane::Histogram,
            alone: false,
            help: false,
            asks_reset: false,
            prompt: None,
            max_ns: DEFAULT_MAX_NS,
            scope: Scope::Worst,
            filter: Filter::default(),
            sort: Sort::default(),
            table: Table::Namespaces,
            zoom: 0,
            bars: Bars::Linear,
            pace: 1,
            namespace_rows: Vec::new(),
            cpu_rows: Vec::new(),
            log_bottom: None,
            size: (0, 0),
            offsets: [0, 0],
            slow_ns,
            live: Data::default(),
            frozen: None,
            redraw: false,
        }
    }

    /// Takes what happened.
    pub fn feed(&mut self, outputs: &[Output]) {
        for output in outputs {
            self.live.log.push(output, self.slow_ns);
            self.live.timeline.push(output);
        }
    }

    /// Takes the sums.
    pub fn show(&mut self, overview: Overview) {
        let before = self.live.overview.as_ref();
        // Between two looks every run was seen, however long it was: records wait in the ring buffer.
        let since_ns = before
            .filter(|before| before.attached)
            .map(|before| before.now_ns);
        if overview.attached {
            let from_ns = since_ns.unwrap_or(overview.now_ns);
            self.live.timeline.observed(from_ns, overview.now_ns);
        }
        self.live.census = Census::of(&overview.namespaces);
        self.live.now_ns = self.live.now_ns.max(overview.now_ns);
        self.live.overview = Some(overview);
        self.live.cut(self.scope);
        if self.frozen.is_none() {
            self.arrange();
        }
    }

    /// Takes who lives where.
    pub fn name(&mut self, owners: NetnsOwners) {
        self.owners = owners;
        self.arrange();
    }

    /// It is `now_ns`, in nanoseconds of `CLOCK_MONOTONIC`.
    pub fn tick(&mut self, now_ns: u64) {
        self.live.now_ns = now_ns;
    }

    /// The terminal has so many columns and lines.
    pub fn resize(&mut self, columns: u16, lines: u16) {
        self.size = (columns, lines);
    }

    /// What to draw: what is measured, or what was when the screen was paused.
    pub fn data(&self) -> &Data {
        self.frozen.as_deref().unwrap_or(&self.live)
    }

    /// Whether the screen stands still.
    pub fn is_paused(&self) -> bool {
        self.frozen.is_some()
    }

    /// Whether everything is to be drawn anew, once.
    pub fn take_redraw(&mut self) -> bool {
        std::mem::take(&mut self.redraw)
    }

    /// The first row shown of a table that has room for `height`.
    pub fn first_row(&self, table: Table, height: usize) -> usize {
        let rows = match table {
            Table::Namespaces => self.namespace_rows.len(),
            Table::Cpus => self.cpu_rows.len(),
        };
        self.offsets[table as usize].min(rows.saturating_sub(height))
    }

    /// Of the table that keys go to, the rows in sight and all rows.
    pub fn table_size(&self) -> (usize, usize) {
        let panes = self.panes();
        let (pane, rows) = match self.table {
            Table::Namespaces => (panes.namespaces, self.namespace_rows.len()),
            Table::Cpus => (panes.cpus, self.cpu_rows.len()),
        };
        (layout::rows_below_title(pane), rows)
    }

    fn panes(&self) -> Panes {
        layout::panes(self.size.0, self.size.1, &self.shown())
    }

    /// Returns what there is to be shown, and what of it was chosen.
    pub fn shown(&self) -> Shown {
        let overview = self.data().overview.as_ref();
        Shown {
            alone: self.alone,
            focus: self.focus,
            table: self.table,
            namespaces: overview.map_or(0, |overview| overview.namespaces.len()),
            cpus: overview.map_or(0, |overview| overview.cpus.len()),
        }
    }

    /// Returns what a namespace is called where there is little room: `root`, or its number.
    pub fn name_of(&self, netns: u32) -> String {
        short_name(netns, self.host.root_netns)
    }

    /// Returns whose runs the numbers are of.
    pub fn scope_name(&self) -> String {
        let focus = self.data().focus(self.scope);
        focus.map_or("all".into(), |focus| self.name_of(focus.netns))
    }

    /// Whether a line of the log is to be shown.
    pub fn is_wanted(&self, line: &log::Line<'_>) -> bool {
        line.netns().is_none_or(|netns| self.matches(netns))
    }

    fn matches(&self, netns: u32) -> bool {
        self.filter
            .matches(netns, self.host.root_netns, &self.owners)
    }

    /// Chooses and sorts the rows: when they, or what they are chosen by, changed.
    pub fn arrange(&mut self) {
        let data = self.frozen.as_deref().unwrap_or(&self.live);
        let Some(overview) = &data.overview else {
            return;
        };
        let before = std::mem::take(&mut self.namespace_rows);
        let views = &overview.namespaces;
        let rows = rows::namespaces(views, before, self.sort, |netns| self.matches(netns));
        let cpus = rows::cpus(&overview.cpus, self.sort);
        self.namespace_rows = rows;
        self.cpu_rows = cpus;
    }

    /// Does what a key asks for, and says what the event loop is to do.
    pub fn press(&mut self, key: KeyEvent) -> Option<Request> {
        if self.prompt.is_some() && !is_for_the_loop(key) {
            self.type_filter(key);
            return None;
        }
        if self.asks_reset && !is_for_the_loop(key) {
            self.asks_reset = false;
            return self.confirm_reset(key);
        }
        if self.help && decoder::character(key) == Some('q') {
            self.help = false;
            return None;
        }
        keys::action(key).and_then(|action| self.update(action))
    }

    /// Takes text that was pasted, which is no keys: a filter that is typed takes it, and nothing else does.
    pub fn paste(&mut self, text: &str) {
        let Some(prompt) = &mut self.prompt else {
            return;
        };
        let room = LONGEST_FILTER.saturating_sub(prompt.chars().count());
        let printable = text.chars().filter(|letter| !letter.is_control());
        prompt.extend(printable.take(room));
    }

    /// Returns from which length on a call is listed, in nanoseconds.
    pub fn slow_ns(&self) -> u64 {
        self.slow_ns
    }

    fn confirm_reset(&mut self, key: KeyEvent) -> Option<Request> {
        let is_confirmed = matches!(decoder::character(key), Some('r' | 'y'));
        is_confirmed.then(|| {
            self.live.timeline.note(self.live.now_ns, Moment::Reset);
            Request::Reset
        })
    }

    /// Does what is asked for.
    pub fn update(&mut self, action: Action) -> Option<Request> {
        match action {
            Action::Help => self.help = !self.help,
            Action::Quit => return Some(Request::Quit { keep: false }),
            Action::QuitKeeping => return Some(Request::Quit { keep: true }),
            Action::Pause => self.pause(),
            // A trial compares these sums: they are not reset.
            Action::Reset => self.asks_reset = self.course.is_none(),
            Action::NextPane => self.move_focus(1),
            Action::PreviousPane => self.move_focus(Pane::ALL.len() - 1),
            Action::Choose(pane) => self.focus = pane,
            Action::Alone => self.alone = !self.alone,
            Action::Scroll(scroll) => self.scroll(scroll),
            Action::Sort => {
                self.sort = self.sort.next();
                self.arrange();
            }
            Action::Filter => self.prompt = Some(self.filter.text().to_owned()),
            Action::ZoomIn => self.zoom(true),
            Action::ZoomOut => self.zoom(false),
            Action::BarScale => {
                self.bars = match self.bars {
                    Bars::Linear => Bars::Logarithmic,
                    Bars::Logarithmic => Bars::Linear,
                };
            }
            Action::Scope => self.change_scope(),
            Action::Mark => return Some(Request::Mark),
            Action::OtherTable => {
                self.table = match self.table {
                    Table::Namespaces => Table::Cpus,
                    Table::Cpus => Table::Namespaces,
                };
            }
            Action::Back => self.back(),
            Action::Suspend => return Some(Request::Suspend),
            Action::Redraw => self.redraw = true,
        }
        None
    }

    fn change_scope(&mut self) {
        self.scope = match self.scope {
            Scope::Worst => Scope::All,
            Scope::All => Scope::Worst,
        };
        self.live.cut(self.scope);
        if let Some(frozen) = &mut self.frozen {
            frozen.cut(self.scope);
        }
    }

    fn pause(&mut self) {
        self.frozen = match self.frozen {
            None => Some(Box::new(self.live.clone())),
            Some(_) => None,
        };
        self.arrange();
    }

    fn move_focus(&mut self, places: usize) {
        let place = (self.focus as usize + places) % Pane::ALL.len();
        self.focus = Pane::ALL[place];
    }

    /// One thing at a time, the nearest first.
    fn back(&mut self) {
        if self.help {
            self.help = false;
        } else if self.alone {
            self.alone = false;
        } else {
            self.set_filter("");
        }
    }

    fn set_filter(&mut self, text: &str) {
        self.filter = Filter::new(text);
        self.offsets[Table::Namespaces as usize] = 0;
        self.log_bottom = None;
        self.arrange();
    }

    fn type_filter(&mut self, key: KeyEvent) {
        let Some(mut text) = self.prompt.take() else {
            return;
        };
        match key.code {
            KeyCode::Enter => return self.set_filter(&text),
            KeyCode::Esc => return self.set_filter(""),
            KeyCode::Backspace => {
                text.pop();
            }
            _ if text.chars().count() < LONGEST_FILTER => text.extend(decoder::character(key)),
            _ => {}
        }
        self.prompt = Some(text);
    }

    fn zoom(&mut self, closer: bool) {
        if self.focus == Pane::Timeline {
            self.pace = if closer {
                self.pace.saturating_sub(1)
            } else {
                (self.pace + 1).min(SECONDS_PER_COLUMN.len() - 1)
            };
        } else {
            self.zoom = if closer {
                (self.zoom + 1).min(DEEPEST_ZOOM)
            } else {
                self.zoom.saturating_sub(1)
            };
        }
    }
}

/// Keys that work while a text is typed, too.
fn is_for_the_loop(key: KeyEvent) -> bool {
    let action = keys::action(key);
    decoder::character(key).is_none()
        && matches!(
            action,
            Some(Action::Quit | Action::Suspend | Action::Redraw)
        )
}
