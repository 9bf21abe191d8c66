//! What the black-box tests share.

#![allow(dead_code, reason = "every test binary uses its own part of this")]

pub(crate) mod brisk_dir;
pub(crate) mod contents;
pub(crate) mod effort;
pub(crate) mod fault_dir;
pub(crate) mod foreign;
pub(crate) mod forge;
pub(crate) mod fuzz_targets;
pub(crate) mod garbage;
pub(crate) mod git;
pub(crate) mod hook_dir;
pub(crate) mod hostile;
pub(crate) mod lost_answer;
pub(crate) mod mem_dir;
pub(crate) mod model;
#[cfg(unix)]
pub(crate) mod mounts;
pub(crate) mod over_dir;
#[cfg(unix)]
pub(crate) mod sparse;
pub(crate) mod sync_dir;
pub(crate) mod tables;
pub(crate) mod victim;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use reftable::table::WriteOptions;
use reftable::verify::{Finding, FindingKind, Severity};
use reftable::{AutoCompact, Durability, HashKind, Ident, LogEntry, ObjectId, Options, Stack, Target};
use tempfile::TempDir;

pub(crate) const HASHES: [HashKind; 2] = [HashKind::Sha1, HashKind::Sha256];

/// An id that is spread over the whole range and never null.
pub(crate) fn id(hash: HashKind, number: u64) -> ObjectId {
    let mut random = Random(number);
    let bytes: Vec<u8> = std::iter::repeat_with(|| random.next().to_be_bytes()).take(4).flatten().collect();
    ObjectId::from_bytes(&bytes[..hash.len()]).unwrap()
}

pub(crate) fn ident() -> Ident {
    Ident { time_zone: 130, ..Ident::new("A U Thor", "author@example.com", 1_700_000_000) }
}

/// A log entry between two numbered ids; number 0 stands for none.
pub(crate) fn entry(hash: HashKind, old: u64, new: u64, message: impl AsRef<[u8]>) -> LogEntry {
    let of = |number| if number == 0 { ObjectId::null(hash) } else { id(hash, number) };
    LogEntry { old: of(old), new: of(new), committer: ident(), message: message.as_ref().to_vec() }
}

/// Options for tests that are not about the power failure.
pub(crate) fn quick() -> Options {
    Options::default()
        .durability(Durability::Off)
        .lock_timeout(Some(Duration::from_secs(20)))
        .auto_compact(AutoCompact::Geometric(2))
}

/// A fresh directory and a stack on it.
pub(crate) struct Store {
    pub(crate) dir: TempDir,
    pub(crate) hash: HashKind,
    pub(crate) stack: Stack,
}

impl Store {
    pub(crate) fn new(hash: HashKind) -> Store {
        Store::with(hash, quick())
    }

    pub(crate) fn with(hash: HashKind, options: Options) -> Store {
        let dir = tempfile::tempdir().unwrap();
        let stack = Stack::open(dir.path(), options.hash(hash)).unwrap();
        Store { dir, hash, stack }
    }

    pub(crate) fn writing(hash: HashKind, write: WriteOptions) -> Store {
        Store::with(hash, quick().write(write))
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn id(&self, number: u64) -> ObjectId {
        id(self.hash, number)
    }

    /// Sets one reference to a numbered id, whatever it was.
    pub(crate) fn set(&self, name: &str, number: u64) -> u64 {
        let mut tx = self.stack.transaction();
        tx.set(name, reftable::Expect::Any, self.id(number));
        tx.commit().unwrap().update_index
    }

    pub(crate) fn delete(&self, name: &str) {
        let mut tx = self.stack.transaction();
        tx.delete(name, reftable::Expect::Any);
        tx.commit().unwrap();
    }

    pub(crate) fn get(&self, name: &str) -> Option<Target> {
        self.stack.snapshot().unwrap().get(name).unwrap().map(|found| found.target)
    }

    pub(crate) fn list(&self) -> Vec<String> {
        table_names(self.path())
    }
}

/// The lines of `tables.list`.
pub(crate) fn table_names(dir: &Path) -> Vec<String> {
    fs::read_to_string(dir.join("tables.list")).unwrap().lines().map(str::to_owned).collect()
}

/// The names in a directory, but for the owner files of handles: those stay as long as a handle
/// that has written.
pub(crate) fn listing(dir: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.ends_with(".owner")).collect()
}

/// Names and contents of a directory of files.
pub(crate) fn dump(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    listing(dir).into_iter().map(|name| (name.clone(), fs::read(dir.join(name)).unwrap())).collect()
}

pub(crate) fn copy_dir(from: &Path, to: &Path) {
    for (name, bytes) in dump(from) {
        fs::write(to.join(name), bytes).unwrap();
    }
}

/// The directory holds the list and the listed tables, and nothing else.
pub(crate) fn assert_no_garbage(dir: &Path) {
    let mut wanted: BTreeSet<String> = table_names(dir).into_iter().collect();
    wanted.insert("tables.list".to_owned());
    assert_eq!(listing(dir), wanted, "files in {}", dir.display());
}

/// What `verify` finds, but for notes and for what is about single references: tests make symbolic
/// references that go in circles, and other things that git would not.
pub(crate) fn findings_of_format(stack: &Stack) -> Vec<Finding> {
    let mut findings = stack.verify().unwrap().findings;
    findings.retain(|finding| finding.severity > Severity::Note && finding.name.is_none());
    findings
}

/// No rule of the format is broken.
pub(crate) fn assert_verifies(stack: &Stack) {
    let findings = findings_of_format(stack);
    assert!(findings.is_empty(), "{findings:#?}");
}

/// `verify` says that the store can take no further commit, and nothing else.
pub(crate) fn assert_says_full(stack: &Stack) {
    let findings = findings_of_format(stack);
    let is_full = |finding: &Finding| finding.kind == FindingKind::LastUpdateIndex;
    assert!(!findings.is_empty() && findings.iter().all(is_full), "{findings:#?}");
}

/// Small, seeded, and good enough: splitmix64.
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Does all jobs, the first ones first, and returns what came of them in no order.
pub(crate) fn on_two_threads<J: Send, R: Send>(jobs: Vec<J>, work: impl Fn(J) -> R + Sync) -> Vec<R> {
    let (jobs, results) = (Mutex::new(jobs.into_iter()), Mutex::new(Vec::new()));
    let work_on = || {
        loop {
            let Some(job) = jobs.lock().unwrap().next() else { return };
            let result = work(job);
            results.lock().unwrap().push(result);
        }
    };
    std::thread::scope(|scope| {
        let (one, two) = (scope.spawn(work_on), scope.spawn(work_on));
        // What one of them panics with is what has gone wrong.
        for done in [one.join(), two.join()] {
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    results.into_inner().unwrap()
}

/// What the harness calls a test: its path from the root of the binary.
pub(crate) fn name_of<T: Fn()>(_test: T) -> &'static str {
    let path = std::any::type_name::<T>();
    path.split_once("::").map_or(path, |(_binary, name)| name)
}

/// Where the workspace's root package is.
pub(crate) fn source_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}
