//! How a model begins: a store with one table, and processes that open it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reftable::table::{TableWriter, WriteOptions};
use reftable::{AutoCompact, ExclusiveFile, HashKind, ObjectId, Options, RefRecordView, Stack, TargetView};

use crate::{Flaw, ModelDir};

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

/// Explores the model with at most `preemptions` involuntary switches and prints how many executions that took.
pub fn explore(name: &str, preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let executions = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&executions);
    let start = std::time::Instant::now();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let (count, seconds) = (executions.load(Ordering::Relaxed), start.elapsed().as_secs_f32());
    #[expect(clippy::print_stdout, reason = "the count is part of the evidence")]
    {
        println!("{name}: {count} executions, at most {preemptions} preemptions, {seconds:.1} s");
    }
}
