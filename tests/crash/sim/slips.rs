//! Mistakes in the order of calls that the directory makes in the library's place: it leaves out
//! what it is asked to sync, or gives a table its name too late. So the library need not know them.

use reftable_crash::{Entry, Op, Pid, Tree};

use super::check::is_request;
use super::mutants;
use super::world::TablesList as _;

const LIST: &str = "tables.list";
const LIST_LOCK: &str = "tables.list.lock";

/// Such a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slip {
    /// No table is synced.
    NoTableSync,
    /// The directory is not synced before the list is replaced.
    NoDirSyncBefore,
    /// The directory is not synced after the list was replaced, and a commit returns before the
    /// change is durable.
    NoDirSyncAfter,
    /// The same only where the lock was taken over. In most scenarios nobody takes one over before
    /// the checks do.
    NoDirSyncAfterTakeOver,
    /// The list names the table before the table has its name.
    ListBeforeTable,
    /// A lock that becomes the list is closed before it is renamed, as hosts do, and nobody else
    /// has it open: its living owner looks dead for a moment. Only hosts have such locks.
    CloseBeforeRename,
}

impl Slip {
    /// Those that every crash may show.
    pub(crate) const ALL: [Slip; 4] =
        [Slip::NoTableSync, Slip::NoDirSyncBefore, Slip::NoDirSyncAfter, Slip::ListBeforeTable];
}

/// Whether a sync is left out.
pub(super) fn omits(tree: &Tree, log: &[Entry], pid: Pid, op: &Op) -> bool {
    match op {
        Op::SyncFile { file, .. } => mutants::is_on(Slip::NoTableSync) && tree.files[file].bytes.starts_with(b"REFT"),
        Op::SyncDir { .. } => {
            let is_after = || has_published(log, pid);
            mutants::is_on(Slip::NoDirSyncBefore) && !is_after()
                || mutants::is_on(Slip::NoDirSyncAfter) && is_after()
                || mutants::is_on(Slip::NoDirSyncAfterTakeOver) && is_after() && takes_over(log, pid)
        }
        _ => false,
    }
}

/// What the process has changed, newest first.
fn done_by(log: &[Entry], pid: Pid) -> impl Iterator<Item = &Op> {
    log.iter().rev().filter(move |entry| entry.process == pid).map(|entry| &entry.op)
}

/// Whether the process has replaced the list since it wrote anything for that.
fn has_published(log: &[Entry], pid: Pid) -> bool {
    let tells = |op: &Op| match op {
        Op::Rename { to, .. } if &*to.path == LIST => Some(true),
        Op::Write { path, .. } if !is_request(path) => Some(false),
        _ => None,
    };
    done_by(log, pid).find_map(tells).unwrap_or(false)
}

/// Whether the lock that the process has released last was made by another one.
fn takes_over(log: &[Entry], pid: Pid) -> bool {
    let made = |op: &Op| matches!(op, Op::Create { at, .. } | Op::Link { new: at, .. } if &*at.path == LIST_LOCK);
    let gone = |op: &Op| match op {
        Op::Rename { from: at, .. } | Op::Remove { at } => &*at.path == LIST_LOCK,
        _ => false,
    };
    let mut of_lock = done_by(log, pid).filter(|op| made(op) || gone(op));
    of_lock.next().is_some_and(gone) && of_lock.next().is_none_or(gone)
}

/// Whether this lock is closed before it is renamed.
pub(super) fn closes_before_rename(from: &str) -> bool {
    from == LIST_LOCK && mutants::is_on(Slip::CloseBeforeRename)
}

/// The table that the list in the file `from` is the first to name, if it is to get its name late.
pub(super) fn table_to_hide(tree: &Tree, from: &str, to: &str) -> Option<String> {
    if to != LIST || !mutants::is_on(Slip::ListBeforeTable) {
        return None;
    }
    let listed = tree.list();
    let list = String::from_utf8_lossy(tree.read(from)?);
    list.lines().find(|table| !listed.iter().any(|old| old == table)).map(str::to_owned)
}
