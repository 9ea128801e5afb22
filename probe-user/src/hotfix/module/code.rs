//! Instructions with what their fields refer to.

use iced_x86::{
    ConstantOffsets, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register,
};

use super::image::{Extent, Image, Place, Reference, Relocation, Section, Target};

/// More code than any livepatch has in one section.
const MOST_BYTES: usize = 1 << 20;

/// One instruction. Its address is its offset in its section.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// As decoded.
    pub instruction: Instruction,
    /// What the field for a displacement or a branch's target refers to.
    pub displacement: Option<&'a Relocation>,
    /// What the field for an immediate operand refers to.
    pub immediate: Option<&'a Relocation>,
}

/// Where an instruction may lead to.
#[derive(Debug, PartialEq, Eq)]
pub enum Way<'a> {
    /// To code of the module.
    Own(Place),
    /// To a function of the kernel or another module.
    Foreign(&'a str),
    /// To where a register or a variable says.
    Hidden,
}

/// The code in `range` of a section; `None` where something in it is no instruction, or where a field is
/// relocated that no instruction has.
pub fn decode<'a>(section: &'a Section<'_>, range: std::ops::Range<u64>) -> Option<Vec<Line<'a>>> {
    let (start, end) = (
        usize::try_from(range.start).ok()?,
        usize::try_from(range.end).ok()?,
    );
    let bytes = section
        .bytes
        .get(start..end)
        .filter(|bytes| bytes.len() <= MOST_BYTES)?;
    let mut decoder = Decoder::with_ip(64, bytes, range.start, DecoderOptions::NONE);
    let mut lines = Vec::new();
    let mut fields = section.relocations_in(range).len();
    while decoder.can_decode() {
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            return None;
        }
        let line = line(
            section,
            instruction,
            decoder.get_constant_offsets(&instruction),
        )?;
        fields -= usize::from(line.displacement.is_some()) + usize::from(line.immediate.is_some());
        lines.push(line);
    }
    (fields == 0).then_some(lines)
}

fn line<'a>(
    section: &'a Section<'_>,
    instruction: Instruction,
    offsets: ConstantOffsets,
) -> Option<Line<'a>> {
    let start = instruction.ip();
    let inside = section.relocations_in(start..instruction.next_ip());
    let at = |offset: usize| {
        inside
            .iter()
            .find(|field| field.offset - start == offset as u64)
    };
    let displacement = offsets
        .has_displacement()
        .then(|| at(offsets.displacement_offset()));
    let immediate = offsets
        .has_immediate()
        .then(|| at(offsets.immediate_offset()));
    // A branch's distance is an immediate to the decoder.
    let branch = instruction.is_jmp_short_or_near()
        || instruction.is_jcc_short_or_near()
        || instruction.is_call_near();
    let (displacement, immediate) = (displacement.flatten(), immediate.flatten());
    let found = usize::from(displacement.is_some()) + usize::from(immediate.is_some());
    if found != inside.len() {
        return None;
    }
    Some(if branch {
        Line {
            instruction,
            displacement: immediate,
            immediate: None,
        }
    } else {
        Line {
            instruction,
            displacement,
            immediate,
        }
    })
}

impl<'a> Line<'a> {
    /// Where a call or jump leads; `None` for every other instruction, a return among them.
    pub fn way(&self, section: usize) -> Option<Way<'a>> {
        match self.instruction.flow_control() {
            FlowControl::Call
            | FlowControl::UnconditionalBranch
            | FlowControl::ConditionalBranch => Some(match self.displacement {
                None => Way::Own(Place {
                    section,
                    offset: self.instruction.near_branch_target(),
                }),
                Some(field) => match &field.target {
                    Target::Foreign(name) => Way::Foreign(name),
                    Target::Own(_) => match self.place_of(field) {
                        Some(place) => Way::Own(place),
                        None => Way::Hidden,
                    },
                },
            }),
            FlowControl::IndirectCall | FlowControl::IndirectBranch => {
                // A call through a variable of the kernel goes by the variable's name.
                let variable = self.displacement.map(|field| &field.target);
                Some(match variable {
                    Some(Target::Foreign(name)) if self.is_plain_variable() => Way::Foreign(name),
                    _ => Way::Hidden,
                })
            }
            _ => None,
        }
    }

    fn is_plain_variable(&self) -> bool {
        matches!(
            self.instruction.memory_base(),
            Register::None | Register::RIP
        ) && self.instruction.memory_index() == Register::None
    }

    /// Code of the module whose address this instruction takes, rather than going there.
    pub fn takes(&self, image: &Image<'_>, section: usize) -> Option<Place> {
        if let Some(place) = self.immediate.and_then(|field| self.place_of(field)) {
            return Some(place).filter(|place| image.is_code(*place));
        }
        if self.way(section).is_some() {
            return None;
        }
        let place = match self.displacement {
            Some(field) => self.place_of(field)?,
            // A distance inside a section needs no relocation.
            None if self.instruction.is_ip_rel_memory_operand() => Place {
                section,
                offset: self.instruction.ip_rel_memory_address(),
            },
            None => return None,
        };
        Some(place).filter(|place| image.is_code(*place))
    }

    /// Whether what it takes goes straight into memory that is neither the stack nor the module's own.
    pub fn stores(&self) -> bool {
        self.immediate.is_some()
            && self.instruction.op0_kind() == OpKind::Memory
            && !matches!(
                self.instruction.memory_base(),
                Register::None | Register::RIP | Register::RSP | Register::RBP
            )
    }

    /// Whether it reads the kernel's variable of that name.
    pub fn reads(&self, name: &str) -> bool {
        let Some(field) = self.displacement else {
            return false;
        };
        let distance = self.distance(field);
        let whole = match field.reference {
            Reference::Absolute => field.addend == 0,
            Reference::Relative => field.addend.checked_add_unsigned(distance) == Some(0),
            Reference::Unknown => false,
        };
        whole && self.is_plain_variable() && field.target == Target::Foreign(name.to_owned())
    }

    fn place_of(&self, field: &Relocation) -> Option<Place> {
        let place = field.place()?;
        match field.reference {
            Reference::Absolute => Some(place),
            // The processor counts from the instruction's end.
            Reference::Relative => Some(Place {
                offset: place.offset.wrapping_add(self.distance(field)),
                ..place
            }),
            Reference::Unknown => None,
        }
    }

    fn distance(&self, field: &Relocation) -> u64 {
        self.instruction.next_ip().wrapping_sub(field.offset)
    }
}

/// The code of a function.
pub fn body<'a>(image: &'a Image<'_>, function: Extent) -> Option<Vec<Line<'a>>> {
    decode(image.section_of(function.place)?, function.range())
}

/// All code of a section, function by function; `None` where what lies between functions is more than
/// filling, or where something is no instruction.
pub fn all<'a>(image: &'a Image<'_>, number: usize) -> Option<Vec<Line<'a>>> {
    let section = image.sections.get(number)?;
    let length = section.bytes.len() as u64;
    let mut lines = Vec::new();
    let mut reached = 0;
    for function in image.functions_in(number) {
        let range = function.range();
        if range.end <= reached {
            // Another name of the same function.
            continue;
        }
        is_filling(section, reached..range.start).then_some(())?;
        reached = range.end;
        lines.extend(decode(section, range)?);
    }
    is_filling(section, reached..length).then_some(lines)
}

fn is_filling(section: &Section<'_>, range: std::ops::Range<u64>) -> bool {
    let bounds = (usize::try_from(range.start), usize::try_from(range.end));
    let (Ok(start), Ok(end)) = bounds else {
        return false;
    };
    let Some(bytes) = section.bytes.get(start..end) else {
        return false;
    };
    let idle =
        |line: &Line<'_>| matches!(line.instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3);
    section.relocations_in(range.clone()).is_empty()
        && (bytes.iter().all(|byte| *byte == 0)
            || decode(section, range).is_some_and(|lines| lines.iter().all(idle)))
}
