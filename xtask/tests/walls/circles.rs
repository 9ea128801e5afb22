//! Circles in a graph of files.

use std::collections::{BTreeMap, BTreeSet};

use super::uses::Uses;

/// Returns the groups of files that reach each other, each in order.
pub fn find(uses: &Uses) -> Vec<Vec<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        uses.keys().map(|file| (file, from(file, uses))).collect();
    let mut groups: BTreeSet<Vec<String>> = BTreeSet::new();
    for (file, there) in &reached {
        let mutual = there.iter().filter(|other| reached[**other].contains(file));
        let group: Vec<String> = mutual.map(|one| (*one).clone()).collect();
        if group.len() > 1 {
            groups.insert(group);
        }
    }
    groups.into_iter().collect()
}

/// Returns the files that are reached from one; it is among them where it is on a circle.
fn from<'a>(file: &'a String, uses: &'a Uses) -> BTreeSet<&'a String> {
    let mut there = BTreeSet::new();
    let mut open = vec![file];
    while let Some(next) = open.pop() {
        let new = uses.get(next).into_iter().flatten();
        open.extend(new.filter(|one| there.insert(*one)));
    }
    there
}
