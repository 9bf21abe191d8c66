//! Which file of `src/` imports which, and that no loop of imports leaves a folder.
//!
//! An item that a `pub use` hands on counts as imported from where it is defined.

use std::collections::{BTreeMap, BTreeSet};

use super::{is_word, sources};

/// Imports that close a loop between files of different folders all the same, each with its reason:
/// there are none.
const CLOSE_A_LOOP: [(&str, &str, &str); 0] = [];

/// A path as it is written, or from the root of the crate.
type ModulePath = Vec<String>;
type Imports = BTreeMap<String, BTreeSet<String>>;

struct Crate {
    /// The file of each module, by the module's path.
    files: BTreeMap<ModulePath, String>,
    /// What a module hands on: module, name, and the whole path of it.
    handed_on: BTreeMap<(ModulePath, String), ModulePath>,
    imports: Imports,
}

impl Crate {
    fn new(sources: &BTreeMap<String, String>) -> Self {
        let files = sources.keys().map(|file| (module_path(file), file.clone())).collect();
        let mut this = Crate { files, handed_on: BTreeMap::new(), imports: Imports::new() };
        let mut rest = BTreeMap::new();
        for (file, code) in sources {
            let (handed_on, other) = part_at_pub_use(code);
            rest.insert(file, other);
            for (path, name) in handed_on.iter().flat_map(|tree| paths_of(tree)) {
                if let Some(path) = this.whole_path(file, &path) {
                    this.handed_on.insert((module_path(file), name), path);
                }
            }
        }
        for (file, code) in rest.into_iter().filter(|(file, _)| *file != "lib.rs") {
            let paths = trees_in(&code).into_iter().flat_map(|tree| paths_of(&tree));
            let found = paths.filter_map(|(path, _)| this.whole_path(file, &path)).map(|path| this.file_of(&path));
            let found = found.filter(|imported| imported != file).collect();
            this.imports.insert(file.clone(), found);
        }
        this
    }

    /// The path from the root; `None` for other crates and for what a file has imported before.
    fn whole_path(&self, file: &str, path: &[String]) -> Option<ModulePath> {
        let mut at = module_path(file);
        let mut path = path;
        match path.first()?.as_str() {
            "crate" => {
                at.clear();
                path = &path[1..];
            }
            "self" => path = &path[1..],
            "super" => {
                while path.first().is_some_and(|word| word == "super") {
                    at.pop();
                    path = &path[1..];
                }
            }
            child => {
                let child = [&at[..], &[child.to_owned()]].concat();
                if !self.files.contains_key(&child) {
                    return None;
                }
            }
        }
        at.extend(path.iter().filter(|word| *word != "self").cloned());
        Some(at)
    }

    /// The file that defines what is at `path`.
    fn file_of(&self, path: &[String]) -> String {
        let modules = (0..=path.len()).rev().find(|end| self.files.contains_key(&path[..*end])).unwrap();
        let module = path[..modules].to_vec();
        let handed_on = path.get(modules).and_then(|name| self.handed_on.get(&(module.clone(), name.clone())));
        handed_on.map_or_else(|| self.files[&module].clone(), |path| self.file_of(path))
    }

    /// The folder of a module is where its children are, or else where its file is.
    fn folder(&self, file: &str) -> String {
        let mut module = module_path(file);
        let has_children = self.files.keys().any(|other| other.len() > module.len() && other.starts_with(&module));
        if !has_children {
            module.pop();
        }
        module.join("/")
    }

    /// The imports that are part of a loop and lead to another folder, but for those that are
    /// `left_out`.
    fn loops(&self, left_out: &[(&str, &str, &str)]) -> Vec<String> {
        let mut imports = self.imports.clone();
        for (from, to, _) in left_out {
            imports.get_mut(*from).unwrap().remove(*to);
        }
        let edges = imports.iter().flat_map(|(from, all)| all.iter().map(move |to| (from, to)));
        let leaves_folder = edges.filter(|(from, to)| self.folder(from) != self.folder(to));
        leaves_folder
            .filter(|(from, to)| reaches(&imports, to, from))
            .map(|(from, to)| format!("{from} -> {to}"))
            .collect()
    }
}

fn reaches(imports: &Imports, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        next.extend(imports.get(file).into_iter().flatten().map(String::as_str).filter(|file| seen.insert(file)));
    }
    seen.contains(to)
}

fn module_path(file: &str) -> ModulePath {
    let name = file.trim_end_matches(".rs").trim_end_matches("/mod");
    name.split('/').filter(|word| *word != "lib").map(str::to_owned).collect()
}

/// The trees of paths behind `pub use`, and the rest of the code.
fn part_at_pub_use(code: &str) -> (Vec<String>, String) {
    let (mut trees, mut rest) = (Vec::new(), String::new());
    for (number, part) in code.split(" use ").enumerate() {
        let is_public = ["pub", "pub(crate)", "pub(super)"].iter().any(|word| rest.ends_with(word));
        match part.split_once(';').filter(|_| number > 0 && is_public) {
            Some((tree, after)) => {
                trees.push(tree.trim().to_owned());
                rest.push_str(after);
            }
            None => {
                rest.push_str(" use ");
                rest.push_str(part);
            }
        }
    }
    (trees, rest)
}

/// Every path in the code that goes through a module: from its first word to the end of it, groups
/// included.
fn trees_in(code: &str) -> Vec<String> {
    let starts = code.match_indices("::").filter_map(|(at, _)| {
        let start = code[..at].rfind(|c| !is_word(c)).map_or(0, |before| before + 1);
        (start < at && !code[..start].ends_with("::")).then_some(start)
    });
    starts.map(|start| tree_at(&code[start..]).to_owned()).collect()
}

/// The tree of paths at the start of `code`.
fn tree_at(code: &str) -> &str {
    let mut depth = 0;
    let end = code.char_indices().find(|(at, c)| {
        let opens = *c == '{' && code[..*at].ends_with("::");
        depth += i32::from(opens || (*c == '{' && depth > 0)) - i32::from(*c == '}');
        depth < 0 || (depth == 0 && !is_word(*c) && *c != ':' && *c != '}')
    });
    end.map_or(code, |(at, _)| &code[..at])
}

/// The single paths of a tree such as `a::{b, c::{self, D as E}}`, each with the name that it gets.
fn paths_of(tree: &str) -> Vec<(ModulePath, String)> {
    let words =
        |path: &str| path.split("::").map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let Some((front, group)) = tree.split_once('{') else {
        let (path, name) = tree.split_once(" as ").unwrap_or((tree, tree));
        return vec![(words(path), name.rsplit("::").next().unwrap().trim().to_owned())];
    };
    let front: ModulePath = words(front);
    let mut depth = 0;
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let parts = group.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    let parts = parts.map(str::trim).filter(|part| !part.is_empty()).flat_map(paths_of);
    parts.map(|(path, name)| ([&front[..], &path[..]].concat(), name)).collect()
}

#[test]
fn no_loop_of_imports_leaves_a_folder() {
    let this = Crate::new(&sources());
    let loops = this.loops(&CLOSE_A_LOOP);
    assert!(loops.is_empty(), "imports that go round between folders: {loops:#?}");
    for (number, (from, to, reason)) in CLOSE_A_LOOP.iter().enumerate() {
        let others = [&CLOSE_A_LOOP[..number], &CLOSE_A_LOOP[number + 1..]].concat();
        let is_needed = this.imports[*from].contains(*to) && !this.loops(&others).is_empty();
        assert!(is_needed, "nobody needs the exception any more: {from} -> {to} ({reason})");
    }
}

#[test]
fn loops_are_found_through_names_that_are_handed_on() {
    let source = |(file, code): (&str, &str)| (file.to_owned(), code.to_owned());
    let of = |top: &str| {
        let files = [
            ("lib.rs", "pub use top::{Top as T};"),
            ("top/mod.rs", top),
            ("top/low.rs", "use super::{helper, Other}; fn f() { other::g() }"),
            ("top/helper.rs", "use crate::side::{self, X, inner::{Y, Z}};"),
            ("side/mod.rs", "mod inner; pub(crate) use inner::Y; fn f() -> crate::side::inner::Z {}"),
            ("side/inner.rs", "fn f() { crate::T::new() }"),
        ];
        Crate::new(&files.into_iter().map(source).collect())
    };
    let apart = of("pub use low::Low; pub struct Top; fn f() {}");
    assert_eq!(apart.imports["top/low.rs"], ["top/helper.rs", "top/mod.rs"].map(str::to_owned).into());
    assert_eq!(apart.imports["top/helper.rs"], ["side/inner.rs", "side/mod.rs"].map(str::to_owned).into());
    assert_eq!(apart.imports["side/mod.rs"], ["side/inner.rs".to_owned()].into());
    assert_eq!(apart.imports["side/inner.rs"], ["top/mod.rs".to_owned()].into());
    assert!(apart.loops(&[]).is_empty());
    let closed = of("use low::Low; pub struct Top;");
    assert_eq!(
        closed.loops(&[]),
        ["side/inner.rs -> top/mod.rs", "top/helper.rs -> side/inner.rs", "top/helper.rs -> side/mod.rs"]
    );
    assert!(closed.loops(&[("side/inner.rs", "top/mod.rs", "")]).is_empty());
}
