use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_lite::future::block_on;
use reftable::Expect;
use reftable_bucket::{Bucket, Compact, Memory, Options, Read, Result, Store, Swap, Tag};

use crate::{PLACE, fill, id, set};

/// Loses the answer of the next swap of the root, and lets another machine commit upon it.
struct Unlucky {
    memory: Arc<Memory>,
    is_due: AtomicBool,
}

impl Bucket for Unlucky {
    async fn read(&self, key: &str, known: Option<&Tag>) -> Result<Read> {
        self.memory.read(key, known).await
    }

    async fn swap(&self, key: &str, bytes: Bytes, base: Option<&Tag>) -> Result<Swap> {
        let answer = self.memory.swap(key, bytes, base).await?;
        if !key.ends_with("/root") || !self.is_due.swap(false, Ordering::Relaxed) {
            return Ok(answer);
        }
        let other = Store::new(Arc::clone(&self.memory), PLACE, apart())?;
        other.commit(set("refs/heads/other", Expect::Absent, 9)).await?;
        Ok(Swap::Unknown("no answer".to_owned()))
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.memory.delete(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.memory.list(prefix).await
    }
}

fn apart() -> Options {
    Options::default().inline(0, 0).compact(reftable::AutoCompact::Off)
}

/// The compaction took the swap that others had followed for one that had been lost, and deleted
/// its table: the one that the root names.
#[test]
fn a_compaction_that_others_have_followed_keeps_its_table() {
    let memory = Arc::new(Memory::new());
    fill(&Store::new(Arc::clone(&memory), PLACE, apart()).unwrap(), 3);
    let bucket = Arc::new(Unlucky { memory: Arc::clone(&memory), is_due: true.into() });
    let store = Store::new(bucket, PLACE, apart()).unwrap();
    assert!(block_on(store.compact(Compact::All)).unwrap(), "it was carried out");
    let snapshot = block_on(Store::new(memory, PLACE, apart()).unwrap().snapshot()).unwrap();
    assert_eq!(snapshot.tables().len(), 2);
    assert_eq!(snapshot.get("refs/heads/2").unwrap().map(|found| found.target), Some(id(2).into()));
}

#[test]
fn a_commit_that_others_have_followed_is_rescued() {
    let memory = Arc::new(Memory::new());
    fill(&Store::new(Arc::clone(&memory), PLACE, apart()).unwrap(), 1);
    let bucket = Arc::new(Unlucky { memory, is_due: true.into() });
    let store = Store::new(bucket, PLACE, apart()).unwrap();
    let done = block_on(store.commit(set("refs/heads/new", Expect::Absent, 5))).unwrap();
    assert!(done.rescued && done.update_index == 2, "{done:?}");
    assert_eq!(block_on(store.snapshot()).unwrap().refs().unwrap().into_iter().count(), 3);
}
