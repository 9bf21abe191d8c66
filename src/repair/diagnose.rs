//! Looking at a store without changing it.

use std::io;
use std::sync::Arc;

use super::{Evidence, Problem};
use crate::dir::{Dir, again_if_stale};
use crate::error::{Error, ErrorKind, Result};
use crate::garbage::UnlistedTables;
use crate::list::{self, LIST, LIST_LOCK, TableName, is_temporary_name};
use crate::lock::is_foreign;
use crate::table::Table;

/// Everything that is wrong and can be mended.
pub(super) fn diagnose(dir: &Arc<dyn Dir>) -> Result<Vec<Problem>> {
    let names = names(dir)?;
    let mut problems: Vec<Problem> = locks(dir, &names);
    match read_list(dir)? {
        Some(listed) => match newest(dir, &listed)? {
            Some(problem) => problems.push(problem),
            None => problems.extend(litter(dir, &names, &listed)),
        },
        None => problems.extend(list_missing(dir, &names)),
    }
    Ok(problems)
}

pub(super) fn names(dir: &Arc<dyn Dir>) -> Result<Vec<String>> {
    let mut names = match dir.names() {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::new(ErrorKind::Missing, "there is no such directory").in_file(dir.path()));
        }
        Err(error) => return Err(Error::io("cannot read the directory", dir.path(), error)),
    };
    names.sort_unstable();
    Ok(names)
}

/// The names in the list; `None` if there is no list.
pub(super) fn read_list(dir: &Arc<dyn Dir>) -> Result<Option<Vec<String>>> {
    let path = dir.path().join(LIST);
    match again_if_stale(|| dir.open(LIST)?.contents()) {
        Ok(contents) => list::parse(&contents).map(Some).map_err(|error| error.in_file(&path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("cannot read the table list", &path, error)),
    }
}

fn locks(dir: &Arc<dyn Dir>, names: &[String]) -> Vec<Problem> {
    let is_lock = |name: &&String| {
        let of_table = name.strip_suffix(".lock").is_some_and(|table| TableName::parse(table).is_some());
        name.as_str() == LIST_LOCK || of_table
    };
    let foreign = names.iter().filter(is_lock).filter(|name| is_foreign(dir, name));
    foreign.filter_map(|name| Evidence::of(dir, name)).map(Problem::ForeignLock).collect()
}

/// Opens a table: header and footer, and its records up to the first that cannot be read.
pub(super) fn open(dir: &Arc<dyn Dir>, name: &str) -> Result<Table> {
    let path = dir.path().join(name);
    let bytes = again_if_stale(|| dir.open(name)?.contents());
    let table = Table::open(&path, bytes.map_err(|error| Error::io("cannot read the table", &path, error))?)?;
    read_all(&table)?;
    Ok(table)
}

fn read_all(table: &Table) -> Result<()> {
    let mut blocks = table.blocks();
    while let Some(block) = blocks.next()? {
        block.records(|_, _| ())?;
    }
    Ok(())
}

/// The newest table, if it cannot be read and all below it can.
fn newest(dir: &Arc<dyn Dir>, listed: &[String]) -> Result<Option<Problem>> {
    let Some((table, below)) = listed.split_last() else { return Ok(None) };
    let missing = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
    let (reason, is_there) = match open(dir, table) {
        Ok(_) => return Ok(None),
        Err(error) if error.kind() != ErrorKind::Io => (error.message().to_owned(), true),
        // Not missing any more if somebody has replaced the list: then nothing is wrong.
        Err(_) if dir.stamp(table).is_err_and(missing) && read_list(dir)?.as_deref() == Some(listed) => {
            ("there is no such file".to_owned(), false)
        }
        // Not readable for us: nothing that dropping it would mend for certain.
        Err(_) => return Ok(None),
    };
    let mut last_sound = 0;
    for name in below {
        last_sound = open(dir, name)?.header().max_update_index;
    }
    Ok(Some(Problem::NewestDamaged { table: table.clone(), reason, last_sound, is_there }))
}

/// Tables without a list.
pub(super) fn list_missing(dir: &Arc<dyn Dir>, names: &[String]) -> Option<Problem> {
    let mut whole: Vec<(u64, u64, String)> = Vec::new();
    let mut damaged = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(".ref")) {
        match open(dir, name) {
            Ok(table) => {
                let header = table.header();
                whole.push((header.min_update_index, header.max_update_index, name.clone()));
            }
            Err(error) => damaged.push((name.clone(), error.message().to_owned())),
        }
    }
    if whole.is_empty() && damaged.is_empty() {
        return None;
    }
    whole.sort_unstable();
    let overlaps = |pair: &[(u64, u64, String)]| matches!(pair, [(_, last, _), (first, _, _)] if first <= last);
    let ambiguous = whole.windows(2).any(overlaps) || whole.iter().any(|(first, last, _)| first > last);
    let tables = whole.into_iter().map(|(_, _, name)| name).collect();
    Some(Problem::ListMissing { tables, damaged, ambiguous })
}

/// The newest update index in these tables; `None` if that cannot be seen.
pub(super) fn update_index(dir: &Arc<dyn Dir>, listed: &[String]) -> Option<u64> {
    let Some(newest) = listed.last() else { return Some(0) };
    open(dir, newest).ok().map(|table| table.header().max_update_index)
}

/// What the dead left behind, by the rules of cleaning after a compaction.
fn litter(dir: &Arc<dyn Dir>, names: &[String], listed: &[String]) -> Option<Problem> {
    // While a listed table is missing, or cannot be read, nothing is garbage.
    let are_sound = listed.iter().all(|name| open(dir, name).is_ok());
    let listed = listed.iter().map(String::as_str).collect();
    let garbage = if are_sound { UnlistedTables::among(&**dir, names, &listed).garbage } else { Vec::new() };
    let is_garbage = |name: &String| garbage.iter().any(|(garbage, _)| garbage == name);
    let is_dead = |name: &str| {
        // Opening a pipe would wait for a writer.
        let is_file = || dir.stamp(name).is_ok_and(|there| there.is_file);
        let unlocked = || dir.open(name).and_then(|file| file.try_lock()).unwrap_or(false);
        is_temporary_name(name) && is_file() && unlocked()
    };
    let files: Vec<String> = names.iter().filter(|name| is_garbage(name) || is_dead(name)).cloned().collect();
    (!files.is_empty()).then_some(Problem::Litter { files })
}
