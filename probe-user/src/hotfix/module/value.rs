//! What a register or a place on the stack holds, as far as reading tells.

use iced_x86::Register;

use super::image::{Image, Place, Relocation, Target};

/// A value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Value<'a> {
    /// Nothing is known of it.
    Any,
    /// Unknown, but on some path it is, or is made from, the address of code of the module.
    Code,
    /// A number.
    Number(i64),
    /// The present time in jiffies, and so many more.
    Now(i64),
    /// The first argument of the function that is looked at, and so many bytes more.
    Argument(i64),
    /// What is in memory so many bytes from there.
    Field(i64),
    /// So many bytes from where the stack pointer was when the function began.
    Stack(i64),
    /// Somewhere on the stack of a caller.
    Frame,
    /// The address of a place in the module.
    Own(Place),
    /// What a variable of the module holds.
    Loaded(Place),
    /// The address of a symbol of the kernel.
    Foreign(&'a str),
}

impl Value<'_> {
    /// Returns the value plus a number of bytes.
    pub fn plus(self, number: i64, image: &Image<'_>) -> Self {
        let sum = |value: i64| value.checked_add(number);
        match self {
            Self::Number(value) => sum(value).map_or(Self::Any, Self::Number),
            Self::Now(value) => sum(value).map_or(Self::Any, Self::Now),
            Self::Argument(value) => sum(value).map_or(Self::Any, Self::Argument),
            Self::Stack(value) => sum(value).map_or(Self::Any, Self::Stack),
            Self::Own(place) => Self::Own(Place {
                offset: place.offset.wrapping_add_signed(number),
                ..place
            }),
            same if number == 0 => same,
            other => other.blurred(image),
        }
    }

    /// Returns what is left of it after something was done with it that is not followed.
    pub fn blurred(self, image: &Image<'_>) -> Self {
        match self {
            Self::Stack(_) | Self::Frame => Self::Frame,
            other if other.may_be_code(image) => Self::Code,
            _ => Self::Any,
        }
    }

    /// Returns what is known where two paths meet.
    pub fn joined(self, other: Self, image: &Image<'_>) -> Self {
        if self == other {
            self
        } else if self.may_be_code(image) || other.may_be_code(image) {
            Self::Code
        } else {
            Self::Any
        }
    }

    /// Returns whether it is an address of the module's code, on one path at least.
    pub fn may_be_code(self, image: &Image<'_>) -> bool {
        match self {
            Self::Code => true,
            Self::Own(place) => image.is_code(place),
            Self::Loaded(place) => points_at_code(image, place),
            _ => false,
        }
    }
}

impl<'a> From<Target<'a>> for Value<'a> {
    fn from(target: Target<'a>) -> Self {
        match target {
            Target::Own(place) => Self::Own(place),
            Target::Foreign(name) => Self::Foreign(name),
        }
    }
}

/// Returns whether it is of the kinds that may be an address of code.
fn may_point(value: Value<'_>) -> bool {
    matches!(value, Value::Code | Value::Own(_) | Value::Loaded(_))
}

fn points_at_code(image: &Image<'_>, place: Place) -> bool {
    let field = image.relocation(place);
    field
        .and_then(Relocation::place)
        .is_some_and(|target| image.is_code(target))
}

/// Two values that were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison<'a> {
    /// The first.
    pub left: Value<'a>,
    /// The second.
    pub right: Value<'a>,
    /// Whether bits that both have were looked for (`test`), rather than their difference (`cmp`).
    pub bits: bool,
    /// Their length in bytes.
    pub size: usize,
}

/// More places on the stack than a compiler keeps values in.
const MOST_SLOTS: usize = 24;

/// Registers by their numbers in instructions: the sixteen general ones.
const REGISTERS: usize = 16;

/// All that is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registers<'a> {
    values: [Value<'a>; REGISTERS],
    slots: Vec<(i64, Value<'a>)>,
    /// What the flags are from.
    pub compared: Option<Comparison<'a>>,
    /// For when the timer was set, from now on.
    pub period: Option<u64>,
}

/// The arguments of a function (System V ABI for x86-64).
pub const ARGUMENTS: [Register; 6] = [
    Register::RDI,
    Register::RSI,
    Register::RDX,
    Register::RCX,
    Register::R8,
    Register::R9,
];

/// What else a callee may change.
const SCRATCH: [Register; 3] = [Register::RAX, Register::R10, Register::R11];

fn number(register: Register) -> Option<usize> {
    let full = register.full_register();
    full.is_gpr64().then(|| full.number())
}

impl<'a> Registers<'a> {
    /// At the beginning of a function that is called with these arguments.
    pub fn new(arguments: [Value<'a>; 6]) -> Self {
        let mut new = Self {
            values: [Value::Any; REGISTERS],
            slots: Vec::new(),
            compared: None,
            period: None,
        };
        for (register, value) in ARGUMENTS.into_iter().zip(arguments) {
            new.set(register, value);
        }
        new.set(Register::RSP, Value::Stack(0));
        new
    }

    /// Returns what a register holds, or the whole one that it is a part of.
    pub fn get(&self, register: Register) -> Value<'a> {
        number(register).map_or(Value::Any, |number| self.values[number])
    }

    /// Puts a value into the whole of a register.
    pub fn set(&mut self, register: Register, value: Value<'a>) {
        if let Some(number) = number(register) {
            self.values[number] = value;
        }
    }

    /// Returns what a function is called with.
    pub fn arguments(&self) -> [Value<'a>; 6] {
        ARGUMENTS.map(|register| self.get(register))
    }

    /// What a call leaves behind, whose result is `result`.
    pub fn called(&mut self, result: Value<'a>) {
        let shared = |value: &Value<'_>| matches!(value, Value::Stack(_) | Value::Frame);
        if self.arguments().iter().any(shared) {
            // The callee may have written there.
            self.slots.clear();
        }
        for register in ARGUMENTS.into_iter().chain(SCRATCH) {
            self.set(register, Value::Any);
        }
        self.set(Register::RAX, result);
        self.compared = None;
    }

    /// Returns what is kept at a place on the stack.
    pub fn slot(&self, offset: i64) -> Value<'a> {
        let slot = self.slots.iter().find(|(at, _)| *at == offset);
        slot.map_or(Value::Any, |(_, value)| *value)
    }

    /// Keeps a value of so many bytes at a place on the stack.
    pub fn keep(&mut self, offset: i64, size: usize, value: Value<'a>) {
        let end = offset.saturating_add_unsigned(size as u64);
        self.slots
            .retain(|(at, _)| at.saturating_add(8) <= offset || *at >= end);
        if self.slots.len() == MOST_SLOTS && may_point(value) {
            // An address counts for more than a number.
            let other = self.slots.iter().position(|(_, kept)| !may_point(*kept));
            other.map(|number| self.slots.remove(number));
        }
        if size == 8 && value != Value::Any && self.slots.len() < MOST_SLOTS {
            self.slots.push((offset, value));
            self.slots.sort_unstable_by_key(|(at, _)| *at);
        }
    }

    /// Forgets what is on the stack, after a write to an unknown place in it.
    pub fn forget_slots(&mut self) {
        self.slots.clear();
    }

    /// Returns whether an address of code is kept on the stack.
    pub fn keeps_code(&self, image: &Image<'_>) -> bool {
        self.slots.iter().any(|(_, value)| value.may_be_code(image))
    }

    /// Merges what is known on another path to the same place. Returns whether that changed anything.
    pub fn join(&mut self, other: &Self, image: &Image<'_>) -> bool {
        let before = self.clone();
        for (own, other) in self.values.iter_mut().zip(other.values) {
            *own = own.joined(other, image);
        }
        let theirs = |at: i64| other.slot(at);
        for (at, value) in &mut self.slots {
            *value = value.joined(theirs(*at), image);
        }
        self.slots.retain(|(_, value)| *value != Value::Any);
        let code = other
            .slots
            .iter()
            .filter(|(_, value)| value.may_be_code(image));
        for (at, _) in code {
            if !self.slots.iter().any(|(own, _)| own == at) && self.slots.len() < MOST_SLOTS {
                self.slots.push((*at, Value::Code));
            }
        }
        self.slots.sort_unstable_by_key(|(at, _)| *at);
        if self.compared != other.compared {
            self.compared = None;
        }
        if self.period != other.period {
            self.period = None;
        }
        *self != before
    }
}
