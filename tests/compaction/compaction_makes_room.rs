//! A record that just fits into a block of its own table takes more room in a merged one: its
//! update index has more digits there, and it may share the first block with the header. Compaction
//! must not fail for that.

use reftable::compact::Compact;
use reftable::table::WriteOptions;
use reftable::{AutoCompact, ErrorKind, Expect, Ident, LogEntry, ObjectId, Options, Stack};

fn id() -> ObjectId {
    ObjectId::from_bytes(&[7; 20]).unwrap()
}

fn set(stack: &Stack, name: &str) -> reftable::Result<()> {
    let mut tx = stack.transaction();
    tx.set(name, Expect::Any, id());
    tx.commit().map(|_| ())
}

#[test]
fn the_longest_name_survives_a_merge() {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::open(dir.path(), Options::default().auto_compact(AutoCompact::Off)).unwrap();
    for _ in 0..200 {
        set(&stack, "refs/heads/z").unwrap();
    }
    let longest = (3900..4100).rev().map(|len| format!("A{}", "n".repeat(len)));
    let mut attempts = longest.map(|name| (set(&stack, &name), name));
    let (_, name) = attempts
        .find(|(result, _)| match result {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::TooLarge);
                false
            }
        })
        .unwrap();
    assert_eq!(stack.compact(Compact::all()).unwrap().unwrap().merged.len(), 201);
    let snapshot = stack.snapshot().unwrap();
    assert_eq!(snapshot.get(&name).unwrap().unwrap().target, id().into());
    assert_eq!(snapshot.refs().unwrap().into_iter().count(), 2);
    assert!(stack.verify().unwrap().is_clean());
}

#[test]
fn blocks_of_others_may_be_larger() {
    let dir = tempfile::tempdir().unwrap();
    let large = Options::default().write(WriteOptions::default().block_size(65536));
    let stack = Stack::open(dir.path(), large).unwrap();
    let committer = Ident::new("C", "c@example.com", 1);
    let entry = LogEntry { old: id(), new: id(), committer, message: vec![b'm'; 50_000] };
    let mut tx = stack.transaction();
    tx.append_log("refs/heads/a", entry);
    tx.commit().unwrap();
    // With the usual options this compacts at once.
    let usual = Stack::open(dir.path(), Options::default()).unwrap();
    for number in 0..20 {
        let mut tx = usual.transaction();
        tx.set(format!("refs/heads/{number:05}"), Expect::Any, id());
        if let Some(compacted) = tx.commit().unwrap().compaction {
            compacted.unwrap();
        }
    }
    usual.compact(Compact::all()).unwrap();
    assert_eq!(usual.snapshot().unwrap().log("refs/heads/a").unwrap().into_iter().count(), 1);
    assert!(usual.verify().unwrap().is_clean());
}
