//! How a compaction is to be done, and how far it has come.

use std::cell::Cell;
use std::io::{self, Write};
use std::ops::ControlFlow;

use super::Expiry;
use crate::error::{Error, ErrorKind, Result};

/// How far a compaction has come, in bytes of the tables that it merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes that are merged. Never goes back.
    pub done: u64,
    /// Bytes to be merged, always the same.
    pub total: u64,
}

/// The function that is told, and may say that it should end.
pub(crate) type OnProgress<'a> = dyn Fn(Progress) -> ControlFlow<()> + 'a;

/// A compaction that was asked for.
pub(crate) struct CompactionTask<'a> {
    pub(crate) expiry: Expiry,
    /// Whether every record is to be written again, and no block to be copied.
    pub(crate) rewrite: bool,
    /// Whether less than what was chosen will do.
    pub(crate) best_effort: bool,
    /// Whether it is left to the next committer when the list lock is taken.
    pub(crate) is_left: bool,
    on_progress: &'a OnProgress<'a>,
    /// Of no bytes at all before it begins.
    progress: Cell<Progress>,
    /// Whether the function has said that it should end. It is not asked again.
    stopped: Cell<bool>,
}

impl<'a> CompactionTask<'a> {
    pub(crate) fn new(expiry: Expiry, best_effort: bool, on_progress: &'a OnProgress<'a>) -> CompactionTask<'a> {
        let (progress, stopped) = (Cell::default(), Cell::default());
        CompactionTask { expiry, rewrite: false, best_effort, is_left: false, on_progress, progress, stopped }
    }

    /// The same, with every record written again.
    pub(crate) fn rewriting(self) -> Self {
        CompactionTask { rewrite: true, ..self }
    }

    /// The same, without waiting for the list lock if `is_left`.
    pub(crate) fn left_to_others(self, is_left: bool) -> Self {
        CompactionTask { is_left, ..self }
    }

    /// From now on it is watched. Not before the list lock is released: the function may take time.
    pub(crate) fn begin(&self, total: u64) -> Result<()> {
        self.progress.set(Progress { done: 0, total });
        self.check()
    }

    /// `done` of the bytes are merged. Less than before if it had to start over, which is not told.
    pub(crate) fn advance(&self, done: u64) -> Result<()> {
        let Progress { done: before, total } = self.progress.get();
        self.progress.set(Progress { done: done.clamp(before, total.max(before)), total });
        self.check()
    }

    /// Looks whether it should end.
    pub(crate) fn check(&self) -> Result<()> {
        let progress = self.progress.get();
        if progress.total > 0 && !self.stopped.get() && (self.on_progress)(progress).is_break() {
            self.stopped.set(true);
        }
        match self.stopped.get() {
            true => Err(Error::new(ErrorKind::Cancelled, "the compaction was stopped; nothing has changed")),
            false => Ok(()),
        }
    }

    /// `error`, unless it comes of being stopped in the midst of writing.
    pub(crate) fn explain(&self, error: Error) -> Error {
        if self.stopped.get() { self.check().err().unwrap_or(error) } else { error }
    }

    /// All is done, and too late to be stopped.
    pub(crate) fn finish(&self, total: u64) {
        let _ = (self.on_progress)(Progress { done: total, total });
    }
}

/// What a compaction writes to: it stops between blocks, also those that come after the merge,
/// such as the object section's.
pub(crate) struct Cancellable<'a, W> {
    pub(crate) out: W,
    pub(crate) task: &'a CompactionTask<'a>,
}

impl<W: Write> Write for Cancellable<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.task.check().map_err(io::Error::other)?;
        self.out.write(bytes)
    }

    /// Comes now and then where nothing is written for long.
    fn flush(&mut self) -> io::Result<()> {
        self.task.check().map_err(io::Error::other)?;
        self.out.flush()
    }
}
