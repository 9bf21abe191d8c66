//! A store without anything left in it keeps its update index, and git goes on from there.

use crate::support::git::{self, Repo};
use crate::support::{self, HASHES, Store, assert_no_garbage, assert_verifies, entry, id, quick, table_names};
use reftable::compact::Compact;
use reftable::{ErrorKind, Expect, HashKind, Stack, Target, Transaction};

#[test]
fn the_update_index_is_kept_by_an_empty_table() {
    if !git::is_there() {
        return;
    }
    for hash in HASHES {
        let repo = Repo::new(hash);
        let id = repo.commits(1).remove(0);
        let stack = repo.open(quick());
        for number in 0..5 {
            let mut tx = stack.transaction();
            tx.set(format!("refs/heads/b{number}"), Expect::Absent, id.parse::<reftable::ObjectId>().unwrap());
            tx.commit().unwrap();
        }
        let mut tx = stack.transaction();
        for found in stack.snapshot().unwrap().refs().unwrap() {
            tx.delete(found.unwrap().name, Expect::Exists);
        }
        let last = tx.commit().unwrap().update_index;
        stack.compact(Compact::all()).unwrap();

        let snapshot = stack.snapshot().unwrap();
        assert_eq!(snapshot.update_index(), last);
        assert_eq!(snapshot.refs().unwrap().next().unwrap(), None);
        let table = &snapshot.tables()[0];
        assert_eq!(table.header().max_update_index, last);
        assert!(table.blocks().next().unwrap().is_none());
        assert_verifies(&stack);
        assert_no_garbage(stack.path());

        // Without HEAD git does not recognise the repository; its reader of tables is what we ask
        // here.
        let mut tx = stack.transaction();
        tx.set("HEAD", Expect::Absent, reftable::Target::symbolic("refs/heads/main"));
        assert_eq!(tx.commit().unwrap().update_index, last + 1);
        repo.git(["update-ref", "refs/heads/main", &id]);
        repo.assert_reads_equal();
        repo.assert_fsck();
        let snapshot = stack.snapshot().unwrap();
        assert_eq!(snapshot.get("refs/heads/main").unwrap().unwrap().update_index, last + 2);
        assert_eq!(snapshot.update_index(), last + 2);
    }
}

#[test]
fn git_writes_on_top_of_an_empty_table() {
    if !git::is_there() {
        return;
    }
    for hash in HASHES {
        // HEAD's stack is that of the work tree; a linked one's main stack may be empty altogether.
        let repo = Repo::new(hash);
        repo.git(["commit", "-q", "--allow-empty", "-m", "x"]);
        let linked = repo.beside("linked");
        repo.git(["worktree", "add", "-q", "--detach", linked.to_str().unwrap()]);
        let own = repo.work_tree().join(".git/worktrees/linked/reftable");
        let stack = reftable::Stack::open(&own, quick()).unwrap();
        repo.git_at(&linked, ["update-ref", "refs/worktree/a", "HEAD"]);
        let mut tx = stack.transaction();
        for found in stack.snapshot().unwrap().refs().unwrap() {
            tx.delete(found.unwrap().name, Expect::Exists);
        }
        let names: Vec<_> =
            stack.snapshot().unwrap().logs().unwrap().into_iter().map(|log| log.unwrap().refname).collect();
        for name in names {
            tx.delete_log(name);
        }
        let last = tx.commit().unwrap().update_index;
        stack.compact(Compact::all()).unwrap();
        assert_eq!(table_names(&own).len(), 1);
        assert!(stack.snapshot().unwrap().tables()[0].blocks().next().unwrap().is_none());
        repo.git(["update-ref", "worktrees/linked/refs/worktree/b", "HEAD"]);
        // Seen from another worktree, git stores the long name.
        let found = support::contents::of_stack(&stack).refs.remove(0);
        assert!(found.name.ends_with(b"refs/worktree/b"));
        assert_eq!(found.update_index, last + 1);
        assert_verifies(&stack);
    }
}

fn other(hash: HashKind) -> HashKind {
    if hash == HashKind::Sha1 { HashKind::Sha256 } else { HashKind::Sha1 }
}

/// Deletes all references and logs and merges what is left of them.
fn empty(stack: &Stack) {
    let snapshot = stack.snapshot().unwrap();
    let mut tx = stack.transaction();
    for found in snapshot.refs().unwrap() {
        tx.delete(found.unwrap().name, Expect::Exists);
    }
    let mut names: Vec<_> = snapshot.logs().unwrap().into_iter().map(|log| log.unwrap().refname).collect();
    names.dedup();
    for name in names {
        tx.delete_log(name);
    }
    tx.commit().unwrap();
    stack.compact(Compact::all()).unwrap();
}

/// Every way in which an id gets into a table.
const WAYS: [fn(&mut Transaction, HashKind); 4] = [
    |tx, hash| {
        tx.set("refs/heads/x", Expect::Any, id(hash, 1));
    },
    |tx, hash| {
        tx.set("refs/tags/x", Expect::Any, Target::Tag { id: id(hash, 1), peeled: id(hash, 2) });
    },
    |tx, hash| {
        tx.append_log("refs/heads/x", entry(hash, 1, 2, "x\n"));
    },
    |tx, hash| {
        tx.append_log("refs/heads/x", entry(hash, 0, 1, "x\n"));
    },
];

#[track_caller]
fn assert_refused(stack: &Stack, way: fn(&mut Transaction, HashKind), hash: HashKind) {
    let list = table_names(stack.path());
    let mut tx = stack.transaction();
    way(&mut tx, hash);
    assert_eq!(tx.commit().unwrap_err().kind(), ErrorKind::Invalid);
    let mut tx = stack.transaction();
    way(&mut tx, hash);
    assert_eq!(tx.prepare().unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(table_names(stack.path()), list);
}

#[test]
fn an_emptied_store_keeps_its_hash() {
    for hash in HASHES {
        let store = Store::new(hash);
        store.set("refs/heads/main", 1);
        // Nobody says what the hash is.
        let old = Stack::open(store.path(), quick()).unwrap();
        empty(&old);
        assert!(old.snapshot().unwrap().tables()[0].blocks().next().unwrap().is_none());
        for stack in [&old, &Stack::open(store.path(), quick()).unwrap()] {
            assert_eq!(stack.snapshot().unwrap().hash(), Some(hash));
            WAYS.into_iter().for_each(|way| assert_refused(stack, way, other(hash)));
        }
        let mut tx = old.transaction();
        tx.set("HEAD", Expect::Absent, Target::symbolic("refs/heads/main"));
        tx.commit().unwrap();
        assert!(old.snapshot().unwrap().tables().iter().all(|table| table.hash() == hash));
        for (number, way) in WAYS.into_iter().enumerate() {
            let mut tx = old.transaction();
            way(&mut tx, hash);
            assert!(tx.commit().is_ok(), "{number}");
        }
        let error = Stack::open(store.path(), quick().hash(other(hash))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
}

#[test]
fn a_list_without_tables_asks_its_caller() {
    for hash in HASHES {
        for way in WAYS {
            // git leaves this when it has merged tables of which nothing is left.
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("tables.list"), "").unwrap();
            let stack = Stack::open(dir.path(), quick().hash(hash)).unwrap();
            assert_eq!(stack.snapshot().unwrap().hash(), Some(hash));
            assert_refused(&stack, way, other(hash));
            let mut tx = stack.transaction();
            tx.set("HEAD", Expect::Absent, Target::symbolic("refs/heads/main"));
            tx.commit().unwrap();
            assert_eq!(stack.snapshot().unwrap().tables()[0].hash(), hash);
            assert_refused(&stack, way, other(hash));
        }
        for way in WAYS {
            let dir = tempfile::tempdir().unwrap();
            let stack = Stack::open(dir.path(), quick()).unwrap();
            assert_eq!(stack.snapshot().unwrap().hash(), None);
            let mut tx = stack.transaction();
            way(&mut tx, hash);
            tx.commit().unwrap();
            assert_eq!(stack.snapshot().unwrap().tables()[0].hash(), hash);
        }
    }
}

#[test]
fn a_transaction_of_two_hashes_is_refused_and_spares_its_neighbours() {
    for hash in HASHES {
        for (first, second) in WAYS.into_iter().flat_map(|first| WAYS.map(|second| (first, second))) {
            let dir = tempfile::tempdir().unwrap();
            let stack = Stack::open(dir.path(), quick()).unwrap();
            let mut tx = stack.transaction();
            first(&mut tx, hash);
            tx.set("refs/heads/y", Expect::Any, id(hash, 3));
            let mut mixed = stack.transaction();
            second(&mut mixed, other(hash));
            mixed.set("refs/heads/z", Expect::Any, id(hash, 4));
            let mut foreign = stack.transaction();
            second(&mut foreign, other(hash));
            let mut last = stack.transaction();
            last.set("refs/heads/last", Expect::Any, id(hash, 5));
            let results = stack.commit_all([mixed, tx, foreign, last]);
            let kinds: Vec<_> = results.iter().map(|result| result.as_ref().err().map(|error| error.kind())).collect();
            assert_eq!(kinds, [Some(ErrorKind::Invalid), None, Some(ErrorKind::Invalid), None]);
            assert_eq!(stack.snapshot().unwrap().hash(), Some(hash));
        }
    }
}

#[test]
fn git_goes_on_where_all_branches_were_deleted() {
    if !git::is_there() {
        return;
    }
    for hash in HASHES {
        let repo = Repo::new(hash);
        let id = repo.commits(1).remove(0);
        repo.git(["update-ref", "-d", "refs/heads/main"]);
        repo.git(["reflog", "expire", "--expire=now", "--all"]);
        repo.git(["pack-refs"]);
        let stack = repo.open(quick());
        WAYS.into_iter().for_each(|way| assert_refused(&stack, way, other(hash)));
        let mut tx = stack.transaction();
        tx.set("refs/heads/ours", Expect::Absent, id.parse::<reftable::ObjectId>().unwrap());
        tx.commit().unwrap();
        repo.git(["update-ref", "refs/heads/main", &id]);
        repo.assert_reads_equal();
        repo.assert_fsck();
    }
}
