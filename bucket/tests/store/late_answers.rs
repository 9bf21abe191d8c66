//! Answers that come after those of later requests.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future::{block_on, poll_once, yield_now};
use reftable::Expect;
use reftable_bucket::{Bucket, Memory, Options, Read, Result, Store, Swap, Tag};

use crate::{PLACE, set};

/// Gives the answer of the first read of the root when it is asked for it a second time.
struct Late {
    memory: Memory,
    is_due: AtomicBool,
}

impl Bucket for Late {
    async fn read(&self, key: &str, known: Option<&Tag>) -> Result<Read> {
        let answer = self.memory.read(key, known).await;
        if key.ends_with("/root") && self.is_due.swap(false, Ordering::Relaxed) {
            yield_now().await;
        }
        answer
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

/// The answer that there was no store yet took the place of what the handle had committed since.
#[test]
fn a_handle_does_not_forget_its_commit_for_an_answer_from_before() {
    let bucket = Arc::new(Late { memory: Memory::new(), is_due: true.into() });
    let store = Store::new(bucket, PLACE, Options::default()).unwrap();
    let mut look = pin!(store.snapshot());
    assert!(block_on(poll_once(look.as_mut())).is_none(), "the answer is under way");
    block_on(store.commit(set("refs/heads/main", Expect::Absent, 1))).unwrap();
    let _of_before = block_on(look);
    let snapshot = block_on(store.snapshot_within(Duration::from_secs(3600))).unwrap();
    assert!(snapshot.get("refs/heads/main").unwrap().is_some());
}
