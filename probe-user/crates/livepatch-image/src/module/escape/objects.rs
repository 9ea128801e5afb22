//! Variables of the module that hold addresses of its code, or lead to ones that do.

use std::collections::HashSet;

use super::super::{
    flow::{Event, Flow},
    image::{Image, Place, Section},
    livepatch,
    operands::Region,
    value::Value,
};

/// These variables, by where they begin.
#[derive(Debug)]
pub struct Objects(HashSet<Place>);

impl Objects {
    /// Finds them: the build filled them in, but for `slots`, or code does. `None` if that takes too much work.
    pub fn of(image: &Image<'_>, flow: &Flow<'_>, slots: &HashSet<Place>) -> Option<Self> {
        let mut links = Links::default();
        links.filled_in(image, slots)?;
        links.written(image, flow)?;
        links.edges.sort_unstable();
        links.edges.dedup();
        let mut objects = Self(HashSet::new());
        objects.add(links.holders, &links.edges);
        if !objects.is_empty() {
            objects.add(links.mixed, &links.edges);
        }
        Some(objects)
    }

    /// Adds variables, and all that lead to them.
    fn add(&mut self, mut found: Vec<Place>, edges: &[(Place, Place)]) {
        while let Some(place) = found.pop() {
            if self.0.insert(place) {
                let first = edges.partition_point(|(to, _)| *to < place);
                let same = edges[first..].iter().take_while(|(to, _)| *to == place);
                found.extend(same.map(|(_, from)| *from));
            }
        }
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a value may have to do with one of them.
    pub fn lead(&self, image: &Image<'_>, value: Value<'_>) -> bool {
        match value.data(image) {
            Value::Data(Some(place)) => self.0.contains(&image.home(place)),
            Value::Data(None) => !self.is_empty(),
            _ => false,
        }
    }
}

/// What variables hold.
#[derive(Debug, Default)]
struct Links {
    /// Those that hold an address of code.
    holders: Vec<Place>,
    /// Those that hold the address of one of several others.
    mixed: Vec<Place>,
    /// A variable, and one that holds its address.
    edges: Vec<(Place, Place)>,
}

impl Links {
    fn filled_in(&mut self, image: &Image<'_>, slots: &HashSet<Place>) -> Option<()> {
        let sections = image.sections.iter().enumerate();
        for (section, content) in sections.filter(|(_, content)| content.variables) {
            for field in &content.relocations {
                image.budget.spend(1)?;
                let slot = Place {
                    section,
                    offset: field.offset,
                };
                let Some(target) = field.place().filter(|_| !slots.contains(&slot)) else {
                    continue;
                };
                if image.is_code(target) {
                    let called = is_called(image, target) && !is_loader_s(image, content, target);
                    self.holders.extend(called.then(|| image.home(slot)));
                } else if image.is_variable(target) {
                    image.budget.spend(3)?;
                    self.edges.push((image.home(target), image.home(slot)));
                }
            }
        }
        Some(())
    }

    fn written(&mut self, image: &Image<'_>, flow: &Flow<'_>) -> Option<()> {
        for (_, event) in &flow.events {
            let Event::Store(store) = event else {
                continue;
            };
            let (Region::Own(place) | Region::OwnArray(place) | Region::Data(Some(place))) =
                store.region
            else {
                continue;
            };
            image.budget.spend(1)?;
            let home = image.home(place);
            match store.value.data(image) {
                Value::Data(Some(data)) => self.edges.push((image.home(data), home)),
                Value::Data(None) => self.mixed.push(home),
                _ if store.value.may_be_code(image) => self.holders.push(home),
                _ => {}
            }
        }
        Some(())
    }
}

/// Returns whether code at a place can be called: the cases of a `switch` lie inside a function.
fn is_called(image: &Image<'_>, code: Place) -> bool {
    let function = image.function(code);
    function.is_none_or(|function| function.place == code)
}

/// Returns whether a field names the first or last function of the module only so that the build keeps that function.
fn is_loader_s(image: &Image<'_>, section: &Section<'_>, code: Place) -> bool {
    [".init.data", ".exit.data"].contains(&section.name) && livepatch::runs_once(image, code)
}
