//! Instructions with what their fields refer to.

use std::ops::{ControlFlow, Range};

use iced_x86::{
    ConstantOffsets, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, Register,
};

use super::image::{Extent, Image, Place, Reference, Relocation, Section, Target};

/// One instruction. Its address is its offset in its section.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// As decoded.
    pub instruction: Instruction,
    /// What the field for a displacement or a branch's target refers to.
    pub displacement: Option<&'a Relocation<'a>>,
    /// What the field for an immediate operand refers to.
    pub immediate: Option<&'a Relocation<'a>>,
}

/// Where an instruction may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way<'a> {
    /// To code of the module.
    Own(Place),
    /// To a function of the kernel or another module.
    Foreign(&'a str),
    /// To where a register or a variable says.
    Hidden,
}

/// Reads the code in `range` of a section, an instruction at a time, for as long as `each` wants; `None` where
/// something in it is no instruction, where a field is relocated that no instruction has, or where the file has made
/// more work than it may.
pub fn read<'a>(
    image: &'a Image<'_>,
    section: &'a Section<'a>,
    range: Range<u64>,
    mut each: impl FnMut(Line<'a>) -> ControlFlow<()>,
) -> Option<()> {
    let (start, end) = (
        usize::try_from(range.start).ok()?,
        usize::try_from(range.end).ok()?,
    );
    let bytes = section.bytes.get(start..end)?;
    let mut decoder = Decoder::with_ip(64, bytes, range.start, DecoderOptions::NONE);
    let mut fields = section.relocations_in(range);
    while decoder.can_decode() {
        image.budget.spend(1)?;
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            return None;
        }
        let next = instruction.next_ip();
        let own = fields.iter().take_while(|field| field.offset < next);
        let (own, rest) = fields.split_at(own.count());
        fields = rest;
        let offsets = decoder.get_constant_offsets(&instruction);
        if each(line(instruction, own, offsets)?).is_break() {
            return Some(());
        }
    }
    fields.is_empty().then_some(())
}

fn line<'a>(
    instruction: Instruction,
    inside: &'a [Relocation<'a>],
    offsets: ConstantOffsets,
) -> Option<Line<'a>> {
    let start = instruction.ip();
    // No instruction has more fields.
    if inside.len() > 2 {
        return None;
    }
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
                Some(field) => match field.target {
                    Target::Foreign(name) => Way::Foreign(name),
                    Target::Own(_) => match self.place_of(field) {
                        Some(place) => Way::Own(place),
                        None => Way::Hidden,
                    },
                },
            }),
            FlowControl::IndirectCall | FlowControl::IndirectBranch => {
                // A call through a variable of the kernel goes by the variable's name.
                let variable = self.displacement.map(|field| field.target);
                Some(match variable {
                    Some(Target::Foreign(name)) if self.is_plain_variable() => Way::Foreign(name),
                    _ => Way::Hidden,
                })
            }
            _ => None,
        }
    }

    /// Returns whether its operand in memory is a variable, and no part of an array.
    pub fn is_plain_variable(&self) -> bool {
        matches!(
            self.instruction.memory_base(),
            Register::None | Register::RIP
        ) && self.instruction.memory_index() == Register::None
    }

    /// Returns where a variable lies that its operand in memory names: in the module, or a symbol of the kernel.
    pub fn variable(&self, section: usize) -> Option<Target<'a>> {
        let Some(field) = self.displacement else {
            // A distance inside a section needs no relocation.
            return self.instruction.is_ip_rel_memory_operand().then(|| {
                Target::Own(Place {
                    section,
                    offset: self.instruction.ip_rel_memory_address(),
                })
            });
        };
        Some(match field.target {
            Target::Own(_) => Target::Own(self.place_of(field)?),
            foreign @ Target::Foreign(_) => foreign,
        })
    }

    /// Returns what the field for an immediate operand holds the address of.
    pub fn address(&self) -> Option<Target<'a>> {
        let field = self.immediate?;
        Some(match field.target {
            Target::Own(_) => Target::Own(self.place_of(field)?),
            foreign @ Target::Foreign(_) => foreign,
        })
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
        whole && self.is_plain_variable() && field.target == Target::Foreign(name)
    }

    fn place_of(&self, field: &Relocation<'_>) -> Option<Place> {
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

    fn distance(&self, field: &Relocation<'_>) -> u64 {
        self.instruction.next_ip().wrapping_sub(field.offset)
    }
}

/// Returns the code of a function; it counts against what may be kept.
pub fn body<'a>(image: &'a Image<'_>, function: Extent) -> Option<Vec<Line<'a>>> {
    let section = image.section_of(function.place)?;
    let mut lines = Vec::new();
    let mut room = Some(());
    read(image, section, function.range(), |line| {
        room = image.budget.keep(1);
        lines.push(line);
        match room {
            Some(()) => ControlFlow::Continue(()),
            None => ControlFlow::Break(()),
        }
    })?;
    room.map(|()| lines)
}

/// Returns whether all code of a section lies in functions, but for filling between them.
pub fn is_whole(image: &Image<'_>, number: usize) -> bool {
    let Some(section) = image.sections.get(number) else {
        return false;
    };
    let length = section.bytes.len() as u64;
    let mut reached = 0;
    for function in image.functions_in(number) {
        let range = function.range();
        if range.start > reached && !is_filling(image, section, reached..range.start) {
            return false;
        }
        reached = reached.max(range.end);
    }
    reached >= length || is_filling(image, section, reached..length)
}

fn is_filling(image: &Image<'_>, section: &Section<'_>, range: Range<u64>) -> bool {
    let bounds = (usize::try_from(range.start), usize::try_from(range.end));
    let (Ok(start), Ok(end)) = bounds else {
        return false;
    };
    let Some(bytes) = section.bytes.get(start..end) else {
        return false;
    };
    if !section.relocations_in(range.clone()).is_empty() {
        return false;
    }
    let mut idle = true;
    let each = |line: Line<'_>| {
        idle = matches!(line.instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3);
        if idle {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    bytes.iter().all(|byte| *byte == 0) || (read(image, section, range, each).is_some() && idle)
}
