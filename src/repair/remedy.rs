//! Mending one problem, after looking again under the lock.

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
    if !diagnose::diagnose(&repair.dir)?.contains(problem) {
        return Err(Error::invalid("the problem is not there any more").in_file(repair.dir.path()));
    }
    match problem {
        Problem::ListMissing { ambiguous: true, .. } => {
            let message = "the update indexes of the tables overlap: it is not known which of them are current";
            Err(Error::invalid(message).in_file(repair.dir.path()).way_out("restore the list from a copy"))
        }
        Problem::ListMissing { tables, damaged, .. } => make_list(repair, tables, damaged),
        Problem::NewestDamaged { table, last_sound, .. } => drop_newest(repair, table, *last_sound),
        Problem::Litter { files } => remove_litter(repair, files),
        Problem::ForeignLock(evidence) => break_lock(repair, evidence),
    }
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
    Ok(format!("removed {}", evidence.lock))
}

fn make_list(repair: &Repair, tables: &[String], damaged: &[(String, String)]) -> Result<String> {
    for (table, _) in damaged {
        put_aside(repair, table)?;
    }
    publish(repair, tables)?;
    let names = tables.join(", ");
    Ok(if tables.is_empty() { "made an empty list".to_owned() } else { format!("made a list of {names}") })
}

fn drop_newest(repair: &Repair, table: &str, last_sound: u64) -> Result<String> {
    let mut names = diagnose::read_list(&repair.dir)?.unwrap_or_default();
    names.retain(|name| name != table);
    // The list first: it must not name a table that is not there.
    publish(repair, &names)?;
    let kept = put_aside(repair, table)?;
    Ok(format!("dropped what came after update index {last_sound}; the damaged table is kept as {kept}"))
}

/// The directory is synced first: no crash may bring back a list that names what goes.
fn remove_litter(repair: &Repair, files: &[String]) -> Result<String> {
    sync(repair)?;
    for file in files {
        remove(repair, file)?;
    }
    Ok(format!("removed {}", files.join(", ")))
}

/// Gives a damaged table a name that no list will have.
fn put_aside(repair: &Repair, table: &str) -> Result<String> {
    let kept = format!("{table}.damaged");
    let path = repair.dir.path().join(table);
    repair.dir.rename(table, &kept).map_err(|error| Error::io("cannot rename the table", &path, error))?;
    sync(repair)?;
    Ok(kept)
}

/// Replaces the list, durably.
fn publish(repair: &Repair, names: &[String]) -> Result<()> {
    let mut list = Scratch::temporary(&repair.dir)?;
    let contents = list::print(names.iter().map(String::as_str));
    std::io::Write::write_all(&mut list, &contents)
        .map_err(|error| list.failed("cannot write the table list", error))?;
    list.sync()?;
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
