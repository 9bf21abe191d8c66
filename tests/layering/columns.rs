//! Comments and the prose of documents have lines of at most 100 columns. Tables and blocks of code
//! may be wider.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What a line may have.
const COLUMNS: usize = 100;
/// Where comments and prose are: folders with all that is in them, and documents.
const PLACES: [&str; 13] = [
    "README.md",
    "CHANGELOG.md",
    "docs",
    "src",
    "tests",
    "benches",
    "capi/README.md",
    "capi/src",
    "capi/tests",
    "cli",
    "fuzz/fuzz_targets",
    "loom-tests",
    "stress",
];
/// Files with longer lines, one a line: a list that may only shrink.
const WIDE: &str = include_str!("wide.txt");

/// The text of every file whose comments or prose count, by its path.
fn texts() -> BTreeMap<String, String> {
    fn walk(root: &Path, at: &Path, found: &mut BTreeMap<String, String>) {
        if at.is_dir() {
            fs::read_dir(at).unwrap().for_each(|entry| walk(root, &entry.unwrap().path(), found));
        } else if at.extension().is_some_and(|extension| extension == "rs" || extension == "md") {
            let name = at.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            found.insert(name, fs::read_to_string(at).unwrap());
        }
    }
    let source = super::support::source_dir();
    let root = source.parent().unwrap();
    let mut found = BTreeMap::new();
    PLACES.iter().for_each(|place| walk(root, &root.join(place), &mut found));
    found
}

/// The numbers of the lines of comment (Rust) or prose (Markdown) that are too long.
fn too_long(file: &str, text: &str) -> Vec<usize> {
    let is_rust = file.ends_with(".rs");
    let mut is_code = false;
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let comment = line.trim_start();
        let counts = if is_rust {
            comment.starts_with("//")
        } else {
            is_code ^= comment.starts_with("```");
            !is_code && !comment.starts_with('|')
        };
        if counts && line.chars().count() > COLUMNS {
            found.push(number + 1);
        }
    }
    found
}

#[test]
fn comments_and_prose_have_a_hundred_columns() {
    let wide: BTreeSet<&str> = WIDE.lines().collect();
    let mut wrong = Vec::new();
    let mut needed = BTreeSet::new();
    let texts = texts();
    for (file, text) in &texts {
        match too_long(file, text)[..] {
            [] => {}
            _ if wide.contains(file.as_str()) => drop(needed.insert(file.as_str())),
            [first, ..] => wrong.push(format!("{file}:{first}")),
        }
    }
    assert!(wrong.is_empty(), "lines of more than {COLUMNS} columns: {wrong:#?}");
    let clean: Vec<_> = wide.difference(&needed).collect();
    assert!(clean.is_empty(), "these have no such lines any more; take them out of wide.txt: {clean:#?}");
}

#[test]
fn lines_of_code_and_of_tables_may_be_longer() {
    let long = "word ".repeat(30);
    assert_eq!(too_long("a.rs", &format!("//! {long}\nlet x = \"{long}\"; // {long}\n    /// {long}\n")), [1, 3]);
    assert_eq!(too_long("a.md", &format!("{long}\n| {long} |\n```sh\n{long}\n```\n- {long}\n")), [1, 6]);
    let umlauts = "ü".repeat(COLUMNS - 3);
    assert!(too_long("a.rs", &format!("// {umlauts}")).is_empty(), "columns are counted, not bytes");
    assert_eq!(too_long("a.rs", &format!("// {umlauts}ü")), [1]);
}
