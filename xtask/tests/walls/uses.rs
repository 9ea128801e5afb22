//! Which file of a crate uses which, read from its `use` trees.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use syn::{Attribute, Item, UseTree};

/// The files of a crate, each with those that it uses: by their module paths, `a::child`; the crate's root is empty.
pub type Uses = BTreeMap<String, BTreeSet<String>>;

type Segments = Vec<String>;

/// Reads every file under `sources`.
pub fn between_files(sources: &Path) -> Uses {
    let mut files = BTreeMap::new();
    read(sources, &Vec::new(), &mut files);
    let known: BTreeSet<Segments> = files.keys().cloned().collect();
    let edges = files.into_iter().map(|(file, used)| {
        let used = used.iter().filter_map(|path| owner(path, &known));
        let others = used.filter(|other| !is_related(other, &file));
        (file.join("::"), others.map(|one| one.join("::")).collect())
    });
    edges.collect()
}

/// Adds the files of a folder, whose module path is `path`, with every path that they use.
fn read(folder: &Path, path: &Segments, files: &mut BTreeMap<Segments, Vec<Segments>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut module = path.clone();
        if name != "lib" {
            module.push(name.clone());
        }
        if file.is_dir() {
            read(&file, &module, files);
        } else if name != "tests" && file.extension().is_some_and(|one| one == "rs") {
            let text = fs::read_to_string(&file).unwrap();
            let syntax = syn::parse_file(&text).unwrap();
            let used = of_items(&syntax.items, &module);
            files.insert(module, used);
        }
    }
}

fn of_items(items: &[Item], module: &Segments) -> Vec<Segments> {
    let mut used = Vec::new();
    for item in items {
        match item {
            Item::Use(one) if !is_of_tests(&one.attrs) => {
                flatten(&one.tree, &Vec::new(), &mut used);
            }
            Item::Mod(one) if !is_of_tests(&one.attrs) => {
                // What a module inside the file uses, the file does.
                if let Some((_, items)) = &one.content {
                    used.extend(of_items(items, module));
                }
            }
            _ => {}
        }
    }
    used.iter()
        .filter_map(|path| absolute(path, module))
        .collect()
}

fn is_of_tests(attributes: &[Attribute]) -> bool {
    let is = |one: &Attribute| one.path().is_ident("cfg") && quoted(one).contains("test");
    attributes.iter().any(is)
}

fn quoted(attribute: &Attribute) -> String {
    match &attribute.meta {
        syn::Meta::List(list) => list.tokens.to_string(),
        _ => String::new(),
    }
}

fn flatten(tree: &UseTree, prefix: &Segments, used: &mut Vec<Segments>) {
    let with = |name: String| prefix.iter().cloned().chain([name]).collect::<Segments>();
    match tree {
        UseTree::Path(path) => flatten(&path.tree, &with(path.ident.to_string()), used),
        UseTree::Name(name) => used.push(with(name.ident.to_string())),
        UseTree::Rename(name) => used.push(with(name.ident.to_string())),
        UseTree::Glob(_) => used.push(prefix.clone()),
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, prefix, used);
            }
        }
    }
}

/// Returns a path from the crate's root; `None` where it may lead out of the crate.
fn absolute(path: &Segments, module: &Segments) -> Option<Segments> {
    let supers = path.iter().take_while(|one| *one == "super").count();
    if supers > 0 {
        let above = module.len().checked_sub(supers)?;
        return Some(
            module[..above]
                .iter()
                .chain(&path[supers..])
                .cloned()
                .collect(),
        );
    }
    (path.first()? == "crate").then(|| path[1..].to_vec())
}

/// Returns the file that a path leads into.
fn owner(path: &Segments, known: &BTreeSet<Segments>) -> Option<Segments> {
    let ends = (0..=path.len()).rev();
    ends.map(|end| path[..end].to_vec())
        .find(|one| known.contains(one))
}

fn is_related(one: &Segments, other: &Segments) -> bool {
    one.starts_with(other) || other.starts_with(one)
}
