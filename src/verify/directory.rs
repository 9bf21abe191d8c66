//! Files beside the list: tables that it does not name, and what the dead left behind.

use std::collections::BTreeSet;
use std::time::Duration;

use super::finding::{Finding, Report};
use crate::dir::Dir;
use crate::error::Result;
use crate::list::{LIST_LOCK, TableName, Temporary};
use crate::load::{self, Listing};

/// How often a file is looked for that seems to be left over, with pauses that double: half a second in all.
const LOOKS: u32 = 10;

/// Tells of files that belong to nothing. `last` is the largest update index of the listed tables.
///
/// A commit makes its table before it lists it, under the lock; a compaction removes its inputs after it has released
/// the lock. So a file is left over only if it is there, and not listed, at every one of several looks without a lock.
///
/// # Errors
/// When the directory cannot be read.
pub(super) fn check(dir: &dyn Dir, last: u64, report: &mut Report) -> Result<()> {
    let Some(mut left) = look(dir)? else { return Ok(()) };
    for look_number in 0..LOOKS {
        if left.is_empty() {
            return Ok(());
        }
        dir.sleep(Duration::from_millis(1 << look_number));
        let Some(again) = look(dir)? else { return Ok(()) };
        left.retain(|name| again.contains(name));
    }
    report.findings.extend(left.iter().filter_map(|name| finding(dir, name, last)));
    Ok(())
}

/// The files that nothing leads to; `None` while somebody has the lock and may be about to list them, or if the list
/// cannot be read, which is told elsewhere.
fn look(dir: &dyn Dir) -> Result<Option<BTreeSet<String>>> {
    let names = load::names(dir)?;
    let Ok(Listing::Listed(list)) = load::read(dir) else { return Ok(None) };
    let Ok(listed) = list.names(dir) else { return Ok(None) };
    if listed.is_empty() || names.iter().any(|name| name == LIST_LOCK) {
        return Ok(None);
    }
    let is_table = |name: &String| TableName::parse(name).is_some() && !listed.contains(name);
    let is_output = |name: &String| Temporary::of(name) == Some(Temporary::Output);
    Ok(Some(names.into_iter().filter(|name| is_table(name) || is_output(name)).collect()))
}

fn finding(dir: &dyn Dir, name: &str, last: u64) -> Option<Finding> {
    let Some(table) = TableName::parse(name) else {
        // Of the living it is locked with the kernel.
        let is_dead = dir.open(name).and_then(|file| file.try_lock()).unwrap_or(false);
        return is_dead.then(|| Finding::note(name, None, "a temporary file of a process that has ended"));
    };
    if table.min > last {
        let message = format!(
            "no list names this table, which begins with update index {} where the list ends with {last}: the list may \
             be an older one that has come back",
            table.min
        );
        return Some(Finding::warning(name, None, message));
    }
    Some(Finding::note(name, None, "no list names this table"))
}
