//! A process commits two references at once while another reads: it sees both changes or neither.

#![cfg(loom)]
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use loom_tests::{Flaw, explore, id, process, stack, start};
use reftable::{AutoCompact, Expect, Stack};

const NAMES: [&str; 2] = ["refs/heads/a", "refs/heads/b"];

fn commit(stack: &Stack, names: &[&str]) {
    let mut tx = stack.transaction();
    for name in names {
        tx.set(name, Expect::Is(id(1).into()), id(2));
    }
    tx.commit().expect("nobody else writes");
}

/// Both references, as one snapshot has them.
fn read(stack: &Stack) -> Vec<u8> {
    let snapshot = stack.snapshot().expect("the store is sound at every moment");
    let value = |name| snapshot.get(name).expect("sound").expect("never deleted").target.id().expect("an id");
    NAMES.iter().map(|name| value(name).as_bytes()[0]).collect()
}

fn model(flaw: Flaw, compact: AutoCompact, in_two: bool) {
    let dir = start(&NAMES, flaw);
    let writer = stack(&dir, 1, compact).expect("sound");
    let reader = stack(&dir, 2, compact).expect("sound");
    let committer = process(move || {
        if in_two {
            commit(&writer, &NAMES[..1]);
            commit(&writer, &NAMES[1..]);
        } else {
            commit(&writer, &NAMES);
        }
        assert_eq!(read(&writer), [2, 2], "one's own commit is visible at once");
    });
    let mut before = 1;
    for _ in 0..2 {
        let seen = read(&reader);
        assert!(seen == [1, 1] || seen == [2, 2], "half a transaction: {seen:?}");
        assert!(seen[0] >= before, "what was seen went back");
        before = seen[0];
    }
    committer.join().expect("the committer ends");
    assert_eq!(read(&reader), [2, 2], "what was acknowledged is there");
}

#[test]
fn a_reader_sees_all_or_nothing() {
    explore("committer and reader", 5, || model(Flaw::None, AutoCompact::Off, false));
}

#[test]
fn compaction_changes_nothing_for_a_reader() {
    explore("compacting committer and reader", 4, || model(Flaw::None, AutoCompact::Geometric(2), false));
}

#[test]
#[should_panic(expected = "half a transaction")]
fn control_two_commits_instead_of_one_are_caught() {
    explore("control: two commits", 3, || model(Flaw::None, AutoCompact::Off, true));
}

#[test]
#[should_panic(expected = "the store is sound at every moment")]
fn control_a_torn_rename_is_caught() {
    explore("control: torn rename", 3, || model(Flaw::TornRename, AutoCompact::Off, false));
}
