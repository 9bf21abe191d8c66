//! We take the names that git takes, and no others.

use crate::support::git::{self, Repo};
use crate::support::tables::write;
use crate::support::{HASHES, Random, Store, entry, id, quick};
use reftable::table::WriteOptions;
use reftable::{ErrorKind, Expect, HashKind, Stack, Target};

#[test]
fn random_names_are_judged_alike() {
    if !git::is_there() {
        return;
    }
    let repo = Repo::new(reftable::HashKind::Sha1);
    let parts = [
        "a", "b", "/", "/", ".", ".lock", "@", "{", "x-", "~", "^", ":", "?", "*", "[", "\\", " ", "\u{7f}", "\u{1}",
        "\u{e4}", "@{", "..", "refs", "lock",
    ];
    let mut random = Random(3);
    let mut judged = [0, 0];
    for _ in 0..400 {
        let mut part = || {
            // Mostly the harmless ones, so that both verdicts come up.
            let choice = if random.below(2) == 0 { 4 } else { parts.len() as u64 };
            parts[random.below(choice) as usize]
        };
        let name = [part(), part(), part(), part()].concat();
        let theirs = repo.try_git(["check-ref-format", "--allow-onelevel", &name]).status.success();
        assert_eq!(reftable::name::check(name.as_bytes()).is_ok(), theirs, "{name:?}");
        judged[usize::from(theirs)] += 1;
    }
    assert!(judged.iter().all(|count| *count > 30), "both verdicts come up: {judged:?}");
}

const ODD: [&str; 6] = ["refs/heads/a..b", "refs/heads/a\nb", "../config", "refs/heads/.lock", "@", "refs/\u{1b}[2J"];

/// A store that another program has filled with names that git refuses.
fn odd_store() -> (tempfile::TempDir, Stack) {
    let dir = tempfile::tempdir().unwrap();
    let mut names = ODD;
    names.sort_unstable();
    let (hash, name) = (HashKind::Sha1, "0x000000000001-0x000000000001-00000001.ref");
    let refs: Vec<_> = names.iter().map(|name| ((*name).to_owned(), 1, Some(Target::Id(id(hash, 1))))).collect();
    let logs: Vec<_> = names.iter().map(|name| ((*name).to_owned(), 1, Some(entry(hash, 0, 1, "created\n")))).collect();
    let (bytes, _) = write(hash, 1..=1, &WriteOptions::default(), &refs, &logs).unwrap();
    std::fs::write(dir.path().join(name), bytes).unwrap();
    std::fs::write(dir.path().join("tables.list"), format!("{name}\n")).unwrap();
    let stack = Stack::open(dir.path(), quick()).unwrap();
    (dir, stack)
}

#[test]
fn what_has_a_bad_name_can_be_deleted() {
    let (_dir, stack) = odd_store();
    assert!(!stack.verify().unwrap().is_clean());
    for name in ODD {
        let mut tx = stack.transaction();
        tx.delete(name, Expect::Is(Target::Id(id(HashKind::Sha1, 1)))).delete_log(name);
        tx.commit().unwrap();
        assert_eq!(stack.snapshot().unwrap().get(name).unwrap(), None);
    }
    assert_eq!(stack.snapshot().unwrap().logs().unwrap().into_iter().count(), 0);
    assert!(stack.verify().unwrap().is_clean());
}

/// The log of a bad name may be there without a reference.
#[test]
fn logs_of_bad_names_go_without_a_reference() {
    let (_dir, stack) = odd_store();
    for name in ODD {
        let mut tx = stack.transaction();
        tx.delete(name, Expect::Exists);
        tx.commit().unwrap();
        assert!(stack.snapshot().unwrap().log_exists(name).unwrap(), "{name:?}");
        let mut tx = stack.transaction();
        tx.delete(name, Expect::Exists).delete_log(name);
        assert_eq!(tx.commit().unwrap_err().kind(), ErrorKind::Conflict, "{name:?}");
        let mut tx = stack.transaction();
        tx.delete(name, Expect::Any).delete_log(name).delete_log("refs/heads/other");
        tx.commit().unwrap();
        assert!(!stack.snapshot().unwrap().log_exists(name).unwrap(), "{name:?}");
    }
    assert!(stack.verify().unwrap().is_clean());
}

#[test]
fn nothing_else_is_done_to_a_bad_name() {
    let (_dir, stack) = odd_store();
    for name in ODD {
        let mut tx = stack.transaction();
        tx.set(name, Expect::Any, id(HashKind::Sha1, 2));
        assert_eq!(tx.commit().unwrap_err().kind(), ErrorKind::Invalid, "{name:?} is set");
    }
    for name in ["", "refs/heads/no..where"] {
        let mut tx = stack.transaction();
        tx.delete(name, Expect::Any);
        assert_eq!(tx.commit().unwrap_err().kind(), ErrorKind::Invalid, "{name:?} is not there");
    }
}

#[test]
fn git_deletes_bad_names_too() {
    if !git::is_there() {
        return;
    }
    let repo = Repo::new(HashKind::Sha1);
    let name = "refs/heads/a..b";
    assert!(repo.try_git(["update-ref", "-d", name]).status.success(), "git allows it where it is safe");
}

/// git looks for these in files: in a store nobody would see them. What is there all the same can
/// go.
#[test]
fn pseudo_references_are_not_set() {
    let store = Store::new(HASHES[0]);
    store.set("FETCH_HEADS", 1);
    for name in ["FETCH_HEAD", "MERGE_HEAD"] {
        let mut tx = store.stack.transaction();
        tx.set(name, Expect::Any, store.id(1));
        let error = tx.commit().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("git keeps it in a file"), "{error}");
        let mut tx = store.stack.transaction();
        tx.delete(name, Expect::Any);
        tx.commit().unwrap();
    }
}
