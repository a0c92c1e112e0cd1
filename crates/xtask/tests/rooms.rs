//! The rules of the house that a compiler does not hold: ARCHITECTURE.md states them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, UseTree};

/// A module as its path inside of a crate; the crate's root is empty.
type Module = Vec<String>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The crates of the workspace that have modules, by name.
fn crates() -> Vec<(String, PathBuf)> {
    let crates = fs::read_dir(root().join("crates")).expect("the workspace has crates");
    let mut found: Vec<_> = crates
        .map(|entry| entry.expect("a folder can be read"))
        .map(|entry| {
            (
                entry.file_name().into_string().expect("a name in UTF-8"),
                entry.path(),
            )
        })
        .filter(|(_, path)| path.join("src").is_dir())
        .map(|(name, path)| (name, path.join("src")))
        .collect();
    found.sort();
    found
}

/// Every source file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a source folder can be read") {
        let path = entry.expect("an entry can be read").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false if path.extension().is_some_and(|extension| extension == "rs") => {
                found.push(path)
            }
            false => {}
        }
    }
    found.sort();
    found
}

fn module_of(source: &Path, file: &Path) -> Module {
    let relative = file
        .strip_prefix(source)
        .expect("the file is below its source folder");
    let mut module: Module = relative
        .with_extension("")
        .iter()
        .map(|part| part.to_str().expect("a name in UTF-8").to_string())
        .collect();
    if module
        .last()
        .is_some_and(|last| matches!(&last[..], "mod" | "lib" | "main"))
    {
        module.pop();
    }
    module
}

fn parse(file: &Path) -> syn::File {
    let text = fs::read_to_string(file).expect("a source file can be read");
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let tokens =
        |attribute: &Attribute| attribute.meta.require_list().map(|l| l.tokens.to_string());
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"))
        .any(|attribute| tokens(attribute).is_ok_and(|tokens| tokens.contains("test")))
}

/// All paths that a file names, as they are written.
#[derive(Default)]
struct Paths(BTreeSet<Vec<String>>);

impl Paths {
    fn of(file: &syn::File) -> BTreeSet<Vec<String>> {
        let mut paths = Self::default();
        paths.visit_file(file);
        paths.0
    }

    fn add(&mut self, prefix: &[String], tree: &UseTree) {
        let with = |name: String| [prefix, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.add(&with(path.ident.to_string()), &path.tree),
            UseTree::Name(name) => drop(self.0.insert(with(name.ident.to_string()))),
            UseTree::Rename(rename) => drop(self.0.insert(with(rename.ident.to_string()))),
            UseTree::Glob(_) => drop(self.0.insert(prefix.to_vec())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add(prefix, tree)),
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !is_for_tests(&item.attrs) {
            self.add(&[], &item.tree);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        self.0.insert(segments.collect());
        visit::visit_path(self, path);
    }
}

/// Turns a path into one from the crate's root, if it leads into the crate.
fn from_root(module: &Module, path: &[String]) -> Option<Vec<String>> {
    let (first, mut rest) = path.split_first()?;
    let mut at = match &first[..] {
        "crate" => Vec::new(),
        "self" => module.clone(),
        "super" => module[..module.len().checked_sub(1)?].to_vec(),
        _ => return None,
    };
    while let Some((next, after)) = rest.split_first().filter(|(next, _)| *next == "super") {
        let _ = next;
        at.pop()?;
        rest = after;
    }
    at.extend(rest.iter().cloned());
    Some(at)
}

/// Names that a module imports from its children, and the children: other children see them too.
type Exports = BTreeMap<(Module, String), String>;

fn exports(modules: &BTreeMap<Module, syn::File>) -> Exports {
    let mut found = Exports::new();
    for (module, file) in modules {
        for item in &file.items {
            let Item::Use(item) = item else { continue };
            let mut paths = Paths::default();
            paths.add(&[], &item.tree);
            for path in paths.0 {
                let path = match path.first().map(String::as_str) {
                    Some("self") => &path[1..],
                    _ => &path[..],
                };
                let is_child = |child: &String| {
                    modules.contains_key(&[&module[..], std::slice::from_ref(child)].concat())
                };
                if let [child, .., name] = path
                    && is_child(child)
                {
                    found.insert((module.clone(), name.clone()), child.clone());
                }
            }
        }
    }
    found
}

/// For each module the uses of one child by another, child to child.
fn edges(source: &Path) -> BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> {
    let modules: BTreeMap<Module, syn::File> = files(source)
        .iter()
        .map(|file| (module_of(source, file), parse(file)))
        .filter(|(module, _)| module.last().is_none_or(|last| last != "tests"))
        .collect();
    let exports = exports(&modules);
    let mut edges: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (module, file) in &modules {
        for path in Paths::of(file) {
            let Some(path) = from_root(module, &path) else {
                continue;
            };
            let common = module.iter().zip(&path).take_while(|(a, b)| a == b).count();
            let parent = module[..common].to_vec();
            let (Some(user), Some(used)) = (module.get(common), path.get(common)) else {
                continue;
            };
            let through = exports.get(&(parent.clone(), used.clone()));
            let used = through.unwrap_or(used);
            let is_child = modules
                .keys()
                .any(|m| m.starts_with(&parent) && m.get(common) == Some(used));
            if is_child && used != user {
                let of_parent = edges.entry(parent).or_default();
                of_parent
                    .entry(user.clone())
                    .or_default()
                    .insert(used.clone());
            }
        }
    }
    edges
}

/// A circle of uses, if there is one.
fn circle(edges: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn visit(
        at: &str,
        edges: &BTreeMap<String, BTreeSet<String>>,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        if let Some(start) = path.iter().position(|module| module == at) {
            return Some([&path[start..], &[at.to_string()]].concat());
        }
        if done.contains(at) {
            return None;
        }
        path.push(at.into());
        let found = edges.get(at).into_iter().flatten();
        let found = found
            .map(|next| visit(next, edges, path, done))
            .find(Option::is_some);
        path.pop();
        done.insert(at.into());
        found.flatten()
    }
    let mut done = BTreeSet::new();
    edges
        .keys()
        .find_map(|start| visit(start, edges, &mut Vec::new(), &mut done))
}

#[test]
fn no_sibling_modules_use_each_other_in_a_circle() {
    let (mut listed, mut circles) = (0, Vec::new());
    for (name, source) in crates() {
        for (parent, edges) in edges(&source) {
            let parent = [std::slice::from_ref(&name), &parent].concat().join("::");
            for (user, used) in &edges {
                listed += used.len();
                println!(
                    "{parent}: {user} -> {}",
                    used.iter().cloned().collect::<Vec<_>>().join(", ")
                );
            }
            circles
                .extend(circle(&edges).map(|circle| format!("{parent}: {}", circle.join(" -> "))));
        }
    }
    assert!(
        listed > 100,
        "{listed} edges were found: the test does not see the modules"
    );
    assert!(circles.is_empty(), "circles:\n{}", circles.join("\n"));
}

/// Patterns that tell the methods of deciding bits apart.
#[derive(Default)]
struct MethodPatterns(usize);

impl MethodPatterns {
    fn look_at(&mut self, path: &syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if let [.., owner, variant] = &segments[..] {
            let names_method = matches!(&owner[..], "Assignment" | "Method" | "Self");
            self.0 += usize::from(names_method && matches!(&variant[..], "Independent" | "Joint"));
        }
    }
}

impl<'ast> Visit<'ast> for MethodPatterns {
    /// The tokens of a macro are not parsed, so any mention of a method in a macro counts.
    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let tokens = item.tokens.to_string();
        for owner in ["Assignment", "Method", "Self"] {
            for variant in ["Independent", "Joint"] {
                self.0 += tokens.matches(&format!("{owner} :: {variant}")).count();
            }
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_pat(&mut self, pattern: &'ast syn::Pat) {
        match pattern {
            syn::Pat::TupleStruct(pattern) => self.look_at(&pattern.path),
            syn::Pat::Struct(pattern) => self.look_at(&pattern.path),
            syn::Pat::Path(pattern) => self.look_at(&pattern.path),
            _ => {}
        }
        visit::visit_pat(self, pattern);
    }
}

#[test]
fn the_method_of_deciding_bits_is_matched_on_in_its_room_alone() {
    let mut in_its_room = 0;
    let examples = ("examples".to_string(), root().join("examples"));
    for (name, source) in crates().into_iter().chain([examples]) {
        for file in files(&source) {
            let mut patterns = MethodPatterns::default();
            patterns.visit_file(&parse(&file));
            let place = [std::slice::from_ref(&name), &module_of(&source, &file)]
                .concat()
                .join("::");
            match &place[..] {
                place if place.starts_with("bitcodes-core::assignment") => {
                    in_its_room += patterns.0
                }
                // The names of methods in files, in a crate that does not know the methods.
                "bitcodes-format::parts" => {}
                _ => assert_eq!(patterns.0, 0, "{place} matches on the method"),
            }
        }
    }
    assert!(
        in_its_room > 10,
        "{in_its_room} patterns: the test does not see the matches"
    );
}

#[test]
fn no_source_file_is_longer_than_400_lines() {
    let mut sources: Vec<PathBuf> = crates()
        .into_iter()
        .flat_map(|(_, source)| files(&source))
        .collect();
    sources.extend(files(&root().join("tests")));
    sources.extend(files(&root().join("examples")));
    for file in sources {
        let lines = fs::read_to_string(&file)
            .expect("a source file can be read")
            .lines()
            .count();
        assert!(lines <= 400, "{} has {lines} lines", file.display());
    }
}

#[test]
fn the_rules_find_what_breaks_them() {
    let edges = |pairs: &[(&str, &str)]| {
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (user, used) in pairs {
            edges
                .entry(user.to_string())
                .or_default()
                .insert(used.to_string());
        }
        edges
    };
    assert_eq!(circle(&edges(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    let found = circle(&edges(&[("a", "b"), ("b", "c"), ("c", "b")])).unwrap();
    assert_eq!(found, ["b", "c", "b"]);

    for source in [
        "fn f(a: A) { match a { Assignment::Joint(_) => {} _ => {} } }",
        "fn f(a: A) { if let crate::Assignment::Independent(settings) = a {} }",
        "fn f(a: A) -> bool { matches!(a, Assignment::Joint(_)) }",
        "fn f(a: A) { assert!(matches!(a.method(), Method::Joint)) }",
    ] {
        let mut patterns = MethodPatterns::default();
        patterns.visit_file(&syn::parse_file(source).unwrap());
        assert_eq!(patterns.0, 1, "{source}");
    }
}
