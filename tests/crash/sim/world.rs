//! The directory as processes see it: names, hard and symbolic links, kernel locks, processes that
//! die. Changes are logged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use reftable::dir::FileStat;

use super::beside::Leash;
use super::dir::SimDir;
use crate::support::Random;

/// Identifies a file within one world and all crash states of it; unlike its inode number it is
/// never used again.
pub(crate) type FileId = u64;
/// A process, by number.
pub(crate) type Pid = u32;
pub(crate) type Name = Arc<str>;
/// What is left on a file beside its bytes.
pub(crate) type Note = Arc<Vec<u8>>;

/// Boots are this far apart, and so is everything in them.
pub(super) const BOOT: Duration = Duration::from_secs(100_000);

/// A file: its bytes, and what `stat` says.
#[derive(Debug, Clone, Default)]
pub(crate) struct File {
    pub(crate) bytes: Arc<Vec<u8>>,
    pub(crate) modified: u128,
    pub(crate) created: u128,
    /// When it was written, or got or lost a name.
    pub(crate) changed: u128,
    /// The inode number, which is used again once nothing refers to the file.
    pub(crate) number: u64,
    /// A symbolic link; its bytes are where it leads.
    pub(crate) is_link: bool,
    pub(crate) note: Option<Note>,
}

/// Names and files, as they would be found on a disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    pub(crate) names: BTreeMap<Name, FileId>,
    pub(crate) files: BTreeMap<FileId, File>,
}

impl Tree {
    pub(crate) fn read(&self, name: &str) -> Option<&[u8]> {
        self.names.get(name).map(|file| self.files[file].bytes.as_slice())
    }

    /// The lines of `tables.list`.
    pub(crate) fn list(&self) -> Vec<String> {
        let list = self.read("tables.list").unwrap_or_default();
        String::from_utf8_lossy(list).lines().map(str::to_owned).collect()
    }
}

/// One change of the directory, or of what may be relied upon.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Create {
        name: Name,
        file: FileId,
        number: u64,
        created: u128,
    },
    Write {
        name: Name,
        file: FileId,
        bytes: Arc<Vec<u8>>,
        from: usize,
    },
    SetNote {
        name: Name,
        file: FileId,
        note: Note,
    },
    SyncFile {
        name: Name,
        file: FileId,
    },
    /// It was to be synced, and the disk has failed.
    SyncFailed {
        name: Name,
        file: FileId,
    },
    /// A new symbolic link.
    Symlink {
        name: Name,
        file: FileId,
        target: Arc<Vec<u8>>,
    },
    Link {
        existing: Name,
        new: Name,
        file: FileId,
    },
    Rename {
        from: Name,
        to: Name,
        file: FileId,
    },
    Remove {
        name: Name,
    },
    SyncDir,
    /// An operation returned `Ok`: what it did counts from now on.
    Acknowledge {
        what: String,
    },
    /// The process was killed.
    Killed,
}

impl Op {
    /// Whether it gives or takes a name that readers look for.
    pub(super) fn matters_to_readers(&self) -> bool {
        let counts = |name: &str| name == "tables.list" || name.ends_with(".ref");
        match self {
            Op::Rename { from, to, .. } => counts(from) || counts(to),
            Op::Remove { name } => counts(name),
            // In place: nobody does that who follows the protocol.
            Op::Write { name, .. } => &**name == "tables.list",
            _ => false,
        }
    }
}

/// A logged change, with what a reader may see from here on.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) process: Pid,
    pub(crate) op: Op,
    /// The number of the newest state that was acknowledged as durable.
    pub(crate) acknowledged: usize,
    /// The number of the newest state that was published.
    pub(crate) published: usize,
}

/// What a kernel lock is on: a file, or one name of it.
pub(super) type Locked = (FileId, Option<Name>);

type Work = Box<dyn FnOnce() + Send>;
/// Told the tree after each change of a name; answers with the number of the state it shows.
type Watcher = Arc<dyn Fn(Pid, &Op) -> usize + Send + Sync>;

/// What a process may not do, because it is another user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Open the requests of others for appending.
    Append,
    /// List the directory.
    List,
    /// Remove the requests of others.
    Remove,
}

/// What is to happen to a process.
#[derive(Default)]
pub(super) struct Process {
    dead: bool,
    /// Calls so far, and changes among them.
    calls: u64,
    changes: u64,
    /// Dies in the place of this change.
    dies_at: Option<u64>,
    /// This call fails, and nothing comes of it. One that takes a lock does not: without those
    /// nothing would be handed over.
    fails_at: Option<u64>,
    /// So many files may it have open.
    pub(super) descriptors: Option<usize>,
    /// It wanted more.
    pub(super) has_run_out: bool,
    /// Of the write that makes the count zero only half is done, and it fails.
    pub(super) writes_until_torn: Option<u64>,
    /// The sync of a file that makes the count zero fails.
    pub(super) syncs_until_failed: Option<u64>,
    /// What it is never let do with requests.
    denied: &'static [Denied],
    /// Before this call others do this.
    hook: Option<(u64, Work)>,
    /// It goes on a thread of its own, as far as it is let.
    leash: Option<Arc<Leash>>,
    pub(super) clock: Duration,
    pub(super) random: Option<Random>,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) tree: Tree,
    pub(super) next_file: FileId,
    /// Open descriptions of each file, and of each process.
    pub(super) open: BTreeMap<FileId, usize>,
    pub(super) opened: BTreeMap<Pid, usize>,
    /// Kernel locks: what is locked, and the description that has it.
    pub(super) locks: BTreeMap<Locked, u64>,
    /// A server knows files by their names, so kernel locks belong to those.
    pub(super) knows_names: bool,
    next_description: u64,
    pub(super) processes: BTreeMap<Pid, Process>,
    /// Nanoseconds; grows with every change.
    pub(super) time: u128,
    pub(super) boot: u64,
    log: Vec<Entry>,
    acknowledged: usize,
    published: usize,
    watcher: Option<Watcher>,
}

/// The machine that all processes run on.
#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<Inner>>);

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

impl World {
    /// A machine in its `boot`th run that finds `tree` on its disk.
    pub(crate) fn new(tree: Tree, boot: u64) -> World {
        let next_file = tree.files.keys().next_back().map_or(1, |last| last + 1);
        // The clock goes on from what this boot has left; boot 0 was before everything.
        let times = tree.files.values().map(|file| file.changed.max(file.modified).max(file.created));
        let newest = times.max().filter(|_| boot > 0).unwrap_or(0);
        let time = newest.max(BOOT.as_nanos() * u128::from(boot)) + 1;
        World(Arc::new(Mutex::new(Inner { tree, next_file, boot, time, next_description: 1, ..Inner::default() })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A process with a view of the directory.
    pub(crate) fn process(&self, pid: Pid) -> Arc<SimDir> {
        self.lock().processes.entry(pid).or_default();
        SimDir::new(self, pid)
    }

    /// From now on kernel locks belong to names, as on bindfs and sshfs.
    pub(super) fn know_names(&self) {
        self.lock().knows_names = true;
    }

    /// New files get numbers from this one on, or higher ones.
    pub(super) fn number_files_from(&self, first: FileId) {
        let mut inner = self.lock();
        inner.next_file = inner.next_file.max(first);
    }

    pub(crate) fn tree(&self) -> Tree {
        self.lock().tree.clone()
    }

    pub(crate) fn boot(&self) -> u64 {
        self.lock().boot
    }

    pub(crate) fn log(&self) -> Vec<Entry> {
        self.lock().log.clone()
    }

    pub(crate) fn watch(&self, watcher: Option<Watcher>) {
        let before = std::mem::replace(&mut self.lock().watcher, watcher);
        drop(before);
    }

    /// Lets `work` happen before the `call`th call from now of the process.
    pub(crate) fn before_call(&self, pid: Pid, call: u64, work: impl FnOnce() + Send + 'static) {
        let mut inner = self.lock();
        let process = inner.processes.entry(pid).or_default();
        process.hook = Some((process.calls + call, Box::new(work)));
    }

    /// From now on the process makes no call before it is let.
    pub(super) fn leash(&self, pid: Pid, leash: Arc<Leash>) {
        self.lock().processes.entry(pid).or_default().leash = Some(leash);
    }

    /// Lets the `call`th call from now of the process fail.
    pub(crate) fn fail_at(&self, pid: Pid, call: u64) {
        let mut inner = self.lock();
        let process = inner.processes.entry(pid).or_default();
        process.fails_at = Some(process.calls + call);
    }

    /// Says whether the call that was to fail has come.
    pub(crate) fn has_failed(&self, pid: Pid) -> bool {
        self.lock().processes.get(&pid).is_none_or(|process| process.fails_at.is_none())
    }

    /// From now on the process is never let do this.
    pub(crate) fn deny(&self, pid: Pid, denied: &'static [Denied]) {
        self.lock().processes.entry(pid).or_default().denied = denied;
    }

    /// Fails if the process may not do this.
    pub(super) fn check(&self, pid: Pid, what: Denied) -> io::Result<()> {
        let inner = self.lock();
        let is_denied = inner.processes.get(&pid).is_some_and(|process| process.denied.contains(&what));
        if is_denied { Err(denied()) } else { Ok(()) }
    }

    /// Kills the process in the place of its `change`th change from now.
    pub(crate) fn kill_at(&self, pid: Pid, change: u64) {
        let mut inner = self.lock();
        let process = inner.processes.entry(pid).or_default();
        process.dies_at = Some(process.changes + change);
    }

    /// Kills the process now.
    pub(crate) fn kill(&self, pid: Pid) {
        self.lock().kill(pid);
    }

    /// Forgets a hook or a death that has not come; says whether one was left.
    pub(crate) fn forget_plans(&self, pid: Pid) -> bool {
        let mut inner = self.lock();
        let process = inner.processes.entry(pid).or_default();
        let (hook, death) = (process.hook.take(), process.dies_at.take());
        drop(inner);
        hook.is_some() || death.is_some()
    }

    pub(crate) fn is_dead(&self, pid: Pid) -> bool {
        self.lock().processes.get(&pid).is_some_and(|process| process.dead)
    }

    /// Simulated time that the process spent waiting.
    pub(crate) fn waited(&self, pid: Pid) -> Duration {
        self.lock().processes.get(&pid).map_or(Duration::ZERO, |process| process.clock)
    }

    /// What a process did has returned: from now on state `state` is relied upon, if it is durable.
    pub(crate) fn acknowledge(&self, pid: Pid, what: &str, state: Option<usize>) {
        let mut inner = self.lock();
        inner.acknowledged = inner.acknowledged.max(state.unwrap_or(0));
        inner.published = inner.published.max(inner.acknowledged);
        inner.note(pid, Op::Acknowledge { what: what.to_owned() });
    }

    /// Runs one call, unless it is to fail.
    pub(super) fn call<T>(
        &self,
        pid: Pid,
        change: bool,
        operation: impl FnOnce(&mut Inner) -> io::Result<(T, Option<Op>)>,
    ) -> io::Result<T> {
        let mut inner = self.lock();
        let process = inner.processes.entry(pid).or_default();
        if !process.dead && process.fails_at.take_if(|call| *call <= process.calls).is_some() {
            return Err(denied());
        }
        drop(inner);
        self.call_surely(pid, change, operation)
    }

    /// Runs one call: lets others go first, dies if it is time, and logs what changed.
    pub(super) fn call_surely<T>(
        &self,
        pid: Pid,
        change: bool,
        operation: impl FnOnce(&mut Inner) -> io::Result<(T, Option<Op>)>,
    ) -> io::Result<T> {
        self.let_others_work(pid);
        let mut inner = self.lock();
        inner.live(pid, change)?;
        let (result, op) = operation(&mut inner)?;
        let Some(op) = op else { return Ok(result) };
        inner.time += 1_000_000;
        inner.note(pid, op.clone());
        let watcher = inner.watcher.clone();
        drop(inner);
        if let Some(watcher) = watcher {
            let published = watcher(pid, &op);
            let mut inner = self.lock();
            inner.published = published;
            inner.log.last_mut().unwrap().published = published;
        }
        Ok(result)
    }

    pub(super) fn let_others_work(&self, pid: Pid) {
        let mut inner = self.lock();
        let process = inner.processes.entry(pid).or_default();
        let calls = process.calls;
        let hook = process.hook.take_if(|(call, _)| *call == calls);
        process.calls += 1;
        let leash = process.leash.clone();
        drop(inner);
        if let Some(leash) = leash {
            leash.step();
        }
        if let Some((_, work)) = hook {
            work();
        }
    }
}

impl Inner {
    fn note(&mut self, process: Pid, op: Op) {
        let (acknowledged, published) = (self.acknowledged, self.published);
        self.log.push(Entry { process, op, acknowledged, published });
    }

    /// Fails if the process is dead, or dies now.
    fn live(&mut self, pid: Pid, change: bool) -> io::Result<()> {
        let process = self.processes.entry(pid).or_default();
        if !process.dead && change {
            process.dead = process.dies_at.take_if(|change| *change == process.changes).is_some();
            process.changes += 1;
            if process.dead {
                self.kill(pid);
            }
        }
        if self.processes[&pid].dead { Err(io::Error::other("the process is dead")) } else { Ok(()) }
    }

    fn kill(&mut self, pid: Pid) {
        self.processes.entry(pid).or_default().dead = true;
        self.locks.retain(|_, description| pid_of(*description) != pid);
        self.note(pid, Op::Killed);
    }

    /// What the process has changed, oldest first.
    pub(super) fn done_by(&self, pid: Pid) -> impl DoubleEndedIterator<Item = &Op> {
        self.log.iter().filter(move |entry| entry.process == pid).map(|entry| &entry.op)
    }

    pub(super) fn find(&self, name: &str) -> io::Result<FileId> {
        self.tree.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// What is opened under a name: symbolic links are followed.
    pub(super) fn follow(&self, name: &str) -> io::Result<FileId> {
        let mut file = self.find(name)?;
        for _ in 0..8 {
            if !self.tree.files[&file].is_link {
                return Ok(file);
            }
            file = self.find(&String::from_utf8_lossy(&self.tree.files[&file].bytes))?;
        }
        Err(io::Error::other("too many symbolic links"))
    }

    pub(super) fn stat(&self, id: FileId) -> FileStat {
        let file = &self.tree.files[&id];
        let File { modified, created, changed, number: inode, .. } = *file;
        let size = file.bytes.len() as u64;
        let mut stat = FileStat::new(1, inode, size, modified);
        (stat.created, stat.changed, stat.is_file) = (created, changed, !file.is_link);
        stat
    }

    /// A name came or went.
    pub(super) fn touch(&mut self, id: FileId) {
        let time = self.time;
        if let Some(file) = self.tree.files.get_mut(&id) {
            file.changed = time;
        }
    }

    /// Forgets files that nothing refers to.
    pub(super) fn collect(&mut self) {
        let named: BTreeSet<FileId> = self.tree.names.values().copied().collect();
        let open = &self.open;
        self.tree.files.retain(|id, _| named.contains(id) || open.contains_key(id));
    }

    /// The smallest inode number that is free: as unfriendly as file systems come.
    pub(super) fn free_number(&self) -> u64 {
        let used: BTreeSet<u64> = self.tree.files.values().map(|file| file.number).collect();
        (1..).find(|number| !used.contains(number)).unwrap()
    }

    pub(super) fn describe(&mut self, pid: Pid, file: FileId) -> u64 {
        *self.open.entry(file).or_default() += 1;
        *self.opened.entry(pid).or_default() += 1;
        self.next_description += 1;
        self.next_description << 32 | u64::from(pid)
    }
}

fn denied() -> io::Error {
    io::ErrorKind::PermissionDenied.into()
}

pub(super) fn pid_of(description: u64) -> Pid {
    description as u32
}
