//! On a store that works there is nothing to mend, whatever processes do to it at the moment: a
//! table has its name before the list does, what was merged stays for a moment, git has its lock.

#![cfg(target_os = "linux")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{HASHES, Store, git, id};
use reftable::compact::Compact;
use reftable::repair::Repair;
use reftable::{AutoCompact, Expect, Options, Stack};

/// Looks at the store until it was looked at so often; nothing may be wrong.
fn look(store: &std::path::Path, looks: usize, is_over: &AtomicBool) {
    let mut found = Vec::new();
    for look in 0..looks {
        let problems = Repair::new(store).diagnose().unwrap();
        if !problems.is_empty() {
            found.push(format!("look {look}: {problems:?}"));
        }
    }
    is_over.store(true, Ordering::SeqCst);
    assert!(found.is_empty(), "{} of {looks}: {found:#?}", found.len());
}

#[test]
fn commits_and_compactions_are_no_problem() {
    let store = Store::new(HASHES[0]);
    store.set("refs/heads/a", 1);
    let (is_over, commits) = (AtomicBool::new(false), AtomicUsize::new(0));
    let write = |number: usize| {
        // Handles come and go, as processes do.
        while !is_over.load(Ordering::SeqCst) {
            let options =
                Options::default().auto_compact(AutoCompact::Geometric(2)).delegation(number.is_multiple_of(2));
            let stack = Stack::open(store.path(), options).unwrap();
            for round in 0..20 {
                let mut tx = stack.transaction();
                tx.set(format!("refs/heads/{number}-{round}"), Expect::Any, id(HASHES[0], round));
                commits.fetch_add(usize::from(tx.commit().is_ok()), Ordering::SeqCst);
            }
            let _ = stack.compact(Compact::all());
        }
    };
    std::thread::scope(|scope| {
        let write = &write;
        (0..3).for_each(|number| drop(scope.spawn(move || write(number))));
        scope.spawn(|| look(store.path(), 300, &is_over)).join().unwrap();
    });
    assert!(commits.load(Ordering::SeqCst) > 20, "nobody wrote");
}

#[test]
fn nor_is_git_at_work() {
    if !git::is_there() {
        return;
    }
    let repo = git::Repo::new(HASHES[0]);
    let first = repo.commits(1).remove(0);
    let (store, is_over) = (repo.reftable_dir(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (repo, is_over, first) = (&repo, &is_over, &first);
        scope.spawn(move || {
            for round in 0.. {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let name = format!("refs/heads/git-{}", round % 7);
                let _ = repo.try_git(["update-ref", &name, first]);
                if round % 5 == 0 {
                    let _ = repo.try_git(["pack-refs"]);
                }
            }
        });
        scope.spawn(move || look(&store, 100, is_over)).join().unwrap();
    });
    // A control: what is wrong all the time is found.
    std::fs::write(repo.reftable_dir().join("tables.list"), "").unwrap();
    assert_eq!(Repair::new(repo.reftable_dir()).patience(Duration::from_millis(5)).diagnose().unwrap().len(), 1);
}
