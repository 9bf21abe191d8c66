//! A store without anything left in it keeps its update index, and git goes on from there.

#![cfg(test)]

mod support;

use reftable::{Compact, Expect};
use support::git::{self, Repo};
use support::{HASHES, assert_no_litter, assert_verifies, quick, table_names};

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
        assert_no_litter(stack.path());

        // Without HEAD git does not recognise the repository; its reader of tables is what we ask here.
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
