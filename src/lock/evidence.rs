//! What can be seen of a lock whose owner cannot be asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::is_marked;
use crate::dir::{Dir, FileStat};
use crate::list::LIST_LOCK;
use crate::mutant::{self, Mutant};

/// A lock on the list that nobody has open is abandoned after this time: git holds it for
/// milliseconds, or has it open.
const LIST_AGE: Duration = Duration::from_secs(10);
/// The locks of tables are held for as long as a compaction takes, and git closes them meanwhile.
const TABLE_AGE: Duration = Duration::from_secs(3600);

/// What was seen of a lock. What cannot be seen is `None`, and never a reason to remove the lock.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Evidence {
    /// The file.
    pub lock: String,
    /// Time since the lock was taken; `None` if the clock does not tell.
    pub age: Option<Duration>,
    /// Processes that have it open, or use the store otherwise; `None` if there may be some that
    /// cannot be seen. Those that break abandoned locks themselves
    /// ([`crate::Options::break_abandoned_locks`]) count only if they have it open.
    pub openers: Option<Vec<u32>>,
    /// The process that git's `core.lockfilePid` names, and whether it lives; `None` if that cannot
    /// be seen.
    pub pid_file: Option<(u32, Option<bool>)>,
    /// The file that was judged.
    pub(crate) stat: FileStat,
}

/// Of the same lock of the same owner, whatever was seen of it. Locks that are taken and released
/// all the time differ.
impl PartialEq for Evidence {
    fn eq(&self, other: &Evidence) -> bool {
        let lock = |evidence: &Evidence| (evidence.stat, evidence.stat.changed);
        self.lock == other.lock && lock(self) == lock(other)
    }
}

impl Eq for Evidence {}

impl Evidence {
    /// Looks at the lock called `name`; `None` if it is gone.
    pub(crate) fn of(dir: &Arc<dyn Dir>, name: &str) -> Option<Evidence> {
        let stat = dir.stat(name).ok()?;
        Some(Evidence {
            lock: name.to_owned(),
            age: age_of(dir, name, &stat),
            openers: dir.openers(name),
            pid_file: pid_file(dir, name),
            stat,
        })
    }

    /// Whether it shows that the owner is gone: old enough, open nowhere, and not claimed by a
    /// process that may live.
    #[must_use]
    pub fn is_sufficient(&self) -> bool {
        let is_closed = self.openers.as_ref().is_some_and(Vec::is_empty) || mutant::is_on(Mutant::BreakOpenLocks);
        is_old(&self.lock, self.age) && is_closed && !matches!(self.pid_file, Some((_, Some(true) | None)))
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is a lock of git or another program", self.lock)?;
        if !self.stat.is_file {
            f.write_str(" (no regular file: a symbolic link or a directory)")?;
        }
        match self.age {
            Some(age) => write!(f, ", {} s old", age.as_secs())?,
            None => f.write_str(", of unknown age")?,
        }
        match self.openers.as_deref() {
            Some([]) => f.write_str(", which no process has open")?,
            Some(openers) => write!(f, ", which is open in {openers:?}, or the store is")?,
            None => f.write_str(
                ", and whether a process has it open cannot be seen from here: only root sees all processes, \
                 outside of containers and on the one machine that the file system belongs to",
            )?,
        }
        match self.pid_file {
            Some((process, Some(true))) => write!(f, "; git says that process {process} has it, which is alive")?,
            Some((process, Some(false))) => write!(f, "; git says that process {process} had it, which is dead")?,
            Some((process, None)) => {
                write!(f, "; git says that process {process} has it, and whether that lives cannot be seen")?;
            }
            None => {}
        }
        match self.is_sufficient() {
            true if self.stat.is_file => f.write_str("; the fix removes it"),
            true => {
                f.write_str("; the fix removes it (not what a link leads to, nor a directory that has something in it)")
            }
            false => f.write_str("; that is not enough to remove it"),
        }
    }
}

/// Whether the lock called `name` is so old that it may be abandoned. Costs a look at the lock, and
/// none at processes.
pub(super) fn may_be_abandoned(dir: &Arc<dyn Dir>, name: &str) -> bool {
    dir.stat(name).is_ok_and(|stat| is_old(name, age_of(dir, name, &stat)))
}

fn is_old(lock: &str, age: Option<Duration>) -> bool {
    let least = if lock == LIST_LOCK { LIST_AGE } else { TABLE_AGE };
    age.is_some_and(|age| age >= least || mutant::is_on(Mutant::BreakYoungLocks))
}

fn age_of(dir: &Arc<dyn Dir>, name: &str, stat: &FileStat) -> Option<Duration> {
    let taken = taken_at(dir, name, stat)?;
    let age = dir.wall_clock()?.checked_sub(taken)?;
    u64::try_from(age).ok().map(Duration::from_nanos)
}

/// When the lock was taken, in nanoseconds since 1970. git writes its locks anew. Ours are names of
/// one file, which is as old as its process, so what counts is when that file got its last name.
fn taken_at(dir: &Arc<dyn Dir>, name: &str, stat: &FileStat) -> Option<u128> {
    if !is_marked(dir, name) {
        return Some(stat.modified);
    }
    (stat.changed != 0).then_some(stat.changed.max(stat.modified))
}

/// git writes the process beside its lock if told to: `pid 123` in `NAME~pid.lock`.
fn pid_file(dir: &Arc<dyn Dir>, lock: &str) -> Option<(u32, Option<bool>)> {
    let name = format!("{}~pid.lock", lock.strip_suffix(".lock")?);
    dir.stat(&name).ok().filter(|stat| stat.is_file && stat.size <= 64)?;
    let contents = dir.open(&name).ok()?.contents().ok()?;
    let process = std::str::from_utf8(&contents).ok()?.trim().strip_prefix("pid ")?.parse().ok()?;
    Some((process, dir.process_lives(process)))
}
