//! Whether something of the module stays with the kernel when the module is removed: an address of its code, or one of
//! its own timers, in a list or a queue. The kernel then jumps to it, and crashes.

mod objects;
mod undone;

use std::collections::HashSet;

use super::{
    callees::{self, Effect},
    flow::{Call, Event, Flow},
    image::{Image, Place, Reference, THIS_MODULE, Target},
    keepers::{self, Keeper},
    operands::Region,
    rearm::Answer,
    step::Store,
    value::Value,
};
use objects::Objects;
use undone::Undone;

/// Returns whether data other than `slots`, where it belongs, holds the address of a new function.
pub fn in_data(image: &Image<'_>, new: &HashSet<Place>, slots: &HashSet<Place>) -> Answer {
    let mut answer = Answer::No;
    for (section, content) in image.sections.iter().enumerate() {
        if content.code || content.list {
            continue;
        }
        for field in &content.relocations {
            let slot = Place {
                section,
                offset: field.offset,
            };
            let Some(place) = field.place().filter(|_| !slots.contains(&slot)) else {
                continue;
            };
            if new.contains(&place) && field.reference != Reference::Unknown {
                return Answer::Yes;
            }
            if field.reference == Reference::Unknown && matches!(field.target, Target::Own(_)) {
                answer = Answer::Unknown;
            }
        }
    }
    answer
}

/// Combines two answers.
pub fn worse(one: Answer, other: Answer) -> Answer {
    match (one, other) {
        (Answer::Yes, _) | (_, Answer::Yes) => Answer::Yes,
        (Answer::No, Answer::No) => Answer::No,
        _ => Answer::Unknown,
    }
}

/// Judges all that the module's code does. `slots` are fields that hold addresses of code where they belong. Where the
/// livepatch was `replaced` by another one, its callbacks do not run when it goes.
pub fn by_code(
    image: &Image<'_>,
    flow: &Flow<'_>,
    slots: &HashSet<Place>,
    replaced: bool,
) -> Answer {
    let Some(judge) = Judge::new(image, flow, slots, replaced) else {
        return Answer::Unknown;
    };
    let mut answer = told(flow.broken);
    for (_, event) in &flow.events {
        answer = worse(answer, judge.event(event));
        if answer == Answer::Yes {
            break;
        }
    }
    answer
}

struct Judge<'f, 'a> {
    image: &'f Image<'a>,
    undone: Undone<'a>,
    /// Variables of the module into which code writes an address of code.
    holders: HashSet<Place>,
    /// Variables of the module that lead to its code.
    objects: Objects,
    /// Whether something of the module's own was made ready for the kernel.
    prepared: bool,
}

impl<'f, 'a> Judge<'f, 'a> {
    fn new(
        image: &'f Image<'a>,
        flow: &Flow<'a>,
        slots: &HashSet<Place>,
        replaced: bool,
    ) -> Option<Self> {
        let objects = Objects::of(image, flow, slots)?;
        let mut judge = Self {
            image,
            undone: Undone::default(),
            holders: HashSet::new(),
            prepared: !objects.is_empty(),
            objects,
        };
        for (_, event) in &flow.events {
            match event {
                Event::Store(Store {
                    region: Region::Own(place),
                    value,
                    ..
                }) if value.may_be_code(image) => drop(judge.holders.insert(*place)),
                Event::Call(call) => {
                    let keeper = call.name.and_then(keepers::keeper);
                    judge.prepared |= keeper
                        .is_some_and(|keeper| keeper.prepares && judge.own(keeper, call).is_some());
                }
                _ => {}
            }
        }
        judge.undone = Undone::of(flow, replaced, |store| judge.is_own(store.value));
        Some(judge)
    }

    fn event(&self, event: &Event<'a>) -> Answer {
        match event {
            Event::Call(call) => self.call(call),
            Event::Store(store) => self.store(store),
            // A caller that is given an address may keep it.
            Event::Gives(value) => told(self.is_own(*value)),
        }
    }

    fn is_code(&self, value: Value<'a>) -> bool {
        match value {
            Value::Loaded(place) if self.holders.contains(&place) => true,
            other => other.may_be_code(self.image),
        }
    }

    /// Returns whether a value may be a variable of the module that leads to code of it.
    fn leads(&self, value: Value<'a>) -> bool {
        self.objects.lead(self.image, value)
    }

    fn is_own(&self, value: Value<'a>) -> bool {
        self.is_code(value) || self.leads(value)
    }

    /// Returns a variable of the module, but for what describes the module itself.
    fn is_object(&self, value: Value<'a>) -> bool {
        let Value::Own(place) = value else {
            return false;
        };
        let section = self.image.section_of(place);
        section.is_some_and(|section| !section.code && section.name != THIS_MODULE)
    }

    /// Returns the variable of the module that a call hands to a keeper.
    fn own(&self, keeper: &Keeper, call: &Call<'a>) -> Option<Value<'a>> {
        let object = call.arguments[keeper.object?];
        self.is_object(object).then_some(object)
    }

    fn call(&self, call: &Call<'a>) -> Answer {
        let code = call.arguments.iter().any(|value| self.is_code(*value));
        let leading = call.arguments.iter().filter(|value| self.leads(**value));
        let objects: Vec<Value<'a>> = leading.copied().collect();
        let Some(name) = call
            .name
            .filter(|name| !name.starts_with("__x86_indirect_"))
        else {
            return told(code || !objects.is_empty() || self.is_own(call.stack));
        };
        if keepers::borrows(name) || (!code && keepers::lets_go(name)) {
            return Answer::No;
        }
        if let Some(keeper) = keepers::keeper(name) {
            return self.keeps(keeper, call);
        }
        if keepers::registers(name) && (code || !objects.is_empty()) {
            return self.undone.registration(name, &objects);
        }
        // What only looks at an object, or locks it, keeps nothing of it.
        let looks = callees::effect(name) == Effect::Nothing && !name.starts_with("mem");
        let keeps = !looks && (!objects.is_empty() || self.leads(call.stack));
        told(code || self.is_code(call.stack) || keeps)
    }

    fn keeps(&self, keeper: &Keeper, call: &Call<'a>) -> Answer {
        let function = keeper.code.map(|number| call.arguments[number]);
        let code = function.is_some_and(|value| self.is_code(value));
        let own = self.own(keeper, call);
        let object = keeper.object.map(|number| call.arguments[number]);
        let unclear = |value: Option<Value<'a>>| matches!(value, Some(Value::Any | Value::Data(_)));
        if keeper.prepares {
            // The call that hands over the module's own object decides.
            return match (code, own, object) {
                (false, ..) => told(unclear(function)),
                (true, Some(_), _) => Answer::No,
                (true, None, Some(Value::Data(_))) => Answer::Unknown,
                (true, None, _) => self.undone.keeper(keeper, object),
            };
        }
        if code || own.is_some() {
            return self.undone.keeper(keeper, object);
        }
        // It may be one of the module's own after all.
        let hidden = unclear(function)
            || match object {
                Some(Value::Any) => self.prepared,
                Some(Value::Data(_)) => true,
                Some(Value::Loaded(place)) => {
                    self.prepared || self.image.relocation(place).is_some()
                }
                _ => false,
            };
        told(hidden)
    }

    fn store(&self, store: &Store<'a>) -> Answer {
        let put_back = self.undone.puts_back(store.region);
        match store.region {
            // The module's own memory goes with it, and a stack before it.
            Region::Own(_) | Region::OwnArray(_) | Region::Stack(_) => return Answer::No,
            Region::Foreign(_) if put_back => return Answer::No,
            _ => {}
        }
        if self.is_code(store.value) {
            // A copy of unclear length may end before the address.
            let undone = put_back || store.size == 0 || self.perhaps_undone(store.region);
            return told_or_yes(undone);
        }
        if self.leads(store.value) {
            let whole = self.is_object(store.value) && store.size != 0;
            let foreign = whole && matches!(store.region, Region::Foreign(_));
            return told_or_yes(!foreign || self.perhaps_undone(store.region));
        }
        // Of an object without code the kernel is left with a pointer to nothing.
        let kernel = matches!(store.region, Region::Foreign(_) | Region::Argument(_));
        told(kernel && self.is_object(store.value))
    }

    /// Returns whether an address in memory may be taken out of it again before the module goes, or go with it.
    fn perhaps_undone(&self, region: Region<'a>) -> bool {
        let released = match region {
            Region::Foreign(_) => false,
            // What the kernel hands over is the kernel's: the module does not free it.
            Region::Argument(_) => self.undone.releases_more(),
            Region::Data(_) => true,
            _ => self.undone.releases(),
        };
        released || self.undone.puts_back_early(region)
    }
}

/// Returns yes, unless something may undo it.
fn told_or_yes(undone: bool) -> Answer {
    if undone { Answer::Unknown } else { Answer::Yes }
}

/// Returns unknown if not all could be read.
fn told(amiss: bool) -> Answer {
    if amiss { Answer::Unknown } else { Answer::No }
}
