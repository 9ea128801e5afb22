//! The paths through one function, and which of them leave the timer unset.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::super::{
    image::{Image, Place},
    value::{Comparison, Registers, Value},
};
use super::{Exit, Outcome, Status};

/// A condition under which the timer is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A number in memory so many bytes from the timer is this one, or is not.
    Field {
        /// Bytes from the timer.
        offset: i64,
        /// What it is compared with.
        number: i64,
        /// Whether it is that number.
        equal: bool,
    },
    /// Something else.
    Other,
}

/// A place on a path, and the state of the timer there.
pub type Node = (Place, Status);

/// Where a path leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum End {
    Node(Node),
    Exit(Status),
}

/// The paths through one function, as far as they are known.
pub struct Graph<'a> {
    image: &'a Image<'a>,
    states: HashMap<Node, Registers<'a>>,
    work: BTreeSet<Node>,
    edges: HashSet<(Node, End, Option<Reason>)>,
    outcome: Outcome<'a>,
    reasons: BTreeSet<Reason>,
}

impl<'a> Graph<'a> {
    /// Returns one that begins in this state.
    pub fn new(image: &'a Image<'a>, entry: Node, registers: Registers<'a>) -> Self {
        Self {
            image,
            states: HashMap::from([(entry, registers)]),
            work: BTreeSet::from([entry]),
            edges: HashSet::new(),
            outcome: Outcome::default(),
            reasons: BTreeSet::new(),
        }
    }

    /// Returns a place from which paths have to be followed, and what is known there.
    pub fn next(&mut self) -> Option<(Node, Registers<'a>)> {
        let node = self.work.pop_first()?;
        Some((node, self.states.get(&node)?.clone()))
    }

    /// Continues a path at a place; `None` if that takes too much work.
    pub fn lead(
        &mut self,
        from: Node,
        to: Node,
        registers: &Registers<'a>,
        reason: Option<Reason>,
    ) -> Option<()> {
        self.image.budget.spend(2)?;
        if self.edges.insert((from, End::Node(to), reason)) {
            self.image.budget.spend(8)?;
        }
        let changed = if let Some(state) = self.states.get_mut(&to) {
            state.join(registers, self.image)
        } else {
            self.image.budget.spend(32)?;
            self.states.insert(to, registers.clone());
            true
        };
        if changed {
            self.work.insert(to);
        }
        Some(())
    }

    /// Ends a path with a return.
    pub fn end(&mut self, from: Node, status: Status, exit: Exit<'a>, reason: Option<Reason>) {
        self.edges.insert((from, End::Exit(status), reason));
        let known = &mut self.outcome.exits[status as usize];
        *known = Some(match *known {
            None => exit,
            Some(known) => Exit {
                result: known.result.joined(exit.result, self.image),
                period: known.period.filter(|_| known.period == exit.period),
            },
        });
    }

    /// Adds the conditions of a function that was called.
    pub fn take_in(&mut self, reasons: &[Reason]) -> Option<()> {
        self.image.budget.spend(reasons.len())?;
        self.reasons.extend(reasons);
        Some(())
    }

    /// Returns the effect of the function.
    pub fn outcome(mut self) -> Outcome<'a> {
        if self.outcome.exits[Status::Unset as usize].is_some() {
            let found = self.deciding();
            self.reasons.extend(found);
        }
        self.outcome.reasons = self.reasons.into_iter().collect();
        self.outcome
    }

    /// Returns the reasons at branches from which the timer may be set on one side, and never is on the other.
    fn deciding(&self) -> Vec<Reason> {
        let hopeful = self.leading_to(|status| status != Status::Unset);
        let hopeless = |end: &End| match end {
            End::Node(node) => !hopeful.contains(node),
            End::Exit(status) => *status == Status::Unset,
        };
        let decides = |(from, end, reason): &(Node, End, Option<Reason>)| {
            reason.filter(|_| hopeful.contains(from) && hopeless(end))
        };
        self.edges.iter().filter_map(decides).collect()
    }

    /// Returns the nodes from which a path leads to such an end.
    fn leading_to(&self, wanted: impl Fn(Status) -> bool) -> HashSet<Node> {
        let mut before: HashMap<Node, Vec<Node>> = HashMap::new();
        let mut open = Vec::new();
        for (from, end, _) in &self.edges {
            match end {
                End::Node(to) => before.entry(*to).or_default().push(*from),
                End::Exit(status) if wanted(*status) => open.push(*from),
                End::Exit(_) => {}
            }
        }
        let mut found = HashSet::new();
        while let Some(node) = open.pop() {
            if found.insert(node) {
                open.extend(before.get(&node).into_iter().flatten());
            }
        }
        found
    }
}

/// Returns what is known on the path on which a comparison's sides are equal, or are not; and whether that path is
/// possible.
pub fn decided(compared: Option<Comparison<'_>>, equal: bool) -> (bool, Reason) {
    let Some(compared) = compared else {
        return (true, Reason::Other);
    };
    let same = compared.left == compared.right;
    let number = match (compared.bits, compared.right) {
        (true, _) if same => 0,
        (false, Value::Number(number)) => number,
        _ => return (true, Reason::Other),
    };
    match compared.left {
        Value::Number(left) => {
            let (left, right) = (low(left, compared.size), low(number, compared.size));
            ((left == right) == equal, Reason::Other)
        }
        // That something is not one of many numbers says nothing.
        Value::Field(offset) if equal || number == 0 || number == 1 => (
            true,
            Reason::Field {
                offset,
                number,
                equal,
            },
        ),
        _ => (true, Reason::Other),
    }
}

fn low(number: i64, size: usize) -> i64 {
    let unused = 64 - 8 * u32::try_from(size.clamp(1, 8)).unwrap_or(8);
    (number << unused) >> unused
}
