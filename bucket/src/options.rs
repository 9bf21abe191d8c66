//! Settings of a store.

use std::path::PathBuf;
use std::time::Duration;

use reftable::table::WriteOptions;
use reftable::{AutoCompact, HashKind};

use crate::cache::Cache;

/// How a store is read and written. Machines that share a store need not agree on any of it.
#[derive(Debug, Clone)]
#[must_use]
pub struct Options {
    pub(crate) timeout: Duration,
    pub(crate) history: Duration,
    pub(crate) hash: Option<HashKind>,
    pub(crate) write: WriteOptions,
    pub(crate) compact: AutoCompact,
    pub(crate) inline_table: usize,
    pub(crate) inline_total: usize,
    pub(crate) small_merge: u64,
    pub(crate) cache: Option<Cache>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            timeout: Duration::from_secs(10),
            history: Duration::from_secs(60),
            hash: None,
            write: WriteOptions::default().padding(false),
            compact: AutoCompact::Geometric(2),
            inline_table: 16 * 1024,
            inline_total: 64 * 1024,
            small_merge: 256 * 1024,
            cache: None,
        }
    }
}

/// What of twice the time-out counts: callers may wait for ever.
const MOST_FOR_TIMEOUT: Duration = Duration::from_secs(600);

impl Options {
    /// For how long this writer may ask what became of a swap.
    pub(crate) fn keep(&self) -> Duration {
        self.history.max(self.timeout.saturating_mul(2).min(MOST_FOR_TIMEOUT))
    }

    /// How long a call goes on when the object store does not answer, or others have their turns.
    /// While the tables of a store that is being opened come, it begins again. Default 10 s.
    pub fn timeout(mut self, time: Duration) -> Options {
        self.timeout = time;
        self
    }

    /// How long a writer whose answer was lost can learn what became of its commit: the store keeps
    /// its line for so long, and at least for twice the time-out, of which 10 minutes count.
    /// Whatever others who share the store have set, they keep it, too. Default 60 s.
    ///
    /// A handle has one line of some 50 bytes in the root; those of handles that are gone, such as
    /// of processes that commit once, stay until this time is over.
    pub fn history(mut self, time: Duration) -> Options {
        self.history = time;
        self
    }

    /// The hash function of a store without tables; otherwise that of the first ids written.
    pub fn hash(mut self, hash: HashKind) -> Options {
        self.hash = Some(hash);
        self
    }

    /// How tables are written. Default as everywhere, but without padding: nothing reads blocks of
    /// an object store by their place on a disk.
    pub fn write(mut self, options: WriteOptions) -> Options {
        self.write = options;
        self
    }

    /// When a commit merges small tables, and when large compactions are due. Default geometric,
    /// of factor 2.
    pub fn compact(mut self, rule: AutoCompact) -> Options {
        self.compact = rule;
        self
    }

    /// Tables up to this many bytes travel within the root, as long as all of them together have no
    /// more bytes than `total`. Default 16 KiB and 64 KiB.
    pub fn inline(mut self, table: usize, total: usize) -> Options {
        self.inline_table = table;
        self.inline_total = total;
        self
    }

    /// Keeps tables that are objects of their own in this directory, of up to so many bytes
    /// together, and reads them from there. Processes may share it. Default: none.
    pub fn cache(mut self, dir: impl Into<PathBuf>, bytes: u64) -> Options {
        self.cache = Some(Cache::new(dir.into(), bytes));
        self
    }

    /// Tables of no more bytes than this, together, are merged within a commit. Default 256 KiB.
    pub fn small_merge(mut self, bytes: u64) -> Options {
        self.small_merge = bytes;
        self
    }
}
