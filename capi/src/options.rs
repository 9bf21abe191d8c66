//! The options of C, in our words.

use std::time::Duration;

use reftable::table::WriteOptions;
use reftable::{AutoCompact, Durability, HashKind, Options};

use crate::abi::reftable_write_options;
use crate::error::{API, Code, ENTRY_TOO_BIG, Result};
use crate::policy::Policy;

/// In smaller blocks than this no record fits.
const MIN_BLOCK_SIZE: u32 = 64;
/// Blocks have 24-bit lengths.
const BLOCK_SIZE_LIMIT: u32 = 1 << 24;

/// How long to look for a table that a list names, while the list stays the same. Under a host the
/// time is short: its users wait, and a compaction replaces the list before its tables.
const RELOAD_DEADLINE: Duration = Duration::from_millis(50);

/// How many tables may pile up beyond git's rule, see [`AutoCompact::Lazy`].
const MOST_TABLES: u8 = 16;

/// The options of a stack that is only read so far.
pub(crate) fn reading(hash: HashKind, has_host: bool) -> Options {
    let options = Options::default().hash(hash);
    if has_host {
        // Only a lock holder is waited for, for as long as things
        // move. No thread appears in a process that is not ours.
        let options = options.reload_deadline(RELOAD_DEADLINE);
        options.fairness(false).threads(1).wait_while_moving(true)
    } else {
        options
    }
}

impl reftable_write_options {
    /// The defaults: all zeros.
    pub(crate) const ZERO: reftable_write_options = reftable_write_options {
        unpadded: 0,
        block_size: 0,
        skip_index_objects: 0,
        restart_interval: 0,
        default_permissions: 0,
        exact_and_disable: 0,
        auto_compaction_factor: 0,
        lock_timeout_ms: 0,
    };

    /// Whether log messages are written as they are.
    pub(crate) fn exact_log_message(&self) -> bool {
        self.exact_and_disable & 1 != 0
    }

    /// Whether an addition does not compact afterwards.
    pub(crate) fn disable_auto_compact(&self) -> bool {
        self.exact_and_disable & 2 != 0
    }

    /// How tables are written.
    pub(crate) fn table(&self) -> Result<WriteOptions> {
        let block_size = match self.block_size {
            0 => 4096,
            BLOCK_SIZE_LIMIT.. => return Err(Code(API)),
            // To ask for so little is no misuse, but whatever is written will not fit.
            1..MIN_BLOCK_SIZE => return Err(Code(ENTRY_TOO_BIG)),
            bytes => bytes,
        };
        let restart_interval = if self.restart_interval == 0 { 16 } else { self.restart_interval };
        Ok(WriteOptions::default()
            .block_size(block_size)
            .restart_interval(restart_interval)
            // As the host's own library does.
            .deflate_level(9)
            .padding(self.unpadded & 1 == 0)
            .object_index(self.skip_index_objects & 1 == 0))
    }

    /// The options of a stack that is about to write. A host syncs what it wants to be synced, so
    /// the order of things is kept for it, and directories are not synced; without a host the
    /// library promises what the crate does.
    pub(crate) fn stack(&self, hash: HashKind, has_host: bool, auto_compact: bool, policy: Policy) -> Result<Options> {
        let factor = if self.auto_compaction_factor < 2 { 2 } else { self.auto_compaction_factor };
        let timeout = u64::try_from(self.lock_timeout_ms).ok().map(Duration::from_millis);
        let is_gits = has_host && policy == Policy::Git;
        let rule = match (auto_compact, policy) {
            (false, _) => AutoCompact::Off,
            // Tables are git's to the block: its tests look (t0613).
            (true, Policy::Git) if has_host => AutoCompact::Git(factor),
            (true, Policy::Git) => AutoCompact::Geometric(factor),
            (true, Policy::Full) => AutoCompact::Lazy(MOST_TABLES),
        };
        Ok(reading(hash, has_host)
            .write(self.table()?)
            .durability(if is_gits { Durability::Ordered } else { Durability::Full })
            .auto_compact(rule)
            .lock_timeout(timeout))
    }
}
