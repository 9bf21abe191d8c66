//! Robust locks: each handle has one file that it keeps locked with the kernel, and gives it the
//! names of locks.
//!
//! The *owner file* holds a marker ([`super::marker`]) that is synced before the file becomes a
//! lock. Taking a lock is `link(owner file, lock name)`, which fails if the name exists, whatever
//! made it; releasing it is `unlink`. So a lock costs no new inode, any number of them one
//! descriptor, and what a lock says about its owner never depends on unsynced bytes. A process that
//! meets a lock opens it and tries the kernel lock. Refused: its owner lives. Granted: its owner is
//! dead (`EOWNERDEAD` in POSIX), and the process that got the kernel lock is the only one that did,
//! and takes over in place:
//!
//! 1. A dies with the lock. The name stays, the kernel lock is gone.
//! 2. B and C open the name. The kernel gives its lock to B. C is refused: to C the lock is alive.
//! 3. B looks whether the name still stands for the file it has locked. If so the lock is B's, and
//!    was never free. If not, A had released it between being opened and being looked at: B tries
//!    again.
//! 4. B removes the name when it is done, before it lets go of the kernel lock. Should D have
//!    opened the file meanwhile, D finds in step 3 that the name is gone.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::exclusive::is_file;
use super::marker::{LockLocation, MAX_LEN, Marker};
use super::self_test;
use super::{Attempt, ExclusiveFile, Holder, Lock, Locker};
use crate::dir::{Dir, DirFile, FileStat};
use crate::error::{Error, Result};
use crate::list::Temporary;
use crate::mutant::{self, Mutant};
use crate::sync::{Mutex, ThreadId, this_thread};
use crate::temp_file::TempFile;

/// How often the owner file is made again if it keeps being removed.
const MAX_ATTEMPTS: usize = 8;

/// A waiter looks whether the owner lives this often, not at every poll. Short, so that it serves
/// one wait and not the next: an owner may die between two of them.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The locks of this library. Where hard links or kernel locks do not work, falls back to
/// [`ExclusiveFile`].
#[derive(Debug)]
pub struct RobustLocks {
    table: Mutex<LockTable>,
    /// Whether the marker is synced before it is used: without that a lock left by a power failure
    /// may look foreign.
    durable: bool,
}

/// In trees: they draw no random number when a handle is opened.
#[derive(Debug, Default)]
struct LockTable {
    owner: Option<Arc<Owner>>,
    /// Locks held through this handle. All are the same file, so the file cannot tell them from one
    /// another.
    held: BTreeMap<String, ThreadId>,
    /// Files of dead owners whose locks we took over, by device and inode. One owner may have had
    /// many locks, and the kernel gives us its lock once.
    taken_over: BTreeMap<(u64, u64), Weak<dyn DirFile>>,
    /// Locks that were looked at and found alive, so that waiting for them is cheap.
    alive: BTreeMap<String, BusyLock>,
    /// Hard links or kernel locks do not work here.
    plain: bool,
}

/// A lock whose owner was alive when we looked, or can never be judged.
#[derive(Debug)]
struct BusyLock {
    stat: FileStat,
    holder: Holder,
    /// When that was, by [`Dir::now`].
    at: Duration,
}

impl RobustLocks {
    /// Locks for one handle. With `durable` they are taken over after a power failure, too, at the
    /// price of one sync in the life of the handle.
    #[must_use]
    pub fn new(durable: bool) -> Arc<RobustLocks> {
        Arc::new(RobustLocks { table: Mutex::new(LockTable::default()), durable })
    }

    /// Marks a lock file as one of this library's, by an attribute: for lockers that make files of
    /// their own and give them the name of the lock when they are ready. The kernel lock must be on
    /// `file` before, and stay on it for as long as the file has that name.
    ///
    /// # Errors
    /// What the system says; `Unsupported` where files have no attributes.
    pub fn mark(dir: &Arc<dyn Dir>, file: &dyn DirFile, stat: &FileStat) -> io::Result<()> {
        let process = (dir.process_id(), None);
        file.set_attribute(&Marker::new(dir.boot(), location(dir, stat), process, None).attribute())
    }

    /// Looks at the lock called `name`, which is taken, and takes it over if its owner is dead.
    ///
    /// # Errors
    /// `Io`.
    pub fn take_over(self: &Arc<Self>, dir: &Arc<dyn Dir>, name: &str) -> Result<Attempt> {
        self.try_unless_alive(dir, name, || self.examine(dir, name))
    }

    /// The owner file, made when it is first needed, and again in a child after a fork: the
    /// parent's is the parent's.
    fn owner(&self, dir: &Arc<dyn Dir>) -> Result<Option<Arc<Owner>>> {
        let mut table = self.table.lock();
        if table.plain {
            return Ok(None);
        }
        if let Some(owner) = table.owner.as_ref().filter(|owner| owner.process == dir.process_id()) {
            return Ok(Some(Arc::clone(owner)));
        }
        table.owner = Owner::create(dir, self.durable)?.map(Arc::new);
        table.plain = table.owner.is_none();
        Ok(table.owner.clone())
    }

    fn forget_owner(&self) {
        let forgotten = self.table.lock().owner.take();
        drop(forgotten);
    }

    /// Remembers that this thread is about to take a lock, unless one of this handle's has it.
    fn reserve(&self, name: &str) -> Option<ThreadId> {
        let mut table = self.table.lock();
        let holder = table.held.get(name).copied();
        if holder.is_none() {
            table.held.insert(name.to_owned(), this_thread());
        }
        holder
    }

    fn release(&self, name: &str) {
        self.table.lock().held.remove(name);
    }
}

impl Locker for Arc<RobustLocks> {
    fn try_lock(&self, dir: &Arc<dyn Dir>, name: &str) -> Result<Attempt> {
        self.try_unless_alive(dir, name, || self.try_reserved(dir, name))
    }

    fn is_robust(&self) -> bool {
        !self.table.lock().plain
    }
}

impl RobustLocks {
    /// Tries to get the lock by `attempt`, unless it was seen with the living a moment ago, or this
    /// handle has it.
    fn try_unless_alive(
        &self,
        dir: &Arc<dyn Dir>,
        name: &str,
        attempt: impl FnOnce() -> Result<Attempt>,
    ) -> Result<Attempt> {
        if let Some(holder) = self.known_holder(dir, name) {
            return Ok(Attempt::Busy(holder));
        }
        if let Some(thread) = self.reserve(name) {
            let mine = thread == this_thread();
            return Ok(Attempt::Busy(if mine { Holder::ThisThread } else { Holder::Alive(dir.process_id()) }));
        }
        let attempt = attempt();
        if !matches!(attempt, Ok(Attempt::Taken(_))) {
            self.release(name);
        }
        attempt
    }

    fn try_reserved(self: &Arc<Self>, dir: &Arc<dyn Dir>, name: &str) -> Result<Attempt> {
        for _ in 0..MAX_ATTEMPTS {
            let Some(owner) = self.owner(dir)? else { return self.take_plain(dir, name) };
            match dir.link(owner.name(), name) {
                Ok(()) => return Ok(self.taken(dir, name, owner.stat, Keeper::Own(owner))),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return self.examine(dir, name),
                // The owner file was removed. Its name, that is: make another.
                Err(error) if error.kind() == io::ErrorKind::NotFound && dir.stat(owner.name()).is_err() => {
                    self.forget_owner();
                }
                Err(error) if self_test::is_about_room(&error) => {
                    return Err(Error::io("cannot create the lock", &dir.path().join(name), error));
                }
                Err(_) => {
                    self.table.lock().plain = true;
                    self.forget_owner();
                }
            }
        }
        Ok(Attempt::Busy(Holder::Gone))
    }

    /// Whose the lock is, if it is the one that was found taken a few polls ago: one `lstat`
    /// instead of nine calls a poll. Costs nothing where no lock was met lately.
    pub fn known_holder(&self, dir: &Arc<dyn Dir>, name: &str) -> Option<Holder> {
        let (seen, holder) = {
            let mut table = self.table.lock();
            if table.alive.is_empty() {
                return None;
            }
            // Forgets all that is too old, so that names of tables long gone do not pile up.
            let now = dir.now();
            table.alive.retain(|_, seen| now.saturating_sub(seen.at) < LOOK_EVERY);
            table.alive.get(name).map(|seen| (seen.stat, seen.holder))?
        };
        dir.stat(name).is_ok_and(|there| there.is_same_file(&seen)).then_some(holder)
    }

    /// No links here. The lock is the plain one, and not reserved: its file tells it from others.
    fn take_plain(&self, dir: &Arc<dyn Dir>, name: &str) -> Result<Attempt> {
        self.release(name);
        ExclusiveFile.try_lock(dir, name)
    }

    fn taken(self: &Arc<Self>, dir: &Arc<dyn Dir>, name: &str, stat: FileStat, keeper: Keeper) -> Attempt {
        Attempt::Taken(Box::new(RobustLock {
            locks: Arc::clone(self),
            dir: Arc::clone(dir),
            name: name.to_owned(),
            stat,
            process: dir.process_id(),
            keeper,
        }))
    }

    /// The lock is taken. Takes over if its owner is dead.
    fn examine(self: &Arc<Self>, dir: &Arc<dyn Dir>, name: &str) -> Result<Attempt> {
        match self.inspect(dir, name) {
            Ok(attempt) => Ok(attempt),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Attempt::Busy(Holder::Gone)),
            // What cannot be read cannot be judged.
            Err(_) => Ok(Attempt::Busy(Holder::Foreign)),
        }
    }

    fn inspect(self: &Arc<Self>, dir: &Arc<dyn Dir>, name: &str) -> io::Result<Attempt> {
        // Before opening it: opening a pipe would wait for a writer.
        if !dir.stat(name)?.is_file {
            return Ok(Attempt::Busy(Holder::Foreign));
        }
        let file = dir.open(name)?;
        let stat = file.stat()?;
        let Some(marker) = marker_on(&*file, &stat)? else {
            return Ok(self.busy(dir, name, stat, Holder::Foreign));
        };
        let Some(file) = self.take_kernel_lock(file, &stat)? else {
            return Ok(self.busy(dir, name, stat, holder_of(dir, &marker)));
        };
        if !can_be_judged(dir, &marker, &stat) {
            return Ok(Attempt::Busy(Holder::Elsewhere));
        }
        let now = dir.stat(name)?;
        if !now.is_same_file(&stat) {
            return Ok(Attempt::Busy(Holder::Gone));
        }
        // A dead owner needs its first name no more. Before any other name goes: it tells that this
        // owner was judged.
        if let Some(first) = &marker.owner
            && dir.stat(first).is_ok_and(|owner| owner.is_same_file(&stat))
        {
            let _ = dir.remove(first);
        }
        Ok(self.taken(dir, name, stat, Keeper::TakenOver(file)))
    }

    /// The lock is not to be had, and need not be looked at again for a while.
    fn busy(&self, dir: &Arc<dyn Dir>, name: &str, stat: FileStat, holder: Holder) -> Attempt {
        let seen = BusyLock { stat, holder, at: dir.now() };
        self.table.lock().alive.insert(name.to_owned(), seen);
        Attempt::Busy(holder)
    }

    /// The kernel lock of an owner's file, if the owner is dead; `None` if it lives.
    fn take_kernel_lock(&self, file: Box<dyn DirFile>, stat: &FileStat) -> io::Result<Option<Arc<dyn DirFile>>> {
        let mut table = self.table.lock();
        table.taken_over.retain(|_, file| file.strong_count() > 0);
        let number = (stat.device, stat.inode);
        let file = match table.taken_over.get(&number).and_then(Weak::upgrade) {
            Some(file) => file,
            None if !file.try_lock()? && !mutant::is_on(Mutant::BreakLockUnasked) => return Ok(None),
            None => {
                let ours: Arc<dyn DirFile> = Arc::from(file);
                table.taken_over.insert(number, Arc::downgrade(&ours));
                ours
            }
        };
        // From now on it is ours that is alive.
        table.alive.retain(|_, seen| !seen.stat.is_same_file(stat));
        Ok(Some(file))
    }
}

/// The holder of a lock whose kernel lock is not free: its owner, unless that has ended. Then its
/// children have it that it forked before, whether it had a lock then or not; or a successor.
fn holder_of(dir: &Arc<dyn Dir>, marker: &Marker) -> Holder {
    let is_known_to_live = |started| dir.process_started(marker.process) == Some(started);
    match marker.started {
        Some(started) if !is_known_to_live(started) => Holder::Orphaned(marker.process),
        _ => Holder::Alive(marker.process),
    }
}

/// Whether a kernel lock that is free means that the owner is dead.
fn can_be_judged(dir: &Arc<dyn Dir>, marker: &Marker, stat: &FileStat) -> bool {
    let is_not_there = |name: &String| dir.stat(name).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let is_gone = || marker.owner.as_ref().is_some_and(is_not_there);
    marker.can_be_judged(&dir.host(), location(dir, stat), stat, is_gone)
}

fn location(dir: &Arc<dyn Dir>, stat: &FileStat) -> LockLocation {
    LockLocation { device: stat.device, file_system: dir.file_system(), is_local: dir.is_local() }
}

/// Whether there is a lock of this name that no process here will ever take over.
pub(crate) fn is_foreign(dir: &Arc<dyn Dir>, name: &str) -> bool {
    let Ok(there) = dir.stat(name) else { return false };
    marker_of(dir, name, &there).is_none_or(|marker| !can_be_judged(dir, &marker, &there))
}

/// Whether the lock of this name was taken by this library, on whatever machine.
pub(crate) fn is_marked(dir: &Arc<dyn Dir>, name: &str) -> bool {
    dir.stat(name).is_ok_and(|there| marker_of(dir, name, &there).is_some())
}

fn marker_of(dir: &Arc<dyn Dir>, name: &str, there: &FileStat) -> Option<Marker> {
    // Opening a pipe would wait for a writer.
    if !there.is_file {
        return None;
    }
    marker_on(&*dir.open(name).ok()?, there).ok()?
}

/// The marker that is in an attribute of a lock file, or stands in it.
fn marker_on(file: &dyn DirFile, stat: &FileStat) -> io::Result<Option<Marker>> {
    if let Some(found) = file.attribute()?.as_deref().and_then(Marker::of_attribute) {
        return Ok(Some(found));
    }
    if stat.size == 0 || stat.size > MAX_LEN {
        return Ok(None);
    }
    Ok(Marker::parse(&file.contents()?))
}

/// The file that a handle gives the names of locks to.
#[derive(Debug)]
struct Owner {
    stat: FileStat,
    process: u32,
    /// Locked for as long as the process lives and this is not dropped. Removed with it; if we die,
    /// by the next cleaner that finds it not locked.
    file: TempFile,
}

impl Owner {
    /// `None` if the kernel has no locks for files here, or such as do not go with links.
    fn create(dir: &Arc<dyn Dir>, durable: bool) -> Result<Option<Owner>> {
        let mut file = TempFile::temporary_locked(dir, Temporary::Owner)?;
        if !file.is_locked() || !self_test::passes(dir, &file)? {
            return Ok(None);
        }
        let process = (dir.process_id(), dir.process_started(dir.process_id()));
        let marker = Marker::new(dir.boot(), location(dir, &file.stat()?), process, Some(file.name())).print();
        file.write_all(&marker).map_err(|error| file.failed("cannot write the marker of locks", error))?;
        if durable {
            file.sync()?;
        }
        let (stat, process) = (file.stat()?, dir.process_id());
        Ok(Some(Owner { stat, process, file }))
    }

    fn name(&self) -> &str {
        self.file.name()
    }
}

/// What keeps the kernel lock that a lock rests on.
#[derive(Debug)]
enum Keeper {
    Own(#[expect(dead_code, reason = "held, not read")] Arc<Owner>),
    /// The file of a dead owner whose lock we took over.
    TakenOver(#[expect(dead_code, reason = "held, not read")] Arc<dyn DirFile>),
}

#[derive(Debug)]
struct RobustLock {
    locks: Arc<RobustLocks>,
    dir: Arc<dyn Dir>,
    name: String,
    stat: FileStat,
    process: u32,
    keeper: Keeper,
}

impl Lock for RobustLock {
    fn was_taken_over(&self) -> bool {
        matches!(self.keeper, Keeper::TakenOver(_))
    }

    fn is_ours(&self) -> Result<bool> {
        is_file(&self.dir, &self.name, Some(&self.stat))
    }
}

impl Drop for RobustLock {
    fn drop(&mut self) {
        // A child that was forked while we held the lock must not release it.
        if self.process != self.dir.process_id() {
            return;
        }
        // If our lock was removed and another process has taken it since, theirs must stay.
        if self.is_ours().unwrap_or(true) {
            // A failure leaves the lock; it is taken over when this process has ended.
            let _ = self.dir.remove(&self.name);
        }
        // Only now may another thread of this process try: the file could not tell its lock from
        // ours.
        self.locks.release(&self.name);
    }
}
