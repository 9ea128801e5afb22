//! Follows code along all its paths, from a function's beginning to its returns, through what it calls in the module.
//!
//! Where two paths meet, only what holds on both stays known. Paths with the timer set and unset are kept apart. A jump
//! to another function is followed as a jump: a compiler ends a function with a call in this way, and reaches
//! parts that are seldom needed.

mod graph;
mod walk;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    rc::Rc,
};

use super::{
    branches::Branches,
    code::{self, Line, Way},
    image::{Image, Place, Target},
    step::{Stepper, Store},
    value::Value,
};
pub use graph::Reason;

/// How deep calls are followed: deeper than a kernel's stack is.
const DEPTH: usize = 24;

/// The state of the estimator's timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// It was not set.
    Unset,
    /// It is set.
    Set,
    /// Something was called that may have set it.
    Hidden,
}

/// A call out of the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Call<'a> {
    /// The function; `None` where a register or a variable says which.
    pub name: Option<&'a str>,
    /// What it is given.
    pub arguments: [Value<'a>; 6],
    /// What may lie on the stack, if it is given a place there.
    pub stack: Value<'a>,
}

/// Something that code does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event<'a> {
    /// It calls.
    Call(Call<'a>),
    /// It writes into memory.
    Store(Store<'a>),
    /// It gives such a value to its caller, or puts it on a stack that others read.
    Gives(Value<'a>),
}

/// A function as it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Context<'a> {
    place: Place,
    status: Status,
    /// In how many jiffies the timer is due, where it is set and that is known.
    period: Option<u64>,
    arguments: [Value<'a>; 6],
    phase: LifePhase,
}

/// How a function returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit<'a> {
    /// What it returns.
    pub result: Value<'a>,
    /// In how many jiffies the timer is due, where that is known.
    pub period: Option<u64>,
}

/// The effect of a function.
#[derive(Debug, Clone, Default)]
pub struct Outcome<'a> {
    exits: [Option<Exit<'a>>; 3],
    /// The conditions under which the timer is not set.
    pub reasons: Vec<Reason>,
}

impl<'a> Outcome<'a> {
    /// Returns the function's result with the timer in this state; `None` if it never does.
    pub fn exit(&self, status: Status) -> Option<Exit<'a>> {
        self.exits[status as usize]
    }

    fn only(status: Status, period: Option<u64>) -> Self {
        let mut outcome = Self::default();
        outcome.exits[status as usize] = Some(Exit {
            result: Value::Any,
            period,
        });
        outcome
    }
}

/// The code of one function.
#[derive(Debug)]
struct Body<'a> {
    lines: Vec<Line<'a>>,
    /// Where jumps inside it lead, in order.
    leaders: Vec<u64>,
}

impl<'a> Body<'a> {
    fn line(&self, offset: u64) -> Option<&Line<'a>> {
        let lines = &self.lines;
        let found = lines.binary_search_by_key(&offset, |line| line.instruction.ip());
        lines.get(found.ok()?)
    }

    fn is_leader(&self, offset: u64) -> bool {
        self.leaders.binary_search(&offset).is_ok()
    }
}

/// When code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LifePhase {
    /// While the livepatch is enabled, or before.
    Enabled,
    /// When it is about to be disabled: the new functions still run, and may do again what is undone here.
    Ending,
    /// When no task runs the new functions any more, unless another livepatch replaces this one.
    Unpatched,
    /// When no task runs the new functions any more, and before the module is removed.
    Over,
}

/// Follows code, and notes what it does.
pub struct Flow<'a> {
    image: &'a Image<'a>,
    branches: Branches,
    stepper: Stepper<'a>,
    bodies: HashMap<Place, Option<Rc<Body<'a>>>>,
    outcomes: HashMap<Context<'a>, Rc<Outcome<'a>>>,
    open: Vec<Context<'a>>,
    /// When what is followed runs.
    phase: LifePhase,
    /// What was done, and when.
    pub events: HashSet<(LifePhase, Event<'a>)>,
    /// Whether some of it could not be followed.
    pub broken: bool,
}

impl<'a> Flow<'a> {
    /// Returns one that has followed nothing yet; `None` if the module makes too much work.
    pub fn new(image: &'a Image<'a>) -> Option<Self> {
        Some(Self {
            image,
            branches: Branches::of(image)?,
            stepper: Stepper::new(image),
            bodies: HashMap::new(),
            outcomes: HashMap::new(),
            open: Vec::new(),
            phase: LifePhase::Enabled,
            events: HashSet::new(),
            broken: false,
        })
    }

    /// Follows a function that the kernel calls at such a time. Returns `None` if that takes too much work.
    pub fn of(&mut self, place: Place, phase: LifePhase) -> Option<Rc<Outcome<'a>>> {
        self.phase = phase;
        let mut arguments = [Value::Any; 6];
        arguments[0] = Value::Argument(0);
        let outcome = self.follow(place, Status::Unset, None, arguments)?;
        for exit in outcome.exits.iter().flatten() {
            self.give(exit.result)?;
        }
        Some(outcome)
    }

    /// Notes a value that others may take, if it may have to do with the module.
    fn give(&mut self, value: Value<'a>) -> Option<()> {
        if value.may_be_own(self.image) {
            self.note(Event::Gives(value.blurred(self.image)))?;
        }
        Some(())
    }

    /// Returns whether a function was followed already.
    pub fn knows(&self, place: Place) -> bool {
        self.bodies.contains_key(&place)
    }

    /// The effect of a function that is called with `arguments` while the timer is in this state.
    fn follow(
        &mut self,
        place: Place,
        status: Status,
        period: Option<u64>,
        arguments: [Value<'a>; 6],
    ) -> Option<Rc<Outcome<'a>>> {
        // The places of one stack are not those of another.
        let arguments = arguments.map(|value| match value {
            Value::Stack(_) => Value::Frame,
            other => other,
        });
        let context = Context {
            place,
            status,
            period,
            arguments,
            phase: self.phase,
        };
        if let Some(known) = self.outcomes.get(&context) {
            return Some(Rc::clone(known));
        }
        // A function that calls itself in the same way adds nothing to what it does otherwise.
        if self.open.contains(&context) {
            return Some(Rc::new(Outcome::only(status, period)));
        }
        if self.open.len() >= DEPTH {
            self.broken = true;
            return Some(Rc::new(Outcome::only(Status::Hidden, None)));
        }
        self.image.budget.spend(32)?;
        self.open.push(context);
        let outcome = walk::function(self, &context);
        self.open.pop();
        let outcome = Rc::new(outcome?);
        self.outcomes.insert(context, Rc::clone(&outcome));
        Some(outcome)
    }

    /// Returns the functions whose addresses code takes, in order; `None` if that is too much work.
    pub fn taken(&self) -> Option<BTreeSet<Place>> {
        let mut taken = BTreeSet::new();
        for (function, body) in &self.bodies {
            let lines = body.iter().flat_map(|body| &body.lines);
            for line in lines {
                let names = [line.address(), line.variable(function.section)];
                for target in names.into_iter().flatten() {
                    if let Target::Own(place) = target
                        && self.image.is_function(place)
                    {
                        self.image.budget.spend(1)?;
                        taken.insert(place);
                    }
                }
            }
        }
        Some(taken)
    }

    fn note(&mut self, event: Event<'a>) -> Option<()> {
        if self.events.insert((self.phase, event)) {
            self.image.budget.spend(16)?;
        }
        Some(())
    }

    /// Returns the code around a place; `None` where it cannot be read.
    fn body(&mut self, place: Place) -> Option<Rc<Body<'a>>> {
        let image = self.image;
        let function = image.function(place)?;
        let entry = self.bodies.entry(function.place).or_insert_with(|| {
            let lines = code::body(image, function)?;
            Some(Rc::new(Body {
                leaders: leaders(&lines, function.place.section, &self.branches),
                lines,
            }))
        });
        entry.clone()
    }
}

fn leaders(lines: &[Line<'_>], section: usize, branches: &Branches) -> Vec<u64> {
    let mut leaders = Vec::new();
    for line in lines {
        let at = Place {
            section,
            offset: line.instruction.ip(),
        };
        let jump = match line.way(section) {
            Some(Way::Own(to)) if !line.instruction.is_call_near() => Some(to),
            _ => branches.label(at),
        };
        let jump = jump.into_iter().chain(branches.fault(at));
        leaders.extend(jump.filter(|to| to.section == section).map(|to| to.offset));
    }
    leaders.sort_unstable();
    leaders.dedup();
    leaders
}
