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
    /// Unknown, but on some path it is, or is made from, the address of a variable of the module or what one holds: which,
    /// if it is one alone.
    Data(Option<Place>),
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
            other => other.data(image),
        }
    }

    /// Returns what is known where two paths meet.
    pub fn joined(self, other: Self, image: &Image<'_>) -> Self {
        if self == other {
            self
        } else if self.may_be_code(image) || other.may_be_code(image) {
            Self::Code
        } else if self.is_on_stack() && other.is_on_stack() {
            Self::Frame
        } else {
            match (self.data(image), other.data(image)) {
                (Self::Any, one) | (one, Self::Any) => one,
                (one, other) if one == other => one,
                _ => Self::Data(None),
            }
        }
    }

    /// Returns what is left of it where only variables of the module count: one of them, several, or nothing.
    pub fn data(self, image: &Image<'_>) -> Self {
        match self {
            Self::Data(_) => self,
            Self::Own(place) | Self::Loaded(place) if image.is_variable(place) => {
                Self::Data(Some(place))
            }
            _ => Self::Any,
        }
    }

    /// Returns whether it is a place on a stack.
    pub fn is_on_stack(self) -> bool {
        matches!(self, Self::Stack(_) | Self::Frame)
    }

    /// Returns whether it is an address in the module, but for texts, on one path at least.
    pub fn may_be_own(self, image: &Image<'_>) -> bool {
        self.may_be_code(image) || self.data(image) != Self::Any
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
    matches!(
        value,
        Value::Code | Value::Data(_) | Value::Own(_) | Value::Loaded(_)
    )
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
    /// What may be at every other place on the stack.
    rest: Value<'a>,
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
            rest: Value::Any,
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
    pub fn called(&mut self, result: Value<'a>, image: &Image<'_>) {
        if self.arguments().iter().any(|value| value.is_on_stack()) {
            // The callee may have written there.
            self.scatter(Value::Any, image);
        }
        for register in ARGUMENTS.into_iter().chain(SCRATCH) {
            self.set(register, Value::Any);
        }
        self.set(Register::RAX, result);
        self.compared = None;
    }

    /// Forgets the numbers in registers, and what was compared.
    pub fn forget_numbers(&mut self) {
        for value in &mut self.values {
            if let Value::Number(_) = value {
                *value = Value::Any;
            }
        }
        self.compared = None;
    }

    /// Returns what is kept at a place on the stack.
    pub fn slot(&self, offset: i64) -> Value<'a> {
        self.find(offset)
            .map_or(self.rest, |number| self.slots[number].1)
    }

    fn find(&self, offset: i64) -> Result<usize, usize> {
        self.slots.binary_search_by_key(&offset, |(at, _)| *at)
    }

    /// Keeps a value of so many bytes at a place on the stack.
    pub fn keep(&mut self, offset: i64, size: usize, value: Value<'a>, image: &Image<'_>) {
        let end = offset.saturating_add_unsigned(size as u64);
        self.slots
            .retain(|(at, _)| at.saturating_add(8) <= offset || *at >= end);
        if self.slots.len() == MOST_SLOTS && may_point(value) {
            // An address counts for more than a number.
            let other = self.slots.iter().position(|(_, kept)| !may_point(*kept));
            other.map(|number| self.slots.remove(number));
        }
        let value = if size == 8 {
            value
        } else {
            value.blurred(image)
        };
        self.add(offset, value, image);
    }

    /// Adds a place where nothing is kept yet.
    fn add(&mut self, offset: i64, value: Value<'a>, image: &Image<'_>) {
        if value == self.rest {
            return;
        }
        match self.find(offset) {
            Err(number) if self.slots.len() < MOST_SLOTS => {
                self.slots.insert(number, (offset, value));
            }
            _ => self.rest = self.rest.joined(value, image),
        }
    }

    /// Writes a value to an unknown place on the stack: what was kept may be there still, or not.
    pub fn scatter(&mut self, value: Value<'a>, image: &Image<'_>) {
        self.rest = self.on_stack(image).joined(value, image);
        self.slots.clear();
    }

    /// Returns what may be at some place on the stack.
    pub fn on_stack(&self, image: &Image<'_>) -> Value<'a> {
        let values = self.slots.iter().map(|(_, value)| *value);
        values
            .fold(self.rest, |all, value| all.joined(value, image))
            .blurred(image)
    }

    /// Merges what is known on another path to the same place. Returns whether that changed anything.
    pub fn join(&mut self, other: &Self, image: &Image<'_>) -> bool {
        let before = self.clone();
        for (own, other) in self.values.iter_mut().zip(other.values) {
            *own = own.joined(other, image);
        }
        let rest = self.rest;
        for (at, value) in &mut self.slots {
            *value = value.joined(other.slot(*at), image);
        }
        self.rest = rest.joined(other.rest, image);
        for (at, value) in &other.slots {
            if before.find(*at).is_err() {
                self.add(*at, rest.joined(*value, image), image);
            }
        }
        let rest = self.rest;
        self.slots.retain(|(_, value)| *value != rest);
        if self.compared != other.compared {
            self.compared = None;
        }
        if self.period != other.period {
            self.period = None;
        }
        *self != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::made::{Made, Piece};

    fn file() -> Vec<u8> {
        Made::default()
            .with(".data", "variables", Piece::zeros(64))
            .with(".text", "function", Piece::function())
            .bytes()
    }

    fn at(image: &Image<'_>, name: &str, offset: u64) -> Place {
        let mut names = image.sections.iter().map(|section| section.name);
        let section = names.position(|section| section == name).unwrap();
        Place { section, offset }
    }

    #[test]
    fn a_value_plus_nothing_stays_what_it_is() {
        let bytes = file();
        let image = Image::parse(&bytes).unwrap();
        let place = at(&image, ".data", 8);
        for value in [
            Value::Any,
            Value::Code,
            Value::Data(Some(place)),
            Value::Data(None),
            Value::Number(3),
            Value::Now(3),
            Value::Argument(3),
            Value::Field(3),
            Value::Stack(3),
            Value::Frame,
            Value::Own(place),
            Value::Loaded(place),
            Value::Foreign("jiffies"),
        ] {
            assert_eq!(value.plus(0, &image), value);
        }
    }

    #[test]
    fn a_sum_moves_a_number_or_a_place_and_leaves_little_of_what_is_in_memory() {
        let bytes = file();
        let image = Image::parse(&bytes).unwrap();
        let variable = |offset| at(&image, ".data", offset);
        for (value, number, sum) in [
            (Value::Number(3), -5, Value::Number(-2)),
            (Value::Now(3), 5, Value::Now(8)),
            (Value::Argument(i64::MAX), 1, Value::Any),
            (Value::Stack(0), -8, Value::Stack(-8)),
            (Value::Own(variable(8)), 16, Value::Own(variable(24))),
            (Value::Own(variable(8)), -8, Value::Own(variable(0))),
            (Value::Field(8), 4, Value::Any),
            (
                Value::Loaded(variable(8)),
                4,
                Value::Data(Some(variable(8))),
            ),
        ] {
            assert_eq!(value.plus(number, &image), sum, "{value:?} and {number}");
        }
    }

    #[test]
    fn where_two_ways_meet_what_holds_on_both_is_known() {
        let bytes = file();
        let image = Image::parse(&bytes).unwrap();
        let [first, second] = [0, 32].map(|offset| at(&image, ".data", offset));
        let function = at(&image, ".text", 0);
        for (what, one, other, joined) in [
            (
                "the same",
                Value::Own(first),
                Value::Own(first),
                Value::Own(first),
            ),
            (
                "two variables",
                Value::Own(first),
                Value::Own(second),
                Value::Data(None),
            ),
            (
                "a variable, and what it holds",
                Value::Own(first),
                Value::Loaded(first),
                Value::Data(Some(first)),
            ),
            (
                "a variable, and a number",
                Value::Number(1),
                Value::Own(first),
                Value::Data(Some(first)),
            ),
            (
                "a function, and a number",
                Value::Number(1),
                Value::Own(function),
                Value::Code,
            ),
            (
                "two numbers",
                Value::Number(1),
                Value::Number(2),
                Value::Any,
            ),
        ] {
            assert_eq!(one.joined(other, &image), joined, "{what}");
            assert_eq!(other.joined(one, &image), joined, "{what}, the other way");
        }
    }

    #[test]
    fn the_stack_has_few_places_and_what_finds_none_may_be_anywhere_on_it() {
        let bytes = file();
        let image = Image::parse(&bytes).unwrap();
        let function = Value::Own(at(&image, ".text", 0));
        let mut registers = Registers::new([Value::Any; 6]);
        for number in 0..1000 {
            registers.keep(-8 * number, 8, function, &image);
        }
        assert_eq!(registers.slots.len(), MOST_SLOTS);
        assert_eq!(registers.slot(0), function);
        assert_eq!(registers.slot(-8 * 999), Value::Code);
    }
}
