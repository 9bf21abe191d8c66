//! Reading the list and opening its tables, while others replace both.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::durability_mark;
use super::env::Env;
use crate::dir::{DirFile, FileStat};
use crate::engine::check_hash;
use crate::error::{Error, Result};
use crate::list::{self, LIST, TableName};
use crate::load::{self, List, Listing};
use crate::mutant::{self, Mutant};
use crate::snapshot::Snapshot;
use crate::sync::Mutex;
use crate::table::Table;

/// How long a reader waits before its second look.
const FIRST_PAUSE: Duration = Duration::from_micros(100);

/// The list is not replaced between two looks as often as this, for [`MOST_DEADLINES`] as well:
/// then the list is not what changes, but what the file system says of it.
const MOST_LOOKS: u32 = 100;

/// See above: these many deadlines.
const MOST_DEADLINES: u32 = 10;

/// A table of others that is older than this says nothing about neighbours.
pub(super) const RECENT: Duration = Duration::from_secs(1);

/// The newest state that was read.
pub(super) struct Cached {
    pub(super) snapshot: Snapshot,
    pub(super) stat: FileStat,
    /// Keeps the inode of the list from being used again: as long as it is open, an equal stat
    /// means the same list.
    pub(super) list: Arc<dyn DirFile>,
}

/// The newest state that was read, for as long as its list is the newest.
pub(crate) struct CachedState {
    env: Arc<Env>,
    cache: Arc<Mutex<Option<Cached>>>,
    /// When a table of others appeared last, by [`crate::dir::Dir::now`].
    foreign_seen: Mutex<Option<Duration>>,
}

impl CachedState {
    pub(super) fn new(env: Arc<Env>, cache: Arc<Mutex<Option<Cached>>>) -> CachedState {
        CachedState { env, cache, foreign_seen: Mutex::new(None) }
    }

    /// What another handle on the store may use, too.
    pub(super) fn cache(&self) -> Arc<Mutex<Option<Cached>>> {
        Arc::clone(&self.cache)
    }

    /// When a table that others have written was seen for the first time, of those that appeared
    /// not long before: the last such moment.
    pub(super) fn foreign_seen(&self) -> Option<Duration> {
        *self.foreign_seen.lock()
    }

    /// The newest state, from the cache if the list is still the same.
    pub(crate) fn snapshot(&self) -> Result<Snapshot> {
        match self.cached()? {
            Some(snapshot) => Ok(snapshot),
            None => self.reload(self.env.options.reload_deadline),
        }
    }

    /// The newest state while we hold the list lock: no process will complete what is missing, so
    /// do not wait for it.
    pub(crate) fn snapshot_under_lock(&self) -> Result<Snapshot> {
        match self.cached()? {
            Some(snapshot) => Ok(snapshot),
            None => self.reload(Duration::ZERO),
        }
    }

    /// The cached state if its list still has the name.
    ///
    /// Where other kernels write to the directory, what `stat` says may be seconds old: their file
    /// systems promise no more than that an open asks again (close-to-open consistency). And
    /// servers that know files by their names (sshfs) say of an open list how the one is that has
    /// its name now. So there the list is read each time.
    fn cached(&self) -> Result<Option<Snapshot>> {
        if self.cache.lock().is_none() || !self.env.is_local() {
            return Ok(None);
        }
        match self.env.dir.stat(LIST) {
            Ok(stat) => {
                let cache = self.cache.lock();
                let current = cache.as_ref().filter(|cached| stat.is_unique() && cached.stat == stat);
                Ok(current.map(|cached| cached.snapshot.clone()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::StaleNetworkFileHandle => Ok(None),
            Err(error) => Err(self.env.io("cannot examine the table list", LIST, error)),
        }
    }

    /// Reads the list and opens its tables, again and again until all are there.
    ///
    /// 1. We read a list that names table A.
    /// 2. A compaction replaces the list by one that names B and removes A.
    /// 3. We cannot open A, and start over with the new list. Each round that fails for this reason
    ///    means that another process got further, so the loop ends. If the list stays the same and
    ///    a table missing, it ends at the deadline, with an error that names the table. And it ends
    ///    in any case: a file system may say of one list something else each time.
    ///
    /// A network file system may tell the same by a stale handle, of the list or of a table. That
    /// says nothing of what is there, also under the lock, so it is looked at again until the
    /// deadline of readers.
    fn reload(&self, deadline: Duration) -> Result<Snapshot> {
        let begin = self.env.dir.now();
        let (mut start, mut seen) = (begin, None);
        let mut pause = FIRST_PAUSE;
        let mut looks = 0_u32;
        loop {
            looks = looks.saturating_add(1);
            let (missing, list) = match self.try_load() {
                Ok(Loaded::Complete(snapshot)) => return Ok(snapshot),
                Ok(Loaded::Missing(error, list)) => (error, list),
                Err(error) if error.is_stale() => {
                    let left =
                        self.env.options.reload_deadline.saturating_sub(self.env.dir.now().saturating_sub(begin));
                    // Once more in any case: mostly it was the system's memory of a name that was
                    // stale.
                    if left.is_zero() && pause > FIRST_PAUSE {
                        return Err(error);
                    }
                    pause = self.pause(pause, left.max(FIRST_PAUSE));
                    continue;
                }
                Err(error) => return Err(error),
            };
            if seen.replace(list) != Some(list) {
                start = self.env.dir.now();
            }
            let now = self.env.dir.now();
            let left = deadline.saturating_sub(now.saturating_sub(start));
            let is_endless = now.saturating_sub(begin) >= deadline.saturating_mul(MOST_DEADLINES);
            if looks >= MOST_LOOKS && is_endless {
                return Err(missing);
            }
            // Between the list and the table much time may have passed for a process that had to
            // wait for its turn.
            if left.is_zero() && self.list_there() == list {
                return Err(missing);
            }
            if mutant::is_on(Mutant::NoSecondLook) {
                return Err(missing);
            }
            pause = self.pause(pause, left);
        }
    }

    /// Waits between two looks, `most` at most. Returns how long to wait the next time.
    fn pause(&self, pause: Duration, most: Duration) -> Duration {
        let jitter = Duration::from_nanos(self.env.dir.random() % 1_000_000).min(pause);
        self.env.dir.sleep((pause + jitter).min(most));
        (pause * 2).min(Duration::from_millis(20))
    }

    /// Which list is there now; `None` if there is none. It is opened, as it is to be read: of a
    /// symbolic link the name tells something else than the list that it leads to.
    fn list_there(&self) -> Option<FileStat> {
        self.env.dir.open(LIST).and_then(|list| list.stat()).ok()
    }

    fn try_load(&self) -> Result<Loaded> {
        let dir = &*self.env.dir;
        let list = match load::read(dir)? {
            Listing::Listed(list) => list,
            Listing::Nothing => return Ok(Loaded::Complete(Snapshot::new(Vec::new(), self.env.options.hash))),
            Listing::Lost(lost) => return Ok(Loaded::Missing(lost.error(dir), lost.list)),
        };
        let names = list.names(dir)?;
        let mut known = self.known_tables();
        // Where the newest tables begin that we have not seen before.
        let mut unseen = 0;
        let mut tables: Vec<Arc<Table>> = Vec::with_capacity(names.len());
        for name in &names {
            let table = match known.remove(name.as_str()) {
                Some(table) => {
                    unseen = tables.len() + 1;
                    table
                }
                None => match load::open(dir, name, self.env.reading()) {
                    Ok(table) => table,
                    Err(error) if error.is_not_found() => {
                        return Ok(Loaded::Missing(load::missing_table(name, dir), Some(list.stat)));
                    }
                    Err(error) => return Err(error),
                },
            };
            check_hash(tables.last().map(|below| &**below), &table, self.env.options.hash)?;
            tables.push(table);
        }
        let snapshot = Snapshot::new(tables, self.env.options.hash);
        self.env.counters.reloads.add(1);
        let List { file, stat, .. } = list;
        self.notice_neighbours(snapshot.tables().get(unseen..).unwrap_or_default(), stat.modified);
        self.remember(Cached { snapshot: snapshot.clone(), stat, list: file.into() });
        Ok(Loaded::Complete(snapshot))
    }

    /// Remembers whether others have written any of `tables`, the newest of a list that was just
    /// read and which no thread here has seen before.
    fn notice_neighbours(&self, tables: &[Arc<Table>], list_modified: u128) {
        // Without an earlier state it is not known what is new, but the list says when it was
        // written.
        let is_recent = || {
            let now = self.env.dir.wall_clock();
            now.is_some_and(|now| now.saturating_sub(list_modified) < RECENT.as_nanos())
        };
        if tables.iter().any(|table| !TableName::is_name_of_ours(table.name())) && is_recent() {
            *self.foreign_seen.lock() = Some(self.env.dir.now());
        }
    }

    pub(super) fn remember(&self, cached: Cached) {
        let replaced = self.cache.lock().replace(cached);
        // Closes files: outside of the lock.
        drop(replaced);
    }

    /// The identity of the list of this state, if that is what was read last.
    pub(super) fn stat_of(&self, state: &Snapshot) -> Option<FileStat> {
        fn newest(state: &Snapshot) -> Option<&str> {
            state.tables().last().map(|table| table.name())
        }
        let cache = self.cache.lock();
        cache.as_ref().filter(|cached| newest(&cached.snapshot) == newest(state)).map(|cached| cached.stat)
    }

    /// Whether the list of this state is marked as durable. Another thread may have put another
    /// state into the cache: its mark fits only if its list names the same tables, and then it says
    /// what is to be known.
    pub(super) fn is_marked_durable(&self, state: &Snapshot) -> bool {
        let cached = self.cache.lock().as_ref().map(|cached| (Arc::clone(&cached.list), cached.stat));
        let Some((list, stat)) = cached else { return false };
        matches!(list.attribute(), Ok(Some(attribute)) if durability_mark::fits(&attribute, &list_of(state), &stat))
    }

    /// The tables of the cached state, by name: a name is used for one table only, so they need not
    /// be opened again.
    fn known_tables(&self) -> BTreeMap<String, Arc<Table>> {
        let cache = self.cache.lock();
        let tables = cache.iter().flat_map(|cached| cached.snapshot.tables());
        tables.map(|table| (table.name().to_owned(), Arc::clone(table))).collect()
    }
}

/// The contents of the list of this state.
pub(super) fn list_of(state: &Snapshot) -> Vec<u8> {
    list::print(state.tables().iter().map(|table| table.name()))
}

enum Loaded {
    Complete(Snapshot),
    /// Something that is named is not there, or not there yet; the list that was read, if there was
    /// one.
    Missing(Error, Option<FileStat>),
}
