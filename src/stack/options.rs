//! What a stack can be told when it is opened.

use std::num::NonZero;
use std::thread;
use std::time::Duration;

use crate::bytes::Reading;
use crate::engine::AutoCompact;
use crate::error::{Error, Result};
use crate::oid::HashKind;
use crate::table::WriteOptions;

/// What survives a power failure once a commit has returned `Ok`. A kill or a crash of the process
/// costs nothing in any mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// The commit survives, whatever the file system does with what was not synced. Syncs the
    /// table, the list and the directory, and tables below that are not known to be synced (on
    /// Linux a durability mark on the list tells the next process which are).
    #[default]
    Full,
    /// The table and the list are synced, the directory is not: on file systems that keep metadata
    /// in order the store stays whole, and the last commits may be lost. What git does with
    /// `core.fsync=reference`.
    Ordered,
    /// Nothing is synced. What git does by default.
    Off,
}

/// How many threads work on a compaction at most, unless the options say so: they cost memory, and
/// one thread writes what they make.
const MOST_THREADS: usize = 8;

/// The version of [`Options::compatibility_key`], and of the meaning of delegated transactions.
const KEY_VERSION: u8 = 1;

/// How many lock time-outs a call waits for the outcome, between these limits, unless the options
/// say so.
const OUTCOME_FACTOR: u32 = 10;
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
const MOST_PATIENCE: Duration = Duration::from_secs(60);

/// Settings of a [`crate::Stack`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Options {
    pub(crate) hash: Option<HashKind>,
    pub(crate) write: WriteOptions,
    pub(crate) durability: Durability,
    pub(crate) auto_compact: AutoCompact,
    pub(crate) compact_at_once: u64,
    pub(crate) background: bool,
    /// `None`: as many as the machine has for us, up to [`MOST_THREADS`].
    pub(crate) threads: Option<usize>,
    pub(crate) fairness: bool,
    pub(crate) delegation: bool,
    pub(crate) break_abandoned_locks: bool,
    pub(crate) lock_timeout: Option<Duration>,
    pub(crate) wait_while_moving: bool,
    /// `None`: as [`Options::outcome_timeout`] says.
    pub(crate) outcome_timeout: Option<Duration>,
    pub(crate) reload_deadline: Duration,
    pub(crate) reading: Reading,
    pub(crate) permissions: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            hash: None,
            write: WriteOptions::default(),
            durability: Durability::Full,
            auto_compact: AutoCompact::Lazy(16),
            compact_at_once: 128 * 1024,
            background: false,
            threads: None,
            fairness: true,
            delegation: true,
            break_abandoned_locks: false,
            lock_timeout: Some(Duration::from_secs(5)),
            wait_while_moving: false,
            outcome_timeout: None,
            reload_deadline: Duration::from_secs(3),
            reading: Reading::Mapped,
            permissions: None,
        }
    }
}

impl Options {
    /// The hash function. Default: that of the existing tables, also if they have nothing left in
    /// them; in a store without tables, that of the first id that is written, and SHA-1 if the
    /// first transaction has none. A list may become empty again, so a caller that knows the
    /// repository says what it is: mirrors `extensions.objectFormat`.
    pub fn hash(mut self, hash: HashKind) -> Self {
        self.hash = Some(hash);
        self
    }

    /// How tables are written.
    pub fn write(mut self, write: WriteOptions) -> Self {
        self.write = write;
        self
    }

    /// What survives a power failure. Default [`Durability::Full`]. Mirrors `core.fsync`.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// When commits compact. Default: [`AutoCompact::Lazy`] with 16. git's
    /// `reftable.geometricFactor` is the other rule.
    pub fn auto_compact(mut self, auto_compact: AutoCompact) -> Self {
        self.auto_compact = auto_compact;
        self
    }

    /// Whether a thread of the handle compacts, instead of the commit call that finds a compaction
    /// due. For processes that live on. Default false: no thread is started, and a commit call ends
    /// with at most one compaction, after its transaction was acknowledged to all who share it. The
    /// thread is started when a compaction is due for the first time, and ends with the last clone
    /// of the handle; a compaction that is running then stops at its next range of keys. Where the
    /// system gives no thread, and in a child after a fork, commit calls compact.
    pub fn background_compaction(mut self, background: bool) -> Self {
        self.background = background;
        self
    }

    /// How many threads work on a large compaction, the one that asks for it included; 1 means that
    /// no thread is started. Default: as many as the process may use processors, up to 8. The
    /// others are started when there is work for them, from 1 MiB of blocks on, and are gone when
    /// the compaction returns. What is written does not depend on their number. Together they take
    /// some 10 MB of memory at most: so many are never at work that they need more, about nine for
    /// references.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Compactions of up to this many bytes are done under the lock on the table list, in about the
    /// time of a sync, and leave the table that git would make. Larger ones lock each table and let
    /// others commit meanwhile, and copy blocks, see [`crate::compact::Compact`]. Default 128 KiB;
    /// 0 means never.
    pub fn compact_at_once(mut self, bytes: u64) -> Self {
        self.compact_at_once = bytes;
        self
    }

    /// Fairness to programs that poll for the lock, as git does: whether to leave it free for them
    /// when one of them has committed within the last second, or was met with the lock: the lock
    /// stays free for as long as we usually hold it. That delays one call by a third of a second at
    /// most, and by four fifths of [`Self::lock_timeout`] if that is less.
    ///
    /// A program that waits cannot be seen. So processes of this library that keep meeting each
    /// other at the lock leave it free now and then: for 25 to 55 ms of each 120 if another program
    /// was seen within the last hour, else of each 720. Default true.
    pub fn fairness(mut self, fairness: bool) -> Self {
        self.fairness = fairness;
        self
    }

    /// Delegated commits: whether a commit that waits for the lock may be done by the process that
    /// has it, along with its own, and whether we do that for others. Only processes with the same
    /// settings of hash, durability and writing do it for one another. Default true; needs robust
    /// locks, and a directory to which one kernel alone writes and that is not sticky. What is not
    /// done for us at once we do ourselves.
    ///
    /// Once another process has begun it [`Self::lock_timeout`] no longer counts: the commit waits
    /// for the outcome as long as [`Self::outcome_timeout`] says. After that it is
    /// [`crate::ErrorKind::Indeterminate`], as it is when that process ends and it cannot be told
    /// what it had done.
    pub fn delegation(mut self, delegation: bool) -> Self {
        self.delegation = delegation;
        self
    }

    /// Whether a lock on the list that git, or another program, has left is removed by the process
    /// that waits for it, on the evidence that `reftable repair --break-lock` asks for: the lock is
    /// older than 10 s, and no process has it open, or any other file of the store. Default false:
    /// it stays until a person decides. For servers whose gits are killed now and then: without it
    /// no process commits from then on.
    ///
    /// All processes must be seen: that is so for root on Linux, outside of containers, on a local
    /// file system. Elsewhere the lock stays. Processes of this library have tables open all the
    /// time; they do not count if they have set this, too, so all of a server should. A process
    /// that has set this must not write to the store through another library: one that has its lock
    /// closed for more than 10 s would lose it.
    ///
    /// The lock of a table that a killed git was compacting stays: it keeps that table from being
    /// merged, and no process from committing. Looks at all processes, once a second at most, while
    /// a lock is that old; and costs one descriptor.
    pub fn break_abandoned_locks(mut self, breaks: bool) -> Self {
        self.break_abandoned_locks = breaks;
        self
    }

    /// How long a call waits until its work is begun: zero fails at once, `None` waits
    /// for ever. Default 5 s. Mirrors `reftable.lockTimeout`, whose default is 100 ms: git starts a
    /// process for each command, and a person or a script runs it again. A program that embeds this
    /// library has a request of its own to answer, and would rather wait for a slow disk or a long
    /// queue than fail; 5 s is what its users set for other embedded databases, too. A call that
    /// finds the lock free waits for nothing, whatever is set here.
    ///
    /// It counts from the call until the work begins, and covers all that may come before: other
    /// threads of this handle, other processes, and neighbours that go first ([`Self::fairness`]).
    /// It does not cover the work itself, nor what a commit waits for after another thread or
    /// process has begun it ([`Self::outcome_timeout`]). Each call says in its own text where it
    /// waits otherwise.
    pub fn lock_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// How long a call waits for the outcome of work that has been begun, after
    /// [`Self::lock_timeout`] has passed: a commit that another process has taken along with its
    /// own ([`Self::delegation`]), which is [`crate::ErrorKind::Indeterminate`] when this time has
    /// passed, too; and a compaction that is done and has yet to be published, whose work is lost
    /// then. `None` is the default: ten times the lock time-out, 1 s at least and 60 s at most.
    /// Without a lock time-out a commit waits for ever, whatever is set here.
    ///
    /// A commit takes at most the sum of both, and its own work. The process that commits for
    /// others is dead or stopped, or its disk hangs, if it takes longer than milliseconds; if it is
    /// dead the call does not wait for it at all. A time that is too short gains nothing: the
    /// transaction cannot be taken back, so the caller has to look whether it is there. Zero gives
    /// up when the lock time-out has passed.
    pub fn outcome_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.outcome_timeout = timeout;
        self
    }

    /// The bound on waiting for the outcome; at most 60 s also without a lock time-out.
    pub(crate) fn patience_for_outcome(&self) -> Duration {
        let by_lock_timeout = || {
            let patience = self.lock_timeout.unwrap_or(Duration::MAX).saturating_mul(OUTCOME_FACTOR);
            patience.clamp(LEAST_PATIENCE, MOST_PATIENCE)
        };
        self.outcome_timeout.unwrap_or_else(by_lock_timeout)
    }

    /// Whether [`Self::lock_timeout`] is the time that nothing moves, for users who give a short
    /// one: as long as the list changes, the lock changes hands, or its owner lives as far as the
    /// kernel tells, waiting goes on. A living owner is waited for until nothing has moved for
    /// twenty time-outs or ten seconds, whichever is longer, and the whole wait is at most ten
    /// times as long. And what is not needed does not wait at all: a compaction after a commit is
    /// left to the next one if the lock is taken. Default false.
    pub fn wait_while_moving(mut self, moving: bool) -> Self {
        self.wait_while_moving = moving;
        self
    }

    /// How long a reader ([`crate::Stack::open`], [`crate::Stack::snapshot`]) goes on looking for a
    /// list beside tables, or for tables that the list names, that are not there, while the list
    /// stays the same; and for what a network file system calls a stale handle. Default 3 s, for
    /// servers: a process may have been stopped between a table and its list. Nothing that is
    /// healthy takes more than milliseconds, so a process that lives for one look-up, such as a
    /// prompt, may ask for 100 ms. Zero reports what is missing at once, unless the list has
    /// changed meanwhile.
    pub fn reload_deadline(mut self, deadline: Duration) -> Self {
        self.reload_deadline = deadline;
        self
    }

    /// How tables are read. Default [`Reading::Mapped`]. Where one kernel alone does not write to
    /// the directory, as far as the file system tells ([`crate::dir::Dir::is_local`]), they are
    /// copied in any case.
    pub fn reading(mut self, reading: Reading) -> Self {
        self.reading = reading;
        self
    }

    /// The mode bits of new files, such as `0o664`. Default: those of the list that they belong to,
    /// as [`crate::dir::OsDir::new`] says. Mirrors `core.sharedRepository`. Not used on Windows.
    pub fn permissions(mut self, mode: Option<u32>) -> Self {
        self.permissions = mode;
        self
    }

    /// How many threads may work on something large. Asks the system, unless it was said.
    pub(crate) fn thread_count(&self) -> usize {
        let available = || thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
        self.threads.unwrap_or_else(available)
    }

    /// What must be the same in two processes for one to commit for the other, as bytes. What is
    /// added to it makes it another key, so that processes of different versions leave each other's
    /// requests alone.
    pub(crate) fn compatibility_key(&self) -> Vec<u8> {
        let hash = match self.hash {
            None => 0,
            Some(HashKind::Sha1) => 1,
            Some(HashKind::Sha256) => 2,
        };
        let durability = match self.durability {
            Durability::Full => 1,
            Durability::Ordered => 2,
            Durability::Off => 3,
        };
        let mut key = vec![KEY_VERSION, hash, durability];
        self.write.put_key(&mut key);
        key
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.write.check()?;
        if self.threads == Some(0) {
            return Err(Error::invalid("a compaction needs at least one thread"));
        }
        match self.auto_compact {
            AutoCompact::Geometric(0 | 1) | AutoCompact::Git(0 | 1) => {
                Err(Error::invalid("the geometric factor must be at least 2"))
            }
            AutoCompact::Lazy(0 | 1) => Err(Error::invalid("a compaction needs at least two tables")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_is_waited_for_as_long_as_was_said() {
        let lock = |millis| Options::default().lock_timeout(Some(Duration::from_millis(millis)));
        assert_eq!(lock(1).patience_for_outcome(), Duration::from_secs(1));
        assert_eq!(lock(2000).patience_for_outcome(), Duration::from_secs(20));
        assert_eq!(lock(60_000).patience_for_outcome(), Duration::from_secs(60));
        assert_eq!(Options::default().lock_timeout(None).patience_for_outcome(), Duration::from_secs(60));
        for said in [Duration::ZERO, Duration::from_millis(50), Duration::from_secs(300)] {
            assert_eq!(lock(100).outcome_timeout(Some(said)).patience_for_outcome(), said);
        }
    }
}
