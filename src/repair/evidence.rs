//! What can be seen of a lock whose owner cannot be asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::dir::Dir;
use crate::list::LIST_LOCK;

/// A lock on the list that nobody has open is abandoned after this time: git holds it for milliseconds, or has it open.
const LIST_AGE: Duration = Duration::from_secs(10);
/// The locks of tables are held for as long as a compaction takes, and git closes them meanwhile.
const TABLE_AGE: Duration = Duration::from_secs(3600);

/// What was seen of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evidence {
    /// The file.
    pub lock: String,
    /// Time since it was written; `None` if the clock does not tell.
    pub age: Option<Duration>,
    /// Processes that have it open; `None` if the system does not tell.
    pub openers: Option<Vec<u32>>,
    /// The process that git's `core.lockfilePid` names, and whether it lives.
    pub pid_file: Option<(u32, bool)>,
}

impl Evidence {
    /// Looks at the lock called `name`; `None` if it is gone.
    pub(super) fn of(dir: &Arc<dyn Dir>, name: &str) -> Option<Evidence> {
        let stamp = dir.stamp(name).ok()?;
        let age = dir.wall_clock().and_then(|now| now.checked_sub(stamp.modified));
        Some(Evidence {
            lock: name.to_owned(),
            age: age.and_then(|age| u64::try_from(age).ok()).map(Duration::from_nanos),
            openers: dir.openers(name),
            pid_file: pid_file(dir, name),
        })
    }

    /// Whether it shows that the owner is gone: old enough, open nowhere, and not claimed by a living process.
    #[must_use]
    pub fn is_sufficient(&self) -> bool {
        let least = if self.lock == LIST_LOCK { LIST_AGE } else { TABLE_AGE };
        let is_old = self.age.is_some_and(|age| age >= least);
        let is_closed = self.openers.as_ref().is_some_and(Vec::is_empty);
        is_old && is_closed && !matches!(self.pid_file, Some((_, true)))
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is a lock of git or another program", self.lock)?;
        match self.age {
            Some(age) => write!(f, ", {} s old", age.as_secs())?,
            None => f.write_str(", of unknown age")?,
        }
        match self.openers.as_deref() {
            Some([]) => f.write_str(", which no process has open")?,
            Some(openers) => write!(f, ", which is open in {openers:?}")?,
            None => f.write_str(", and whether a process has it open cannot be seen")?,
        }
        match self.pid_file {
            Some((process, true)) => write!(f, "; git says that process {process} has it, which is alive")?,
            Some((process, false)) => write!(f, "; git says that process {process} had it, which is dead")?,
            None => {}
        }
        match self.is_sufficient() {
            true => f.write_str("; the remedy removes it"),
            false => f.write_str("; that is not enough to remove it"),
        }
    }
}

/// git writes the process beside its lock if told to: `pid 123` in `NAME~pid.lock`.
fn pid_file(dir: &Arc<dyn Dir>, lock: &str) -> Option<(u32, bool)> {
    let name = format!("{}~pid.lock", lock.strip_suffix(".lock")?);
    dir.stamp(&name).ok().filter(|stamp| stamp.is_file && stamp.size <= 64)?;
    let contents = dir.open(&name).ok()?.contents().ok()?;
    let process = std::str::from_utf8(&contents).ok()?.trim().strip_prefix("pid ")?.parse().ok()?;
    Some((process, dir.process_lives(process).unwrap_or(true)))
}
