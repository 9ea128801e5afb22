//! Whether something of the module stays with the kernel when the module is removed: an address of its code, or one of
//! its own timers, in a list or a queue. The kernel then jumps to it, and crashes.

use std::collections::HashSet;

use super::{
    callees::{self, Effect},
    flow::{Call, Event, Flow, Phase},
    image::{Image, Place, Reference, Target},
    keepers::{self, Keeper},
    kpatch::plain_name,
    livepatch::THIS_MODULE,
    operands::{Region, holds_code},
    rearm::Answer,
    step::Store,
    value::Value,
};

/// Sections in which a build lists places in code, for the loader to work on.
const LISTS: [&str; 22] = [
    "__mcount_loc",
    "__patchable_function_entries",
    "__bug_table",
    "__ex_table",
    "__jump_table",
    "_kprobe_blacklist",
    ".altinstructions",
    ".BTF",
    ".call_sites",
    ".cfi_sites",
    ".discard",
    ".eh_frame",
    ".ibt_endbr_seal",
    ".klp.",
    ".kpatch.",
    ".note",
    ".orc_unwind",
    ".parainstructions",
    ".retpoline_sites",
    ".return_sites",
    ".smp_locks",
    ".static_call_sites",
];

/// Returns whether data other than `slots`, where it belongs, holds the address of a new function.
pub fn in_data(image: &Image<'_>, new: &HashSet<Place>, slots: &HashSet<Place>) -> Answer {
    let mut answer = Answer::No;
    for (section, content) in image.sections.iter().enumerate() {
        if content.code || LISTS.iter().any(|list| content.name.starts_with(list)) {
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

/// Judges all that the module's code does.
pub fn by_code(image: &Image<'_>, flow: &Flow<'_>) -> Answer {
    let judge = Judge::new(image, flow);
    let begins = if flow.broken {
        Answer::Unknown
    } else {
        Answer::No
    };
    let mut answer = begins;
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
    flow: &'f Flow<'a>,
    /// What is called before the module goes.
    last_calls: Vec<&'f Call<'a>>,
    /// The names of these functions, without what a module adds to them.
    last_names: HashSet<&'a str>,
    /// The same with each first argument.
    last_objects: HashSet<(&'a str, Value<'a>)>,
    /// Those of them whose first argument may be any object.
    unclear_names: HashSet<&'a str>,
    /// Names of functions that are called while the new functions still run.
    early_names: HashSet<&'a str>,
    /// Where something else than an address of code is written at that time.
    early_put_back: HashSet<Region<'a>>,
    /// Where something else than an address of code is written before the module goes.
    put_back: HashSet<Region<'a>>,
    /// Variables of the module into which code writes an address of code.
    holders: HashSet<Place>,
    /// Whether something of the module's own was made ready for the kernel.
    prepared: bool,
}

impl<'f, 'a> Judge<'f, 'a> {
    fn new(image: &'f Image<'a>, flow: &'f Flow<'a>) -> Self {
        let mut judge = Self {
            image,
            flow,
            last_calls: Vec::new(),
            last_names: HashSet::new(),
            last_objects: HashSet::new(),
            unclear_names: HashSet::new(),
            early_names: HashSet::new(),
            early_put_back: HashSet::new(),
            put_back: HashSet::new(),
            holders: HashSet::new(),
            prepared: false,
        };
        for (phase, event) in &flow.events {
            match event {
                Event::Call(call) if *phase == Phase::Over => judge.last_calls.push(call),
                Event::Store(Store {
                    region: Region::Own(place),
                    value,
                    ..
                }) if value.may_be_code(image) => drop(judge.holders.insert(*place)),
                _ => {}
            }
        }
        judge.look_at_the_end();
        judge.prepared = flow.events.iter().any(|(_, event)| match event {
            Event::Call(call) => {
                let keeper = call.name.and_then(keepers::keeper);
                keeper.is_some_and(|keeper| keeper.prepares && judge.own(keeper, call).is_some())
            }
            _ => false,
        });
        judge
    }

    /// Sorts what is done before the module goes, once: each other event is held against it.
    fn look_at_the_end(&mut self) {
        for call in &self.last_calls {
            if let Some(name) = call.name.map(plain_name) {
                self.last_names.insert(name);
                self.last_objects.insert((name, call.arguments[0]));
                if !matches!(call.arguments[0], Value::Own(_)) {
                    self.unclear_names.insert(name);
                }
            }
        }
        for (phase, event) in &self.flow.events {
            match (phase, event) {
                (Phase::Ending, Event::Call(call)) => {
                    self.early_names.extend(call.name.map(plain_name));
                }
                (Phase::Ending, Event::Store(store)) if !self.is_code(&store.value) => {
                    self.early_put_back.insert(store.region);
                }
                (Phase::Over, Event::Store(store)) if !self.is_code(&store.value) => {
                    self.put_back.insert(store.region);
                }
                _ => {}
            }
        }
    }

    fn event(&self, event: &Event<'a>) -> Answer {
        match event {
            Event::Call(call) => self.call(call),
            Event::Store(store) => self.store(store),
            // A caller that is given an address may keep it.
            Event::Gives => Answer::Unknown,
        }
    }

    fn is_code(&self, value: &Value<'a>) -> bool {
        match value {
            Value::Loaded(place) if self.holders.contains(place) => true,
            other => other.may_be_code(self.image),
        }
    }

    /// Returns a variable of the module, but for what describes the module itself.
    fn is_object(&self, value: &Value<'a>) -> bool {
        let Value::Own(place) = value else {
            return false;
        };
        let section = self.image.section_of(*place);
        section.is_some_and(|section| !section.code && section.name != THIS_MODULE)
    }

    /// Returns the variable of the module that a call hands to a keeper.
    fn own(&self, keeper: &Keeper, call: &Call<'a>) -> Option<Value<'a>> {
        let object = call.arguments[keeper.object?];
        self.is_object(&object).then_some(object)
    }

    fn call(&self, call: &Call<'a>) -> Answer {
        let code = call.arguments.iter().any(|value| self.is_code(value));
        let Some(name) = call
            .name
            .filter(|name| !name.starts_with("__x86_indirect_"))
        else {
            return told(code || call.stack);
        };
        if keepers::borrows(name) || (!code && keepers::lets_go(name)) {
            return Answer::No;
        }
        if let Some(keeper) = keepers::keeper(name) {
            return self.keeps(keeper, call);
        }
        let holds = |value: &Value<'a>| match value {
            Value::Own(place) if self.is_object(value) => {
                holds_code(self.image, *place) || self.holders.contains(place)
            }
            _ => false,
        };
        let objects = call.arguments.iter().filter(|value| holds(value));
        let objects: Vec<&Value<'a>> = objects.collect();
        if keepers::registers(name) && (code || !objects.is_empty()) {
            return self.registered(name, &objects);
        }
        // What only looks at an object, or locks it, keeps nothing of it.
        let looks = callees::effect(name) == Effect::Nothing && !name.starts_with("mem");
        told(code || call.stack || (!looks && !objects.is_empty()))
    }

    fn keeps(&self, keeper: &Keeper, call: &Call<'a>) -> Answer {
        let function = keeper.code.map(|number| call.arguments[number]);
        let code = function.is_some_and(|value| self.is_code(&value));
        let own = self.own(keeper, call);
        let object = keeper.object.map(|number| call.arguments[number]);
        if keeper.prepares {
            // The call that hands over the module's own object decides.
            return match (code, own) {
                (false, _) => told(function == Some(Value::Any)),
                (true, Some(_)) => Answer::No,
                (true, None) => self.unless_undone(keeper, object),
            };
        }
        if code || own.is_some() {
            return self.unless_undone(keeper, object);
        }
        // It may be one of the module's own after all.
        let hidden = function == Some(Value::Any)
            || match object {
                Some(Value::Any) => self.prepared,
                Some(Value::Loaded(place)) => {
                    self.prepared || self.image.relocation(place).is_some()
                }
                _ => false,
            };
        told(hidden)
    }

    /// Returns yes, unless the module cancels what it handed over before it is removed.
    fn unless_undone(&self, keeper: &Keeper, object: Option<Value<'a>>) -> Answer {
        let called = |names: &[&str]| names.iter().any(|name| self.last_names.contains(name));
        if called(keeper.all_undone_by) {
            return Answer::No;
        }
        let own = object.filter(|object| matches!(object, Value::Own(_)));
        let same = |name: &&str| own.is_some_and(|own| self.last_objects.contains(&(*name, own)));
        if keeper.undone_by.iter().any(same) {
            return Answer::No;
        }
        let early = [
            keeper.undone_by,
            keeper.all_undone_by,
            keeper.perhaps_undone_by,
        ];
        let mut early = early.into_iter().flatten();
        let other = if own.is_some() {
            &self.unclear_names
        } else {
            &self.last_names
        };
        told_or_yes(
            keeper.undone_by.iter().any(|name| other.contains(name))
                || called(keeper.perhaps_undone_by)
                || early.any(|name| self.early_names.contains(name)),
        )
    }

    fn registered(&self, name: &str, objects: &[&Value<'a>]) -> Answer {
        let calls = self.last_calls.iter();
        let undone = calls.filter(|call| {
            let last = call.name;
            last.is_some_and(|last| keepers::unregisters(last, name))
        });
        let mut undone = undone.peekable();
        if undone.peek().is_none() {
            let mut early = self.early_names.iter();
            return told_or_yes(early.any(|last| keepers::unregisters(last, name)));
        }
        let same = |call: &&Call<'a>| objects.iter().any(|object| call.arguments.contains(object));
        if undone.any(same) {
            Answer::No
        } else {
            Answer::Unknown
        }
    }

    fn store(&self, store: &Store<'a>) -> Answer {
        if !self.is_code(&store.value) {
            return Answer::No;
        }
        let put_back = self.put_back.contains(&store.region);
        let early_put_back = self.early_put_back.contains(&store.region);
        let called = |tolerated: &dyn Fn(&str) -> bool| {
            let mut names = self.last_names.iter();
            names.any(|name| keepers::lets_go(name) && tolerated(name))
        };
        match store.region {
            // The module's own memory goes with it, and a stack before it.
            Region::Own(_) | Region::OwnArray(_) | Region::Stack(_) => Answer::No,
            Region::Foreign(_) if put_back => Answer::No,
            Region::Foreign(_) => told_or_yes(early_put_back),
            // What the kernel hands over is the kernel's: the module does not free it.
            Region::Argument(_) => {
                told_or_yes(put_back || early_put_back || called(&|name| name != "kfree"))
            }
            _ => told_or_yes(put_back || early_put_back || called(&|_| true)),
        }
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
