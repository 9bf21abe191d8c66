//! Large tables are read in parts, side by side.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use futures_lite::future::{block_on, yield_now};
use reftable::Expect;
use reftable_bucket::{Bucket, Changeset, ErrorKind, Memory, Options, Read, Result, Store, Swap, Tag};

use crate::{PLACE, id};

/// Counts parts that are asked for, and how many are at once.
#[derive(Default)]
struct Parts {
    memory: Memory,
    parts: AtomicU32,
    now: AtomicU32,
    most: AtomicU32,
}

impl Bucket for Parts {
    async fn read(&self, key: &str, known: Option<&Tag>) -> Result<Read> {
        self.memory.read(key, known).await
    }

    async fn read_range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>> {
        self.parts.fetch_add(1, Ordering::Relaxed);
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        yield_now().await;
        let part = self.memory.read_range(key, range).await;
        self.now.fetch_sub(1, Ordering::Relaxed);
        part
    }

    async fn swap(&self, key: &str, bytes: Bytes, base: Option<&Tag>) -> Result<Swap> {
        self.memory.swap(key, bytes, base).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.memory.delete(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.memory.list(prefix).await
    }
}

#[test]
fn a_large_table_is_read_in_parts_side_by_side_and_one_that_is_shorter_is_told() {
    let bucket = Arc::new(Parts::default());
    let open = || Store::new(Arc::clone(&bucket), PLACE, Options::default()).unwrap();
    // Names that do not compress: some 20 MiB.
    let mut changes = Changeset::new();
    for number in 0..30_000_usize {
        let name = format!("refs/{:0>700}", format!("{:x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let name: String = name.chars().rev().collect();
        changes.set(format!("refs/{name}"), Expect::Any, id(number + 1));
    }
    block_on(open().commit(changes)).unwrap();
    let key = bucket.memory.keys().into_iter().find(|key| key.ends_with(".ref")).unwrap();
    let bytes = bucket.memory.get(&key).unwrap();
    assert!(bytes.len() > 16 << 20, "{} bytes", bytes.len());
    let count = block_on(open().snapshot()).unwrap().refs().unwrap().into_iter().count();
    assert_eq!(count, 30_000);
    assert!(bucket.parts.load(Ordering::Relaxed) >= 3 && bucket.most.load(Ordering::Relaxed) >= 3);
    bucket.memory.set(&key, bytes.slice(..bytes.len() - (9 << 20)));
    let error = block_on(open().snapshot()).expect_err("it is shorter");
    assert!(error.kind() == ErrorKind::Corrupt && error.object() == Some(&key), "{error}");
}
