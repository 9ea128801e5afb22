//! The switches in a module's `klp_patch`: its bytes where it is a variable, and what code writes into it.

use std::collections::BTreeMap;

use super::{
    flow::{Event, Flow},
    image::{Image, Place},
    kpatch::plain_name,
    operands::Region,
    step::Store,
    value::Value,
};

/// What the kernel is given as a livepatch.
const ENABLE: &str = "klp_enable_patch";

/// More than a `klp_patch` has.
const MOST_BYTES: usize = 1 << 12;

/// The bytes of a `klp_patch`, as far as they are known.
#[derive(Debug, Default)]
pub struct Switches {
    /// Where it is a variable: its place, and how it begins.
    variable: Option<(Place, Vec<u8>)>,
    /// What code writes, by offset; `None` where that is not known, or differs.
    written: BTreeMap<i64, Option<u8>>,
}

impl Switches {
    /// Returns those of a variable.
    pub fn in_data(image: &Image<'_>, place: Place) -> Self {
        let start = usize::try_from(place.offset).unwrap_or(usize::MAX);
        let section = image.section_of(place).map(|section| section.bytes);
        let bytes = section.and_then(|bytes| bytes.get(start..));
        let length = image.variable_at(place).map_or(0, |extent| extent.size);
        let length = usize::try_from(length)
            .unwrap_or(MOST_BYTES)
            .min(MOST_BYTES);
        let bytes = bytes.map_or(&[][..], |bytes| &bytes[..length.min(bytes.len())]);
        Self {
            variable: Some((place, bytes.to_vec())),
            written: BTreeMap::new(),
        }
    }

    /// Takes in what code writes into the `klp_patch` that it gives to the kernel.
    pub fn written_by(&mut self, image: &Image<'_>, flow: &Flow<'_>) {
        let given = flow.events.iter().filter_map(|(_, event)| match event {
            Event::Call(call) if call.name.map(plain_name) == Some(ENABLE) => {
                Some(call.arguments[0])
            }
            _ => None,
        });
        let given: Vec<Value<'_>> = given.collect();
        let [patch] = given.as_slice() else {
            return;
        };
        for (_, event) in &flow.events {
            if let Event::Store(store) = event {
                self.take_in(image, *patch, store);
            }
        }
    }

    fn take_in(&mut self, image: &Image<'_>, patch: Value<'_>, store: &Store<'_>) {
        let offset = match (store.region, patch) {
            (Region::Behind(variable, offset), Value::Loaded(known)) if variable == known => offset,
            (Region::Own(place), Value::Own(start)) => {
                let of = image.variable(place).map(|variable| variable.place);
                if of != Some(start) {
                    return;
                }
                place.offset.wrapping_sub(start.offset).cast_signed()
            }
            _ => return,
        };
        let value = match (store.size, store.value) {
            (1, Value::Number(number)) => u8::try_from(number).ok(),
            _ => None,
        };
        for part in 0..store.size.clamp(1, 16) {
            let offset = offset.saturating_add_unsigned(part as u64);
            let known = self.written.entry(offset).or_insert(value);
            *known = known.filter(|known| Some(*known) == value);
        }
    }

    /// Returns the switch at an offset.
    pub fn at(&self, offset: u32) -> Option<bool> {
        let written = self.written.get(&i64::from(offset));
        let kept = || {
            let (_, bytes) = self.variable.as_ref()?;
            bytes.get(usize::try_from(offset).ok()?).copied()
        };
        match written.copied().unwrap_or_else(kept)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

#[cfg(any(test, feature = "samples"))]
impl Switches {
    /// Sets a switch to 1.
    pub fn set(&mut self, offset: usize) {
        self.variable.as_mut().unwrap().1[offset] = 1;
    }
}
