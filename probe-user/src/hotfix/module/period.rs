//! For when a timer is set: the constant that was added to `jiffies` for the second argument of the call.
//!
//! Registers are followed from instruction to instruction, and forgotten wherever two ways meet: what is
//! known then is known on every way to the call.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use iced_x86::{FlowControl, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};

use super::{
    code::{Line, Way},
    image::Extent,
    kpatch::plain_name,
};

/// The second argument of a function (System V ABI for x86-64).
const SECOND_ARGUMENT: Register = Register::RSI;

/// What a callee may change of what is followed here.
const SCRATCH: [Register; 9] = [
    Register::RAX,
    Register::RCX,
    Register::RDX,
    Register::RSI,
    Register::RDI,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
];

/// What a register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// A number.
    Number(i64),
    /// The present time in jiffies, and so many more.
    Now(i64),
}

impl Value {
    fn plus(self, number: i64) -> Option<Self> {
        match self {
            Self::Number(value) => value.checked_add(number).map(Self::Number),
            Self::Now(value) => value.checked_add(number).map(Self::Now),
        }
    }
}

type Registers = HashMap<Register, Value>;

/// For each call of one of `names`, by its place among `lines`: in how many jiffies, if that is a
/// constant.
pub fn at_calls(
    lines: &[Line<'_>],
    function: Extent,
    names: &[&str],
) -> BTreeMap<usize, Option<u64>> {
    let meeting = meeting_points(lines, function);
    let mut factory = InstructionInfoFactory::new();
    let mut registers = Registers::new();
    let mut calls = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        if meeting
            .as_ref()
            .is_none_or(|points| points.contains(&line.instruction.ip()))
        {
            registers.clear();
        }
        if let Some(Way::Foreign(name)) = line.way(function.place.section)
            && names.contains(&plain_name(name))
        {
            let jiffies = match registers.get(&SECOND_ARGUMENT) {
                Some(Value::Now(jiffies)) => u64::try_from(*jiffies).ok().filter(|some| *some > 0),
                _ => None,
            };
            calls.insert(index, jiffies);
        }
        step(line, &mut registers, &mut factory);
    }
    calls
}

/// Where more than one way may lead; `None` where an indirect jump may lead anywhere.
fn meeting_points(lines: &[Line<'_>], function: Extent) -> Option<BTreeSet<u64>> {
    let mut points = BTreeSet::new();
    for line in lines {
        match (
            line.instruction.flow_control(),
            line.way(function.place.section),
        ) {
            (FlowControl::IndirectBranch, _) => return None,
            (flow, Some(Way::Foreign(name)))
                if name.starts_with("__x86_indirect_") && flow != FlowControl::Call =>
            {
                return None;
            }
            (_, Some(Way::Own(place))) if place.section == function.place.section => {
                points.insert(place.offset);
            }
            _ => {}
        }
    }
    Some(points)
}

fn step(line: &Line<'_>, registers: &mut Registers, factory: &mut InstructionInfoFactory) {
    let instruction = &line.instruction;
    match instruction.flow_control() {
        FlowControl::Next | FlowControl::ConditionalBranch => {}
        FlowControl::Call | FlowControl::IndirectCall => {
            registers.retain(|register, _| !SCRATCH.contains(register));
            return;
        }
        // What follows is reached from elsewhere.
        _ => registers.clear(),
    }
    let result = result(line, registers);
    for used in factory.info(instruction).used_registers() {
        let changed = matches!(
            used.access(),
            OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
        );
        if changed {
            registers.remove(&used.register().full_register());
        }
    }
    if let Some(value) = result {
        registers.insert(instruction.op0_register().full_register(), value);
    }
}

/// What the instruction leaves in its first operand, a whole register.
fn result(line: &Line<'_>, registers: &Registers) -> Option<Value> {
    let instruction = &line.instruction;
    let target = instruction.op0_register();
    // Writing the lower half clears the upper one: good for numbers alone.
    let (whole, half) = (target.is_gpr64(), target.is_gpr32());
    if instruction.op0_kind() != OpKind::Register || !(whole || half) {
        return None;
    }
    let old = || registers.get(&target).copied();
    match instruction.mnemonic() {
        Mnemonic::Mov => match source(line, registers)? {
            Value::Number(number) => (whole || number >= 0).then_some(Value::Number(number)),
            now @ Value::Now(_) => whole.then_some(now),
        },
        Mnemonic::Add if whole => match (old()?, source(line, registers)?) {
            (value, Value::Number(number)) | (Value::Number(number), value) => value.plus(number),
            (Value::Now(_), Value::Now(_)) => None,
        },
        Mnemonic::Sub if whole => match source(line, registers)? {
            Value::Number(number) => old()?.plus(number.checked_neg()?),
            Value::Now(_) => None,
        },
        Mnemonic::Lea if whole => {
            let plain = instruction.memory_index() == Register::None && line.displacement.is_none();
            let base = registers
                .get(&instruction.memory_base())
                .filter(|_| plain)?;
            base.plus(instruction.memory_displacement64().cast_signed())
        }
        _ => None,
    }
}

/// What the second operand holds.
fn source(line: &Line<'_>, registers: &Registers) -> Option<Value> {
    let instruction = &line.instruction;
    match instruction.op1_kind() {
        OpKind::Register => registers.get(&instruction.op1_register()).copied(),
        OpKind::Memory if line.reads("jiffies") || line.reads("jiffies_64") => Some(Value::Now(0)),
        OpKind::Memory => None,
        _ if line.immediate.is_some() => None,
        _ => instruction
            .try_immediate(1)
            .ok()
            .map(|number| Value::Number(number.cast_signed())),
    }
}
