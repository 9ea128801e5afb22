//! What one instruction does to what is followed.

use iced_x86::{InstructionInfo, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};

use super::{
    code::Line,
    image::Image,
    operands::{Now, Region, behind},
    value::{Comparison, Registers, Value},
};

/// Something that is written into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Store<'a> {
    /// Where to.
    pub region: Region<'a>,
    /// How many bytes; 0 where that cannot be told.
    pub size: usize,
    /// What.
    pub value: Value<'a>,
}

/// Follows instructions.
pub struct Stepper<'a> {
    image: &'a Image<'a>,
    factory: InstructionInfoFactory,
    /// What the last instruction wrote.
    pub stored: Option<Store<'a>>,
}

impl<'a> Stepper<'a> {
    /// Returns one that has followed nothing yet.
    pub fn new(image: &'a Image<'a>) -> Self {
        Self {
            image,
            factory: InstructionInfoFactory::new(),
            stored: None,
        }
    }

    /// Follows an instruction that is no jump and no call.
    pub fn step(&mut self, line: &Line<'a>, section: usize, registers: &mut Registers<'a>) {
        self.stored = None;
        let now = Now {
            image: self.image,
            line,
            section,
        };
        let instruction = &line.instruction;
        if let Mnemonic::Cmp | Mnemonic::Test = instruction.mnemonic() {
            registers.compared = Some(Comparison {
                left: now.operand(0, registers),
                right: now.operand(1, registers),
                bits: instruction.mnemonic() == Mnemonic::Test,
                size: now.size(0),
            });
            return;
        }
        if instruction.rflags_modified() != 0 {
            registers.compared = None;
        }
        match instruction.mnemonic() {
            _ if instruction.is_string_instruction() => self.string(&now, registers),
            Mnemonic::Push => {
                let value = now.operand(0, registers);
                let top = registers.get(Register::RSP).plus(-8, self.image);
                registers.set(Register::RSP, top);
                write_stack(&now, top, value, registers);
            }
            Mnemonic::Pop => {
                let top = registers.get(Register::RSP);
                let value = self.on_top(top, registers);
                registers.set(Register::RSP, top.plus(8, self.image));
                self.put(&now, value, registers);
            }
            Mnemonic::Leave => {
                let frame = registers.get(Register::RBP);
                let value = self.on_top(frame, registers);
                registers.set(Register::RSP, frame.plus(8, self.image));
                registers.set(Register::RBP, value);
            }
            _ => match now.result(registers) {
                Some(value) => self.put(&now, value, registers),
                None => self.anything_else(&now, registers),
            },
        }
    }

    /// Returns what is on the stack at `top`: anything that is on it, where that place is not known.
    fn on_top(&self, top: Value<'a>, registers: &Registers<'a>) -> Value<'a> {
        match top {
            Value::Stack(offset) => registers.slot(offset),
            Value::Frame => registers.on_stack(self.image),
            _ => Value::Any,
        }
    }

    /// Puts the result of an instruction into its first operand.
    fn put(&mut self, now: &Now<'_, 'a>, value: Value<'a>, registers: &mut Registers<'a>) {
        let instruction = &now.line.instruction;
        if instruction.op0_kind() != OpKind::Memory {
            let (register, size) = (instruction.op0_register(), now.size(0));
            let mut value = now.cut(value, size);
            if size < 4 {
                // The rest of the register stays: most of an address, if it held one.
                let before = registers.get(register).blurred(self.image);
                value = value.joined(before, self.image);
            }
            registers.set(register, value);
            return;
        }
        let (region, size) = (now.region(registers), now.size(0));
        match region {
            Region::Stack(Some(offset)) => registers.keep(offset, size, value, self.image),
            Region::Stack(None) => registers.scatter(value, self.image),
            _ => {}
        }
        self.stored = Some(Store {
            region,
            size,
            value,
        });
        // The variable and the register hold the same from here on.
        if let (Region::Own(place), 8, Value::Any) = (region, size, value)
            && instruction.mnemonic() == Mnemonic::Mov
            && instruction.op1_kind() == OpKind::Register
        {
            registers.set(instruction.op1_register(), Value::Loaded(place));
        }
    }

    /// Forgets what an instruction changes that is not followed in more detail.
    fn anything_else(&mut self, now: &Now<'_, 'a>, registers: &mut Registers<'a>) {
        let instruction = &now.line.instruction;
        let operands = (0..instruction.op_count()).map(|operand| now.operand(operand, registers));
        let left = operands.fold(Value::Any, |left, value| {
            left.joined(value.blurred(self.image), self.image)
        });
        let info = self.factory.info(instruction);
        let stored = written(info).map(|size| Store {
            region: now.region(registers),
            size,
            value: left,
        });
        for used in info.used_registers() {
            if writes(used.access()) {
                let shared = matches!(registers.get(used.register()), Value::Stack(_));
                let left = if shared && left == Value::Any {
                    Value::Frame
                } else {
                    left
                };
                registers.set(used.register(), left);
            }
        }
        self.store(stored, registers);
    }

    /// Follows an instruction that works its way through memory: from where `rsi` points, and to where `rdi` does.
    fn string(&mut self, now: &Now<'_, 'a>, registers: &mut Registers<'a>) {
        let instruction = &now.line.instruction;
        let mut kinds = instruction.op_kinds();
        let value = if kinds.any(|kind| matches!(kind, OpKind::MemorySegRSI | OpKind::MemorySegESI))
        {
            now.content(behind(registers.get(Register::RSI)), registers)
        } else {
            now.operand(1, registers)
        };
        let info = self.factory.info(instruction);
        let repeated = instruction.has_rep_prefix() || instruction.has_repne_prefix();
        let stored = written(info).map(|size| Store {
            region: behind(registers.get(Register::RDI)),
            size: if repeated { 0 } else { size },
            value,
        });
        for used in info.used_registers() {
            if writes(used.access()) {
                let left = match used.register().full_register() {
                    Register::RAX => value,
                    other => registers.get(other),
                };
                registers.set(used.register(), left.blurred(self.image));
            }
        }
        self.store(stored, registers);
    }

    /// Notes what is written into memory, at an unclear place of it where that is the stack.
    fn store(&mut self, stored: Option<Store<'a>>, registers: &mut Registers<'a>) {
        if let Some(Store {
            region: Region::Stack(_),
            value,
            ..
        }) = stored
        {
            registers.scatter(value, self.image);
        }
        self.stored = stored;
    }
}

fn writes(access: OpAccess) -> bool {
    matches!(
        access,
        OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
    )
}

/// Returns how many bytes an instruction writes into memory; `None` where it writes none.
fn written(info: &InstructionInfo) -> Option<usize> {
    let mut memory = info.used_memory().iter();
    let used = memory.find(|used| writes(used.access()))?;
    Some(used.memory_size().size())
}

fn write_stack<'a>(
    now: &Now<'_, 'a>,
    top: Value<'a>,
    value: Value<'a>,
    registers: &mut Registers<'a>,
) {
    match top {
        Value::Stack(offset) => registers.keep(offset, 8, value, now.image),
        _ => registers.scatter(value, now.image),
    }
}
