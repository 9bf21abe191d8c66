//! A directory in memory. A caller may be interrupted by another process first, or die.
//!
//! A call is a scheduling point if another process can tell when it happened. Each point takes
//! loom's mutexes for what it touches (the list, its lock, the locks of tables, the names of one
//! process, the kernel locks on its files), so that loom need not try both orders of calls that
//! have nothing to do with each other. Writing to a file that no name leads to yet, and syncing,
//! are no points: no power is lost here.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reftable::bytes::Bytes;
use reftable::dir::{Dir, DirFile, FileStat, Host};

use crate::files::{Files, LIST, LIST_LOCK};

/// A deliberate fault of the file system, for controls: a model that passes with it proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// None.
    None,
    /// A rename is not atomic: for a moment the target has only the first two thirds of the new
    /// contents.
    TornRename,
    /// The list gets its name before the table that it is the first to name.
    ListBeforeTable,
    /// A hard link takes the place of what has its name.
    LinkReplaces,
    /// The kernel's lock is granted to all.
    LocksForAll,
    /// The kernel's lock outlives its owner.
    LocksOutliveTheirOwner,
    /// The kernel's lock belongs to the name by which a file was opened. The file system says that
    /// it is not local, so this is one that the locks reckon with.
    LocksOfNames,
    /// The number of an inode is used again while a process has the file open.
    InodesReusedWhileOpen,
    /// Who renames the list lock closes it first, as hosts do, and has it open nowhere else.
    ClosesBeforeRename,
}

/// Processes that a model may have; number 0 made the files that are there at the beginning.
const PROCESSES: usize = 8;
const LIST_POINT: usize = 0;
const LIST_LOCK_POINT: usize = 1;
const TABLE_LOCKS_POINT: usize = 2;
const NAMES_POINT: usize = 3;
const KERNEL_LOCKS_POINT: usize = NAMES_POINT + PROCESSES;

/// What all processes share.
#[derive(Debug)]
struct World {
    files: Mutex<Files>,
    points: Vec<loom::sync::Mutex<()>>,
    flaw: Flaw,
}

impl World {
    /// The files, for something that nobody else can tell the time of.
    fn files<T>(&self, operation: impl FnOnce(&mut Files) -> T) -> T {
        operation(&mut self.files.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs one primitive operation. Taking loom's mutexes is what lets others run before it.
    fn touch<T>(&self, points: &[usize], operation: impl FnOnce(&mut Files) -> T) -> T {
        let mut points = points.to_vec();
        points.sort_unstable();
        points.dedup();
        let mutexes = points.iter().filter_map(|&point| self.points.get(point));
        let guards: Vec<_> = mutexes.map(|mutex| mutex.lock()).collect();
        let result = self.files(operation);
        drop(guards);
        result
    }
}

/// A process: its number, its clock, and whether it lives.
#[derive(Debug)]
struct Process {
    number: u64,
    ticks: AtomicU64,
    calls: AtomicU32,
    dies_at: AtomicU32,
    dead: AtomicBool,
    /// It may not list the directory.
    blind: AtomicBool,
    /// It takes what it finds for written just now.
    hurries: AtomicBool,
}

/// One process's view of the directory. Clones are the same process's.
#[derive(Debug, Clone)]
pub struct ModelDir {
    world: Arc<World>,
    process: Arc<Process>,
}

impl ModelDir {
    /// A new directory with these files, seen by process 0.
    #[must_use]
    pub fn new(initial: &[(String, Vec<u8>)], flaw: Flaw) -> ModelDir {
        let points = (0..KERNEL_LOCKS_POINT + PROCESSES).map(|_| loom::sync::Mutex::new(())).collect();
        let files = Files::new(initial, flaw == Flaw::InodesReusedWhileOpen);
        ModelDir { world: Arc::new(World { files: Mutex::new(files), points, flaw }), process: process(0) }
    }

    /// The same directory, seen by another process. Call it once for each number.
    #[must_use]
    pub fn for_process(&self, number: u64) -> ModelDir {
        ModelDir { world: Arc::clone(&self.world), process: process(number) }
    }

    /// From now on, the `call`-th call that others could notice kills the process before anything
    /// comes of it.
    pub fn dies_at(&self, call: u32) {
        self.process.calls.store(0, Ordering::Relaxed);
        self.process.dies_at.store(call, Ordering::Relaxed);
    }

    /// From now on, the process may not list the directory.
    pub fn cannot_list(&self) {
        self.process.blind.store(true, Ordering::Relaxed);
    }

    /// From now on, the process takes tables of others for new, and so their writers for
    /// neighbours.
    pub fn meets_neighbours(&self) {
        self.process.hurries.store(true, Ordering::Relaxed);
    }

    /// Whether this process has died.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.process.dead.load(Ordering::Relaxed)
    }

    /// Kills the process now.
    pub fn die(&self) {
        let number = self.process.number;
        let locked = self.world.files(|files| files.kernel_locks_of(number));
        let points: Vec<usize> = locked.into_iter().map(|creator| KERNEL_LOCKS_POINT + creator as usize).collect();
        let outlive = self.world.flaw == Flaw::LocksOutliveTheirOwner;
        self.world.touch(&points, |files| {
            if !outlive {
                files.free_kernel_locks_of(number);
            }
        });
        self.process.dead.store(true, Ordering::Relaxed);
    }

    /// The names that are neither the list nor in it.
    #[must_use]
    pub fn unlisted(&self) -> Vec<String> {
        self.world.files(|files| files.unlisted())
    }

    /// How often a process released a lock that another one had taken.
    #[must_use]
    pub fn taken_over(&self) -> u32 {
        self.world.files(|files| files.taken_over)
    }

    /// A call that others can tell the time of.
    fn point<T>(&self, points: &[usize], operation: impl FnOnce(&mut Files) -> io::Result<T>) -> io::Result<T> {
        self.process.check()?;
        // A model that failed is being torn down: nothing may run any more.
        if std::thread::panicking() {
            return Err(died());
        }
        if self.process.calls.fetch_add(1, Ordering::Relaxed) + 1 == self.process.dies_at.load(Ordering::Relaxed) {
            self.die();
            return Err(died());
        }
        self.world.touch(points, operation)
    }

    /// A file without a name, which nobody else can find.
    pub(crate) fn create_unnamed(&self) -> io::Result<ModelFile> {
        self.process.check()?;
        let (inode, open) = self.world.files(|files| files.create_unnamed(self.process.number));
        Ok(ModelFile { dir: self.clone(), inode, open, shared: None, locked: String::new() })
    }

    /// Gives it a name.
    pub(crate) fn link_unnamed(&self, file: &ModelFile, name: &str) -> io::Result<()> {
        let replace = self.world.flaw == Flaw::LinkReplaces;
        self.point(&[point_of(name)], |files| files.link(file.inode, name, replace))
    }

    /// Lets go of the kernel's lock on a file that this process has open.
    fn let_go(&self, name: &str) -> io::Result<()> {
        let (inode, number) = (self.world.files(|files| files.inode(name))?, self.process.number);
        let creator = self.world.files(|files| files.creator(inode));
        let point = KERNEL_LOCKS_POINT + creator as usize % PROCESSES;
        self.point(&[point], |files| {
            files.free_kernel_lock_on(inode, number);
            Ok(())
        })
    }

    fn rename_now(&self, from: &str, to: &str) -> io::Result<()> {
        let points = [point_of(from), point_of(to)];
        if self.world.flaw == Flaw::TornRename {
            self.point(&points, |files| files.tear(from, to))?;
        }
        let number = self.process.number;
        sound(self.point(&points, |files| files.rename(from, to, number)))
    }

    fn file(&self, name: &str, (inode, open): (u64, u64)) -> Box<dyn DirFile> {
        let shared = name.ends_with(".request").then(|| point_of(name));
        let locked = if self.world.flaw == Flaw::LocksOfNames { name.to_owned() } else { String::new() };
        Box::new(ModelFile { dir: self.clone(), inode, open, shared, locked })
    }
}

fn process(number: u64) -> Arc<Process> {
    let (ticks, calls, dies_at) = (AtomicU64::new(0), AtomicU32::new(0), AtomicU32::new(0));
    let [dead, blind, hurries] = [(); 3].map(|()| AtomicBool::new(false));
    Arc::new(Process { number, ticks, calls, dies_at, dead, blind, hurries })
}

impl Process {
    fn check(&self) -> io::Result<()> {
        if self.dead.load(Ordering::Relaxed) { Err(died()) } else { Ok(()) }
    }
}

fn died() -> io::Error {
    io::Error::other("this process has died")
}

/// What stands for a name: who made it is in its random part.
fn point_of(name: &str) -> usize {
    match name {
        LIST => LIST_POINT,
        LIST_LOCK => LIST_LOCK_POINT,
        lock if lock.ends_with(".lock") => TABLE_LOCKS_POINT,
        other => {
            let random = other.rsplit('-').next().and_then(|random| random.split('.').next());
            let random = random.and_then(|random| u64::from_str_radix(random, 16).ok()).unwrap_or(0);
            NAMES_POINT + (random >> 16) as usize % PROCESSES
        }
    }
}

/// Fails the model, with nothing locked.
fn sound<T>(result: io::Result<Result<T, String>>) -> io::Result<T> {
    result.map(|checked| match checked {
        Ok(value) => value,
        #[expect(clippy::panic, reason = "a model fails by panicking")]
        Err(violation) => panic!("{violation}"),
    })
}

impl Dir for ModelDir {
    fn path(&self) -> &Path {
        Path::new("model")
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.point(&[point_of(name)], |files| files.open(name)).map(|open| self.file(name, open))
    }

    fn open_to_append(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.open(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        let creator = self.process.number;
        self.point(&[point_of(name)], |files| files.create(name, creator)).map(|open| self.file(name, open))
    }

    fn stat(&self, name: &str) -> io::Result<FileStat> {
        self.point(&[point_of(name)], |files| files.inode(name).map(|inode| files.stat(inode)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if from == LIST_LOCK && self.world.flaw == Flaw::ClosesBeforeRename {
            self.let_go(from)?;
        }
        let is_late = to == LIST && self.world.flaw == Flaw::ListBeforeTable;
        let table = self.world.files(|files| files.first_named_by(from)).filter(|_| is_late);
        let Some(table) = table else { return self.rename_now(from, to) };
        self.rename_now(&table, "hidden")?;
        self.rename_now(from, to)?;
        self.rename_now("hidden", &table)
    }

    fn link(&self, existing: &str, new: &str) -> io::Result<()> {
        let replace = self.world.flaw == Flaw::LinkReplaces;
        self.point(&[point_of(existing), point_of(new)], |files| {
            let inode = files.inode(existing)?;
            files.link(inode, new, replace)
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let number = self.process.number;
        sound(self.point(&[point_of(name)], |files| files.remove(name, number)))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        if self.process.blind.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let all: Vec<usize> = (0..KERNEL_LOCKS_POINT).collect();
        self.point(&all, |files| Ok(files.names()))
    }

    fn sync(&self) -> io::Result<()> {
        self.process.check()
    }

    fn sleep(&self, _time: Duration) {
        loom::thread::yield_now();
    }

    fn now(&self) -> Duration {
        // Time passes only by being asked for: 10 ms a look, so that every wait ends.
        Duration::from_millis(10 * self.process.ticks.fetch_add(1, Ordering::Relaxed))
    }

    fn wall_clock(&self) -> Option<u128> {
        // It is none of the moments at which a crowd would leave the lock free.
        self.process.hurries.load(Ordering::Relaxed).then_some(Duration::from_millis(100).as_nanos())
    }

    fn random(&self) -> u64 {
        self.process.number << 16 | self.process.ticks.fetch_add(1, Ordering::Relaxed)
    }

    fn is_local(&self) -> bool {
        self.world.flaw != Flaw::LocksOfNames
    }

    fn file_system(&self) -> u64 {
        1
    }

    fn host(&self) -> Host {
        Host::new(Some("boot".to_owned()), Some(0))
    }

    fn process_id(&self) -> u32 {
        self.process.number as u32
    }
}

#[derive(Debug)]
pub(crate) struct ModelFile {
    dir: ModelDir,
    inode: u64,
    open: u64,
    /// For a file that several processes write to: what its contents count as. No other file
    /// changes once another process can find it.
    shared: Option<usize>,
    /// What a kernel lock through this description belongs to: the whole file, or this name of it.
    locked: String,
}

impl ModelFile {
    /// A call that looks at the file or changes it.
    fn touch<T>(&self, operation: impl FnOnce(&mut Files) -> T) -> io::Result<T> {
        match self.shared {
            Some(point) => self.dir.point(&[point], |files| Ok(operation(files))),
            None => {
                self.dir.process.check()?;
                Ok(self.dir.world.files(operation))
            }
        }
    }

    pub(crate) fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.touch(|files| files.append(self.inode, bytes))
    }

    fn kernel_lock(&self) -> [usize; 1] {
        [KERNEL_LOCKS_POINT + self.dir.world.files(|files| files.creator(self.inode)) as usize % PROCESSES]
    }
}

impl DirFile for ModelFile {
    fn contents(&self) -> io::Result<Bytes> {
        self.touch(|files| files.contents(self.inode)).map(Into::into)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.append(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.dir.process.check()
    }

    fn stat(&self) -> io::Result<FileStat> {
        self.touch(|files| files.stat(self.inode))
    }

    fn set_attribute(&self, attribute: &[u8]) -> io::Result<()> {
        self.dir.process.check()?;
        self.dir.world.files(|files| files.set_attribute(self.inode, attribute));
        Ok(())
    }

    fn attribute(&self) -> io::Result<Option<Vec<u8>>> {
        // Nor its attribute.
        self.dir.process.check()?;
        Ok(self.dir.world.files(|files| files.attribute(self.inode)))
    }

    fn try_lock(&self) -> io::Result<bool> {
        let (inode, open, number) = (self.inode, self.open, self.dir.process.number);
        let for_all = self.dir.world.flaw == Flaw::LocksForAll;
        self.dir.point(&self.kernel_lock(), |files| Ok(files.try_lock((inode, &self.locked), open, number) || for_all))
    }
}

impl Drop for ModelFile {
    fn drop(&mut self) {
        // A model that failed is being torn down: its mutexes may not be touched any more.
        if std::thread::panicking() {
            return;
        }
        let (inode, open) = (self.inode, self.open);
        let world = &self.dir.world;
        // Only letting go of the kernel's lock can be noticed. Dead processes have let go of theirs
        // already.
        if world.files(|files| files.is_locked_by((inode, &self.locked), open)) && !self.dir.is_dead() {
            // Dying here is the same as dropping it.
            world.touch(&self.kernel_lock(), |files| files.unlock((inode, &self.locked), open));
        }
        world.files(|files| files.close(inode));
    }
}
