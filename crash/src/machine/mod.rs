//! The machine that processes run on: their calls, one at a time, become a log.

mod beside;
mod file;
mod plans;
mod process;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::op::{Entry, Op, Pid};
use crate::tree::{FileId, Name, Tree};
use crate::volume::Volume;
use plans::Plans;

pub use beside::Beside;
pub use file::OpenFile;
pub use process::Process;

/// Runs of the machine are this far apart on its clock, and so is everything in them.
pub const BOOT: Duration = Duration::from_secs(100_000);
/// So much time goes by with each change.
const TICK: u128 = 1_000_000;

/// Told each change when it is made, with the process that made it; answers with the number of the
/// newest state that readers may see.
pub type Watcher = Arc<dyn Fn(Pid, &Op) -> usize + Send + Sync>;

/// Decides, by what is there and what was done, whether a sync is left out.
pub type Omits = Arc<dyn Fn(&Tree, &[Entry], Pid, &Op) -> bool + Send + Sync>;

/// What a kernel lock is on: a file, or one name of it.
type Locked = (FileId, Option<Name>);

#[derive(Default)]
struct State {
    volume: Volume,
    /// Open descriptions of each process.
    opened: BTreeMap<Pid, usize>,
    /// Kernel locks, and the description that has each.
    locks: BTreeMap<Locked, u64>,
    /// Kernel locks belong to names.
    locks_names: bool,
    next_description: u64,
    processes: BTreeMap<Pid, Plans>,
    boot: u64,
    log: Vec<Entry>,
    acknowledged: usize,
    published: usize,
    watcher: Option<Watcher>,
    omits: Option<Omits>,
}

/// A machine with one file system, on which processes run. Clones are the same machine.
///
/// Calls of processes happen one at a time, in the order in which they are made, so a run can be
/// repeated. Each call that changes something is an [`Entry`] of the [log](Machine::log).
/// A process can be killed at any change, kept from going on at any call, and be let fail.
#[derive(Clone)]
pub struct Machine(Arc<Mutex<State>>);

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Machine")
    }
}

impl Machine {
    /// A machine in its first run that finds this tree on its disk.
    #[must_use]
    pub fn new(tree: Tree) -> Machine {
        Self::in_boot(tree, 1)
    }

    /// A machine in its `boot`th run. The clock goes on from what this run has left on the disk.
    #[must_use]
    pub fn in_boot(tree: Tree, boot: u64) -> Machine {
        let times = tree.files.values().map(|file| file.changed.max(file.modified).max(file.created));
        let newest = times.max().filter(|_| boot > 0).unwrap_or(0);
        let start = BOOT.as_nanos().saturating_mul(u128::from(boot));
        let mut volume = Volume::new(tree);
        volume.set_time(newest.max(start).saturating_add(1));
        Machine(Arc::new(Mutex::new(State { volume, boot, next_description: 1, ..State::default() })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process on it. Processes with one number are one process.
    #[must_use]
    pub fn process(&self, pid: Pid) -> Process {
        self.lock().processes.entry(pid).or_default();
        Process::new(self, pid)
    }

    /// Which run of the machine this is.
    #[must_use]
    pub fn boot(&self) -> u64 {
        self.lock().boot
    }

    /// What is on the disk if nothing is lost.
    #[must_use]
    pub fn tree(&self) -> Tree {
        self.lock().volume.tree().clone()
    }

    /// Looks at what is on the disk without copying it. `look` must not call the machine.
    pub fn with_tree<T>(&self, look: impl FnOnce(&Tree) -> T) -> T {
        look(self.lock().volume.tree())
    }

    /// All changes so far.
    #[must_use]
    pub fn log(&self) -> Vec<Entry> {
        self.lock().log.clone()
    }

    /// The time, in nanoseconds.
    #[must_use]
    pub fn time(&self) -> u128 {
        self.lock().volume.time()
    }

    /// From now on kernel locks belong to names and not to files, as on some network file systems.
    pub fn lock_names(&self) {
        self.lock().locks_names = true;
    }

    /// Whether kernel locks belong to names.
    #[must_use]
    pub fn locks_names(&self) -> bool {
        self.lock().locks_names
    }

    /// New files get ids from this one on, or higher ones.
    pub fn number_files_from(&self, first: FileId) {
        self.lock().volume.number_files_from(first);
    }

    /// Has a function told each change from now on; or none.
    pub fn watch(&self, watcher: Option<Watcher>) {
        let before = std::mem::replace(&mut self.lock().watcher, watcher);
        // It may be about to be told something, and call the machine.
        drop(before);
    }

    /// Leaves out syncs that `omits` tells: a mistake that a protocol makes without its code being
    /// changed. The process does not notice.
    pub fn omit_syncs(&self, omits: Option<Omits>) {
        self.lock().omits = omits;
    }

    /// Whether a process has a file open.
    #[must_use]
    pub fn is_open(&self, file: FileId) -> bool {
        self.lock().volume.is_held(file)
    }

    /// What a process did has returned: from now on state `state` must be there, also after a power
    /// failure. `None` if only the story is to know.
    pub fn acknowledge(&self, pid: Pid, what: &str, state: Option<usize>) {
        let mut inner = self.lock();
        inner.acknowledged = inner.acknowledged.max(state.unwrap_or(0));
        inner.published = inner.published.max(inner.acknowledged);
        inner.note(pid, Op::Acknowledge { what: what.to_owned() });
    }

    /// From now on readers may see this state.
    pub fn publish(&self, pid: Pid, what: &str, state: usize) {
        let mut inner = self.lock();
        inner.published = inner.published.max(state);
        inner.note(pid, Op::Say { what: what.to_owned() });
    }

    /// Runs one call, unless it is to fail.
    fn call<T>(
        &self,
        pid: Pid,
        change: bool,
        operation: impl FnOnce(&mut State) -> io::Result<(T, Option<Op>)>,
    ) -> io::Result<T> {
        if self.lock().processes.entry(pid).or_default().fails_now() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.call_surely(pid, change, operation)
    }

    /// Runs one call that takes a lock.
    fn call_for_lock<T>(
        &self,
        pid: Pid,
        change: bool,
        operation: impl FnOnce(&mut State) -> io::Result<(T, Option<Op>)>,
    ) -> io::Result<T> {
        if self.lock().processes.entry(pid).or_default().spares_locks {
            return self.call_surely(pid, change, operation);
        }
        self.call(pid, change, operation)
    }

    /// Runs one call: lets others go first, dies if it is time, and logs what changed.
    fn call_surely<T>(
        &self,
        pid: Pid,
        change: bool,
        operation: impl FnOnce(&mut State) -> io::Result<(T, Option<Op>)>,
    ) -> io::Result<T> {
        self.let_others_work(pid);
        let mut inner = self.lock();
        inner.live(pid, change)?;
        let (result, op) = operation(&mut inner)?;
        let Some(op) = op.filter(|op| !inner.omits(pid, op)) else { return Ok(result) };
        inner.tick(TICK);
        inner.note(pid, op.clone());
        let watcher = inner.watcher.clone();
        drop(inner);
        if let Some(watcher) = watcher {
            let published = watcher(pid, &op);
            let mut inner = self.lock();
            inner.published = published;
            if let Some(last) = inner.log.last_mut() {
                last.published = published;
            }
        }
        Ok(result)
    }

    fn let_others_work(&self, pid: Pid) {
        let (leash, work) = self.lock().processes.entry(pid).or_default().next_call();
        if let Some(leash) = leash {
            leash.step();
        }
        if let Some(work) = work {
            work();
        }
    }
}

impl State {
    fn note(&mut self, process: Pid, op: Op) {
        let (acknowledged, published) = (self.acknowledged, self.published);
        self.log.push(Entry { process, op, acknowledged, published });
    }

    fn tick(&mut self, time: u128) {
        self.volume.set_time(self.volume.time().saturating_add(time));
    }

    fn omits(&self, pid: Pid, op: &Op) -> bool {
        let is_sync = matches!(op, Op::SyncFile { .. } | Op::SyncDir { .. } | Op::SyncAll);
        is_sync && self.omits.as_ref().is_some_and(|omits| omits(self.volume.tree(), &self.log, pid, op))
    }

    /// Fails if the process is dead, or dies now.
    fn live(&mut self, pid: Pid, change: bool) -> io::Result<()> {
        let process = self.processes.entry(pid).or_default();
        if !process.is_dead() && change && process.dies_now() {
            self.kill(pid);
        }
        if self.is_dead(pid) { Err(io::Error::other("the process is dead")) } else { Ok(()) }
    }

    fn is_dead(&self, pid: Pid) -> bool {
        self.processes.get(&pid).is_some_and(Plans::is_dead)
    }

    fn kill(&mut self, pid: Pid) {
        self.processes.entry(pid).or_default().die();
        self.locks.retain(|_, description| pid_of(*description) != pid);
        self.note(pid, Op::Killed);
    }

    fn describe(&mut self, pid: Pid, file: FileId) -> u64 {
        self.volume.hold(file);
        let opened = self.opened.entry(pid).or_default();
        *opened = opened.saturating_add(1);
        self.next_description = self.next_description.saturating_add(1);
        self.next_description << 32 | u64::from(pid)
    }

    fn close(&mut self, description: u64, file: FileId, locked: &Locked) {
        if self.locks.get(locked) == Some(&description) {
            self.locks.remove(locked);
        }
        if let Some(opened) = self.opened.get_mut(&pid_of(description)) {
            *opened = opened.saturating_sub(1);
        }
        self.volume.release(file);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the process is in the lower half")]
fn pid_of(description: u64) -> Pid {
    description as u32
}
