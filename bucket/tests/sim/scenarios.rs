//! Machines and tasks that share a store.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::{block_on, zip};
use reftable::AutoCompact;
use reftable_bucket::{Bucket, Compact, ErrorKind, Memory, Numbered, Options, Store};

use crate::bucket::{Call, Shared, SimBucket};
use crate::explorer::{Faults, Order, Task, explore};
use crate::history::{History, PLACE, changes};

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What may go wrong in the runs that are tried one after the other.
    faults: Faults,
    make: fn(&Shared, &Rc<History>) -> Vec<Task>,
    /// Commits that are there before.
    before: u8,
    options: fn() -> Options,
    root: RootKind,
}

/// What a root is in the bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum RootKind {
    Named,
    Numbered,
    /// The same, and the newest is under way still, written by a machine that has died.
    NumberedWithLate,
}

impl Scenario {
    /// Every run with a few faults, or the first so many.
    pub(crate) fn run_first(&self, most: u64) -> (u64, Option<String>) {
        self.run(self.faults, Order::First(most))
    }

    /// Runs with many faults, drawn with this seed.
    pub(crate) fn run_drawn(&self, runs: u64, seed: u64) -> (u64, Option<String>) {
        self.run(Faults { lost: 4, killed: 2 }, Order::Drawn(runs, seed))
    }

    fn run(&self, faults: Faults, order: Order) -> (u64, Option<String>) {
        let options = (self.options)();
        let commits = self.before + u8::from(self.root == RootKind::NumberedWithLate);
        let mut objects = match self.root {
            RootKind::Named => prepared(Arc::new(Memory::new()), |memory| memory, commits, options),
            RootKind::Numbered | RootKind::NumberedWithLate => {
                prepared(Arc::new(Numbered::new(Memory::new()).keeping(1)), Numbered::inner, commits, options)
            }
        };
        let late = (self.root == RootKind::NumberedWithLate).then(|| objects.pop().unwrap());
        let make = |bucket: &Shared| {
            for (key, bytes) in &objects {
                let _ = bucket.world().carry_out(&Call::Swap { key: key.clone(), bytes: bytes.clone(), base: None });
            }
            if let Some((key, bytes)) = late.clone() {
                bucket.world().late.push(Call::Swap { key, bytes, base: None });
            }
            let history = Rc::new(History::default());
            ((self.make)(bucket, &history), history)
        };
        explore(faults, order, make, |bucket, history| history.check(bucket, self.root, faults.killed > 0))
    }
}

/// The objects of a store with so many commits of a writer that has gone.
fn prepared<B: Bucket>(
    bucket: Arc<B>,
    memory: impl Fn(&B) -> &Memory,
    commits: u8,
    options: Options,
) -> Vec<(String, bytes::Bytes)> {
    let store = Store::new(Arc::clone(&bucket), PLACE, options.compact(AutoCompact::Off)).unwrap();
    for number in 0..commits {
        block_on(store.commit(changes(3, number))).unwrap();
    }
    let memory = memory(&bucket);
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

/// The same with numbered roots, of which as few are kept as can be.
fn numbered(bucket: &Shared, options: Options) -> Store<Numbered<Shared>> {
    Store::new(Arc::new(Numbered::new(Arc::clone(bucket)).keeping(1)), PLACE, options).unwrap()
}

fn writer<B: Bucket>(history: &Rc<History>, store: Store<B>, writer: u8, commits: u8) -> Task {
    let history = Rc::clone(history);
    Box::pin(async move {
        for number in 0..commits {
            Rc::clone(&history).commit(&store, writer, number).await;
        }
    })
}

/// A machine that does something of its own between commits.
fn dawdler(history: &Rc<History>, bucket: &Shared, options: Options, writer: u8, between: fn(&Shared, u8)) -> Task {
    let (history, bucket) = (Rc::clone(history), Arc::clone(bucket));
    Box::pin(async move {
        let store = store(&bucket, options);
        for number in 0..3 {
            Rc::clone(&history).commit(&store, writer, number).await;
            between(&bucket, number);
        }
    })
}

/// Uses a store beside the one that is judged, and cleans it; what it has written stays.
fn neighbour(history: &Rc<History>, store: Store<SimBucket>) -> Task {
    let history = Rc::clone(history);
    Box::pin(async move {
        let is_done = store.commit(changes(2, 0)).await.is_ok();
        let cleaned = store.clean(false).await.map(|_| ());
        let found = store.snapshot().await;
        for error in [cleaned.err(), found.as_ref().err().cloned()].into_iter().flatten() {
            if is_done && error.kind() != ErrorKind::Unavailable {
                history.violate(format!("a store below the other was damaged: {error}"));
            }
        }
        if found.is_ok_and(|snapshot| is_done && snapshot.get("refs/heads/2").unwrap().is_none()) {
            history.violate("a store below the other has lost a commit".to_owned());
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

fn reader<B: Bucket>(history: &Rc<History>, store: Store<B>, times: u8) -> Task {
    let history = Rc::clone(history);
    Box::pin(async move {
        for _ in 0..times {
            Rc::clone(&history).read(&store).await;
        }
    })
}

fn compactor<B: Bucket>(history: &Rc<History>, store: Store<B>) -> Task {
    let history = Rc::clone(history);
    Box::pin(async move {
        match store.compact(Compact::All).await {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Indeterminate) => {}
            Err(error) => history.violate(format!("a compactor fails: {error}")),
        }
    })
}

fn cleaner<B: Bucket>(history: &Rc<History>, store: Store<B>) -> Task {
    let history = Rc::clone(history);
    Box::pin(async move {
        match store.clean(false).await {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable) => {}
            Err(error) => history.violate(format!("a cleaner fails: {error}")),
        }
    })
}

pub(crate) const SCENARIOS: [Scenario; 18] = [
    Scenario {
        name: "two machines make a store",
        faults: Faults { lost: 1, killed: 0 },
        make: |bucket, history| {
            vec![writer(history, store(bucket, inline()), 0, 1), writer(history, store(bucket, inline()), 1, 1)]
        },
        before: 0,
        options: inline,
        root: RootKind::Named,
    },
    Scenario {
        name: "two machines commit twice each",
        faults: Faults { lost: 0, killed: 1 },
        make: |bucket, history| {
            vec![writer(history, store(bucket, inline()), 0, 2), writer(history, store(bucket, inline()), 1, 2)]
        },
        before: 1,
        options: inline,
        root: RootKind::Named,
    },
    Scenario {
        name: "one machine follows another",
        faults: Faults { lost: 1, killed: 0 },
        make: |bucket, history| vec![writer(history, store(bucket, inline()), 0, 1), follower(history, bucket, 1, 0)],
        before: 1,
        options: inline,
        root: RootKind::Named,
    },
    Scenario {
        name: "tables apart",
        faults: Faults { lost: 0, killed: 1 },
        make: |bucket, history| {
            vec![writer(history, store(bucket, apart()), 0, 1), writer(history, store(bucket, apart()), 1, 1)]
        },
        before: 1,
        options: apart,
        root: RootKind::Named,
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
        root: RootKind::Named,
    },
    Scenario {
        name: "a compactor beside a machine",
        faults: Faults { lost: 1, killed: 0 },
        make: |bucket, history| {
            vec![writer(history, store(bucket, apart_and_unmerged()), 0, 1), compactor(history, store(bucket, apart()))]
        },
        before: 2,
        options: apart,
        root: RootKind::Named,
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
        root: RootKind::Named,
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
        root: RootKind::Named,
    },
    Scenario {
        name: "two machines make a store of numbered roots",
        faults: Faults { lost: 1, killed: 0 },
        make: |bucket, history| {
            vec![writer(history, numbered(bucket, inline()), 0, 1), writer(history, numbered(bucket, inline()), 1, 1)]
        },
        before: 0,
        options: inline,
        root: RootKind::Numbered,
    },
    Scenario {
        name: "one machine is slow, another goes on over numbered roots",
        faults: Faults { lost: 1, killed: 0 },
        make: |bucket, history| {
            vec![writer(history, numbered(bucket, inline()), 0, 3), writer(history, numbered(bucket, inline()), 1, 2)]
        },
        before: 2,
        options: inline,
        root: RootKind::Numbered,
    },
    Scenario {
        name: "readers of numbered roots beside a machine",
        faults: Faults { lost: 0, killed: 0 },
        make: |bucket, history| {
            vec![
                reader(history, numbered(bucket, inline()), 2),
                writer(history, numbered(bucket, inline()), 0, 3),
                writer(history, numbered(bucket, inline()), 1, 1),
            ]
        },
        before: 1,
        options: inline,
        root: RootKind::Numbered,
    },
    Scenario {
        name: "a patient machine beside one that soon forgets",
        faults: Faults { lost: 1, killed: 0 },
        make: |bucket, history| {
            let patient = inline().timeout(Duration::from_secs(100));
            vec![
                writer(history, store(bucket, patient), 0, 1),
                dawdler(history, bucket, inline().history(Duration::ZERO), 1, |bucket, _| {
                    bucket.pass(Duration::from_secs(25));
                }),
            ]
        },
        before: 1,
        options: inline,
        root: RootKind::Named,
    },
    Scenario {
        name: "clocks are set while machines commit",
        faults: Faults { lost: 1, killed: 0 },
        make: |bucket, history| {
            vec![
                writer(history, store(bucket, inline()), 0, 2),
                dawdler(history, bucket, inline(), 1, |bucket, number| {
                    bucket.set_clock_ahead(Duration::from_secs(86_400 * u64::from(number % 2)));
                }),
            ]
        },
        before: 1,
        options: inline,
        root: RootKind::Named,
    },
    Scenario {
        name: "a machine stops for longer than every time-out",
        faults: Faults { lost: 0, killed: 1 },
        make: |bucket, history| {
            vec![
                writer(history, store(bucket, inline()), 0, 1),
                dawdler(history, bucket, inline(), 1, |bucket, _| bucket.pass(Duration::from_secs(10_000))),
            ]
        },
        before: 1,
        options: inline,
        root: RootKind::Named,
    },
    Scenario {
        name: "a cleaner beside a slow reader, a machine and a compactor",
        faults: Faults { lost: 0, killed: 0 },
        make: |bucket, history| {
            vec![
                reader(history, store(bucket, apart()), 1),
                cleaner(history, store(bucket, apart())),
                compactor(history, store(bucket, apart())),
                writer(history, store(bucket, apart()), 0, 1),
            ]
        },
        before: 2,
        options: apart,
        root: RootKind::Named,
    },
    Scenario {
        name: "two stores below one prefix",
        faults: Faults { lost: 0, killed: 0 },
        make: |bucket, history| {
            let inner = format!("{PLACE}/inner");
            let inner = move |bucket: &Shared| Store::new(Arc::clone(bucket), &inner, apart()).unwrap();
            vec![
                writer(history, store(bucket, apart()), 0, 2),
                cleaner(history, store(bucket, apart())),
                neighbour(history, inner(bucket)),
            ]
        },
        before: 1,
        options: apart,
        root: RootKind::Named,
    },
    Scenario {
        name: "a reader of numbered roots while one comes late",
        faults: Faults { lost: 0, killed: 0 },
        make: |bucket, history| {
            let (history, bucket) = (Rc::clone(history), Arc::clone(bucket));
            vec![Box::pin(async move {
                let (here, there) = (numbered(&bucket, inline()), numbered(&bucket, inline()));
                Rc::clone(&history).commit(&here, 0, 0).await;
                let commits = async {
                    Rc::clone(&history).commit(&here, 0, 1).await;
                    Rc::clone(&history).commit(&here, 0, 2).await;
                };
                zip(Rc::clone(&history).read(&there), commits).await;
            })]
        },
        before: 2,
        options: inline,
        root: RootKind::NumberedWithLate,
    },
    Scenario {
        name: "two compactors who claim it, and a machine",
        faults: Faults { lost: 1, killed: 0 },
        make: |bucket, history| {
            let claiming = || apart().small_merge(0);
            let (ahead, ours) = (Arc::clone(bucket), store(bucket, claiming()));
            let second = compactor(history, store(bucket, claiming()));
            vec![
                writer(history, store(bucket, apart_and_unmerged()), 0, 1),
                compactor(history, ours),
                Box::pin(async move {
                    // What others claim has ended long ago, or has not begun.
                    ahead.set_clock_ahead(Duration::from_secs(86_400));
                    second.await;
                }),
            ]
        },
        before: 2,
        options: apart,
        root: RootKind::Named,
    },
];
