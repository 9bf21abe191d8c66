//! What is exported to a directory is read by git.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use futures_lite::future::block_on;
use reftable::{AutoCompact, Expect, Stack};
use reftable_bucket::{ErrorKind, Options, materialize};

use crate::{fill, memory_store};

#[test]
fn git_reads_what_is_materialized() {
    let (_, store) = memory_store(Options::default());
    fill(&store, 30);
    let mut head = reftable_bucket::Changeset::new();
    head.set("HEAD", Expect::Any, reftable::Target::symbolic("refs/heads/1"));
    crate::commit(&store, head).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let git = |words: &[&str]| {
        let output = Command::new("git").arg("-C").arg(dir.path()).args(words).output().expect("git is there");
        assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    git(&["init", "--quiet", "--bare", "--ref-format=reftable", "."]);
    let snapshot = block_on(store.snapshot()).unwrap();
    let tables = dir.path().join("reftable");
    let error = materialize(&snapshot, &tables).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "there is a store already");
    fs::remove_dir_all(&tables).unwrap();
    materialize(&snapshot, &tables).unwrap();
    assert_eq!(git(&["symbolic-ref", "HEAD"]), "refs/heads/1\n");
    assert_eq!(git(&["for-each-ref", "--format=%(refname)"]).lines().count(), 30);
    let report = reftable::verify::verify_dir(&reftable::dir::OsDir::new(&tables, None)).unwrap();
    assert!(report.is_clean());
}

/// A reader that comes in the middle waits, as for any table that is not there yet, and then gets
/// all or an error.
#[test]
fn what_is_materialized_never_looks_whole_before_it_is() {
    let (_, store) = memory_store(Options::default().compact(AutoCompact::Off));
    fill(&store, 8);
    let snapshot = block_on(store.snapshot()).unwrap();
    let top = tempfile::tempdir().unwrap();
    let mut looks = 0;
    for run in 0..20 {
        let dir = top.path().join(run.to_string());
        thread::scope(|scope| {
            let writer = scope.spawn(|| materialize(&snapshot, &dir).unwrap());
            while !writer.is_finished() {
                let has_list = dir.join("tables.list").exists();
                if let (true, (files, Some(references))) = (has_list, files_then_references(&dir)) {
                    assert_eq!(references, 8, "{files} files were there");
                    looks += 1;
                }
            }
        });
        assert_eq!(files_then_references(&dir), (9, Some(8)));
    }
    assert!(looks > 0);
}

/// How many files are there, and then how many references can be read.
fn files_then_references(dir: &Path) -> (usize, Option<usize>) {
    let files = fs::read_dir(dir).map_or(0, Iterator::count);
    let snapshot = Stack::open(dir, reftable::Options::default()).and_then(|stack| stack.snapshot());
    let references = snapshot.and_then(|snapshot| snapshot.refs()).map(|refs| refs.into_iter().count());
    (files, references.ok())
}
