//! A defect of the library ends a compaction before it publishes anything: nothing is removed,
//! nothing changes.
//!
//! Each deliberate mistake here breaks one invariant (`docs/design.md`, "Assertions").

#![cfg(reftable_mutants)]

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use crate::support::{assert_verifies, entry, id, quick};
use reftable::compact::{Compact, Expiry};
use reftable::mutant::{self, Mutant};
use reftable::{AutoCompact, Error, ErrorKind, Expect, HashKind, Options, Stack};

/// Every table is large enough to be copied, and one thread does it all: mistakes are those of a
/// thread.
fn options(copies: bool) -> Options {
    let options = quick().auto_compact(AutoCompact::Off).threads(1);
    if copies { options.compact_at_once(0) } else { options }
}

fn commit(stack: &Stack, names: Range<u64>, step: usize) {
    let mut tx = stack.transaction();
    for name in names.step_by(step) {
        let text = format!("refs/heads/{name:04}");
        tx.set(text.as_str(), Expect::Any, id(HashKind::Sha1, name));
        let entry = entry(HashKind::Sha1, name, 7, format!("message {name}\n"));
        tx.append_log(text.as_str(), entry);
    }
    tx.commit().unwrap();
}

fn all(copies: bool) -> Compact {
    if copies { Compact::all() } else { Compact::Rewrite { expiry: Expiry::default() } }
}

/// Three tables: many blocks, some records of them again, and others after them.
fn store(copies: bool) -> (tempfile::TempDir, Stack) {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::open(dir.path(), options(copies)).unwrap();
    commit(&stack, 0..2000, 1);
    commit(&stack, 300..400, 7);
    commit(&stack, 3000..3010, 1);
    (dir, stack)
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap())
    };
    std::fs::read_dir(dir).unwrap().map(read).filter(|(name, _)| !name.ends_with(".owner")).collect()
}

/// The error of a compaction that makes the mistake. It has changed nothing, and the next one does
/// its work.
fn refused(mistake: Mutant, copies: bool) -> Error {
    let (dir, stack) = store(copies);
    let before = files(dir.path());
    mutant::activate(Some(mistake));
    let done = stack.compact(all(copies));
    mutant::activate(None);
    let error = done.expect_err("the mistake is not noticed");
    assert_eq!(files(dir.path()), before, "{mistake:?}: {error}");
    assert_verifies(&stack);
    stack.compact(Compact::all()).unwrap().unwrap();
    assert_verifies(&stack);
    assert_eq!(stack.snapshot().unwrap().refs().unwrap().into_iter().count(), 2010);
    error
}

fn is_told(mistake: Mutant, copies: bool, words: &str) {
    let error = refused(mistake, copies);
    assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
    assert!(error.to_string().contains(words) && error.to_string().contains("please report it"), "{error}");
}

#[test]
fn without_a_mistake_all_is_well() {
    for copies in [true, false] {
        let (_dir, stack) = store(copies);
        let done = stack.compact(all(copies)).unwrap().unwrap();
        assert_eq!(done.written.copied > 0, copies);
        assert_verifies(&stack);
    }
}

#[test]
fn a_merge_that_drops_a_record() {
    for copies in [true, false] {
        is_told(Mutant::DropRecord, copies, "records, but written");
    }
}

#[test]
fn a_merge_that_hands_out_a_record_twice() {
    for copies in [true, false] {
        is_told(Mutant::RepeatRecord, copies, "comes to keys out of order");
    }
}

#[test]
fn a_block_that_is_passed_but_not_copied() {
    is_told(Mutant::SkipCopiedBlock, true, "bytes of blocks, of which it has copied");
}

#[test]
fn a_last_key_from_nowhere() {
    for copies in [true, false] {
        is_told(Mutant::IndexBeyond, copies, "which lie outside of those it has read");
    }
}

#[test]
fn an_edit_of_the_wrong_tables() {
    is_told(Mutant::EditWrongRange, false, "an edit of the list");
}

#[test]
fn a_block_that_is_copied_without_its_bytes() {
    is_told(Mutant::LoseCopiedBytes, true, "without its bytes");
}
