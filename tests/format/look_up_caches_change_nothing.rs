//! A name that is looked up again and again is found, or not found, as it was the first time: what
//! look-ups fill the caches of a table with (places of blocks, filters of names) changes no answer.

use crate::support::{self, HASHES, Store};
use reftable::Expect;
use reftable::table::WriteOptions;

fn name(number: usize) -> String {
    // Some differ late, some early.
    format!("refs/{}/common-stem/{number:05}", ["heads", "tags", "x"][number % 3])
}

/// A store whose tables hold `counts` names, oldest first: numbers that leave gaps, some in several
/// tables, some deleted.
fn store(hash: reftable::HashKind, counts: &[usize]) -> Store {
    let store = Store::writing(hash, WriteOptions::default().block_size(256).restart_interval(3));
    for (nth, count) in counts.iter().enumerate() {
        let mut tx = store.stack.transaction();
        for number in 0..*count {
            let name = name(2 * number + 14 * nth);
            match (number + nth) % 5 {
                0 if nth > 0 => tx.delete(name, Expect::Any),
                _ => tx.set(name, Expect::Any, store.id(nth as u64)),
            };
        }
        tx.commit().unwrap();
    }
    store
}

#[test]
fn answers_stay_as_they_were() {
    for hash in HASHES {
        // Blocks without an index, in a row; an index of one level and of more; tables above one
        // another.
        for counts in [&[1][..], &[9], &[14], &[20], &[200], &[5_000], &[300, 40, 12], &[1_000, 12, 9, 1]] {
            let store = store(hash, counts);
            let snapshot = store.stack.snapshot().unwrap();
            let there: std::collections::BTreeMap<_, _> =
                support::contents::names(snapshot.refs().unwrap()).into_iter().map(|name| (name, ())).collect();
            assert!(!there.is_empty());
            let asked: Vec<String> = (0..2 * counts[0] + 40).flat_map(|n| [name(n), format!("{}!", name(n))]).collect();
            for round in 0..5 {
                for name in &asked {
                    let found = snapshot.get(name).unwrap();
                    assert_eq!(found.is_some(), there.contains_key(name), "{name} of {counts:?}, round {round}");
                    assert!(found.is_none_or(|found| found.name == name.as_bytes()));
                }
            }
        }
    }
}
