//! Machines and tasks that share a store.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::block_on;
use reftable::AutoCompact;
use reftable_bucket::{Bucket, Compact, ErrorKind, Memory, Options, Store};

use crate::bucket::{Shared, SimBucket};
use crate::explorer::{Faults, Order, Task, explore};
use crate::history::{History, PLACE, changes};

/// How many runs of a scenario are tried one after the other.
pub(crate) const MOST: u64 = 5_000;

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What may go wrong in the runs that are tried one after the other.
    faults: Faults,
    make: fn(&Shared, &Rc<History>) -> Vec<Task>,
    /// Commits that are there before.
    before: u8,
    options: fn() -> Options,
}

impl Scenario {
    /// Every run with a few faults, or the first so many.
    pub(crate) fn run_first(&self) -> (u64, Option<String>) {
        self.run(self.faults, Order::First(MOST))
    }

    /// Runs with many faults, drawn with this seed.
    pub(crate) fn run_drawn(&self, runs: u64, seed: u64) -> (u64, Option<String>) {
        self.run(Faults { lost: 4, killed: 2 }, Order::Drawn(runs, seed))
    }

    fn run(&self, faults: Faults, order: Order) -> (u64, Option<String>) {
        let objects = prepared(self.before, (self.options)());
        let make = |bucket: &Shared| {
            for (key, bytes) in &objects {
                let _ = bucket.world().carry_out(&crate::bucket::Call::Swap {
                    key: key.clone(),
                    bytes: bytes.clone(),
                    base: None,
                });
            }
            let history = Rc::new(History::default());
            ((self.make)(bucket, &history), history)
        };
        explore(faults, order, make, |bucket, history| history.check(bucket, faults.killed > 0))
    }
}

/// The objects of a store with so many commits of a writer that has gone.
fn prepared(commits: u8, options: Options) -> Vec<(String, bytes::Bytes)> {
    let memory = Arc::new(Memory::new());
    let store = Store::new(Arc::clone(&memory), PLACE, options.compact(AutoCompact::Off)).unwrap();
    for number in 0..commits {
        block_on(store.commit(changes(3, number))).unwrap();
    }
    memory.keys().into_iter().map(|key| (key.clone(), memory.get(&key).unwrap())).collect()
}

fn inline() -> Options {
    Options::default()
}

fn apart() -> Options {
    Options::default().inline(0, 0)
}

/// Commits merge nothing: what a compaction has made stays listed.
fn apart_and_unmerged() -> Options {
    apart().compact(AutoCompact::Off)
}

fn store(bucket: &Shared, options: Options) -> Store<SimBucket> {
    Store::new(Arc::clone(bucket), PLACE, options).unwrap()
}

fn writer(history: &Rc<History>, store: Store<SimBucket>, writer: u8, commits: u8) -> Task {
    let history = Rc::clone(history);
    Box::pin(async move {
        for number in 0..commits {
            Rc::clone(&history).commit(&store, writer, number).await;
        }
    })
}

/// Commits, and a while later follows the other writer.
fn follower(history: &Rc<History>, bucket: &Shared, writer: u8, other: u8) -> Task {
    let (history, bucket) = (Rc::clone(history), Arc::clone(bucket));
    Box::pin(async move {
        let store = store(&bucket, inline());
        Rc::clone(&history).commit(&store, writer, 0).await;
        bucket.sleep(Duration::from_millis(1)).await;
        Rc::clone(&history).follow(&store, other).await;
    })
}

fn reader(history: &Rc<History>, store: Store<SimBucket>, times: u8) -> Task {
    let history = Rc::clone(history);
    Box::pin(async move {
        for _ in 0..times {
            Rc::clone(&history).read(&store).await;
        }
    })
}

fn compactor(history: &Rc<History>, store: Store<SimBucket>) -> Task {
    let history = Rc::clone(history);
    Box::pin(async move {
        match store.compact(Compact::All).await {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Indeterminate) => {}
            Err(error) => history.violate(format!("a compactor fails: {error}")),
        }
    })
}

fn cleaner(history: &Rc<History>, store: Store<SimBucket>) -> Task {
    let history = Rc::clone(history);
    Box::pin(async move {
        match store.clean(false).await {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable) => {}
            Err(error) => history.violate(format!("a cleaner fails: {error}")),
        }
    })
}

pub(crate) const SCENARIOS: [Scenario; 8] = [
    Scenario {
        name: "two machines make a store",
        faults: Faults { lost: 1, killed: 0 },
        make: |bucket, history| {
            vec![writer(history, store(bucket, inline()), 0, 1), writer(history, store(bucket, inline()), 1, 1)]
        },
        before: 0,
        options: inline,
    },
    Scenario {
        name: "two machines commit twice each",
        faults: Faults { lost: 0, killed: 1 },
        make: |bucket, history| {
            vec![writer(history, store(bucket, inline()), 0, 2), writer(history, store(bucket, inline()), 1, 2)]
        },
        before: 1,
        options: inline,
    },
    Scenario {
        name: "one machine follows another",
        faults: Faults { lost: 1, killed: 0 },
        make: |bucket, history| vec![writer(history, store(bucket, inline()), 0, 1), follower(history, bucket, 1, 0)],
        before: 1,
        options: inline,
    },
    Scenario {
        name: "tables apart",
        faults: Faults { lost: 0, killed: 1 },
        make: |bucket, history| {
            vec![writer(history, store(bucket, apart()), 0, 1), writer(history, store(bucket, apart()), 1, 1)]
        },
        before: 1,
        options: apart,
    },
    Scenario {
        name: "one handle, tasks are dropped",
        faults: Faults { lost: 0, killed: 2 },
        make: |bucket, history| {
            let store = store(bucket, inline());
            (0..3).map(|number| writer(history, store.clone(), number, 1)).collect()
        },
        before: 1,
        options: inline,
    },
    Scenario {
        name: "a compactor beside a machine",
        faults: Faults { lost: 1, killed: 0 },
        make: |bucket, history| {
            vec![writer(history, store(bucket, apart_and_unmerged()), 0, 1), compactor(history, store(bucket, apart()))]
        },
        before: 2,
        options: apart,
    },
    Scenario {
        name: "a cleaner beside a compactor and a machine",
        faults: Faults { lost: 0, killed: 0 },
        make: |bucket, history| {
            vec![
                writer(history, store(bucket, apart()), 0, 1),
                compactor(history, store(bucket, apart())),
                cleaner(history, store(bucket, apart())),
            ]
        },
        before: 2,
        options: apart,
    },
    Scenario {
        name: "a reader beside a compactor and a machine",
        faults: Faults { lost: 0, killed: 0 },
        make: |bucket, history| {
            vec![
                reader(history, store(bucket, apart()), 2),
                writer(history, store(bucket, inline()), 0, 1),
                compactor(history, store(bucket, apart())),
            ]
        },
        before: 2,
        options: apart,
    },
];
