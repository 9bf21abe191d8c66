//! What is exported to a directory is read by git.

use std::process::Command;

use futures_lite::future::block_on;
use reftable::Expect;
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
    std::fs::remove_dir_all(&tables).unwrap();
    materialize(&snapshot, &tables).unwrap();
    assert_eq!(git(&["symbolic-ref", "HEAD"]), "refs/heads/1\n");
    assert_eq!(git(&["for-each-ref", "--format=%(refname)"]).lines().count(), 30);
    let report = reftable::verify::verify_dir(&reftable::dir::OsDir::new(&tables, None)).unwrap();
    assert!(report.is_clean());
}
