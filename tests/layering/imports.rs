//! The one reader of imports: which paths the code of each file of `src/` names, and which file
//! each leads to.
//!
//! An item that a `pub use` hands on counts as imported from where it is defined.

use std::collections::{BTreeMap, BTreeSet};

use super::{support, texts};

/// Path below `src/` and code, without comments, strings and tests.
pub(super) fn sources() -> BTreeMap<String, String> {
    let root = support::source_dir();
    texts(&root, &root, &["rs"]).into_iter().map(|(name, text)| (name, code_of(&text))).collect()
}

/// Drops line comments, the contents of string literals, and `#[cfg(test)] mod tests` to its
/// closing brace.
pub(super) fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            assert!(lines.next().is_some_and(|line| line.starts_with("mod ")), "a test module follows cfg(test)");
            let _ = lines.by_ref().find(|line| *line == "}");
            continue;
        }
        code.push_str(&without_strings_and_comment(line));
        code.push('\n');
    }
    code
}

fn without_strings_and_comment(line: &str) -> String {
    let mut code = String::new();
    let mut characters = line.chars().peekable();
    let mut quoted = false;
    while let Some(c) = characters.next() {
        match c {
            '\\' if quoted => drop(characters.next()),
            '\'' if !quoted && characters.peek() == Some(&'"') => drop(characters.next()),
            '"' => quoted = !quoted,
            '/' if !quoted && characters.peek() == Some(&'/') => break,
            _ if quoted => {}
            _ => code.push(c),
        }
    }
    code
}

pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A path as it is written, or from the root of the crate.
pub(super) type ModulePath = Vec<String>;
pub(super) type Imports = BTreeMap<String, BTreeSet<String>>;

/// The files of a crate and what each of them names.
pub(super) struct Crate {
    /// The file of each module, by the module's path.
    pub(super) files: BTreeMap<ModulePath, String>,
    /// What a module hands on: module, name, and the whole path of it.
    handed_on: BTreeMap<(ModulePath, String), ModulePath>,
    /// The files that each file takes something from, but for what it only hands on.
    pub(super) imports: Imports,
    /// The modules at the root that each file names, or takes something from.
    pub(super) modules: Imports,
}

impl Crate {
    pub(super) fn new(sources: &BTreeMap<String, String>) -> Self {
        let files = sources.keys().map(|file| (module_path(file), file.clone())).collect();
        let (handed_on, imports, modules) = (BTreeMap::new(), Imports::new(), Imports::new());
        let mut this = Crate { files, handed_on, imports, modules };
        let parted = sources.iter().map(|(file, code)| (file, part_at_pub_use(code))).collect::<Vec<_>>();
        for (file, (public, _)) in &parted {
            for (path, name) in public.iter().flat_map(|tree| paths_of(tree)) {
                if let Some(path) = this.whole_path(file, &path) {
                    this.handed_on.insert((module_path(file), name), path);
                }
            }
        }
        for (file, (public, rest)) in parted.into_iter().filter(|(file, _)| *file != "lib.rs") {
            let taken = this.whole_paths(file, paths_in(&rest));
            let found = taken.iter().map(|path| this.file_of(path)).filter(|imported| imported != file).collect();
            this.imports.insert(file.clone(), found);
            let public = this.whole_paths(file, public.iter().flat_map(|tree| paths_of(tree)).map(|(path, _)| path));
            let modules = taken.iter().chain(&public).flat_map(|path| this.modules_of(path)).collect();
            this.modules.insert(file.clone(), modules);
        }
        this
    }

    fn whole_paths(&self, file: &str, paths: impl IntoIterator<Item = ModulePath>) -> Vec<ModulePath> {
        paths.into_iter().filter_map(|path| self.whole_path(file, &path)).collect()
    }

    /// The module at the root that a path goes through, and the one that defines what it leads to.
    fn modules_of(&self, path: &[String]) -> BTreeSet<String> {
        let named = path.first().filter(|word| self.files.contains_key(&[(*word).clone()][..]));
        named.cloned().into_iter().chain([module_of(&self.file_of(path)).to_owned()]).collect()
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
}

pub(super) fn module_path(file: &str) -> ModulePath {
    let name = file.trim_end_matches(".rs").trim_end_matches("/mod");
    name.split('/').filter(|word| *word != "lib").map(str::to_owned).collect()
}

/// The module at the root that a file belongs to.
pub(super) fn module_of(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

/// The trees of paths after `pub use`, and the rest of the code.
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

/// Every single path in the code.
pub(super) fn paths_in(code: &str) -> Vec<ModulePath> {
    trees_in(code).iter().flat_map(|tree| paths_of(tree)).map(|(path, _)| path).collect()
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
fn the_reader_of_imports_sees_them_all() {
    let code = code_of(
        "use crate::a::{self, X};\nuse crate::{b::{Y, Z}, c, d::W};\n// crate::comment\nlet s = \"crate::text\";\n\
         fn f() -> crate::E { xcrate::no(); '\"'; crate::g() }\n#[cfg(test)]\nmod tests {\n    use crate::tests;\n}\nuse crate::last;\n",
    );
    // What is inside of braces is read once more, by itself.
    let paths = paths_in(&code).into_iter().filter(|path| path[0].ends_with("crate"));
    let paths = paths.map(|path| path.join("::")).collect::<BTreeSet<_>>();
    let expected =
        ["a::X", "a::self", "b::Y", "b::Z", "c", "d::W", "E", "g", "last"].map(|path| format!("crate::{path}"));
    assert_eq!(paths, expected.into_iter().chain(["xcrate::no".to_owned()]).collect());
    let source = |(file, code): (&str, &str)| (file.to_owned(), code.to_owned());
    let files = [
        ("lib.rs", "pub use z::{D, E as F}; pub use y::B;"),
        ("p.rs", "use super::q::Q; fn f() { crate::F::new(); std::fs::read() }"),
        ("q.rs", "pub use crate::z::D;"),
        ("x/mod.rs", "mod y; use super::p;"),
        ("x/y.rs", "use super::helper; use super::super::q::D;"),
        ("y.rs", "use crate::B;"),
        ("z.rs", ""),
    ];
    let this = Crate::new(&files.into_iter().map(source).collect());
    let modules = |file: &str| this.modules[file].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(modules("p.rs"), ["q", "z"], "by what the root calls it");
    assert_eq!(modules("q.rs"), ["z"], "what is handed on is named as well");
    assert_eq!(modules("x/mod.rs"), ["p"]);
    assert_eq!(modules("x/y.rs"), ["q", "x", "z"], "both where it is taken from and where it is defined");
}
