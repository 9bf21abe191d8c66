//! Answers that come after those of other requests.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future::{block_on, poll_once, yield_now};
use reftable::Expect;
use reftable_bucket::{Bucket, Memory, Options, Read, Result, Store, Swap, Tag};

use crate::{PLACE, set};

/// Gives the answer of the next read or swap of the root when it is asked for it a second time; the
/// swap is carried out then.
#[derive(Default)]
struct Late {
    memory: Memory,
    read_is_late: AtomicBool,
    swap_is_late: AtomicBool,
}

async fn wait_if(is_late: &AtomicBool) {
    if is_late.swap(false, Ordering::Relaxed) {
        yield_now().await;
    }
}

impl Bucket for Late {
    async fn read(&self, key: &str, known: Option<&Tag>) -> Result<Read> {
        let answer = self.memory.read(key, known).await;
        wait_if(&self.read_is_late).await;
        answer
    }

    async fn swap(&self, key: &str, bytes: Bytes, base: Option<&Tag>) -> Result<Swap> {
        wait_if(&self.swap_is_late).await;
        self.memory.swap(key, bytes, base).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.memory.delete(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.memory.list(prefix).await
    }
}

fn open(bucket: Late) -> Store<Late> {
    Store::new(Arc::new(bucket), PLACE, Options::default()).unwrap()
}

fn knows_its_commit(store: &Store<Late>) -> bool {
    let snapshot = block_on(store.snapshot_within(Duration::from_secs(3600))).unwrap();
    snapshot.get("refs/heads/main").unwrap().is_some()
}

/// The answer that there was no store yet took the place of what the handle had committed since.
#[test]
fn a_handle_does_not_forget_its_commit_for_an_answer_from_before() {
    let store = open(Late { read_is_late: true.into(), ..Late::default() });
    let mut look = pin!(store.snapshot());
    assert!(block_on(poll_once(look.as_mut())).is_none(), "the answer is under way");
    block_on(store.commit(set("refs/heads/main", Expect::Absent, 1))).unwrap();
    let _of_before = block_on(look);
    assert!(knows_its_commit(&store));
}

#[test]
fn a_commit_that_lands_after_a_look_that_found_no_store_is_known() {
    let store = open(Late { swap_is_late: true.into(), ..Late::default() });
    let mut commit = pin!(store.commit(set("refs/heads/main", Expect::Absent, 1)));
    assert!(block_on(poll_once(commit.as_mut())).is_none(), "the swap is under way");
    block_on(store.snapshot()).expect_err("there is no store yet");
    block_on(commit).unwrap();
    assert!(knows_its_commit(&store));
}
