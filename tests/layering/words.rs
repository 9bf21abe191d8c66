//! Words of this code's own that have given way to those of its field do not come back, in code,
//! comments, documents and messages. The glossary in docs/design.md has the words to use.

use std::collections::BTreeMap;

use super::imports::is_word;
use super::{support, texts};

/// What is not said any more, and what is said instead.
const OLD: [(&str, &str); 17] = [
    ("somebody", "another process, the caller, a person"),
    ("whoever", "the lock holder, the leader, the next committer"),
    ("of ours", "of this library"),
    ("at hand", "current, in memory"),
    ("hands out", "yields, lends"),
    ("handed out", "yielded, lent"),
    ("hand over", "delegate"),
    ("handed over", "delegated"),
    ("loss of power", "power failure"),
    ("by the clock", "wall-clock time"),
    ("in turn with", "interleaved with"),
    ("in vain", "negative look-up"),
    ("litter", "garbage"),
    ("rubbish", "garbage"),
    ("heir", "successor"),
    ("asker", "follower"),
    ("courtesy", "fairness"),
];

/// Where they may not be. CHANGELOG.md tells of the past.
const PLACES: [&str; 12] =
    ["README.md", "docs", "src", "tests", "benches", "bucket", "capi", "cli", "crash", "git", "loom-tests", "stress"];

/// The old words in a text, each as often as it is there, also where a line ends within them.
fn old_words(text: &str) -> Vec<&'static str> {
    let text = text.to_lowercase();
    let words: Vec<&str> = text.split(|c| !is_word(c)).filter(|word| !word.is_empty()).collect();
    let mut found = Vec::new();
    for (old, _) in OLD {
        let old_words: Vec<&str> = old.split(' ').collect();
        found.extend(words.windows(old_words.len()).filter(|window| **window == old_words).map(|_| old));
    }
    found
}

#[test]
fn old_words_do_not_come_back() {
    let source = support::source_dir();
    let root = source.parent().unwrap();
    let mut texts: BTreeMap<String, String> =
        PLACES.iter().flat_map(|place| texts(root, &root.join(place), &["rs", "md", "h", "c"])).collect();
    texts.remove("tests/layering/words.rs").unwrap();
    let found = texts.iter().flat_map(|(file, text)| old_words(text).into_iter().map(move |old| (file, old)));
    let instead = |old| OLD.iter().find(|(word, _)| *word == old).map_or("", |(_, instead)| instead);
    let wrong: Vec<String> = found.map(|(file, old)| format!("{file}: \"{old}\"; say: {}", instead(old))).collect();
    assert!(wrong.is_empty(), "old words: {wrong:#?}");
}

#[test]
fn every_old_word_is_found() {
    for (old, _) in OLD {
        assert_eq!(old_words(&format!("/// Some words, {}.\n", old.to_uppercase())), [old]);
        let wrapped = old.replace(' ', "\n    /// ");
        assert_eq!(old_words(&format!("    /// {wrapped}'s and {wrapped}")), [old, old]);
        assert!(old_words(&format!("{}_x y{old}", old.replace(' ', "_"))).is_empty());
    }
}
