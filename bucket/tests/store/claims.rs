//! Claims spare two machines the same compaction, and stop none of them for long.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_lite::future::block_on;
use reftable::AutoCompact;
use reftable_bucket::{Compact, Memory, Options, Store};

use crate::{PLACE, fill, memory_store};

const CLAIM: &str = "repos/42/compaction";

/// A store of tables of which each is too large to be merged within a commit.
fn store() -> (Arc<Memory>, Store<Memory>) {
    let (memory, store) = memory_store(Options::default().inline(0, 0).small_merge(0).compact(AutoCompact::Off));
    fill(&store, 6);
    (memory, store)
}

fn claim(memory: &Memory, seconds_from_now: i64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let until = now.saturating_add_signed(seconds_from_now);
    memory.set(CLAIM, format!("reftable compaction until {until} 0123456789abcdef\n"));
}

#[test]
fn what_another_machine_is_merging_is_left_to_it() {
    let (memory, store) = store();
    claim(&memory, 30);
    let before = memory.keys();
    assert!(!block_on(store.compact(Compact::All)).unwrap());
    assert_eq!(memory.keys(), before, "nothing was written, and the claim stays");
}

#[test]
fn a_claim_ends_by_its_time_and_is_gone_after_the_merge() {
    for ahead in [-1, 100_000] {
        let (memory, store) = store();
        claim(&memory, ahead);
        assert!(block_on(store.compact(Compact::All)).unwrap(), "{ahead}");
        assert!(memory.get(CLAIM).is_none(), "{ahead}");
        assert_eq!(block_on(store.snapshot()).unwrap().tables().len(), 1);
    }
}

#[test]
fn what_is_no_claim_stays_and_stops_nobody() {
    let (memory, store) = store();
    memory.set(CLAIM, "notes");
    assert!(block_on(store.compact(Compact::All)).unwrap());
    assert_eq!(memory.get(CLAIM).unwrap(), "notes");
}

#[test]
fn small_tables_are_merged_without_a_claim() {
    let (memory, store) = memory_store(Options::default().compact(AutoCompact::Off));
    fill(&store, 6);
    claim(&memory, 30);
    assert!(block_on(store.compact(Compact::All)).unwrap());
    let other = Store::new(memory, PLACE, Options::default().timeout(Duration::from_secs(1))).unwrap();
    assert_eq!(block_on(other.snapshot()).unwrap().tables().len(), 1);
}
