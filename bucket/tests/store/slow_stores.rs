//! A time-out counts from the last table that came, on a simulated clock.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use reftable::{AutoCompact, Expect};
use reftable_bucket::{Bucket, ErrorKind, Options, Store};

use crate::clocked::{Clocked, Weather};
use crate::{PLACE, fill, memory_store, set};

const TIMEOUT: Duration = Duration::from_secs(10);

/// An object store with a store of so many tables, whose requests take two seconds each.
fn slow(tables: usize, lost: u64) -> Arc<Clocked> {
    let options = Options::default().inline(0, 0).compact(AutoCompact::Off);
    let (memory, store) = memory_store(options);
    fill(&store, tables);
    let (write, read) = (Duration::from_secs(2), Duration::from_secs(2));
    let bucket = Clocked::new(Weather { write, read, lost, patience: Duration::from_secs(30) }, 1);
    memory.keys().iter().for_each(|key| bucket.memory.set(key, memory.get(key).unwrap()));
    Arc::new(bucket)
}

/// Runs on the simulated clock; what it gives, and how long it took.
fn timed<T>(bucket: &Clocked, work: impl Future<Output = T>) -> (T, Duration) {
    let (began, given) = (bucket.now(), RefCell::new(None));
    bucket.run(vec![Box::pin(async { *given.borrow_mut() = Some(work.await) })]);
    (given.into_inner().unwrap(), bucket.now() - began)
}

fn open(bucket: &Arc<Clocked>) -> Store<Clocked> {
    Store::new(Arc::clone(bucket), PLACE, Options::default().timeout(TIMEOUT)).unwrap()
}

#[test]
fn a_store_is_opened_as_long_as_its_tables_come() {
    let bucket = slow(30, 0);
    let (snapshot, time) = timed(&bucket, open(&bucket).snapshot());
    assert_eq!(snapshot.unwrap().refs().unwrap().into_iter().count(), 30);
    assert!(time > 3 * TIMEOUT, "{time:?}");
    let (commit, time) = timed(&bucket, open(&bucket).commit(set("refs/heads/new", Expect::Absent, 1)));
    assert_eq!(commit.unwrap().update_index, 31);
    assert!(time > 3 * TIMEOUT, "{time:?}");
}

#[test]
fn one_that_does_not_answer_is_given_up_after_the_time_out() {
    let bucket = slow(3, 1000);
    let (snapshot, time) = timed(&bucket, open(&bucket).snapshot());
    assert_eq!(snapshot.expect_err("it is silent").kind(), ErrorKind::Unavailable);
    assert_eq!(time, TIMEOUT);
    let (commit, time) = timed(&bucket, open(&bucket).commit(set("refs/heads/new", Expect::Absent, 1)));
    assert_eq!(commit.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(time, TIMEOUT);
}
