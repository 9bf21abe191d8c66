//! Comments and the prose of documents have lines of at most 100 columns. Tables and blocks of code
//! may be wider.

use super::{support, texts};

/// What a line may have.
const COLUMNS: usize = 100;
/// Where comments and prose are: folders with all that is in them, and documents.
const PLACES: [&str; 16] = [
    "README.md",
    "CHANGELOG.md",
    "docs",
    "src",
    "tests",
    "benches",
    "bucket",
    "capi/README.md",
    "capi/src",
    "capi/tests",
    "cli",
    "crash",
    "fuzz/fuzz_targets",
    "git",
    "loom-tests",
    "stress",
];
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
    let source = support::source_dir();
    let root = source.parent().unwrap();
    let texts = PLACES.iter().flat_map(|place| texts(root, &root.join(place), &["rs", "md"]));
    let wrong: Vec<String> = texts
        .flat_map(|(file, text)| too_long(&file, &text).into_iter().map(move |line| format!("{file}:{line}")))
        .collect();
    assert!(wrong.is_empty(), "lines of more than {COLUMNS} columns: {wrong:#?}");
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
