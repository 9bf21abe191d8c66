//! What is left of a compaction that copied blocks, git lists, logs, checks and packs. (dulwich has
//! no opinion: of a table it knows the first reference block, which is never copied, and no logs.)

use crate::support::git::{self, Repo};
use crate::support::{HASHES, assert_verifies, ident, quick};
use reftable::compact::Compact;
use reftable::table::WriteOptions;
use reftable::{AutoCompact, Expect, HashKind, LogEntry, ObjectId, Options, Stack, Target};

fn options(write: &WriteOptions) -> Options {
    quick().auto_compact(AutoCompact::Off).compact_at_once(0).write(write.clone())
}

fn agree(repo: &Repo, stack: &Stack) {
    git::assert_lists_equal(repo, repo.work_tree(), &stack.snapshot().unwrap());
    repo.assert_fsck();
    assert_verifies(stack);
}

fn name(number: usize) -> String {
    format!("refs/heads/{number:05}{}", "-long".repeat(number % 5))
}

/// Sets some references, and adds many entries to a few logs.
fn commit(stack: &Stack, ids: &[ObjectId], numbers: impl Iterator<Item = usize>, entries: usize) {
    let id = |number: usize| ids[number % ids.len()];
    let mut tx = stack.transaction();
    tx.set("refs/heads/main", Expect::Any, id(0));
    for number in numbers {
        match number % 500 {
            0 => tx.set(name(number), Expect::Any, Target::symbolic("refs/heads/main")),
            _ => tx.set(name(number), Expect::Any, id(number)),
        };
    }
    for number in 0..entries {
        let message = format!("entry {number}").into_bytes();
        let entry = LogEntry { old: id(number), new: id(number + 1), committer: ident(), message };
        tx.append_log(["refs/heads/main", "refs/heads/00002-long-long"][number % 2], entry);
    }
    tx.commit().unwrap();
}

fn check(hash: HashKind, write: &WriteOptions) {
    let repo = Repo::new(hash);
    let ids: Vec<ObjectId> = repo.commits(5).iter().map(|id| id.parse().unwrap()).collect();
    let stack = repo.open(options(write));
    stack.compact(Compact::all()).unwrap();
    commit(&stack, &ids, (0..4000).step_by(2), 400);
    stack.compact(Compact::all()).unwrap();
    for round in 0..2 {
        commit(&stack, &ids, [17, 1200, 3001, 3444, 7000 + round].into_iter(), 1);
        let mut tx = stack.transaction();
        tx.delete(name(2002), Expect::Any);
        tx.commit().unwrap();
        let written = stack.compact(Compact::all()).unwrap().unwrap().written;
        assert!(written.copied * 3 > written.blocks, "{written:?}");
        agree(&repo, &stack);
    }
    let points_at = format!("--points-at={}", ids[3]);
    let told = repo.git(["for-each-ref", points_at.as_str()]);
    assert_eq!(git::lines(&told).count(), stack.snapshot().unwrap().pointing_at(&ids[3]).unwrap().into_iter().count());
    repo.git(["pack-refs", "--all"]);
    agree(&repo, &stack);
}

#[test]
fn in_all_shapes() {
    if !git::is_there() {
        return;
    }
    for hash in HASHES {
        let write = WriteOptions::default();
        check(hash, &write);
        check(hash, &write.block_size(512).restart_interval(3).padding(hash == HashKind::Sha1));
    }
}
