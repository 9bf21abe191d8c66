//! What the documents mention is there: files, modules, types, functions and tests, by name.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::{is_word, module_of};
use super::{ORDER, support, texts};

/// The documents.
const DOCUMENTS: [&str; 4] = ["README.md", "docs", "capi/README.md", "loom-tests/README.md"];

/// The folders with files that documents may mention.
const FOLDERS: [&str; 12] = [
    "src",
    "tests",
    "benches",
    "bucket",
    "capi",
    "cli",
    "crash",
    "docs",
    "fuzz/fuzz_targets",
    "git",
    "loom-tests",
    "stress",
];

/// Names in the code of others: of git, LevelDB, RocksDB and POSIX.
const OF_OTHERS: [&str; 6] = [
    "merged_iter_next_void",
    "ReadOptions::fill_cache",
    "fill_cache",
    "pthread_mutexattr_setrobust",
    "TableBuilder",
    "WriteBatch",
];

/// The code between single backquotes, outside of blocks.
fn spans(text: &str) -> Vec<String> {
    let mut is_block = false;
    let mut found = Vec::new();
    for line in text.lines() {
        is_block ^= line.trim_start().starts_with("```");
        if !is_block {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// Whether it looks like the path of a file of this repository.
fn is_file(span: &str) -> bool {
    let is_plain = span.chars().all(|c| is_word(c) || "./-".contains(c));
    is_plain && [".rs", ".md", ".sh", ".ld", ".toml"].iter().any(|ending| span.ends_with(ending) && span != *ending)
}

/// Whether it looks like a name in our code: a type, a function of one, a name of several words.
fn is_name(span: &str) -> bool {
    let words = span.trim_end_matches("()").split("::").collect::<Vec<_>>();
    let is_type = |word: &str| {
        let has = |is: fn(&char) -> bool| word.chars().any(|c| is(&c));
        word.len() > 2 && word.starts_with(|c: char| c.is_ascii_uppercase()) && has(char::is_ascii_lowercase)
    };
    let is_long = |word: &str| word.contains('_') && word.chars().all(|c| c == '_' || c.is_ascii_lowercase());
    let is_path = words.iter().all(|word| !word.is_empty() && word.chars().all(is_word));
    is_path && (is_type(words[0]) || is_long(words[words.len() - 1]))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_word(c))
}

/// What the documents mention and is not among the files and words of the code.
fn missing(documents: &BTreeMap<String, String>, files: &BTreeSet<&str>, code: &BTreeSet<&str>) -> Vec<String> {
    let is_there = |span: &str| match span.trim_end_matches("()") {
        file if is_file(file) => files.iter().any(|known| *known == file || known.ends_with(&format!("/{file}"))),
        name => !is_name(name) || OF_OTHERS.contains(&name) || name.split("::").all(|word| code.contains(word)),
    };
    let spans = documents.iter().flat_map(|(file, text)| spans(text).into_iter().map(move |span| (file, span)));
    spans.filter(|(_, span)| !is_there(span)).map(|(file, span)| format!("{file}: {span}")).collect()
}

fn all(places: &[&str], endings: &[&str]) -> BTreeMap<String, String> {
    let source = support::source_dir();
    let root = source.parent().unwrap();
    places.iter().flat_map(|place| texts(root, &root.join(place), endings)).collect()
}

#[test]
fn what_documents_mention_is_there() {
    let documents = all(&DOCUMENTS, &["md"]);
    let mut code = all(&FOLDERS, &["rs", "sh", "ld", "toml", "txt", "h", "c"]);
    // It has the names of others.
    code.remove("tests/layering/documents.rs").unwrap();
    let stems = code.keys().filter_map(|file| file.rsplit('/').next()?.split('.').next());
    let known = code.values().flat_map(|text| words(text)).chain(stems).collect();
    let files =
        code.keys().chain(documents.keys()).map(String::as_str).chain(["CHANGELOG.md", "clippy.toml"]).collect();
    let wrong = missing(&documents, &files, &known);
    assert!(wrong.is_empty(), "documents mention what is not there: {wrong:#?}");
}

/// The modules in the table of layers, each once.
fn layers(design: &str) -> Vec<&str> {
    let rows = design.lines().filter_map(|line| line.strip_prefix("| `src/")?.split('`').next());
    let mut modules: Vec<&str> = rows.map(module_of).collect();
    modules.dedup();
    modules
}

#[test]
fn the_table_of_layers_is_the_order() {
    let design = &all(&["docs/design.md"], &["md"])["docs/design.md"];
    assert_eq!(layers(design), ORDER.into_iter().filter(|module| *module != "lib").collect::<Vec<_>>());
}

#[test]
fn what_is_not_there_is_found() {
    let text = "`src/gone.rs` and `src/here.rs`, `here.rs`, `Gone::new()`, `Here::new`, `new_gone`, `--json`, `a/b`, `HEAD`\n\
                ```\n`also_gone`\n```\n| `Here::gone` | `RocksDB` in capitals: `EOWNERDEAD` |\n";
    let documents = BTreeMap::from([("x.md".to_owned(), text.to_owned())]);
    let found = missing(&documents, &["src/here.rs"].into(), &["Here", "new", "RocksDB"].into());
    assert_eq!(found, ["x.md: src/gone.rs", "x.md: Gone::new()", "x.md: new_gone", "x.md: Here::gone"]);
    assert_eq!(layers("| `src/a/b.rs` | x |\n| `src/a/` | y |\n| `src/c.rs` | z |\n"), ["a", "c"]);
}
