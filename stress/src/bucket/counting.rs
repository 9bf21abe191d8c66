//! An object store whose requests and bytes are counted.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use reftable_bucket::{Bucket, Client, Read, Result, Swap, Tag};

/// Requests, and bytes of the objects that they moved.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Taken {
    pub(super) reads: u64,
    pub(super) writes: u64,
    pub(super) lists: u64,
    pub(super) deletions: u64,
    pub(super) bytes_read: u64,
    pub(super) bytes_written: u64,
}

/// Passes all on to a client.
pub(super) struct Counting {
    client: Client,
    reads: AtomicU64,
    writes: AtomicU64,
    lists: AtomicU64,
    deletions: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
}

impl Counting {
    pub(super) fn new(client: Client) -> Counting {
        let zero = || AtomicU64::new(0);
        let (reads, writes, lists) = (zero(), zero(), zero());
        let (deletions, bytes_read, bytes_written) = (zero(), zero(), zero());
        Counting { client, reads, writes, lists, deletions, bytes_read, bytes_written }
    }

    /// What there was since the last time.
    pub(super) fn taken(&self) -> Taken {
        let of = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        Taken {
            reads: of(&self.reads),
            writes: of(&self.writes),
            lists: of(&self.lists),
            deletions: of(&self.deletions),
            bytes_read: of(&self.bytes_read),
            bytes_written: of(&self.bytes_written),
        }
    }
}

fn add(count: &AtomicU64, number: usize) {
    count.fetch_add(number as u64, Ordering::Relaxed);
}

impl Bucket for Counting {
    async fn read(&self, key: &str, known: Option<&Tag>) -> Result<Read> {
        add(&self.reads, 1);
        let read = self.client.read(key, known).await?;
        if let Read::Object { bytes, .. } = &read {
            add(&self.bytes_read, bytes.len());
        }
        Ok(read)
    }

    async fn read_range(&self, key: &str, range: Range<u64>) -> Result<Option<bytes::Bytes>> {
        add(&self.reads, 1);
        let read = self.client.read_range(key, range).await?;
        add(&self.bytes_read, read.as_ref().map_or(0, bytes::Bytes::len));
        Ok(read)
    }

    async fn swap(&self, key: &str, bytes: bytes::Bytes, base: Option<&Tag>) -> Result<Swap> {
        add(&self.writes, 1);
        add(&self.bytes_written, bytes.len());
        self.client.swap(key, bytes, base).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        add(&self.deletions, 1);
        self.client.delete(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        add(&self.lists, 1);
        self.client.list(prefix).await
    }
}
