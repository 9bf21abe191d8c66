//! How many requests commits and reads take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use futures_lite::future::{block_on, yield_now, zip};
use reftable::Expect;
use reftable_bucket::{Bucket, Memory, Options, Read, Result, Store, Swap, Tag};

use crate::{PLACE, set};

/// Counts requests, and answers each a little later.
#[derive(Default)]
struct Counting {
    memory: Memory,
    reads: AtomicU32,
    swaps: AtomicU32,
}

impl Bucket for Counting {
    async fn read(&self, key: &str, known: Option<&Tag>) -> Result<Read> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        yield_now().await;
        self.memory.read(key, known).await
    }

    async fn swap(&self, key: &str, bytes: Bytes, base: Option<&Tag>) -> Result<Swap> {
        self.swaps.fetch_add(1, Ordering::Relaxed);
        yield_now().await;
        self.memory.swap(key, bytes, base).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.memory.delete(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.memory.list(prefix).await
    }
}

impl Counting {
    /// Reads and swaps since the last time.
    fn taken(&self) -> (u32, u32) {
        (self.reads.swap(0, Ordering::Relaxed), self.swaps.swap(0, Ordering::Relaxed))
    }
}

#[test]
fn one_request_a_commit_one_to_open_and_one_to_see_that_nothing_is_new() {
    let bucket = Arc::new(Counting::default());
    let store = Store::new(Arc::clone(&bucket), PLACE, Options::default()).unwrap();
    block_on(store.commit(set("refs/heads/0", Expect::Absent, 1))).unwrap();
    bucket.taken();
    for number in 1..20 {
        block_on(store.commit(set(format!("refs/heads/{number}"), Expect::Absent, number))).unwrap();
    }
    assert_eq!(bucket.taken(), (0, 19));
    let other = Store::new(Arc::clone(&bucket), PLACE, Options::default()).unwrap();
    block_on(other.snapshot()).unwrap();
    assert_eq!(bucket.taken(), (1, 0));
    block_on(other.snapshot()).unwrap();
    assert_eq!(bucket.taken(), (1, 0));
    block_on(other.snapshot_within(std::time::Duration::from_secs(60))).unwrap();
    assert_eq!(bucket.taken(), (0, 0));
}

#[test]
fn tables_on_the_disk_are_not_asked_for_again() {
    let bucket = Arc::new(Counting::default());
    let dir = tempfile::tempdir().unwrap();
    let options = || Options::default().inline(0, 0).cache(dir.path(), 1 << 20);
    let open = || Store::new(Arc::clone(&bucket), PLACE, options()).unwrap();
    block_on(open().commit(set("refs/heads/0", Expect::Absent, 1))).unwrap();
    bucket.taken();
    block_on(open().snapshot()).unwrap();
    assert_eq!(bucket.taken(), (2, 0), "the root and the table");
    block_on(open().snapshot()).unwrap();
    assert_eq!(bucket.taken(), (1, 0), "the root");
    // What is wrong there is read from the bucket, and put right.
    let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, "damaged").unwrap();
    block_on(open().snapshot()).unwrap();
    assert_eq!(bucket.taken(), (2, 0));
    block_on(open().snapshot()).unwrap();
    assert_eq!(bucket.taken(), (1, 0));
}

#[test]
fn those_who_wait_share_a_request() {
    let bucket = Arc::new(Counting::default());
    let store = Store::new(Arc::clone(&bucket), PLACE, Options::default()).unwrap();
    block_on(store.commit(set("refs/heads/main", Expect::Absent, 1))).unwrap();
    bucket.taken();
    let commit = |number: usize| store.commit(set(format!("refs/heads/{number}"), Expect::Absent, number));
    let eight = zip(
        zip(zip(commit(1), commit(2)), zip(commit(3), commit(4))),
        zip(zip(commit(5), commit(6)), zip(commit(7), commit(8))),
    );
    let (((a, b), (c, d)), ((e, f), (g, h))) = block_on(eight);
    for (at, done) in [a, b, c, d, e, f, g, h].into_iter().enumerate() {
        assert_eq!(done.unwrap().update_index, at as u64 + 2);
    }
    let (reads, swaps) = bucket.taken();
    assert!(reads == 0 && swaps <= 2, "the first leads alone, then the others together: {reads}, {swaps}");
}
