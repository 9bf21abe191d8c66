//! Swaps whose answers were lost: nothing that the root names is deleted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_lite::future::block_on;
use reftable::Expect;
use reftable_bucket::{Bucket, Compact, Memory, Options, Read, Result, Store, Swap, Tag};

use crate::{PLACE, fill, id, set};

/// Loses the answer of the next swap of the root, and lets so many commits of others follow it.
struct Overtaken {
    memory: Arc<Memory>,
    followers: AtomicUsize,
    /// Those of the others.
    options: Options,
}

impl Bucket for Overtaken {
    async fn read(&self, key: &str, known: Option<&Tag>) -> Result<Read> {
        self.memory.read(key, known).await
    }

    async fn swap(&self, key: &str, bytes: Bytes, base: Option<&Tag>) -> Result<Swap> {
        let answer = self.memory.swap(key, bytes, base).await?;
        if !key.ends_with("/root") {
            return Ok(answer);
        }
        let followers = self.followers.swap(0, Ordering::Relaxed);
        if followers == 0 {
            return Ok(answer);
        }
        let open = || Store::new(Arc::clone(&self.memory), PLACE, self.options.clone());
        let one = open()?;
        for number in 0..followers {
            // In turn a handle that stays, and those of processes that commit once.
            let once = open()?;
            let store = if number % 10 > 0 { &one } else { &once };
            store.commit(set("refs/heads/other", Expect::Any, number + 9)).await?;
        }
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
    let bucket = Arc::new(Overtaken { memory: Arc::clone(&memory), followers: 1.into(), options: apart() });
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
    let bucket = Arc::new(Overtaken { memory, followers: 1.into(), options: apart() });
    let store = Store::new(bucket, PLACE, apart()).unwrap();
    let done = block_on(store.commit(set("refs/heads/new", Expect::Absent, 5))).unwrap();
    assert!(done.rescued && done.update_index == 2, "{done:?}");
    let seen = block_on(store.snapshot_within(std::time::Duration::from_secs(3600))).unwrap();
    assert!(seen.get("refs/heads/new").unwrap().is_some(), "it is older than what the handle has committed");
    assert_eq!(block_on(store.snapshot()).unwrap().refs().unwrap().into_iter().count(), 3);
}

fn forgetful() -> Options {
    Options::default().history(std::time::Duration::ZERO).timeout(std::time::Duration::from_secs(1))
}

/// The past had an end after 4,096 editions, which is less than a minute of 73 a second.
#[test]
fn a_writer_learns_of_its_commit_however_many_have_followed() {
    let memory = Arc::new(Memory::new());
    fill(&Store::new(Arc::clone(&memory), PLACE, Options::default()).unwrap(), 1);
    let bucket = Arc::new(Overtaken { memory, followers: 6000.into(), options: forgetful() });
    let store = Store::new(bucket, PLACE, Options::default()).unwrap();
    let done = block_on(store.commit(set("refs/heads/new", Expect::Absent, 5))).unwrap();
    assert!(done.rescued && done.update_index == 2, "{done:?}");
    let stats = block_on(store.stats()).unwrap();
    // How many are remembered depends on how long the followers took: they asked for two seconds.
    assert!(stats.edition == 6002 && stats.remembered > 0, "{stats:?}");
    assert!(stats.root_bytes < 64 * 1024, "{stats:?}");
}
