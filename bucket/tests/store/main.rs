//! What a store in a bucket promises when nothing goes wrong, and what it says of damages.

#![cfg(test)]

mod basics;
mod claims;
#[path = "../../benches/latency/clocked.rs"]
#[allow(dead_code, reason = "the benchmark uses more of it")]
mod clocked;
mod damages;
mod git_reads;
mod imports;
mod large_tables;
mod late_answers;
mod lost_answers;
mod numbered_roots;
mod probe_refuses;
mod requests;
mod slow_stores;

use std::sync::Arc;

use futures_lite::future::block_on;
use reftable::{Expect, ObjectId};
use reftable_bucket::{Bucket, Changeset, Commit, Memory, Options, Result, Store};

const PLACE: &str = "repos/42";

fn id(number: usize) -> ObjectId {
    ObjectId::from_hex(format!("{number:040x}").as_bytes()).unwrap()
}

fn set(name: impl AsRef<[u8]>, expect: Expect, number: usize) -> Changeset {
    let mut changes = Changeset::new();
    changes.set(name, expect, id(number));
    changes
}

fn commit<B: Bucket>(store: &Store<B>, changes: Changeset) -> Result<Commit> {
    block_on(store.commit(changes))
}

fn memory_store(options: Options) -> (Arc<Memory>, Store<Memory>) {
    let memory = Arc::new(Memory::new());
    let store = Store::new(Arc::clone(&memory), PLACE, options).unwrap();
    (memory, store)
}

/// Commits so many references, each in a commit of its own.
fn fill(store: &Store<Memory>, commits: usize) {
    for number in 1..=commits {
        commit(store, set(format!("refs/heads/{number}"), Expect::Absent, number)).unwrap();
    }
}
