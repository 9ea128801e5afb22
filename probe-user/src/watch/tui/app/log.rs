//! The latest calls, and what happened among them, in constant memory.

use std::collections::VecDeque;

use model::{Call, Output};

/// How many calls are kept, and how many other things: a flood of the one does not push out the other.
pub const KEPT: usize = 1_000;

/// An entry of the log.
#[derive(Debug, Clone, Copy)]
pub enum Line<'a> {
    /// A run.
    Call(&'a Call),
    /// Anything else.
    Other(&'a Output),
}

impl Line<'_> {
    /// The network namespace that it is about, if about one.
    #[must_use]
    pub fn netns(&self) -> Option<u32> {
        match *self {
            Self::Call(call) | Self::Other(Output::Call(call)) => Some(call.netns),
            Self::Other(Output::LockWait(wait)) => Some(wait.netns),
            Self::Other(Output::StateChange(change)) => Some(change.netns),
            Self::Other(Output::Notice(_)) => None,
        }
    }
}

/// Calls and the rest, each with its number in the order of their coming.
#[derive(Debug, Clone, Default)]
pub struct Log {
    calls: VecDeque<(u64, Call)>,
    others: VecDeque<(u64, Output)>,
    next: u64,
}

impl Log {
    /// Adds what came; of calls, those of at least `slow_ns`.
    pub fn push(&mut self, output: &Output, slow_ns: u64) {
        match output {
            Output::Call(call) if call.duration_ns < slow_ns => return,
            Output::Call(call) => push(&mut self.calls, (self.next, call.clone())),
            other => push(&mut self.others, (self.next, other.clone())),
        }
        self.next += 1;
    }

    /// Everything with its number, the newest first, from `bottom` back; `None`: from the newest.
    pub fn back_from(&self, bottom: Option<u64>) -> impl Iterator<Item = (u64, Line<'_>)> {
        let bottom = bottom.unwrap_or(u64::MAX);
        let older = |number: &u64| *number <= bottom;
        let calls = self.calls.partition_point(|(number, _)| older(number));
        let others = self.others.partition_point(|(number, _)| older(number));
        let mut calls = self.calls.range(..calls).rev().peekable();
        let mut others = self.others.range(..others).rev().peekable();
        std::iter::from_fn(move || {
            let call = calls.peek().map(|(number, _)| *number);
            let other = others.peek().map(|(number, _)| *number);
            if call > other {
                calls
                    .next()
                    .map(|(number, call)| (*number, Line::Call(call)))
            } else {
                others
                    .next()
                    .map(|(number, other)| (*number, Line::Other(other)))
            }
        })
    }

    /// What is no call, the newest first.
    pub fn others(&self) -> impl Iterator<Item = &Output> + Clone {
        self.others.iter().rev().map(|(_, output)| output)
    }

    /// How many entries there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.calls.len() + self.others.len()
    }
}

fn push<T>(kept: &mut VecDeque<T>, new: T) {
    if kept.len() == KEPT {
        kept.pop_front();
    }
    kept.push_back(new);
}
