//! Processes of a host: their list lock is a file of its own that becomes the list.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use reftable::bytes::Bytes;
use reftable::compact::Expiry;
use reftable::dir::{Dir, DirFile, FileStat};
use reftable::lock::{Attempt, Locker, ReadyFiles, ReadyLocks, RobustLocks};
use reftable::{Durability, Error, Options, Stack};

use super::beside;
use super::check;
use super::dir::SimDir;
use super::git::{Fsync, Git};
use super::run::{Actor, GIT, Run};
use super::scenarios::sink_from_first_acknowledgement;
use super::stage::{LAST_WORKS, Sink, delete, for_each_change, plain, set, stairs};

const LIST_LOCK: &str = "tables.list.lock";

/// The simulated machine has no files without a name: until they are linked they have one that
/// cleaners know. So more can go wrong here than there.
#[derive(Debug)]
struct Files(Arc<SimDir>);

/// A file, and the name that it was made with.
#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<Box<dyn DirFile>>>, Arc<str>);

impl Shared {
    fn file(&self) -> MutexGuard<'_, Box<dyn DirFile>> {
        self.0.lock().unwrap()
    }
}

impl DirFile for Shared {
    fn contents(&self) -> io::Result<Bytes> {
        self.file().contents()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file().write(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file().sync()
    }

    fn stat(&self) -> io::Result<FileStat> {
        self.file().stat()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file().try_lock()
    }

    fn set_attribute(&self, attribute: &[u8]) -> io::Result<()> {
        self.file().set_attribute(attribute)
    }

    fn attribute(&self) -> io::Result<Option<Vec<u8>>> {
        self.file().attribute()
    }
}

impl ReadyFiles for Files {
    type File = Shared;

    fn create(&self) -> io::Result<Option<Shared>> {
        let name = format!("reftable-{:016x}.tmp", self.0.random());
        let file = Mutex::new(self.0.create(&name)?);
        Ok(Some(Shared(Arc::new(file), name.into())))
    }

    fn lock(&self, file: &Shared) -> io::Result<bool> {
        file.try_lock()
    }

    fn link(&self, file: &Shared) -> io::Result<()> {
        self.0.link(&file.1, LIST_LOCK)?;
        let _ = self.0.remove(&file.1);
        Ok(())
    }

    fn unlink(&self, is_ours: impl FnOnce() -> bool) {
        if is_ours() {
            let _ = self.0.remove(LIST_LOCK);
        }
    }
}

/// As the C library's, without a host's own functions.
#[derive(Debug)]
struct HostLocks {
    ready: ReadyLocks<Files>,
    robust: Arc<RobustLocks>,
}

impl Locker for HostLocks {
    fn try_lock(&self, dir: &Arc<dyn Dir>, name: &str) -> reftable::Result<Attempt> {
        if name != LIST_LOCK {
            return self.robust.try_lock(dir, name);
        }
        match self.ready.try_list_lock(dir)? {
            Some(attempt) => Ok(attempt),
            // The process has died.
            None => self.robust.try_lock(dir, name),
        }
    }

    fn is_robust(&self) -> bool {
        true
    }
}

/// A handle as hosts have.
fn open(dir: &Arc<SimDir>, options: Options) -> Result<Stack, Error> {
    let robust = RobustLocks::new(true);
    let ready = ReadyLocks::new(Arc::new(Files(Arc::clone(dir))), Arc::clone(&robust));
    let dir: Arc<SimDir> = Arc::clone(dir);
    Stack::open_in(dir, Box::new(HostLocks { ready, robust }), options.fairness(false))
}

pub(super) fn host(run: &Run, pid: u32, options: Options) -> Actor {
    run.actor_with(pid, Durability::Ordered, options, open)
}

/// Hosts that want more than git's rules, upon one another's commits; upon those of a host that
/// does not; and upon git's that nobody has synced.
pub(super) fn full(sink: Sink<'_>) {
    for options in [plain(), check::options()] {
        for is_mixed in [false, true] {
            let run = Run::start(&stairs(2));
            let [one, two] = [1, 2].map(|pid| run.actor_with(pid, Durability::Full, options.clone(), open));
            let ordered = host(&run, 3, plain());
            if is_mixed {
                Git::new(&run, GIT, Fsync::Default).commit(set("git", 4, 80));
                ordered.commit(set("ordered", 1, 90));
            }
            one.commit(set("one", 2, 60));
            two.commit(set("two", 1, 70));
            one.commit(set("one", 1, 61));
            drop((one, two, ordered));
            sink_from_first_acknowledgement(run, sink);
        }
    }
}

/// Process 1 dies at each of its changes; a host, and then one of this crate, go on.
pub(super) fn take_over(sink: Sink<'_>) {
    for (tables, work) in LAST_WORKS {
        let first = stairs(tables);
        for_each_change(|change| {
            let run = Run::start(&first);
            let successor = host(&run, 2, check::options());
            let dying = host(&run, 1, check::options());
            run.world.kill_at(1, change);
            work(&dying);
            drop(dying);
            successor.commit(set("next", 2, 50));
            successor.compact(Expiry::default());
            drop(successor);
            let ours = run.actor(3, Durability::Ordered, check::options());
            ours.commit(set("ours", 2, 60));
            drop(ours);
            let came_true = !run.world.forget_plans(1);
            sink(run.finish());
            came_true
        });
    }
}

/// Process 2, of this crate and then a host, works before each call of the host 1.
pub(super) fn beside(sink: Sink<'_>) {
    for is_host in [false, true] {
        for options in [plain(), check::options()] {
            for_each_change(|call| {
                let run = Run::start(&stairs(2));
                let one = host(&run, 1, options.clone()).beside_others();
                let two = if is_host {
                    host(&run, 2, options.clone())
                } else {
                    run.actor(2, Durability::Ordered, options.clone())
                };
                let two = two.beside_others();
                run.world.before_call(1, call, move || {
                    two.commit(set("two", 2, 70));
                    drop(two);
                });
                one.commit(set("one", 2, 60));
                one.commit(vec![delete("refs/heads/base-0")]);
                drop(one);
                let came_true = !run.world.forget_plans(1);
                sink(run.finish());
                came_true
            });
        }
    }
}

/// The host 1 stands still before each of its calls, while the host 2 comes to any of its own; then
/// 1 comes to its end, and 2 after it.
pub(super) fn at_once(sink: Sink<'_>) {
    let hasty = || plain().lock_timeout(Some(Duration::from_millis(5)));
    for_each_change(|call| {
        let mut came_true = false;
        for_each_change(|calls| {
            let run = Run::start(&stairs(2));
            let one = host(&run, 1, hasty()).beside_others();
            let two = host(&run, 2, hasty()).beside_others();
            let two = beside::start(&run.world, two, |two| two.commit(set("two", 1, 70)));
            let go = two.goer();
            run.world.before_call(1, call, move || go(calls));
            one.commit(set("one", 1, 60));
            drop(one);
            came_true = !run.world.forget_plans(1);
            let goes_on = !two.has_ended();
            two.finish();
            sink(run.finish());
            came_true && goes_on
        });
        came_true
    });
}
