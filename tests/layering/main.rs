//! The layers of `src/` import upwards only, and each seam has its one place.

#![cfg(test)]

mod columns;
mod loops;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module imports those before it, never those behind it.
const ORDER: [&str; 35] = [
    "mutant",
    "sync",
    "bytes",
    "escape",
    "oid",
    "value",
    "conflict",
    "error",
    "log_line",
    "invariant",
    "pool",
    "worker",
    "format",
    "table",
    "merge",
    "snapshot",
    "changes",
    "name",
    "dir",
    "list",
    "changeset",
    "engine",
    "origin",
    "garbage",
    "load",
    "peek",
    "temp_file",
    "lock",
    "stack",
    "compact",
    "transaction",
    "addition",
    "verify",
    "repair",
    "lib",
];

/// Imports that go the wrong way all the same: file, module, reason. There are none.
const EXCEPTIONS: [(&str, &str, &str); 0] = [];

/// The files that touch the operating system's directories and files.
const HAVE_FILES: [&str; 11] = [
    "dir/create.rs",
    "dir/file_system.rs",
    "dir/host.rs",
    "dir/identity.rs",
    "dir/journal.rs",
    "dir/local_file.rs",
    "dir/open.rs",
    "dir/os_dir.rs",
    "dir/os_file.rs",
    "dir/processes.rs",
    "bytes.rs",
];

/// Words that may appear in these files only.
const SEAMS: [(&str, &[&str]); 6] = [
    ("unsafe", &["bytes.rs"]),
    ("std::fs", &HAVE_FILES),
    ("File::open", &["dir/open.rs", "dir/os_dir.rs", "bytes.rs"]),
    ("OpenOptions", &["dir/create.rs", "dir/open.rs", "dir/os_dir.rs", "bytes.rs"]),
    ("parking_lot", &["sync.rs"]),
    ("crossbeam", &["sync.rs"]),
];
const PRIMITIVES: [&str; 3] = ["Mutex", "RwLock", "Condvar"];

/// The texts of the files with one of these endings at `place` or below it, by their path from
/// `root`.
fn texts(root: &Path, place: &Path, endings: &[&str]) -> BTreeMap<String, String> {
    if place.is_dir() {
        let entries = fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path());
        return entries.flat_map(|entry| texts(root, &entry, endings)).collect();
    }
    let ending = place.extension().and_then(|ending| ending.to_str());
    if !ending.is_some_and(|ending| endings.contains(&ending)) {
        return BTreeMap::new();
    }
    let name = place.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
    BTreeMap::from([(name, fs::read_to_string(place).unwrap())])
}

/// Path below `src/` and code, without comments, strings and tests.
fn sources() -> BTreeMap<String, String> {
    let root = support::source_dir();
    texts(&root, &root, &["rs"]).into_iter().map(|(name, text)| (name, code_of(&text))).collect()
}

/// Drops line comments, the contents of string literals, and `#[cfg(test)] mod tests` to its
/// closing brace.
fn code_of(text: &str) -> String {
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

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word_at(text: &str) -> &str {
    text.split(|c| !is_word(c)).next().unwrap_or_default()
}

/// The first words behind each `path`: one, or those of a group in braces.
fn words_behind(code: &str, path: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for (at, _) in code.match_indices(path) {
        if code[..at].ends_with(is_word) {
            continue;
        }
        let rest = &code[at + path.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            words.insert(word_at(rest).to_owned());
            continue;
        };
        let mut depth = 0;
        let end = group.find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth < 0
        });
        let mut depth = 0;
        let parts = group[..end.unwrap_or(group.len())].split(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ',' && depth == 0
        });
        words.extend(parts.map(|part| word_at(part.trim()).to_owned()).filter(|word| !word.is_empty()));
    }
    words
}

fn module_of(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

/// The modules of this crate that a file names.
fn imports(file: &str, code: &str, exported: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut words = words_behind(code, "crate::");
    let depth = file.matches('/').count();
    if depth == 0 || (depth == 1 && file.ends_with("/mod.rs")) {
        // Inline modules of such a file would say `super` for the file itself; there are none
        // outside of tests.
        words.extend(words_behind(code, "super::"));
    }
    words.extend(words_behind(code, "super::super::").into_iter().filter(|_| depth == 1));
    words.remove("super");
    words.into_iter().map(|word| exported.get(&word).cloned().unwrap_or(word)).collect()
}

/// What the root re-exports, and from where.
fn exported(lib: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for statement in lib.split(';').filter_map(|statement| statement.trim().strip_prefix("pub use ")) {
        let (module, names) = statement.split_once("::").unwrap();
        for name in names.trim_matches(['{', '}']).split(',') {
            let name = name.split(" as ").last().unwrap().trim();
            found.insert(name.to_owned(), module.to_owned());
        }
    }
    found
}

/// Whether `from` may import `to`.
fn is_upwards(from: &str, to: &str) -> bool {
    let place = |module: &str| ORDER.iter().position(|known| *known == module);
    if from == to {
        return true;
    }
    match (place(from), place(to)) {
        (Some(from), Some(to)) => to < from,
        _ => false,
    }
}

/// What a program needs that reads and commits. The rest has a public module.
#[test]
fn the_root_has_some_thirty_names() {
    let names = exported(&sources()["lib.rs"]);
    assert!((25..=32).contains(&names.len()), "{} names: {:?}", names.len(), names.keys());
}

#[test]
fn imports_go_up() {
    let sources = sources();
    let exported = exported(&sources["lib.rs"]);
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for (file, code) in sources.iter().filter(|(file, _)| *file != "lib.rs") {
        let from = module_of(file);
        assert!(ORDER.contains(&from), "{file}: give the new module a place in the order");
        for to in imports(file, code, &exported) {
            let exception = EXCEPTIONS.iter().position(|(who, what, _)| who == file && *what == to);
            match exception {
                _ if is_upwards(from, &to) => {}
                Some(number) => drop(used.insert(number)),
                None => wrong.push(format!("{file} imports {to}")),
            }
        }
    }
    assert!(wrong.is_empty(), "imports that go the wrong way: {wrong:#?}");
    for (number, (file, module, reason)) in EXCEPTIONS.iter().enumerate() {
        assert!(used.contains(&number), "nobody needs the exception any more: {file} imports {module} ({reason})");
    }
}

#[test]
fn seams_have_one_place() {
    let mut wrong = Vec::new();
    for (file, code) in sources() {
        for (word, places) in SEAMS {
            let appears = code
                .match_indices(word)
                .any(|(at, _)| !code[..at].ends_with(is_word) && !code[at + word.len()..].starts_with(is_word));
            if appears && !places.contains(&file.as_str()) {
                wrong.push(format!("{file} has {word}"));
            }
        }
        if !HAVE_FILES.contains(&file.as_str()) && words_behind(&code, "std::").contains("fs") {
            wrong.push(format!("{file} imports fs from std"));
        }
        let primitives = words_behind(&code, "std::sync::");
        if file != "sync.rs" && PRIMITIVES.iter().any(|primitive| primitives.contains(*primitive)) {
            wrong.push(format!("{file} has a lock of its own"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_seam_is_used_where_it_is_allowed() {
    let sources = sources();
    assert!(sources["bytes.rs"].contains("unsafe"));
    assert!(sources["dir/os_dir.rs"].contains("std::fs"));
    assert!(sources["sync.rs"].contains("parking_lot"));
}

#[test]
fn the_reader_of_imports_sees_them_all() {
    let code = code_of(
        "use crate::a::{self, X};\nuse crate::{b::{Y, Z}, c, d::W};\n// crate::comment\nlet s = \"crate::text\";\n\
         fn f() -> crate::E { xcrate::no(); '\"'; crate::g() }\n#[cfg(test)]\nmod tests {\n    use crate::tests;\n}\nuse crate::last;\n",
    );
    let expected = ["E", "a", "b", "c", "d", "g", "last"].map(str::to_owned);
    assert_eq!(words_behind(&code, "crate::"), expected.into());
    let root = exported("pub use x::{A, B as C};\nmod y;\npub use z::D;\n");
    assert_eq!(root.iter().map(|(name, module)| format!("{name}:{module}")).collect::<Vec<_>>(), ["A:x", "C:x", "D:z"]);
    assert_eq!(imports("x.rs", "use super::p; use crate::D;", &root), ["p", "z"].map(str::to_owned).into());
    assert_eq!(imports("x/y.rs", "use super::p; use super::super::q;", &root), ["q"].map(str::to_owned).into());
    assert!(is_upwards("stack", "dir") && is_upwards("format", "error") && is_upwards("error", "conflict"));
    assert!(
        !is_upwards("dir", "stack")
            && !is_upwards("error", "table")
            && !is_upwards("oid", "error")
            && !is_upwards("table", "unknown")
    );
}
