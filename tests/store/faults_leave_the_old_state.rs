//! Every operating-system call of an operation is made to fail, one after the other. Whichever it
//! is, the store is in the state before or the state after, says which, has no garbage, and goes on
//! working.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::support;
use crate::support::fault_dir::{FaultDir, Fuse};
use crate::support::over_dir::{Hook, OverDir, Work};
use reftable::compact::Compact;
use reftable::lock::RobustLocks;
use reftable::{AutoCompact, Error, ErrorKind, Expect, ObjectId, Options, Ref, Stack};

const EIO: i32 = 5;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;
/// More calls than any operation here makes.
const MANY: i64 = 500;

fn id(byte: u8) -> ObjectId {
    ObjectId::from_bytes(&[byte; 20]).unwrap()
}

fn options() -> Options {
    Options::default().auto_compact(AutoCompact::Off)
}

fn put(stack: &Stack, name: &str, byte: u8) -> reftable::Result<()> {
    let mut tx = stack.transaction();
    tx.set(name, Expect::Any, id(byte));
    tx.commit().map(|_| ())
}

/// Nobody else's files can be replaced, as in a sticky directory.
struct Sticky;

impl Hook for Sticky {
    fn around(&self, call: &'static str, _: &str, work: Work<'_>) -> io::Result<()> {
        if call == "rename" { Err(io::ErrorKind::PermissionDenied.into()) } else { work() }
    }
}

#[test]
fn a_list_of_somebody_else_in_a_sticky_directory_is_explained() {
    let temp = tempfile::tempdir().unwrap();
    put(&Stack::open(temp.path(), options()).unwrap(), "refs/heads/a", 1).unwrap();
    let before = support::dump(temp.path());
    let dir = OverDir::over(temp.path(), Arc::new(Sticky));
    let stack = Stack::open_in(dir, Box::new(RobustLocks::new(true)), options()).unwrap();
    let error = put(&stack, "refs/heads/b", 2).unwrap_err();
    let says = "it was to become tables.list, which in a sticky directory";
    assert!(error.kind() == ErrorKind::Io && error.to_string().contains(says), "{error}");
    drop(stack);
    assert_eq!(support::dump(temp.path()), before);
}

/// Three tables, so that there is something to compact.
fn three_tables(path: &Path) {
    let stack = Stack::open(path, options()).unwrap();
    for (name, byte) in [("refs/heads/a", 1), ("refs/heads/b", 2), ("refs/heads/a", 3)] {
        put(&stack, name, byte).unwrap();
    }
}

/// The same below a table that has update indexes in common with them, as dulwich leaves it: the
/// order of the list decides.
fn overlapping_tables(path: &Path) {
    three_tables(path);
    let other = tempfile::tempdir().unwrap();
    let stack = Stack::open(other.path(), options()).unwrap();
    for (name, byte) in [("refs/heads/b", 4), ("refs/heads/c", 5)] {
        put(&stack, name, byte).unwrap();
    }
    stack.compact(Compact::all()).unwrap();
    let table = std::fs::read_to_string(other.path().join("tables.list")).unwrap();
    std::fs::copy(other.path().join(table.trim_end()), path.join(table.trim_end())).unwrap();
    let list = std::fs::read_to_string(path.join("tables.list")).unwrap();
    std::fs::write(path.join("tables.list"), list + &table).unwrap();
    assert!(!Stack::open(path, options()).unwrap().verify().unwrap().is_clean(), "verify tells of it");
}

fn refs(path: &Path) -> Vec<Ref> {
    let snapshot = Stack::open(path, Options::default()).unwrap().snapshot().unwrap();
    snapshot.refs().unwrap().into_iter().collect::<Result<_, _>>().unwrap()
}

/// All files but for the owners of locks, which handles that have written keep.
fn names(path: &Path) -> BTreeSet<String> {
    let names = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.ends_with(".owner")).collect()
}

/// The files that the list accounts for.
fn listed(path: &Path) -> BTreeSet<String> {
    let list = std::fs::read_to_string(path.join("tables.list")).unwrap_or_default();
    let list_itself = path.join("tables.list").exists().then(|| "tables.list".to_owned());
    list.lines().map(str::to_owned).chain(list_itself).collect()
}

/// Runs `operation` on a fresh store with call number 1, 2, ... failing, until none fails any more.
/// Returns the kinds of calls that were made to fail.
fn every_call_fails(
    error: i32,
    prepare: impl Fn(&Path),
    options: &Options,
    operation: impl Fn(&Stack) -> Result<(), Error>,
) -> BTreeSet<&'static str> {
    let mut failed_calls = BTreeSet::new();
    for nth in 1..MANY {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        prepare(path);
        let before = refs(path);
        let overlaps = !Stack::open(path, options.clone()).unwrap().verify().unwrap().is_clean();
        let fuse = Fuse::new(nth, error);
        let opened = Stack::open_in(FaultDir::new(path, &fuse), Box::new(RobustLocks::new(true)), options.clone());
        let result = opened.and_then(|stack| operation(&stack));
        let Some(call) = fuse.failed() else {
            result.unwrap();
            assert_ne!(refs(path), before, "without a fault the operation has an effect");
            return failed_calls;
        };
        let after = refs(path);
        match &result {
            Ok(()) => assert_ne!(after, before, "Ok without effect when {call} (call {nth}) failed"),
            Err(error) if error.kind() == ErrorKind::Indeterminate => {
                assert_eq!(call, "sync directory");
                assert_ne!(after, before, "Indeterminate is visible");
            }
            Err(_) => assert_eq!(after, before, "an error that changed something when {call} (call {nth}) failed"),
        }
        if call != "remove" {
            let garbage: Vec<_> = names(path).difference(&listed(path)).cloned().collect();
            // After a failed sync of the directory nobody may remove what an older list names.
            let published = result.as_ref().map_or_else(|error| error.kind() == ErrorKind::Indeterminate, |()| true);
            let allowed = call == "sync directory" && published;
            assert!(allowed || garbage.is_empty(), "{garbage:?} left when {call} (call {nth}) failed: {result:?}");
        }
        // If it was the removal of the lock that failed, a person has to do it.
        let _ = std::fs::remove_file(path.join("tables.list.lock"));
        let again = Stack::open(path, options.clone()).unwrap();
        put(&again, "refs/heads/afterwards", 9).unwrap();
        if overlaps {
            again.compact(Compact::all()).unwrap();
        }
        assert!(again.verify().unwrap().is_clean());
        failed_calls.insert(call);
    }
    panic!("the operation makes more than {MANY} calls");
}

#[test]
fn a_commit_is_whole_or_not_at_all() {
    for error in [EIO, ENOSPC, EMFILE] {
        let calls = every_call_fails(error, three_tables, &options(), |stack| put(stack, "refs/heads/new", 7));
        let of_files = ["create", "write", "sync file", "open", "contents", "try_lock", "set attribute", "attribute"];
        for call in of_files.into_iter().chain(["sync directory", "rename", "link"]) {
            assert!(calls.contains(call), "{call} was never made to fail: {calls:?}");
        }
    }
}

#[test]
fn a_first_commit_is_whole_or_not_at_all() {
    for error in [EIO, ENOSPC] {
        every_call_fails(error, |_| (), &options(), |stack| put(stack, "refs/heads/new", 7));
    }
}

#[test]
fn a_commit_above_tables_that_overlap_is_whole_or_not_at_all() {
    for options in [options(), Options::default().auto_compact(AutoCompact::Geometric(2))] {
        every_call_fails(EIO, overlapping_tables, &options, |stack| put(stack, "refs/heads/new", 7));
    }
}

#[test]
fn a_failing_compaction_does_not_touch_the_commit_before_it() {
    let compacting = Options::default().auto_compact(AutoCompact::Geometric(2));
    for error in [EIO, ENOSPC] {
        every_call_fails(error, three_tables, &compacting, |stack| put(stack, "refs/heads/new", 7));
    }
}

#[test]
fn a_failing_compaction_changes_nothing_that_is_seen() {
    compactions_fail(three_tables, 3);
}

#[test]
fn a_failing_compaction_of_tables_that_overlap_changes_nothing_that_is_seen() {
    compactions_fail(overlapping_tables, 4);
}

fn compactions_fail(prepare: fn(&Path), tables: usize) {
    for nth in 1..MANY {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let before = refs(dir.path());
        let fuse = Fuse::new(nth, ENOSPC);
        let opened = Stack::open_in(FaultDir::new(dir.path(), &fuse), Box::new(RobustLocks::new(true)), options());
        let result = opened.and_then(|stack| stack.compact(Compact::all()));
        assert_eq!(refs(dir.path()), before);
        if fuse.failed().is_none() {
            assert_eq!(result.unwrap().unwrap().merged.len(), tables);
            return;
        }
        for name in names(dir.path()).iter().filter(|name| name.ends_with(".lock")) {
            std::fs::remove_file(dir.path().join(name)).unwrap();
        }
        // Whatever was left goes with the next compaction.
        let stack = Stack::open(dir.path(), options()).unwrap();
        put(&stack, "refs/heads/new", 7).unwrap();
        stack.compact(Compact::all()).unwrap();
        assert_eq!(names(dir.path()), listed(dir.path()), "when {:?} (call {nth}) failed", fuse.failed());
    }
    panic!("the compaction makes more than {MANY} calls");
}

/// Neither the renaming of the list nor a look after it is answered: what the list may name stays.
#[test]
fn what_nobody_can_tell_is_indeterminate_and_breaks_nothing() {
    type Operation = fn(&Stack) -> Result<(), Error>;
    let operations: [Operation; 2] =
        [|stack| put(stack, "refs/heads/new", 7), |stack| stack.compact(Compact::all()).map(|_| ())];
    for (operation, happens) in operations.iter().flat_map(|operation| [(operation, true), (operation, false)]) {
        let dir = tempfile::tempdir().unwrap();
        three_tables(dir.path());
        let before = listed(dir.path());
        let faulty = OverDir::losing(dir.path(), happens);
        let stack = Stack::open_in(faulty, Box::new(RobustLocks::new(true)), options()).unwrap();
        let error = operation(&stack).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
        assert_eq!(listed(dir.path()) != before, happens);
        let again = Stack::open(dir.path(), options()).unwrap();
        put(&again, "refs/heads/afterwards", 9).unwrap();
        assert_eq!(
            refs(dir.path()).len(),
            3 + usize::from(refs(dir.path()).iter().any(|found| found.name == b"refs/heads/new"))
        );
        again.compact(Compact::all()).unwrap();
        let is_missing = listed(dir.path()).iter().any(|name| !dir.path().join(name).exists());
        assert!(
            !is_missing
                && again
                    .verify()
                    .unwrap()
                    .findings
                    .iter()
                    .all(|found| found.severity < reftable::verify::Severity::Error)
        );
    }
}
