//! How a model begins: a store with one table, and processes that open it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reftable::table::{TableWriter, WriteOptions};
use reftable::{AutoCompact, ExclusiveFile, HashKind, ObjectId, Options, RefRecordView, Stack, TargetView};

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
    let table = write_table(names).unwrap_or_default();
    let name = "0x000000000001-0x000000000001-00000000.ref".to_owned();
    let list = format!("{name}\n").into_bytes();
    ModelDir::new(&[(name, table), ("tables.list".to_owned(), list)], flaw)
}

fn write_table(names: &[&str]) -> reftable::Result<Vec<u8>> {
    let mut writer = TableWriter::new(Vec::new(), HashKind::Sha1, 1..=1, &WriteOptions::default())?;
    for name in names {
        let target = Some(TargetView::Id(id(1)));
        writer.add_ref(&RefRecordView { name: name.as_bytes(), update_index: 1, target })?;
    }
    Ok(writer.finish()?.0)
}

/// A process's handle on the directory.
///
/// # Errors
/// Those of [`Stack::open_in`].
pub fn stack(dir: &ModelDir, process: u64, auto_compact: AutoCompact) -> reftable::Result<Stack> {
    let options = Options::default().auto_compact(auto_compact);
    Stack::open_in(Arc::new(dir.for_process(process)), Box::new(ExclusiveFile), options)
}

/// Runs a process: a thread of the model.
///
/// # Panics
/// When loom has no thread left, which ends the model.
pub fn process<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> loom::thread::JoinHandle<T> {
    #[expect(clippy::expect_used, reason = "the model has too many processes: nothing to explore")]
    loom::thread::Builder::new().stack_size(STACK_WORDS).spawn(run).expect("at most four threads a model")
}

/// Explores the model with at most `preemptions` involuntary switches and prints how many executions that took.
pub fn explore(name: &str, preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let executions = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&executions);
    let model = Arc::new(model);
    let start = std::time::Instant::now();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        let model = Arc::clone(&model);
        // loom gives the first thread too small a stack for the production code.
        let whole = process(move || model());
        if let Err(panic) = whole.join() {
            std::panic::resume_unwind(panic);
        }
    });
    let (count, seconds) = (executions.load(Ordering::Relaxed), start.elapsed().as_secs_f32());
    #[expect(clippy::print_stdout, reason = "the count is part of the evidence")]
    {
        println!("{name}: {count} executions, at most {preemptions} preemptions, {seconds:.1} s");
    }
}
