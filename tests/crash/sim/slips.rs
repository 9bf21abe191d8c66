//! Mistakes in the order of calls that the directory makes in the library's place: it leaves out
//! what it is asked to sync, or gives a table its name too late. So the library need not know them.

use super::check::is_request;
use super::mutants;
use super::world::{FileId, Inner, Op, Pid};

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
}

impl Slip {
    /// Those that every crash may show.
    pub(crate) const ALL: [Slip; 4] =
        [Slip::NoTableSync, Slip::NoDirSyncBefore, Slip::NoDirSyncAfter, Slip::ListBeforeTable];
}

impl Inner {
    /// Whether a sync of this file is left out.
    pub(super) fn skips_sync_of(&self, file: FileId) -> bool {
        mutants::is_on(Slip::NoTableSync) && self.tree.files[&file].bytes.starts_with(b"REFT")
    }

    /// Whether the process does not sync the directory now.
    pub(super) fn skips_dir_sync(&self, pid: Pid) -> bool {
        let is_after = || self.has_published(pid);
        mutants::is_on(Slip::NoDirSyncBefore) && !is_after()
            || mutants::is_on(Slip::NoDirSyncAfter) && is_after()
            || mutants::is_on(Slip::NoDirSyncAfterTakeOver) && is_after() && self.takes_over(pid)
    }

    /// Whether the process has replaced the list since it wrote anything for that.
    fn has_published(&self, pid: Pid) -> bool {
        let tells = |op: &Op| match op {
            Op::Rename { to, .. } if &**to == LIST => Some(true),
            Op::Write { name, .. } if !is_request(name) => Some(false),
            _ => None,
        };
        self.done_by(pid).rev().find_map(tells).unwrap_or(false)
    }

    /// Whether the lock that the process has released last was made by another one.
    fn takes_over(&self, pid: Pid) -> bool {
        let made = |op: &Op| matches!(op, Op::Create { name, .. } | Op::Link { new: name, .. } if &**name == LIST_LOCK);
        let gone = |op: &Op| match op {
            Op::Rename { from: name, .. } | Op::Remove { name } => &**name == LIST_LOCK,
            _ => false,
        };
        let mut of_lock = self.done_by(pid).rev().filter(|op| made(op) || gone(op));
        of_lock.next().is_some_and(gone) && of_lock.next().is_none_or(gone)
    }

    /// The table that the list in the file `from` is the first to name.
    pub(super) fn table_to_hide(&self, from: &str, to: &str) -> Option<String> {
        if to != LIST || !mutants::is_on(Slip::ListBeforeTable) {
            return None;
        }
        let listed = self.tree.list();
        let list = String::from_utf8_lossy(self.tree.read(from)?);
        list.lines().find(|table| !listed.iter().any(|old| old == table)).map(str::to_owned)
    }
}
