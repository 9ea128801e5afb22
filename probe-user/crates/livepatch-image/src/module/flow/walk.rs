//! Follows one function along all its paths.

use iced_x86::{ConditionCode, FlowControl, Instruction};

use super::super::{
    branches::cases,
    callees::{self, Effect},
    code::{Line, Way},
    image::Place,
    operands::Region,
    step::Store,
    value::{Registers, Value},
};
use super::{
    Body, Call, Context, Event, Exit, Flow, Outcome, Status,
    graph::{Graph, Node, Reason, decided},
};

/// Whether a path continues behind an instruction.
enum Then {
    On,
    Ends,
}

/// A path that is being followed.
struct Walk<'a> {
    /// The place where it continues.
    from: Node,
    status: Status,
    registers: Registers<'a>,
}

/// Returns the effect of a function as it is called; `None` if that takes too much work.
pub fn function<'a>(flow: &mut Flow<'a>, context: &Context<'a>) -> Option<Outcome<'a>> {
    let entry = (context.place, context.status);
    let mut registers = Registers::new(context.arguments);
    registers.period = context.period;
    let mut graph = Graph::new(flow.image, entry, registers);
    while let Some((from, registers)) = graph.next() {
        let status = from.1;
        let mut walk = Walk {
            from,
            status,
            registers,
        };
        walk.follow(flow, &mut graph)?;
    }
    Some(graph.outcome())
}

impl<'a> Walk<'a> {
    fn follow(&mut self, flow: &mut Flow<'a>, graph: &mut Graph<'a>) -> Option<()> {
        let mut place = self.from.0;
        let Some(body) = flow.body(place) else {
            self.lost(flow, graph);
            return flow.image.budget.spend(1);
        };
        loop {
            flow.image.budget.spend(1)?;
            let Some(line) = body.line(place.offset).copied() else {
                return self.beyond(flow, graph, &body, place);
            };
            if place != self.from.0 && body.is_leader(place.offset) {
                return self.lead(graph, place, None);
            }
            if let Some(target) = flow.branches.label(place) {
                self.lead(graph, target, Some(Reason::Other))?;
            }
            if let Some(target) = flow.branches.fault(place) {
                let mut registers = self.registers.clone();
                // What the kernel puts into a register then is no number that is known.
                registers.forget_numbers();
                graph.lead(
                    self.from,
                    (target, self.status),
                    &registers,
                    Some(Reason::Other),
                )?;
            }
            if let Then::Ends = self.line(flow, graph, &line, place)? {
                return Some(());
            }
            place.offset = line.instruction.next_ip();
        }
    }

    /// Continues at a place behind the code of a function, or inside one of its instructions.
    fn beyond(
        &self,
        flow: &mut Flow<'a>,
        graph: &mut Graph<'a>,
        body: &Body<'a>,
        place: Place,
    ) -> Option<()> {
        if place == self.from.0 {
            self.lost(flow, graph);
            return Some(());
        }
        // What is called at a function's end does not return.
        let last = body.lines.last().map(|last| last.instruction);
        if last.is_some_and(|last| last.next_ip() == place.offset && is_call(&last)) {
            return Some(());
        }
        self.lead(graph, place, None)
    }

    fn lead(&self, graph: &mut Graph<'a>, to: Place, reason: Option<Reason>) -> Option<()> {
        graph.lead(self.from, (to, self.status), &self.registers, reason)
    }

    /// Marks that it is unknown where this path leads.
    fn lost(&self, flow: &mut Flow<'a>, graph: &mut Graph<'a>) {
        flow.broken = true;
        let status = match self.status {
            Status::Unset => Status::Hidden,
            other => other,
        };
        let exit = Exit {
            result: Value::Any,
            period: None,
        };
        graph.end(self.from, status, exit, None);
    }

    fn returns(&self, graph: &mut Graph<'a>, reason: Option<Reason>) {
        let exit = Exit {
            result: self.registers.get(iced_x86::Register::RAX),
            period: self.registers.period,
        };
        graph.end(self.from, self.status, exit, reason);
    }

    fn line(
        &mut self,
        flow: &mut Flow<'a>,
        graph: &mut Graph<'a>,
        line: &Line<'a>,
        place: Place,
    ) -> Option<Then> {
        let way = line.way(place.section);
        match line.instruction.flow_control() {
            FlowControl::UnconditionalBranch => self.jump(flow, graph, way?, None)?,
            FlowControl::ConditionalBranch => {
                self.branch(flow, graph, line, place, way?)?;
            }
            FlowControl::Call | FlowControl::IndirectCall => {
                return self.call(flow, graph, line, place, way?);
            }
            FlowControl::IndirectBranch => {
                if let Some(cases) = cases(flow.image, line, place.section) {
                    for case in cases {
                        self.lead(graph, case, Some(Reason::Other))?;
                    }
                } else {
                    flow.broken |= matches!(way, Some(Way::Hidden));
                    self.jump(flow, graph, way?, None)?;
                }
            }
            FlowControl::Return => self.returns(graph, None),
            FlowControl::Exception if flow.branches.goes_on(place) => return Some(Then::On),
            FlowControl::Exception | FlowControl::Interrupt => {}
            FlowControl::Next | FlowControl::XbeginXabortXend => {
                flow.stepper.step(line, place.section, &mut self.registers);
                if let Some(stored) = flow.stepper.stored {
                    written(flow, stored)?;
                }
                return Some(Then::On);
            }
        }
        Some(Then::Ends)
    }

    /// Follows both sides of a branch, as far as both are possible.
    fn branch(
        &mut self,
        flow: &mut Flow<'a>,
        graph: &mut Graph<'a>,
        line: &Line<'a>,
        place: Place,
        way: Way<'a>,
    ) -> Option<()> {
        let instruction = &line.instruction;
        let on = Place {
            offset: instruction.next_ip(),
            ..place
        };
        let compared = self.registers.compared;
        let ((taken, why), (passed, why_not)) = match instruction.condition_code() {
            ConditionCode::e => (decided(compared, true), decided(compared, false)),
            ConditionCode::ne => (decided(compared, false), decided(compared, true)),
            _ => ((true, Reason::Other), (true, Reason::Other)),
        };
        if passed {
            self.lead(graph, on, Some(why_not))?;
        }
        if taken {
            self.jump(flow, graph, way, Some(why))?;
        }
        Some(())
    }

    fn jump(
        &mut self,
        flow: &mut Flow<'a>,
        graph: &mut Graph<'a>,
        way: Way<'a>,
        reason: Option<Reason>,
    ) -> Option<()> {
        match way {
            Way::Own(to) => self.lead(graph, to, reason),
            Way::Foreign(name) => {
                if self.outside(flow, Some(name))? {
                    self.returns(graph, reason);
                }
                Some(())
            }
            Way::Hidden => {
                self.outside(flow, None)?;
                self.returns(graph, reason);
                Some(())
            }
        }
    }

    fn call(
        &mut self,
        flow: &mut Flow<'a>,
        graph: &mut Graph<'a>,
        line: &Line<'a>,
        place: Place,
        way: Way<'a>,
    ) -> Option<Then> {
        let to = match way {
            Way::Own(to) => to,
            Way::Foreign(name) => {
                return Some(if self.outside(flow, Some(name))? {
                    Then::On
                } else {
                    Then::Ends
                });
            }
            Way::Hidden => {
                self.outside(flow, None)?;
                return Some(Then::On);
            }
        };
        let on = Place {
            offset: line.instruction.next_ip(),
            ..place
        };
        let (period, arguments) = (self.registers.period, self.registers.arguments());
        if arguments.iter().any(|value| value.is_on_stack()) {
            flow.give(self.registers.on_stack(flow.image))?;
        }
        let outcome = flow.follow(to, self.status, period, arguments)?;
        graph.take_in(&outcome.reasons)?;
        for status in [Status::Unset, Status::Set, Status::Hidden] {
            let Some(exit) = outcome.exit(status) else {
                continue;
            };
            let mut after = Self {
                from: self.from,
                status,
                registers: self.registers.clone(),
            };
            after.registers.called(exit.result, flow.image);
            after.registers.period = exit.period;
            after.lead(graph, on, None)?;
        }
        Some(Then::Ends)
    }

    /// Calls a function that is not the module's; whether it returns.
    fn outside(&mut self, flow: &mut Flow<'a>, name: Option<&'a str>) -> Option<bool> {
        let effect = name.map_or(Effect::Unknown, callees::effect);
        // What traces a function's beginning leaves its arguments alone.
        if effect == Effect::Returns || name == Some("__fentry__") {
            return Some(true);
        }
        let arguments = self.registers.arguments();
        let image = flow.image;
        let on_stack = arguments
            .iter()
            .any(|value| matches!(value, Value::Stack(_) | Value::Frame));
        flow.note(Event::Call(Call {
            name,
            arguments,
            stack: if on_stack {
                self.registers.on_stack(image)
            } else {
                Value::Any
            },
        }))?;
        // The callee may call code that it is given.
        let hands_on = arguments.iter().any(|value| value.may_be_code(image));
        match effect {
            Effect::Ends => return Some(false),
            Effect::Starts { .. } | Effect::Reduces | Effect::Moves | Effect::Stops => {
                self.timer(effect, arguments[0], arguments[1]);
            }
            Effect::Nothing if !hands_on => {}
            _ => self.hide(),
        }
        self.registers.called(Value::Any, image);
        Some(true)
    }

    /// Calls a function that does something to a timer.
    fn timer(&mut self, effect: Effect, timer: Value<'a>, when: Value<'a>) {
        match (effect, whose(timer)) {
            (Effect::Starts { when: known }, Whose::Estimator) => self.set(when, known),
            (Effect::Reduces, Whose::Estimator) => {
                let sooner = self.registers.period;
                let set = self.status == Status::Set;
                self.set(when, true);
                if set && sooner != self.registers.period {
                    self.registers.period = None;
                }
            }
            (Effect::Moves, Whose::Estimator) if self.status == Status::Set => self.set(when, true),
            (Effect::Stops, Whose::Estimator) => {
                (self.status, self.registers.period) = (Status::Unset, None);
            }
            (Effect::Stops, Whose::Unclear) if self.status == Status::Set => {
                (self.status, self.registers.period) = (Status::Hidden, None);
            }
            (Effect::Moves | Effect::Stops, Whose::Unclear) => self.registers.period = None,
            (_, Whose::Another) | (Effect::Moves, Whose::Estimator) => {}
            _ => self.hide(),
        }
    }

    /// Marks that the timer may have been set, and to another time.
    fn hide(&mut self) {
        if self.status == Status::Unset {
            self.status = Status::Hidden;
        }
        self.registers.period = None;
    }

    fn set(&mut self, when: Value<'a>, known: bool) {
        self.status = Status::Set;
        self.registers.period = match when {
            Value::Now(jiffies) if known => u64::try_from(jiffies).ok().filter(|some| *some > 0),
            _ => None,
        };
    }
}

/// Whose timer it is that a function is given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The one that the estimator was called with.
    Estimator,
    /// Another one, for certain.
    Another,
    /// Reading cannot tell.
    Unclear,
}

fn whose(timer: Value<'_>) -> Whose {
    match timer {
        Value::Argument(0) => Whose::Estimator,
        Value::Own(_) | Value::Stack(_) | Value::Frame | Value::Foreign(_) | Value::Argument(_) => {
            Whose::Another
        }
        _ => Whose::Unclear,
    }
}

fn is_call(instruction: &Instruction) -> bool {
    matches!(
        instruction.flow_control(),
        FlowControl::Call | FlowControl::IndirectCall
    )
}

/// Notes what is written where it may matter.
fn written<'a>(flow: &mut Flow<'a>, stored: Store<'a>) -> Option<()> {
    if let Region::Stack(None) = stored.region {
        // A caller's, perhaps.
        return flow.give(stored.value);
    }
    let matters = match stored.region {
        Region::Behind(..) | Region::Foreign(_) | Region::Own(_) => true,
        Region::Stack(_) => false,
        _ => stored.value.may_be_own(flow.image),
    };
    if matters {
        flow.note(Event::Store(stored))?;
    }
    Some(())
}
