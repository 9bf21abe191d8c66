//! How a model begins: a store, and processes that open it. And how it is explored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reftable::compact::Compact;
use reftable::lock::{ExclusiveFile, Locker, RobustLocks};
use reftable::table::RefRecordView;
use reftable::table::{TableWriter, WriteOptions};
use reftable::{AutoCompact, Commit, Expect, HashKind, ObjectId, Options, Snapshot, Stack, TargetView};

use crate::{Flaw, ModelDir};

/// Machine words of stack for each process.
const STACK_WORDS: usize = 1 << 15;

/// An id made of one byte.
#[must_use]
pub fn id(byte: u8) -> ObjectId {
    ObjectId::from_bytes(&[byte; 20]).unwrap_or(ObjectId::null(HashKind::Sha1))
}

/// A directory whose one table has `names`, all pointing at `id(1)`.
///
/// # Panics
/// When the table cannot be written, which ends the model.
#[must_use]
pub fn start(names: &[&str], flaw: Flaw) -> ModelDir {
    start_with(&[names], flaw)
}

/// A directory with these tables, oldest first, whose references all point at `id(1)`.
///
/// # Panics
/// When a table cannot be written, which ends the model.
#[must_use]
pub fn start_with(tables: &[&[&str]], flaw: Flaw) -> ModelDir {
    let mut files = Vec::new();
    let mut list = String::new();
    for (names, index) in tables.iter().zip(1..) {
        let name = format!("0x{index:012x}-0x{index:012x}-{index:08x}.ref");
        list = format!("{list}{name}\n");
        #[expect(clippy::expect_used, reason = "the model is wrong: nothing to explore")]
        files.push((name, write_table(names, index).expect("the names are in order")));
    }
    files.push(("tables.list".to_owned(), list.into_bytes()));
    ModelDir::new(&files, flaw)
}

fn write_table(names: &[&str], update_index: u64) -> reftable::Result<Vec<u8>> {
    let range = update_index..=update_index;
    let mut writer = TableWriter::new(Vec::new(), HashKind::Sha1, range, &WriteOptions::default())?;
    for name in names {
        let id = id(1);
        let target = Some(TargetView::Id(id.as_view()));
        writer.add_ref(&RefRecordView { name: name.as_bytes(), update_index, target })?;
    }
    Ok(writer.finish()?.0)
}

/// How a process of a model opens the store: commits are not delegated to other processes. Waits
/// are long: a correct run never comes to the end of one.
pub fn options(auto_compact: AutoCompact) -> Options {
    let options = Options::default().auto_compact(auto_compact).compact_at_once(0).delegation(false);
    options.lock_timeout(Some(Duration::from_secs(2)))
}

/// A process's handle on the directory, with robust locks.
///
/// # Panics
/// When the store cannot be opened, which ends the model.
#[must_use]
pub fn stack(dir: &ModelDir, process: u64, auto_compact: AutoCompact) -> Stack {
    open(&dir.for_process(process), Box::new(RobustLocks::new(true)), options(auto_compact))
}

/// A process's handle on the directory, with any locks.
///
/// # Panics
/// When the store cannot be opened, which ends the model.
#[must_use]
pub fn open(process: &ModelDir, locks: Box<dyn Locker>, options: Options) -> Stack {
    #[expect(clippy::expect_used, reason = "a model fails by panicking")]
    Stack::open_in(Arc::new(process.clone()), locks, options).expect("the store is sound at every moment")
}

/// Locks as git makes them, or ours.
#[must_use]
pub fn locks(robust: bool) -> Box<dyn Locker> {
    if robust { Box::new(RobustLocks::new(true)) } else { Box::new(ExclusiveFile) }
}

/// Moves one reference.
///
/// # Errors
/// Those of [`reftable::Transaction::commit`].
pub fn set(stack: &Stack, name: &str, from: u8, to: u8) -> reftable::Result<Commit> {
    let mut tx = stack.transaction();
    tx.set(name, Expect::Is(id(from).into()), id(to));
    tx.commit()
}

/// Where these references point in one snapshot; 0 for one that does not exist.
///
/// # Panics
/// When a table is damaged, which fails the model.
#[must_use]
pub fn values(snapshot: &Snapshot, names: &[&str]) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "a model fails by panicking")]
    let value = |name: &&str| {
        let found = snapshot.get(*name).expect("every table is sound")?.target.id()?;
        found.as_bytes().first().copied()
    };
    names.iter().map(|name| value(name).unwrap_or(0)).collect()
}

/// Where these references point now; 0 for one that does not exist.
///
/// # Panics
/// When the store cannot be read, which fails the model.
#[must_use]
pub fn read(stack: &Stack, names: &[&str]) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "a model fails by panicking")]
    values(&stack.snapshot().expect("the store is sound at every moment"), names)
}

/// After all have ended: another process commits and compacts without help. Then nothing is
/// left but the list and its table, and `names` are as they were.
///
/// # Panics
/// When any of this is not so, which fails the model.
pub fn recover(dir: &ModelDir, names: &[&str]) {
    let stack = stack(dir, 7, AutoCompact::Off);
    let before = read(&stack, names);
    let mut tx = stack.transaction();
    tx.set("refs/settled", Expect::Any, id(9));
    #[expect(clippy::expect_used, reason = "a model fails by panicking")]
    {
        tx.commit().expect("the next commit goes through without help");
        stack.compact(Compact::all()).expect("the next compaction goes through without help");
    }
    assert_eq!(read(&stack, names), before, "compaction changes nothing");
    drop(stack);
    assert_eq!(dir.unlisted(), [""; 0], "nothing is left of dead processes");
}

/// Runs a process: a thread of the model.
///
/// # Panics
/// When loom has no thread left, which ends the model.
pub fn process<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> loom::thread::JoinHandle<T> {
    #[expect(clippy::expect_used, reason = "the model has too many processes: nothing to explore")]
    loom::thread::Builder::new().stack_size(STACK_WORDS).spawn(run).expect("at most four threads a model")
}

/// Explores the model with at most `preemptions` involuntary switches and prints how many
/// executions that took.
pub fn explore(name: &str, preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let start = Instant::now();
    let count = executions(preemptions, model);
    report(&format!("{name}: {count} executions, at most {preemptions} preemptions"), start);
}

/// Explores the model once for each moment at which a process can die in it: at its first call, its
/// second, until no execution has so many. The model says whether the process died.
pub fn explore_deaths(name: &str, preemptions: usize, model: impl Fn(u32) -> bool + Sync + Send + 'static) {
    let start = Instant::now();
    let model = Arc::new(model);
    let (mut count, mut call) = (0, 0);
    loop {
        call += 1;
        let died = Arc::new(AtomicBool::new(false));
        let (run, seen) = (Arc::clone(&model), Arc::clone(&died));
        count += executions(preemptions, move || {
            if run(call) {
                seen.store(true, Ordering::Relaxed);
            }
        });
        if !died.load(Ordering::Relaxed) {
            break;
        }
    }
    let deaths = call - 1;
    report(&format!("{name}: {deaths} moments of death, {count} executions, at most {preemptions} preemptions"), start);
}

fn report(text: &str, start: Instant) {
    #[expect(clippy::print_stdout, reason = "the count is part of the evidence")]
    {
        println!("{text}, {:.1} s", start.elapsed().as_secs_f32());
    }
}

fn executions(preemptions: usize, model: impl Fn() + Sync + Send + 'static) -> u64 {
    let executions = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&executions);
    let model = Arc::new(model);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        let model = Arc::clone(&model);
        // loom gives the first thread too small a stack for the production code.
        let whole = process(move || model());
        if let Err(panic) = whole.join() {
            std::panic::resume_unwind(panic);
        }
    });
    executions.load(Ordering::Relaxed)
}

/// Asserts that the exploration finds the mistake, by panicking.
///
/// # Panics
/// When it does not.
#[cfg(reftable_mutants)]
pub fn catches(mutant: reftable::mutant::Mutant, exploration: impl FnOnce()) {
    reftable::mutant::activate(Some(mutant));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(exploration));
    reftable::mutant::activate(None);
    assert!(outcome.is_err(), "no execution shows the mistake {mutant:?}");
}
