//! Files beside the list: tables that it does not name, and what crashed processes left.

use std::collections::BTreeSet;
use std::time::Duration;

use super::finding::{Finding, Report};
use super::kind::FindingKind;
use crate::dir::Dir;
use crate::error::{Error, Result, repair_command};
use crate::escape::{command, escaped, shell_word};
use crate::garbage::UnlistedTables;
use crate::list::{self, LIST, LIST_LOCK, TableName, Temporary};
use crate::load::{self, Listing};

/// How often a file is looked for that seems to be left over, with pauses that double: half a
/// second in all.
const LOOKS: u32 = 10;

/// Tells of files that belong to nothing. `last` is the largest update index of the listed tables
/// that could be opened; these are all if `is_readable`.
///
/// A commit makes its table before it lists it, under the lock; git removes the inputs of a
/// compaction after it has released the lock. So a file is left over only if it is there, and not
/// listed, at every one of several looks without a lock.
///
/// # Errors
/// When the directory cannot be read.
pub(super) fn check(dir: &dyn Dir, last: u64, is_readable: bool, report: &mut Report) -> Result<()> {
    let Some(mut left) = look(dir)? else { return Ok(()) };
    for look_number in 0..LOOKS {
        if left.is_empty() {
            return Ok(());
        }
        dir.sleep(Duration::from_millis(1 << look_number));
        let Some(again) = look(dir)? else { return Ok(()) };
        left.retain(|name| again.contains(name));
    }
    let place = Leftovers::of(dir, &left, last, is_readable);
    report.findings.extend(left.iter().filter_map(|name| finding(dir, name, &place)));
    Ok(())
}

/// Tells of what an earlier repair has kept under another name: it takes room, and may be missed.
///
/// # Errors
/// When the directory cannot be read.
pub(super) fn check_kept(dir: &dyn Dir, report: &mut Report) -> Result<()> {
    let names: BTreeSet<String> = load::names(dir)?.into_iter().collect();
    report.findings.extend(names.iter().filter_map(|name| kept(dir, name)));
    Ok(())
}

/// Tells of files that no list can name: a person may look for references in them.
///
/// # Errors
/// When the directory cannot be read.
pub(super) fn check_not_utf8(dir: &dyn Dir, report: &mut Report) -> Result<()> {
    let names = dir.names_not_utf8().map_err(|error| Error::io("cannot read the directory", dir.path(), error))?;
    let mut shown: Vec<String> = names.iter().map(|name| escaped(name.as_encoded_bytes()).to_string()).collect();
    shown.sort_unstable();
    let message = "the file name is not UTF-8: no list can name this file; nothing reads or removes it";
    report.findings.extend(shown.iter().map(|name| Finding::new(FindingKind::NameNotUtf8, name, None, message)));
    Ok(())
}

fn kept(dir: &dyn Dir, name: &str) -> Option<Finding> {
    let first = list::kept_from(name)?;
    let message = if first == LIST {
        "a repair took this list out of the store; nothing reads it, and it can be removed once all is well".to_owned()
    } else {
        let dump = command(dir.path(), &format!("dump {}", shell_word(name.as_bytes())));
        let update = command(dir.path(), "update --stdin");
        format!(
            "a repair took this table out of the store; nothing reads it. {dump} says what can be read of it, \
             {update} writes references again; then it can be removed"
        )
    };
    Some(Finding::new(FindingKind::KeptByRepair, name, None, message))
}

/// The files that nothing leads to; `None` while a process has the lock and may be about to list
/// them, or if the list cannot be read, which is told elsewhere.
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

/// What is left over, after it was looked at for long enough.
fn finding(dir: &dyn Dir, name: &str, place: &Leftovers) -> Option<Finding> {
    let table = TableName::parse(name);
    if !dir.stat(name).is_ok_and(|there| there.is_file) {
        // A repair leaves it, too.
        let message = "this is called like a table, and is no file: nothing reads or removes it";
        return table.map(|_| Finding::new(FindingKind::UnlistedTable, name, None, message));
    }
    let Some(table) = table else {
        // Of the living it is locked with the kernel.
        let is_dead = dir.open(name).and_then(|file| file.try_lock()).unwrap_or(false);
        let message = "a temporary file of a process that has ended";
        return is_dead.then(|| Finding::new(FindingKind::TemporaryFile, name, None, message));
    };
    if place.garbage.contains(name) {
        let message = "no list names this table, which was replaced: nobody needs it";
        return Some(Finding::new(FindingKind::ReplacedTable, name, None, message));
    }
    let (kind, message) = match place.last {
        Some(last) if table.min > last => {
            let message = format!(
                "no list names this table, which begins with update index {} where the list ends with {last}: the list \
                 may be an older one that has come back",
                table.min
            );
            (FindingKind::TableBeyondList, message)
        }
        _ => {
            let message =
                "no list names this table, and nothing proves that it was replaced: what it holds may be lost";
            (FindingKind::UnlistedTable, message.to_owned())
        }
    };
    let way_out = repair_command(dir.path(), "--dry-run");
    Some(Finding::new(kind, name, None, format!("{message}; {way_out} says what can be done")))
}

/// What the list says of the tables that it does not name.
#[derive(Default)]
struct Leftovers {
    /// The largest update index of the listed tables, if there is one.
    last: Option<u64>,
    /// Tables that are garbage, by proof.
    garbage: BTreeSet<String>,
}

impl Leftovers {
    /// While a listed table cannot be read nothing is garbage.
    fn of(dir: &dyn Dir, left: &BTreeSet<String>, last: u64, is_readable: bool) -> Leftovers {
        let Ok(Listing::Listed(list)) = load::read(dir) else { return Leftovers::default() };
        let Ok(listed) = list.names(dir) else { return Leftovers::default() };
        let named = listed.iter().filter_map(|name| TableName::parse(name)).map(|table| table.max).max();
        let mut place = Leftovers { last: named.max(Some(last)), ..Leftovers::default() };
        if is_readable {
            let listed = listed.iter().map(String::as_str).collect();
            let garbage = UnlistedTables::among(dir, left, &listed).garbage;
            place.garbage = garbage.into_iter().map(|table| table.name).collect();
        }
        place
    }
}
