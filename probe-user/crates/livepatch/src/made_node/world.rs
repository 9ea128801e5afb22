//! What happens on a made node: its clock, what is to happen when, and the person who follows it.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    rc::{Rc, Weak},
    time::Duration,
};

use super::{estimators_state::MadeEstimators, kernel_state::MadeKernel};
use crate::{
    ports::{Ports, Probes, Progress},
    step::StepKind,
};
use host::netns_owners::NetnsOwners;
use model::{Course, Output, Overview};

/// How long a made node is up when it is looked at first.
const BEGINNING: Duration = Duration::from_secs(1_000);

/// What another process, or a person, does.
type Act = Box<dyn FnOnce(&World)>;

/// Something that is to happen.
pub(super) enum Action {
    /// The kernel answers the call of this number.
    Answer(usize),
    /// The transition of this number of a livepatch is over.
    Settle(String, u64),
    /// The timer of the estimator of this number expires.
    Expire(usize),
    /// Another process, or a person, does something.
    Do(Act),
}

/// Something that is to happen, and when.
struct Moment {
    at: Duration,
    order: u64,
    action: Action,
}

/// A made node's kernel, estimators and person.
pub struct World {
    pub(super) root: PathBuf,
    pub(super) me: Weak<World>,
    pub(super) kernel: RefCell<MadeKernel>,
    pub(super) estimators: RefCell<MadeEstimators>,
    now: Cell<Duration>,
    agenda: RefCell<Vec<Moment>>,
    order: Cell<u64>,
    /// How often the engine has handed over control: by a call into the kernel, or a wait.
    turns: Cell<usize>,
    at_turns: RefCell<Vec<(usize, Act)>>,
    after_calls: RefCell<Vec<(StepKind, Act)>>,
    said: RefCell<Vec<String>>,
    reported: RefCell<Vec<String>>,
    questions: RefCell<Vec<String>>,
    says_no: Cell<bool>,
    is_stopped: Cell<bool>,
    refuses_handlers: Cell<bool>,
}

impl World {
    /// Returns that of a node whose files are under `root`.
    #[must_use]
    pub fn new(root: &Path) -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            root: root.to_owned(),
            me: me.clone(),
            kernel: RefCell::default(),
            estimators: RefCell::default(),
            now: Cell::new(BEGINNING),
            agenda: RefCell::default(),
            order: Cell::new(0),
            turns: Cell::new(0),
            at_turns: RefCell::default(),
            after_calls: RefCell::default(),
            said: RefCell::default(),
            reported: RefCell::default(),
            questions: RefCell::default(),
            says_no: Cell::new(false),
            is_stopped: Cell::new(false),
            refuses_handlers: Cell::new(false),
        })
    }

    /// Returns what the engine is connected to on this node.
    #[must_use]
    pub fn ports(this: &Rc<Self>) -> Ports {
        let (kernel, estimators, progress) = (this.clone(), this.clone(), this.clone());
        Ports {
            kernel,
            estimators,
            progress,
        }
    }

    /// Writes a file of the node.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Returns where a file of the node is.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Removes a file or folder of the node.
    pub fn remove(&self, path: &str) {
        let path = self.root.join(path);
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.unwrap();
    }

    /// Returns the names in a folder of the node.
    pub(super) fn names(&self, folder: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(self.root.join(folder)).into_iter().flatten();
        let names = entries
            .flatten()
            .filter_map(|one| one.file_name().into_string().ok());
        names.collect()
    }

    /// Returns the time since the boot.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.now.get()
    }

    /// Returns how long ago a time was.
    #[must_use]
    pub fn since(&self, time: Duration) -> Duration {
        self.now.get().saturating_sub(time)
    }

    /// Has another process do something so long after now.
    pub fn later(&self, wait: Duration, act: impl FnOnce(&Self) + 'static) {
        self.schedule(wait, Action::Do(Box::new(act)));
    }

    /// Has another process do something between two steps: when the engine has handed over control so often from now on.
    pub fn at_turn(&self, turn: usize, act: impl FnOnce(&Self) + 'static) {
        let turn = self.turns.get() + turn;
        self.at_turns.borrow_mut().push((turn, Box::new(act)));
    }

    /// Has another process do something once the next call of this kind has begun.
    pub fn after_call(&self, kind: StepKind, act: impl FnOnce(&Self) + 'static) {
        self.after_calls.borrow_mut().push((kind, Box::new(act)));
    }

    /// Returns how often the engine has handed over control.
    #[must_use]
    pub fn turns(&self) -> usize {
        self.turns.get()
    }

    /// Has a signal ask to end.
    pub fn stop(&self) {
        self.is_stopped.set(true);
    }

    /// Has the person answer no.
    pub fn say_no(&self) {
        self.says_no.set(true);
    }

    /// Has the kernel refuse the handlers of signals.
    pub fn refuse_handlers(&self) {
        self.refuses_handlers.set(true);
    }

    /// Returns what was said, in lines.
    #[must_use]
    pub fn said(&self) -> String {
        self.said.borrow().join("\n")
    }

    /// Returns what was reported, in lines.
    #[must_use]
    pub fn reported(&self) -> String {
        self.reported.borrow().join("\n")
    }

    /// Returns what was asked.
    #[must_use]
    pub fn questions(&self) -> Vec<String> {
        self.questions.borrow().clone()
    }

    pub(super) fn schedule(&self, wait: Duration, action: Action) {
        let order = self.order.get();
        self.order.set(order + 1);
        self.agenda.borrow_mut().push(Moment {
            at: self.now.get() + wait,
            order,
            action,
        });
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        let until = self.now.get() + time;
        while let Some(moment) = self.next(until) {
            self.now.set(moment.at);
            match moment.action {
                Action::Answer(call) => self.answer(call),
                Action::Settle(name, transition) => self.settle(&name, transition),
                Action::Expire(estimator) => self.expire(estimator),
                Action::Do(act) => act(self),
            }
        }
        self.now.set(until);
    }

    fn next(&self, until: Duration) -> Option<Moment> {
        let mut agenda = self.agenda.borrow_mut();
        let due = agenda.iter().enumerate().filter(|(_, one)| one.at <= until);
        let (index, _) = due.min_by_key(|(_, one)| (one.at, one.order))?;
        Some(agenda.swap_remove(index))
    }

    /// Takes over control from the engine.
    pub(super) fn turn(&self) {
        let turn = self.turns.get() + 1;
        self.turns.set(turn);
        loop {
            let mut acts = self.at_turns.borrow_mut();
            let due = acts.iter().position(|(at, _)| *at <= turn);
            let Some((_, act)) = due.map(|index| acts.remove(index)) else {
                return;
            };
            drop(acts);
            act(self);
        }
    }

    /// A call of this kind has begun.
    pub(super) fn has_begun(&self, kind: StepKind) {
        let mut acts = self.after_calls.borrow_mut();
        let found = acts.iter().position(|(of, _)| *of == kind);
        let act = found.map(|index| acts.remove(index).1);
        drop(acts);
        if let Some(act) = act {
            act(self);
        }
    }
}

impl Progress for World {
    fn say(&self, text: &str) {
        self.said.borrow_mut().push(text.to_owned());
    }

    fn report(&self, sentence: &str) {
        self.report_line(sentence);
    }

    fn report_line(&self, line: &str) {
        self.reported.borrow_mut().push(line.to_owned());
    }

    fn ask(&self, question: &str) -> anyhow::Result<()> {
        self.questions.borrow_mut().push(question.to_owned());
        anyhow::ensure!(!self.says_no.get(), "the answer was no");
        Ok(())
    }

    fn listen(&self) -> io::Result<()> {
        if self.refuses_handlers.get() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.get()
    }

    fn wait(&self, time: Duration) {
        self.turn();
        self.pass(time);
    }

    fn open(&self, _: &Path, _: &dyn Probes) -> anyhow::Result<()> {
        Ok(())
    }

    fn is_shown(&self) -> bool {
        false
    }

    fn show(&self, _: &[Output], _: Overview, _: Option<&NetnsOwners>) {}

    fn course(&self, _: Course) {}

    fn close(&self) {}
}
