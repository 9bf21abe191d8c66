//! Network file systems: handles go stale when another machine replaces a file, what `stat` says
//! may be old, and only an open asks the server.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::over_dir::{Hook, OverDir, Work};
use crate::support::{HASHES, Store, contents, id, quick};
use reftable::compact::Compact;
use reftable::dir::FileStat;
use reftable::lock::ExclusiveFile;
use reftable::verify::verify_dir;
use reftable::{AutoCompact, Error, ErrorKind, Expect, Options, Stack};

const LIST: &str = "tables.list";
/// Which names.
type Fits = fn(&str) -> bool;
/// Calls that a network file system may answer with a stale handle, on the list and on tables.
const CALLS: [(&str, Fits); 6] = [
    ("open", |name| name == LIST),
    ("stat", |name| name == LIST),
    ("stat file", |name| name == LIST),
    ("contents", |name| name == LIST),
    ("open", |name| name.ends_with(".ref")),
    ("contents", |name| name.ends_with(".ref")),
];

/// Answers a call with `ESTALE` for some times.
struct Stale {
    call: &'static str,
    fits: Fits,
    left: AtomicU32,
}

impl Hook for Stale {
    fn around(&self, call: &'static str, name: &str, work: Work<'_>) -> io::Result<()> {
        let is_left = || self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if call == self.call && (self.fits)(name) && is_left() {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::STALE.raw_os_error()));
        }
        work()
    }
}

fn stale(path: &Path, (call, fits): (&'static str, Fits), times: u32) -> Arc<OverDir<Stale>> {
    OverDir::over(path, Arc::new(Stale { call, fits, left: AtomicU32::new(times) }))
}

fn open<H: Hook>(dir: &Arc<OverDir<H>>, options: Options) -> Result<Stack, Error> {
    let dir: Arc<OverDir<H>> = Arc::clone(dir);
    Stack::open_in(dir, Box::new(ExclusiveFile), options)
}

fn commit(stack: &Stack, name: &str) -> Result<u64, Error> {
    let mut tx = stack.transaction();
    tx.set(name, Expect::Absent, id(HASHES[0], 1));
    tx.commit().map(|commit| commit.update_index)
}

/// A store of two tables.
fn store() -> Store {
    let store = Store::with(HASHES[0], quick().auto_compact(AutoCompact::Off));
    store.set("refs/heads/a", 1);
    store.set("refs/heads/b", 2);
    store
}

#[test]
fn a_stale_handle_means_to_look_at_the_list_again() {
    for call in CALLS {
        let store = store();
        let dir = stale(store.path(), call, 0);
        let again = |times| dir.hook.left.store(times, Ordering::SeqCst);
        again(2);
        let stack = open(&dir, quick()).unwrap();
        store.set("refs/heads/c", 3);
        again(2);
        assert_eq!(contents::of(&stack.snapshot().unwrap()).refs.len(), 3, "{}", call.0);
        // Under the lock it is the same.
        store.set("refs/heads/d", 4);
        again(2);
        commit(&stack, "refs/heads/e").unwrap();
        again(2);
        assert_eq!(contents::of_stack(&stack).refs.len(), 5, "{}", call.0);
        again(2);
        assert!(verify_dir(&*dir).unwrap().is_clean(), "{}", call.0);
    }
}

#[test]
fn a_handle_that_stays_stale_is_an_error_at_the_deadline() {
    for call in CALLS.into_iter().filter(|(call, _)| *call != "stat") {
        let store = store();
        for deadline in [0, 50] {
            let dir = stale(store.path(), call, u32::MAX);
            let (begin, deadline) = (Instant::now(), Duration::from_millis(deadline));
            let error = open(&dir, quick().reload_deadline(deadline)).unwrap_err();
            let took = begin.elapsed();
            assert_eq!(error.kind(), ErrorKind::Io, "{error}");
            assert!(took >= deadline && took < deadline + Duration::from_secs(2), "{took:?}");
        }
    }
}

/// What `stat` says of the list stays as it was first said; the file system may know that it has to
/// ask others.
struct Frozen {
    is_local: bool,
    first: Mutex<Option<FileStat>>,
    /// What another process does when a table is opened, once.
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Hook for Frozen {
    fn around(&self, call: &'static str, name: &str, work: Work<'_>) -> io::Result<()> {
        if call == "open" && name.ends_with(".ref") {
            let meanwhile = self.meanwhile.lock().unwrap().take();
            meanwhile.into_iter().for_each(|work| work());
        }
        work()
    }

    fn stat(&self, name: &str, seen: FileStat) -> FileStat {
        if name == LIST { *self.first.lock().unwrap().get_or_insert(seen) } else { seen }
    }

    fn is_local(&self, _really: bool) -> bool {
        self.is_local
    }
}

fn frozen(path: &Path, is_local: bool) -> Arc<OverDir<Frozen>> {
    OverDir::over(path, Arc::new(Frozen { is_local, first: Mutex::default(), meanwhile: Mutex::default() }))
}

#[test]
fn under_the_lock_the_list_is_read_not_examined() {
    for is_local in [false, true] {
        let store = store();
        let dir = frozen(store.path(), is_local);
        let stack = open(&dir, quick().auto_compact(AutoCompact::Off)).unwrap();
        stack.snapshot().unwrap();
        // Another machine.
        store.set("refs/heads/c", 3);
        let index = commit(&stack, "refs/heads/d").unwrap();
        let fresh = Stack::open(store.path(), quick()).unwrap();
        let names = contents::names(fresh.snapshot().unwrap().refs().unwrap());
        if is_local {
            // The control: a stat that is believed loses a commit.
            assert_eq!(names, ["refs/heads/a", "refs/heads/b", "refs/heads/d"]);
        } else {
            assert_eq!(names, ["refs/heads/a", "refs/heads/b", "refs/heads/c", "refs/heads/d"]);
            assert_eq!(index, 4);
        }
    }
}

#[test]
fn a_missing_table_is_believed_only_when_the_list_was_opened_again() {
    for is_local in [false, true] {
        let store = store();
        let dir = frozen(store.path(), is_local);
        reftable::dir::Dir::stat(&*dir, LIST).unwrap();
        let compacting = store.stack.clone();
        let work = move || drop(compacting.compact(Compact::all()).unwrap());
        *dir.hook.meanwhile.lock().unwrap() = Some(Box::new(work));
        let opened = open(&dir, quick().reload_deadline(Duration::ZERO));
        // Everywhere: what the name says is never asked, also because the list may be a symbolic
        // link.
        assert_eq!(contents::of_stack(&opened.unwrap()).refs.len(), 2);
    }
}

#[test]
fn tables_are_copied_not_mapped() {
    let store = Store::with(HASHES[0], quick().auto_compact(AutoCompact::Off));
    let mut tx = store.stack.transaction();
    for number in 0..5_000 {
        tx.set(format!("refs/heads/b{number:05}"), Expect::Any, store.id(number + 1));
    }
    tx.commit().unwrap();
    let before = contents::of_stack(&store.stack);
    let dir = frozen(store.path(), false);
    let snapshot = open(&dir, quick()).unwrap().snapshot().unwrap();
    // Reading a mapping would end the process.
    fs::write(store.path().join(&store.list()[0]), b"").unwrap();
    assert_eq!(contents::of(&snapshot), before);
}
