//! What the operands of an instruction are, and what it makes of them.

use iced_x86::{ConditionCode, Instruction, Mnemonic, OpKind, Register};

use super::{
    code::Line,
    image::{Image, Place, Target},
    value::{Registers, Value},
};

/// Memory that an instruction names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Region<'a> {
    /// A place in the module.
    Own(Place),
    /// Somewhere in the module's variable at, or before, a place.
    OwnArray(Place),
    /// On the stack; where, if that is known.
    Stack(Option<i64>),
    /// A variable of the kernel.
    Foreign(&'a str),
    /// So many bytes behind what a variable of the module points at.
    Behind(Place, i64),
    /// So many bytes behind what the first argument points at.
    Argument(i64),
    /// Where a variable of the module, or what it points at, may lie: which, if it is one alone.
    Data(Option<Place>),
    /// Elsewhere.
    Elsewhere,
}

/// An instruction at work.
pub struct Now<'l, 'a> {
    /// The module.
    pub image: &'a Image<'a>,
    /// The instruction.
    pub line: &'l Line<'a>,
    /// The number of its section.
    pub section: usize,
}

impl<'a> Now<'_, 'a> {
    /// Returns the length of an operand in bytes.
    pub fn size(&self, operand: u32) -> usize {
        let instruction = &self.line.instruction;
        match instruction.op_kind(operand) {
            OpKind::Register => instruction.op_register(operand).size(),
            OpKind::Memory => instruction.memory_size().size(),
            // Any other operand is a number or implied: no caller uses its length.
            _ => 8,
        }
    }

    /// Returns what is left of a value in so many bytes. Of four, the rest is zero.
    pub fn cut(&self, value: Value<'a>, size: usize) -> Value<'a> {
        match (value, size) {
            (value, 8) => value,
            (Value::Number(number), 4) => Value::Number(number & 0xffff_ffff),
            (Value::Field(offset), 4) => Value::Field(offset),
            (value, 4) => value.blurred(self.image),
            (value, _) if value.may_be_code(self.image) => Value::Code,
            _ => Value::Any,
        }
    }

    /// Returns what an operand holds.
    pub fn operand(&self, operand: u32, registers: &Registers<'a>) -> Value<'a> {
        let instruction = &self.line.instruction;
        match instruction.op_kind(operand) {
            OpKind::Register => {
                let register = instruction.op_register(operand);
                let value = registers.get(register);
                let high = matches!(
                    register,
                    Register::AH | Register::BH | Register::CH | Register::DH
                );
                match (value, register.size()) {
                    (value, 8) => value,
                    _ if high => Value::Any,
                    (Value::Number(number), size) => Value::Number(low(number, size)),
                    (Value::Field(offset), _) => Value::Field(offset),
                    (value, _) => value.blurred(self.image),
                }
            }
            OpKind::Memory => self.load(registers),
            _ => match self.line.address() {
                Some(target) => target.into(),
                None if self.line.immediate.is_some() => Value::Any,
                None => instruction
                    .try_immediate(operand)
                    .map_or(Value::Any, |number| Value::Number(number.cast_signed())),
            },
        }
    }

    /// Returns what the operand in memory holds.
    fn load(&self, registers: &Registers<'a>) -> Value<'a> {
        let size = self.line.instruction.memory_size().size();
        let whole = size == 8;
        if whole && (self.line.reads("jiffies") || self.line.reads("jiffies_64")) {
            return Value::Now(0);
        }
        match self.region(registers) {
            Region::Stack(Some(offset)) => match registers.slot(offset) {
                value if whole => value,
                Value::Number(number) => Value::Number(low(number, size)),
                Value::Field(offset) => Value::Field(offset),
                value => value.blurred(self.image),
            },
            Region::Own(place) if whole => Value::Loaded(place),
            Region::Argument(offset) => Value::Field(offset),
            region => self.content(region, registers),
        }
    }

    /// Returns what may lie somewhere in memory.
    pub fn content(&self, region: Region<'a>, registers: &Registers<'a>) -> Value<'a> {
        match region {
            Region::Stack(_) => registers.on_stack(self.image),
            Region::OwnArray(place) if holds_code(self.image, place) => Value::Code,
            Region::OwnArray(place) if self.image.is_code(place) => Value::Any,
            Region::Own(place) | Region::OwnArray(place) | Region::Behind(place, _) => {
                Value::Own(place).blurred(self.image)
            }
            Region::Data(place) => Value::Data(place),
            Region::Foreign(_) | Region::Argument(_) | Region::Elsewhere => Value::Any,
        }
    }

    /// Returns where the operand in memory lies.
    pub fn region(&self, registers: &Registers<'a>) -> Region<'a> {
        let instruction = &self.line.instruction;
        let indexed = instruction.memory_index() != Register::None;
        if let Some(target) = self.line.variable(self.section) {
            return match target {
                Target::Own(place) if self.line.is_plain_variable() => Region::Own(place),
                Target::Own(place) => Region::OwnArray(place),
                Target::Foreign(name) => Region::Foreign(name),
            };
        }
        if self.line.displacement.is_some() {
            return Region::Elsewhere;
        }
        let distance = instruction.memory_displacement64().cast_signed();
        match registers.get(instruction.memory_base()) {
            Value::Stack(offset) if !indexed => Region::Stack(offset.checked_add(distance)),
            Value::Stack(_) | Value::Frame => Region::Stack(None),
            Value::Own(place) if indexed => Region::OwnArray(place),
            Value::Own(place) => Region::Own(Place {
                offset: place.offset.wrapping_add_signed(distance),
                ..place
            }),
            Value::Foreign(name) => Region::Foreign(name),
            Value::Loaded(place) if !indexed => Region::Behind(place, distance),
            Value::Data(place) => Region::Data(place),
            Value::Argument(offset) if !indexed => offset
                .checked_add(distance)
                .map_or(Region::Elsewhere, Region::Argument),
            _ => Region::Elsewhere,
        }
    }

    /// Returns the address of the operand in memory.
    fn address(&self, registers: &Registers<'a>) -> Value<'a> {
        match self.region(registers) {
            Region::Own(place) => Value::Own(place),
            Region::OwnArray(place) => Value::Own(place).blurred(self.image),
            Region::Stack(Some(offset)) => Value::Stack(offset),
            Region::Stack(None) => Value::Frame,
            Region::Foreign(name) if self.line.is_plain_variable() => Value::Foreign(name),
            Region::Argument(offset) => Value::Argument(offset),
            _ => {
                let instruction = &self.line.instruction;
                let plain = instruction.memory_index() == Register::None
                    && self.line.displacement.is_none();
                let base = registers.get(instruction.memory_base());
                let distance = instruction.memory_displacement64().cast_signed();
                if plain {
                    base.plus(distance, self.image)
                } else {
                    base.blurred(self.image)
                }
            }
        }
    }

    /// Returns what the instruction leaves in its first operand; `None` where that is not followed.
    pub fn result(&self, registers: &Registers<'a>) -> Option<Value<'a>> {
        let instruction = &self.line.instruction;
        let value = |operand| self.operand(operand, registers);
        let whole = self.size(0) == 8;
        let in_register = instruction.op0_kind() == OpKind::Register;
        let blurred = |left: Value<'a>, right: Value<'a>| {
            left.blurred(self.image)
                .joined(right.blurred(self.image), self.image)
        };
        Some(match instruction.mnemonic() {
            Mnemonic::Mov => value(1),
            Mnemonic::Movzx => match value(1) {
                kept @ (Value::Number(_) | Value::Field(_)) => kept,
                other => other.blurred(self.image),
            },
            Mnemonic::Movsx | Mnemonic::Movsxd => match value(1) {
                Value::Number(number) => Value::Number(extended(number, self.size(1))),
                kept @ Value::Field(_) => kept,
                other => other.blurred(self.image),
            },
            Mnemonic::Lea => self.address(registers),
            Mnemonic::Xor | Mnemonic::Sub if is_same(instruction) => Value::Number(0),
            Mnemonic::Add if in_register && (whole || is_number(value(0))) => {
                match (value(0), value(1)) {
                    (left, Value::Number(number)) => left.plus(number, self.image),
                    (Value::Number(number), right) => right.plus(number, self.image),
                    (left, right) => blurred(left, right),
                }
            }
            Mnemonic::Sub if in_register && whole => match (value(0), value(1)) {
                (left, Value::Number(number)) => left.plus(number.checked_neg()?, self.image),
                (left, right) => blurred(left, right),
            },
            Mnemonic::Inc if in_register && whole => value(0).plus(1, self.image),
            Mnemonic::Dec if in_register && whole => value(0).plus(-1, self.image),
            _ if is_conditional_move(instruction) => value(0).joined(value(1), self.image),
            _ => return None,
        })
    }
}

/// Returns where memory lies that a value points at, however long it is.
pub fn behind(pointer: Value<'_>) -> Region<'_> {
    match pointer {
        Value::Stack(_) | Value::Frame => Region::Stack(None),
        Value::Own(place) => Region::OwnArray(place),
        Value::Foreign(name) => Region::Foreign(name),
        Value::Loaded(place) => Region::Behind(place, 0),
        Value::Argument(offset) => Region::Argument(offset),
        Value::Data(place) => Region::Data(place),
        _ => Region::Elsewhere,
    }
}

fn is_number(value: Value<'_>) -> bool {
    matches!(value, Value::Number(_))
}

fn is_same(instruction: &Instruction) -> bool {
    instruction.op0_kind() == OpKind::Register
        && instruction.op1_kind() == OpKind::Register
        && instruction.op0_register() == instruction.op1_register()
}

fn is_conditional_move(instruction: &Instruction) -> bool {
    instruction.condition_code() != ConditionCode::None
        && instruction.op_count() == 2
        && instruction.op0_kind() == OpKind::Register
}

/// Returns the lower bytes of a number.
fn low(number: i64, size: usize) -> i64 {
    match size {
        1 => number & 0xff,
        2 => number & 0xffff,
        4 => number & 0xffff_ffff,
        _ => number,
    }
}

/// Returns a number of so many bytes, with its sign.
fn extended(number: i64, size: usize) -> i64 {
    let unused = 64 - 8 * u32::try_from(size.min(8)).unwrap_or(8);
    (number << unused) >> unused
}

/// Returns whether the variable at a place holds the address of code.
pub fn holds_code(image: &Image<'_>, place: Place) -> bool {
    let Some(section) = image.section_of(place) else {
        return false;
    };
    // Before an array's first entry lies what an index counts from.
    let extent = image
        .variable(place)
        .map_or(place.offset..place.offset.saturating_add(8), |variable| {
            variable.range()
        });
    let fields = section.relocations_in(extent);
    // More fields than any structure has are looked at in part: it is then said to hold code.
    let _ = image.budget.spend(fields.len() / 8);
    fields
        .iter()
        .any(|field| field.place().is_some_and(|target| image.is_code(target)))
}
