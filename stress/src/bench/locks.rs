//! Locks of dead processes: found by evidence, counted, and removed if that is asked for.
//! A lock is that of a dead process when all of this holds, in this order:
//!
//! 1. It was last written between the beginning of a transaction and the kill of its driver. That
//!    driver is known to be dead: chaos has killed its process group.
//! 2. Every transaction that is in flight now was begun after that: none of them can have made it.
//! 3. No process has the file open, and nobody has a kernel lock on it.
//! 4. It is the same file as a while ago, and nothing of it has changed: an inode that is free is
//!    soon another file's. A program that takes over locks of dead owners may do so at any of these
//!    moments. Locks of this library are taken over, so they are left alone; of those that others
//!    may take over the kernel lock is held while the name is removed. Times of files are a few
//!    milliseconds older than the clock; all comparisons leave room for that.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde_json::json;

use super::Bench;
use super::args::RefFormat;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);
/// By how much times of files may be older.
const LAG: Duration = Duration::from_millis(30);
/// A lock is looked at for so long before anything is said of it.
const PATIENCE: Duration = Duration::from_millis(300);
/// How a lock of this library begins: the next process takes it over, so it is never removed.
const OURS: &[u8] = b"reftable lock";

/// A lock that a killed process has left.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct DeadLock {
    /// Its path in the repository.
    pub(crate) path: String,
    /// Who left it.
    pub(crate) driver: String,
    /// For how long it was in the way after the kill.
    pub(crate) millis: u64,
    /// Whether it was removed here.
    pub(crate) removed: bool,
}

/// What a file is known by: device, inode, when it was written and when anything of it changed,
/// and how long it is.
type Identity = (u64, u64, (i64, i64), (i64, i64), u64);

fn identity(metadata: &Metadata) -> Identity {
    let (written, changed) = ((metadata.mtime(), metadata.mtime_nsec()), (metadata.ctime(), metadata.ctime_nsec()));
    (metadata.dev(), metadata.ino(), written, changed, metadata.len())
}

/// A lock file, as it was first met.
struct Seen {
    file: Identity,
    first: Instant,
}

/// A lock that was found to be of a dead process.
struct Found {
    path: PathBuf,
    driver: String,
    at: SystemTime,
}

/// Looks until it is told that all is `over`; returns what was found.
pub(crate) fn run(bench: &Bench, over: &AtomicBool) -> Result<Vec<DeadLock>> {
    let mut seen: BTreeMap<PathBuf, Seen> = BTreeMap::new();
    let mut known: BTreeMap<Identity, Found> = BTreeMap::new();
    let mut dead = Vec::new();
    let mut tables = 0;
    while !over.load(Ordering::Relaxed) {
        let locks = locks(bench);
        seen.retain(|path, _| locks.contains_key(path));
        for (path, metadata) in &locks {
            let file = identity(metadata);
            let fresh = || Seen { file, first: Instant::now() };
            let at = seen.entry(path.clone()).or_insert_with(fresh);
            if at.file != file {
                *at = fresh();
            }
            if at.first.elapsed() < PATIENCE || known.contains_key(&file) {
                continue;
            }
            if let Some(found) = owner(bench, path, metadata) {
                known.insert(file, found);
            }
        }
        settle(bench, &mut known, &locks, &mut dead)?;
        tables = look_at_tables(bench, tables)?;
        thread::sleep(LOOK);
    }
    dead.extend(known.into_values().map(|found| told(bench, &found, false)));
    Ok(dead)
}

/// Fewer tables than before: there was a compaction.
fn look_at_tables(bench: &Bench, before: usize) -> Result<usize> {
    let list = fs::read(bench.layout.store().join("tables.list")).unwrap_or_default();
    let now = list.iter().filter(|byte| **byte == b'\n').count();
    if now < before && now > 0 {
        bench.recorder.nemesis("compact", json!({ "before": before, "after": now }))?;
    }
    Ok(now)
}

/// Removes what may be removed, and counts what is gone.
fn settle(
    bench: &Bench,
    known: &mut BTreeMap<Identity, Found>,
    locks: &BTreeMap<PathBuf, Metadata>,
    dead: &mut Vec<DeadLock>,
) -> Result<()> {
    let is_there =
        |file: &Identity, found: &Found| locks.get(&found.path).is_some_and(|metadata| identity(metadata) == *file);
    let gone: Vec<Identity> =
        known.iter().filter(|(file, found)| !is_there(file, found)).map(|(file, _)| *file).collect();
    for file in gone {
        dead.extend(known.remove(&file).map(|found| told(bench, &found, false)));
    }
    if !bench.help_dead_locks {
        return Ok(());
    }
    let removed: Vec<Identity> =
        known.iter().filter(|(file, found)| remove(&found.path, file)).map(|(file, _)| *file).collect();
    for found in removed.iter().filter_map(|file| known.remove(file)) {
        let told = told(bench, &found, true);
        bench.recorder.nemesis("unlock", json!({ "path": told.path, "driver": told.driver, "millis": told.millis }))?;
        dead.push(told);
    }
    Ok(())
}

/// Removes a lock of a dead process, if it still is the file that was judged, and no process takes
/// it over.
fn remove(path: &Path, judged: &Identity) -> bool {
    let Ok(mut file) = fs::File::open(path) else { return false };
    let mut begin = Vec::new();
    let is_read = Read::by_ref(&mut file).take(OURS.len() as u64).read_to_end(&mut begin).is_ok();
    if !is_read || begin == OURS || flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return false;
    }
    let is_same = |metadata: io::Result<Metadata>| metadata.is_ok_and(|metadata| identity(&metadata) == *judged);
    is_same(file.metadata()) && is_same(fs::symlink_metadata(path)) && fs::remove_file(path).is_ok()
}

fn told(bench: &Bench, found: &Found, removed: bool) -> DeadLock {
    let path = found.path.strip_prefix(bench.git_dir()).unwrap_or(&found.path).display().to_string();
    let millis = found.at.elapsed().map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    DeadLock { path, driver: found.driver.clone(), millis, removed }
}

/// Who left this lock, if all of the evidence is there.
fn owner(bench: &Bench, path: &Path, metadata: &Metadata) -> Option<Found> {
    let written = metadata.modified().ok()?;
    let kill = bench.kills().into_iter().rev().find(|kill| kill.begun <= written + LAG && written <= kill.at)?;
    let in_flight = |begun: SystemTime| begun <= written + LAG;
    if bench.slots.iter().any(|slot| {
        let running = slot.running();
        running.as_ref().is_some_and(|running| running.in_flight.is_some_and(|(begun, _)| in_flight(begun)))
    }) {
        return None;
    }
    if is_open((metadata.dev(), metadata.ino())) {
        return None;
    }
    Some(Found { path: path.to_owned(), driver: kill.driver, at: kill.at })
}

/// Whether any process that we may look at has this file open.
fn is_open(file: (u64, u64)) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    let descriptors = processes.flatten().filter_map(|process| fs::read_dir(process.path().join("fd")).ok());
    let mut files =
        descriptors.flat_map(Iterator::flatten).filter_map(|descriptor| fs::metadata(descriptor.path()).ok());
    files.any(|metadata| (metadata.dev(), metadata.ino()) == file)
}

/// All files that end in `.lock` where references are kept.
pub(crate) fn locks(bench: &Bench) -> BTreeMap<PathBuf, Metadata> {
    let (git_dir, mut found) = (bench.git_dir(), BTreeMap::new());
    let mut open = match bench.ref_format {
        // Anywhere but among objects, which are many, and have no locks.
        RefFormat::Own => directories(&git_dir).filter(|path| !path.ends_with("objects")).collect(),
        _ => vec![git_dir.join("reftable"), git_dir.join("refs"), git_dir.join("logs")],
    };
    for name in ["HEAD.lock", "packed-refs.lock"] {
        note(git_dir.join(name), &mut found);
    }
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                _ if entry.path().extension().is_some_and(|end| end == "lock") => note(entry.path(), &mut found),
                _ => {}
            }
        }
    }
    found
}

fn directories(dir: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| path.is_dir())
}

/// What is gone already is no lock.
fn note(path: PathBuf, found: &mut BTreeMap<PathBuf, Metadata>) {
    if let Ok(metadata) = fs::symlink_metadata(&path) {
        found.insert(path, metadata);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_file_that_was_judged_is_removed_and_none_of_ours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tables.list.lock");
        let judged = |contents: &[u8]| {
            fs::write(&path, contents).unwrap();
            identity(&fs::symlink_metadata(&path).unwrap())
        };
        let foreign = judged(b"");
        fs::remove_file(&path).unwrap();
        assert!(!remove(&path, &foreign), "it is gone");
        fs::write(&path, "another").unwrap();
        assert!(!remove(&path, &foreign), "another file, be its inode the same or not");
        assert!(!remove(&path, &judged(b"reftable lock 2 100\n")), "ours is taken over");
        let now = judged(b"a list\n");
        let taken = fs::File::open(&path).unwrap();
        flock(&taken, FlockOperation::LockExclusive).unwrap();
        assert!(!remove(&path, &now), "another process takes it over");
        drop(taken);
        assert!(remove(&path, &now) && !path.exists());
    }
}
