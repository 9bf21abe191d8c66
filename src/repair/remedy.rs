//! Mending one problem, after looking again under the lock.

use std::io::ErrorKind;

use super::{Evidence, Problem, Repair, diagnose};
use crate::error::{Error, Result};
use crate::list::{self, LIST, LIST_LOCK};
use crate::lock::acquire;
use crate::scratch::Scratch;

pub(super) fn apply(repair: &Repair, problem: &Problem) -> Result<String> {
    if let Problem::ForeignLock(evidence) = problem {
        return break_lock(repair, evidence);
    }
    let _lock = acquire(&*repair.locker, &repair.dir, LIST_LOCK, repair.dir.now(), Some(repair.lock_timeout))?;
    let there = diagnose::diagnose(&repair.dir)?;
    if let Problem::Litter { files } = problem {
        return remove_litter(repair, files, &there);
    }
    if !there.contains(problem) {
        return Err(not_there_any_more(repair));
    }
    match problem {
        Problem::ListMissing { ambiguous: true, .. } => {
            let message = "the update indexes of the tables overlap: it is not known which of them are current";
            Err(Error::invalid(message).in_file(repair.dir.path()).way_out("restore the list from a copy"))
        }
        Problem::ListMissing { tables, damaged, .. } => make_list(repair, tables, damaged),
        Problem::NewestDamaged { table, last_sound, is_there, .. } => {
            drop_newest(repair, table, *last_sound, *is_there)
        }
        // These two were dealt with above.
        Problem::Litter { .. } | Problem::ForeignLock(_) => Err(not_there_any_more(repair)),
    }
}

fn not_there_any_more(repair: &Repair) -> Error {
    Error::invalid("the problem is not there any more").in_file(repair.dir.path())
}

/// Removes a lock on evidence that still holds.
fn break_lock(repair: &Repair, evidence: &Evidence) -> Result<String> {
    let Some(now) = Evidence::of(&repair.dir, &evidence.lock) else {
        return Err(Error::invalid("the lock is not there any more").in_file(&repair.dir.path().join(&evidence.lock)));
    };
    if !now.is_sufficient() {
        return Err(Error::invalid(now.to_string()).way_out("find its owner, or wait"));
    }
    remove(repair, &evidence.lock)?;
    sync(repair)?;
    Ok(format!("removed {}", evidence.lock))
}

fn make_list(repair: &Repair, tables: &[String], damaged: &[(String, String)]) -> Result<String> {
    for (table, _) in damaged {
        let kept = keep(repair, table)?;
        take_away(repair, table, &kept)?;
    }
    publish(repair, tables)?;
    let names = tables.join(", ");
    Ok(if tables.is_empty() { "made an empty list".to_owned() } else { format!("made a list of {names}") })
}

/// In this order: keep the table, publish a list without it, take its name. Where a crash comes between, the next
/// repair goes on, and no cleaner finds a table that has no other name.
fn drop_newest(repair: &Repair, table: &str, last_sound: u64, is_there: bool) -> Result<String> {
    let mut names = diagnose::read_list(&repair.dir)?.unwrap_or_default();
    names.retain(|name| name != table);
    let dropped = format!("dropped what came after update index {last_sound}");
    if !is_there {
        publish(repair, &names)?;
        return Ok(dropped);
    }
    let kept = keep(repair, table)?;
    publish(repair, &names)?;
    take_away(repair, table, &kept)?;
    Ok(format!("{dropped}; the damaged table is kept as {kept}"))
}

/// Removes those of the files that nobody needs still. Taking the lock may have removed some: its dead owner's.
///
/// The directory is synced first: no crash may bring back a list that names what goes.
fn remove_litter(repair: &Repair, files: &[String], there: &[Problem]) -> Result<String> {
    sync(repair)?;
    let is_litter = |file| there.iter().any(|found| matches!(found, Problem::Litter { files } if files.contains(file)));
    let mut removed = Vec::new();
    for file in files {
        if is_litter(file) {
            remove(repair, file)?;
        } else if !is_gone(repair, file) {
            continue;
        }
        removed.push(file.as_str());
    }
    if removed.is_empty() { Err(not_there_any_more(repair)) } else { Ok(format!("removed {}", removed.join(", "))) }
}

fn is_gone(repair: &Repair, name: &str) -> bool {
    matches!(repair.dir.stamp(name), Err(error) if error.kind() == ErrorKind::NotFound)
}

/// Gives a damaged table a second name that no list will have. Where there are no hard links, [`take_away`] does.
fn keep(repair: &Repair, table: &str) -> Result<String> {
    let kept = format!("{table}.damaged");
    match repair.dir.link(table, &kept) {
        // An earlier repair has come as far as this; or somebody else's file has the name.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let stamps = (repair.dir.stamp(table), repair.dir.stamp(&kept));
            if !matches!(stamps, (Ok(table), Ok(kept)) if table.is_same_file(&kept)) {
                return Err(Error::io("cannot keep the damaged table", &repair.dir.path().join(&kept), error));
            }
        }
        Ok(()) | Err(_) => {}
    }
    Ok(kept)
}

/// Leaves a damaged table only the name it is kept under. Renaming does nothing if it has both.
fn take_away(repair: &Repair, table: &str, kept: &str) -> Result<()> {
    let path = repair.dir.path().join(table);
    repair.dir.rename(table, kept).map_err(|error| Error::io("cannot rename the table", &path, error))?;
    match repair.dir.remove(table) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("cannot remove the table", &path, error)),
        Ok(()) | Err(_) => sync(repair),
    }
}

/// Replaces the list, durably, and with it all that it names: others may have synced nothing.
fn publish(repair: &Repair, names: &[String]) -> Result<()> {
    for name in names {
        let synced = repair.dir.open(name).and_then(|file| file.sync());
        synced.map_err(|error| Error::io("cannot sync the table", &repair.dir.path().join(name), error))?;
    }
    let mut list = Scratch::temporary(&repair.dir)?;
    let contents = list::print(names.iter().map(String::as_str));
    std::io::Write::write_all(&mut list, &contents)
        .map_err(|error| list.failed("cannot write the table list", error))?;
    list.sync()?;
    sync(repair)?;
    list.renamed(LIST)?.keep();
    sync(repair)
}

fn remove(repair: &Repair, name: &str) -> Result<()> {
    let path = repair.dir.path().join(name);
    repair.dir.remove(name).map_err(|error| Error::io("cannot remove the file", &path, error))
}

fn sync(repair: &Repair) -> Result<()> {
    repair.dir.sync().map_err(|error| Error::io("cannot sync the directory", repair.dir.path(), error))
}
