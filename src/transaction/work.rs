//! How much work transactions and scans do where many names were deleted, or have deep directories,
//! counted in steps of merges and look-ups of directories.

use std::ops::ControlFlow;

use tempfile::TempDir;

use crate::format::header::BlockKind;
use crate::merge::steps;
use crate::{AutoCompact, Durability, Expect, Ident, ObjectId, Options, Stack, Transaction};

const MANY: u64 = 2000;

fn id() -> ObjectId {
    ObjectId::from_bytes(&[1; 20]).unwrap()
}

fn many(pattern: &str) -> impl Iterator<Item = String> {
    (0..MANY).map(move |number| pattern.replace('N', &format!("{number:05}")))
}

fn create(tx: &mut Transaction, names: impl IntoIterator<Item = String>) {
    for name in names {
        tx.set(name, Expect::Absent, id());
    }
}

fn delete(tx: &mut Transaction, names: impl IntoIterator<Item = String>) {
    for name in names {
        tx.delete(&name, Expect::Exists).delete_log(name);
    }
}

/// A store that is never compacted, in which names of these patterns were created, with reflogs,
/// and deleted again.
struct Store {
    _dir: TempDir,
    stack: Stack,
}

impl Store {
    fn after_deletion(patterns: &[&str]) -> Store {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::default().durability(Durability::Off).auto_compact(AutoCompact::Off);
        let stack = Stack::open(dir.path(), options).unwrap();
        let store = Store { _dir: dir, stack };
        let names = || patterns.iter().flat_map(|pattern| many(pattern));
        store.steps(|tx| {
            tx.reflog(Ident::new("A", "a@example.com", 1), "created");
            create(tx, names());
        });
        store.steps(|tx| delete(tx, names()));
        store
    }

    /// What it takes to commit this.
    fn steps(&self, fill: impl FnOnce(&mut Transaction)) -> u64 {
        let mut tx = self.stack.transaction();
        fill(&mut tx);
        let (steps, done) = steps::of(|| tx.commit());
        done.unwrap();
        steps
    }
}

#[test]
fn creating_again_what_was_deleted_takes_a_seek_a_table_for_each_name() {
    let store = Store::after_deletion(&["refs/heads/N"]);
    // Two tables: two seeks, and two steps to the first name that is at least the one to be
    // created.
    let steps = store.steps(|tx| create(tx, many("refs/heads/N")));
    assert!(steps <= 4 * MANY, "{steps}");
}

#[test]
fn what_was_deleted_below_new_names_is_stepped_over_once() {
    let store = Store::after_deletion(&["refs/heads/a/b/c/N", "refs/heads/a-b/N", "refs/heads/a/b-c/N"]);
    let created = ["refs/heads/a", "refs/heads/a-b", "refs/heads/b"];
    let steps = store.steps(|tx| create(tx, created.map(str::to_owned)));
    // Three names, each in two tables.
    assert!(steps <= 6 * MANY + 100, "{steps}");
}

#[test]
fn names_within_each_other_share_the_walk() {
    let store = Store::after_deletion(&["refs/heads/a/a/a/a/a/a/a/a/N"]);
    let mut tx = store.stack.transaction();
    let nested = (1..8).map(|depth| format!("refs/heads{}", "/a".repeat(depth)));
    create(&mut tx, nested.clone().chain(nested.map(|name| name + "-b")));
    let (steps, done) = steps::of(|| tx.commit());
    assert_eq!(done.unwrap_err().kind(), crate::ErrorKind::Conflict, "they cannot live together");
    assert!(steps <= 2 * MANY + 100, "{steps}");
}

#[test]
fn a_directory_becomes_a_name_in_one_transaction() {
    let store = Store::after_deletion(&["refs/heads/a/N"]);
    store.steps(|tx| create(tx, many("refs/heads/a/N")));
    let steps = store.steps(|tx| {
        delete(tx, many("refs/heads/a/N"));
        create(tx, ["refs/heads/a".to_owned()]);
    });
    // Three tables of references; and two with logs, in which each log is sought and read.
    assert!(steps <= (3 + 8) * MANY, "{steps}");
}

#[test]
fn transactions_of_a_group_do_not_walk_over_what_those_before_deleted() {
    let store = Store::after_deletion(&["refs/heads/N"]);
    store.steps(|tx| create(tx, many("refs/heads/N")));
    let mut group = Vec::new();
    let mut first = store.stack.transaction();
    delete(&mut first, many("refs/heads/N"));
    group.push(first);
    for name in many("refs/heads/N").take(200) {
        let mut tx = store.stack.transaction();
        create(&mut tx, [name]);
        group.push(tx);
    }
    let (steps, done) = steps::of(|| store.stack.commit_all(group));
    assert!(done.iter().all(Result::is_ok));
    assert!(steps <= 8 * MANY + 200 * 10, "{steps}");
}

#[test]
fn small_transactions_beside_what_was_deleted_do_not_notice() {
    let store = Store::after_deletion(&["refs/heads/a/N", "refs/heads/c/N"]);
    for name in ["refs/heads/a0", "refs/heads/b", "refs/heads/a/new", "refs/heads/a/00000", "refs/heads/c/0"] {
        let steps = store.steps(|tx| create(tx, [name.to_owned()]));
        assert!(steps <= 20, "{name}: {steps}");
    }
}

#[test]
fn walks_over_a_prefix_or_a_log_end_with_it() {
    let store = Store::after_deletion(&["refs/heads/a/N"]);
    store.steps(|tx| create(tx, ["refs/heads/Z".to_owned(), "refs/tags/last".to_owned()]));
    let snapshot = store.stack.snapshot().unwrap();
    for prefix in ["refs/heads/Z", "refs/heads/a/!", "refs/heads/Y"] {
        let (steps, _) = steps::of(|| snapshot.prefix(prefix).unwrap().into_iter().count());
        assert!(steps <= 10, "{prefix}: {steps}");
        let each = |_: crate::RefView<'_>| ControlFlow::<()>::Continue(());
        let (steps, _) = steps::of(|| snapshot.prefix(prefix).unwrap().try_for_each(each).unwrap());
        assert!(steps <= 10, "{prefix}: {steps}");
    }
    for name in ["refs/heads/Z", "refs/heads/a/00000", "refs/heads/a"] {
        let (steps, count) = steps::of(|| snapshot.log(name).unwrap().into_iter().count());
        assert_eq!(count, 0);
        assert!(steps <= 10, "{name}: {steps}");
    }
}

#[test]
fn deleting_logs_again_takes_a_seek_a_table_for_each() {
    let store = Store::after_deletion(&["refs/heads/a/N"]);
    let steps = store.steps(|tx| {
        for name in many("refs/heads/a/N") {
            tx.delete_log(name);
        }
    });
    assert!(steps <= 6 * MANY, "{steps}");
}

#[test]
fn names_below_one_that_is_in_the_way_are_refused_as_fast_as_others_are_created() {
    let store = Store::after_deletion(&["refs/heads/d/N/x"]);
    store.steps(|tx| create(tx, many("refs/heads/d/N")));
    store.steps(|tx| delete(tx, many("refs/heads/d/N")));
    store.steps(|tx| create(tx, ["refs/heads/d".to_owned()]));
    let mut tx = store.stack.transaction();
    create(&mut tx, many("refs/heads/d/N/x"));
    let (steps, done) = steps::of(|| tx.commit());
    assert_eq!(done.unwrap_err().conflicts().len() as u64, MANY);
    // A seek in each of five tables, a step in the two that have the name; and one directory for
    // each name.
    assert!(steps <= 8 * MANY + 100, "{steps}");
}

#[test]
fn directories_of_many_names_are_looked_up_once() {
    for taken in ["refs/heads/unrelated", "refs/heads/a/a"] {
        let store = Store::after_deletion(&[]);
        store.steps(|tx| create(tx, [taken.to_owned()]));
        let deep = format!("refs/heads{}", "/a".repeat(300));
        let mut tx = store.stack.transaction();
        create(&mut tx, many(&format!("{deep}/N")));
        let (steps, _) = steps::of(|| tx.commit());
        // A seek and a step for each name; the directories of the first.
        assert!(steps <= 2 * MANY + 400, "{taken}: {steps}");
    }
}

#[test]
fn each_level_of_a_deep_directory_is_looked_up_once() {
    let store = Store::after_deletion(&[]);
    let depth = 200;
    let nested = (1..=depth).map(|depth| format!("refs/heads{}/b{depth}", "/a".repeat(depth)));
    let steps = store.steps(|tx| create(tx, nested));
    assert!(steps <= 4 * depth as u64 + 10, "{steps}");
}

/// What a few look-ups teach a table is worth less than it costs.
#[test]
fn only_a_commit_of_many_names_fills_the_caches_of_tables() {
    let store = Store::after_deletion(&["refs/heads/N"]);
    // Another handle, which has not asked its tables yet.
    let stack = Stack::open(store.stack.path(), store.stack.shared.env.options.clone()).unwrap();
    let base = stack.snapshot().unwrap();
    let is_filled = || base.tables().iter().any(|table| table.index_cache(BlockKind::Ref).unwrap().is_filled());
    let commit = |names: &mut dyn Iterator<Item = String>| {
        let mut tx = stack.transaction();
        create(&mut tx, names);
        tx.commit().unwrap();
    };
    for number in 0..4 {
        commit(&mut std::iter::once(format!("refs/heads/one/{number}")));
        assert!(!is_filled(), "by commit {number}");
    }
    commit(&mut many("refs/heads/N").take(20));
    assert!(is_filled());
}
