//! What is done before the module goes, sorted once: everything else that the code does is held against it.

use std::collections::{HashMap, HashSet};

use super::super::{
    flow::{Event, Flow, LifePhase},
    keepers::{self, Keeper},
    kpatch::plain_name,
    operands::Region,
    rearm::Answer,
    step::Store,
    value::Value,
};
use super::told_or_yes;

/// What is undone, and when.
#[derive(Debug, Default)]
pub struct Undone<'a> {
    /// The names of the functions that are called when nothing else of the module runs any more, each with what it is given.
    given: HashMap<&'a str, HashSet<Value<'a>>>,
    /// The same with each first argument alone.
    objects: HashSet<(&'a str, Value<'a>)>,
    /// Those of them whose first argument may be any object.
    unclear: HashSet<&'a str>,
    /// The names of functions that are called while the new functions still run, or may not be called at all.
    early: HashSet<&'a str>,
    /// Where something else than an address is written at that time.
    early_written: HashSet<Region<'a>>,
    /// Where something else than an address is written when nothing else runs any more.
    written: HashSet<Region<'a>>,
    /// Whether something that the kernel keeps is released then, and whether it is something else than memory.
    releases: bool,
    releases_more: bool,
}

impl<'a> Undone<'a> {
    /// Sorts what is done. Where `replaced`, the callbacks of the module do not run any more, and may as well not be there.
    pub fn of(flow: &Flow<'a>, replaced: bool, escapes: impl Fn(&Store<'a>) -> bool) -> Self {
        let mut undone = Self::default();
        for (phase, event) in &flow.events {
            let last = match phase {
                LifePhase::Enabled => continue,
                LifePhase::Ending => false,
                LifePhase::Unpatched => !replaced,
                LifePhase::Over => true,
            };
            match event {
                Event::Call(call) => {
                    if let Some(name) = call.name.map(plain_name) {
                        undone.call(name, &call.arguments, last);
                    }
                }
                Event::Store(store) if !escapes(store) => {
                    let written = if last {
                        &mut undone.written
                    } else {
                        &mut undone.early_written
                    };
                    written.insert(store.region);
                }
                _ => {}
            }
        }
        let mut names = undone.given.keys().filter(|name| keepers::lets_go(name));
        undone.releases = names.clone().next().is_some();
        undone.releases_more = names.any(|name| *name != "kfree");
        undone
    }

    fn call(&mut self, name: &'a str, arguments: &[Value<'a>; 6], last: bool) {
        if !last {
            self.early.insert(name);
            return;
        }
        self.given.entry(name).or_default().extend(arguments);
        self.objects.insert((name, arguments[0]));
        if !matches!(arguments[0], Value::Own(_)) {
            self.unclear.insert(name);
        }
    }

    /// Returns yes for something that a keeper is given, unless the module cancels it before it is removed.
    pub fn keeper(&self, keeper: &Keeper, object: Option<Value<'a>>) -> Answer {
        let called = |names: &[&str]| names.iter().any(|name| self.given.contains_key(name));
        if called(keeper.all_undone_by) {
            return Answer::No;
        }
        let own = object.filter(|object| matches!(object, Value::Own(_)));
        let same = |name: &&str| own.is_some_and(|own| self.objects.contains(&(*name, own)));
        if keeper.undone_by.iter().any(same) {
            return Answer::No;
        }
        let early = [
            keeper.undone_by,
            keeper.all_undone_by,
            keeper.perhaps_undone_by,
        ];
        let mut early = early.into_iter().flatten();
        let perhaps = |name: &&str| match own {
            Some(_) => self.unclear.contains(*name),
            None => self.given.contains_key(*name),
        };
        told_or_yes(
            keeper.undone_by.iter().any(perhaps)
                || called(keeper.perhaps_undone_by)
                || early.any(|name| self.early.contains(name)),
        )
    }

    /// Returns yes for objects that are registered under such a name, unless they are unregistered before the module goes.
    pub fn registration(&self, registrar: &str, objects: &[Value<'a>]) -> Answer {
        let ends = keepers::unregistrars(registrar);
        let mut last = ends.iter().filter_map(|end| self.given.get(end.as_str()));
        let mut last = last.by_ref().peekable();
        if last.peek().is_none() {
            return told_or_yes(ends.iter().any(|end| self.early.contains(end.as_str())));
        }
        let own = |object: &&Value<'a>| matches!(object, Value::Own(_));
        let objects: Vec<&Value<'a>> = objects.iter().filter(own).collect();
        let same = |given: &HashSet<Value<'a>>| objects.iter().any(|object| given.contains(object));
        if last.any(same) {
            Answer::No
        } else {
            Answer::Unknown
        }
    }

    /// Returns whether something else than an address is written to a place before the module goes.
    pub fn puts_back(&self, region: Region<'a>) -> bool {
        self.written.contains(&region)
    }

    /// Returns whether that is so, but perhaps too early.
    pub fn puts_back_early(&self, region: Region<'a>) -> bool {
        self.early_written.contains(&region)
    }

    /// Returns whether something that the kernel keeps is released before the module goes.
    pub fn releases(&self) -> bool {
        self.releases
    }

    /// Returns whether that is something else than memory of the module's own.
    pub fn releases_more(&self) -> bool {
        self.releases_more
    }
}
