//! The layers of `src/` import upwards only, and each seam has its one place.

#![cfg(test)]

mod columns;
mod documents;
mod imports;
mod loops;
#[path = "../support/mod.rs"]
mod support;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use imports::{Crate, is_word, module_of, paths_in, sources};

/// A module imports those before it, never those after it.
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
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for (file, modules) in Crate::new(&sources()).modules {
        let from = module_of(&file);
        assert!(ORDER.contains(&from), "{file}: give the new module a place in the order");
        for to in modules {
            let exception = EXCEPTIONS.iter().position(|(who, what, _)| *who == file && *what == to);
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
        let names = |start: &[&str]| {
            paths_in(&code).iter().any(|path| path.iter().zip(start).filter(|(a, b)| a == b).count() == start.len())
        };
        if !HAVE_FILES.contains(&file.as_str()) && names(&["std", "fs"]) {
            wrong.push(format!("{file} imports fs from std"));
        }
        if file != "sync.rs" && PRIMITIVES.iter().any(|primitive| names(&["std", "sync", primitive])) {
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
fn the_order_is_one_way() {
    assert!(is_upwards("stack", "dir") && is_upwards("format", "error") && is_upwards("error", "conflict"));
    let downwards = [("dir", "stack"), ("error", "table"), ("oid", "error"), ("table", "unknown")];
    assert!(downwards.iter().all(|(from, to)| !is_upwards(from, to)));
}
