//! One look at a directory: what is there, as plain data. Nothing is judged here, and nothing
//! changed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::Arc;

use super::lines;
use crate::bytes::Reading;
use crate::dir::{Dir, FileStat, again_if_stale};
use crate::error::{self, Error, Result};
use crate::list::{self, LIST, LIST_LOCK};
use crate::load;
use crate::lock::is_foreign;
use crate::oid::HashKind;
use crate::snapshot::Snapshot;
use crate::table::{RecordView, Table};

/// How often a list may change while it is looked at.
const MAX_ATTEMPTS: usize = 50;

/// What was there.
#[derive(Debug)]
pub(super) struct Survey {
    /// The names that were there before and after everything else was looked at.
    pub(super) names: BTreeSet<String>,
    pub(super) list: ListSeen,
    /// Whatever is called like a table, or is named by the list.
    tables: BTreeMap<String, (Option<FileStat>, TableSeen)>,
    /// The holder of the list lock.
    pub(super) lock: LockSeen,
    /// Whether no process can have been in the middle of something: the lock was free before and
    /// after, and nothing has changed in between.
    pub(super) is_quiet: bool,
}

/// What has the name of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ListSeen {
    Missing,
    Read(FileStat, Vec<u8>),
    /// No file.
    Strange(&'static str),
    /// The system does not let us read it.
    Unreadable(Refused),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LockSeen {
    Free,
    /// Its owner is dead: the next to take it is the successor.
    Dead,
    /// Its owner lives, or cannot be judged.
    Held,
}

/// What has the name of a table.
#[derive(Debug, Clone)]
pub(super) enum TableSeen {
    Whole(Whole),
    Missing,
    /// The reason, and how many records can be read all the same.
    Damaged(String, u64),
    Strange(&'static str),
    Unreadable(Refused),
}

/// Why the system, or this version, does not read a file. Its bytes may be whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) reason: String,
    /// What a person can do.
    pub(super) advice: &'static str,
}

impl Refused {
    fn by_system(error: &io::Error) -> Refused {
        let advice = match error.kind() {
            ErrorKind::PermissionDenied => "repair as a user who may read it",
            _ => {
                "the disk or the file system fails: copy what can be read of the repository to another disk, \
                 put what cannot be read there from a backup, and repair the copy"
            }
        };
        Refused { reason: error.to_string(), advice }
    }

    fn of(error: &Error) -> Refused {
        match std::error::Error::source(error) {
            Some(source) => {
                let system = source.downcast_ref::<io::Error>().map(Refused::by_system);
                let advice = system.map_or("restore it from a backup", |refused| refused.advice);
                let place = error.offset().map(|offset| format!(" (at offset {offset})")).unwrap_or_default();
                Refused { reason: format!("{source}{place}"), advice }
            }
            None => {
                let advice = "repair with a version that can read it";
                Refused { reason: error.message().to_owned(), advice }
            }
        }
    }
}

/// A table whose records can all be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) min: u64,
    pub(super) max: u64,
    pub(super) hash: HashKind,
    pub(super) modified: u128,
    /// What is wrong with its indexes. All references and logs can be read without them.
    pub(super) flaw: Option<String>,
}

impl Survey {
    /// Looks until the list stays the same meanwhile; `None` if it never does. The list lock is
    /// ours, perhaps. What `before` has read of files that are still the same is not read again.
    pub(super) fn take(dir: &Arc<dyn Dir>, is_ours: bool, mut before: Option<Survey>) -> Result<Option<Survey>> {
        for _ in 0..MAX_ATTEMPTS {
            let (survey, is_settled) = Survey::attempt(dir, is_ours, before)?;
            if is_settled {
                return Ok(Some(survey));
            }
            before = Some(survey);
        }
        Ok(None)
    }

    fn attempt(dir: &Arc<dyn Dir>, is_ours: bool, before: Option<Survey>) -> Result<(Survey, bool)> {
        let known = before.map(|before| before.tables).unwrap_or_default();
        let lock_now = || if is_ours { LockSeen::Free } else { lock(dir) };
        let (first, lock) = (names(dir)?, lock_now());
        let list = list_file(dir);
        let listed = match &list {
            ListSeen::Read(_, contents) => lines::names(contents),
            _ => Vec::new(),
        };
        let is_plain = |name: &&String| list::parse(format!("{name}\n").as_bytes()).is_ok();
        let wanted = first.iter().filter(|name| name.ends_with(".ref")).chain(listed.iter().filter(is_plain));
        let tables = wanted.map(|name| (name.clone(), examine(dir, name, known.get(name)))).collect();
        let (last, lock_after) = (names(dir)?, lock_now());
        let is_quiet = [lock, lock_after].iter().all(|lock| *lock != LockSeen::Held) && first == last;
        let lock = if lock == LockSeen::Held { lock } else { lock_after };
        let is_settled = list_file(dir) == list;
        let names = first.intersection(&last).cloned().collect();
        Ok((Survey { names, list, tables, lock, is_quiet }, is_settled))
    }

    /// What has the name of this table.
    pub(super) fn table(&self, name: &str) -> &TableSeen {
        self.tables.get(name).map_or(&TableSeen::Missing, |(_, seen)| seen)
    }

    /// A table that is whole.
    pub(super) fn known(&self, name: &str) -> Option<(&str, &Whole)> {
        match self.tables.get_key_value(name)? {
            (name, (_, TableSeen::Whole(whole))) => Some((name, whole)),
            _ => None,
        }
    }

    /// Everything that is called like a table and there, with what it is.
    pub(super) fn tables(&self) -> impl Iterator<Item = (&str, &TableSeen)> {
        let tables = self.tables.iter().map(|(name, (_, seen))| (name.as_str(), seen));
        tables.filter(|(name, _)| name.ends_with(".ref") && self.names.contains(*name))
    }
}

fn names(dir: &Arc<dyn Dir>) -> Result<BTreeSet<String>> {
    match dir.names() {
        Ok(names) => Ok(names.into_iter().collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(Error::new(error::ErrorKind::Missing, "there is no such directory").in_file(dir.path()))
        }
        Err(error) => Err(Error::io("cannot read the directory", dir.path(), error)),
    }
}

fn lock(dir: &Arc<dyn Dir>) -> LockSeen {
    match dir.stat(LIST_LOCK) {
        Err(error) if error.kind() == ErrorKind::NotFound => LockSeen::Free,
        Err(_) => LockSeen::Held,
        Ok(_) if is_foreign(dir, LIST_LOCK) => LockSeen::Held,
        Ok(_) => match dir.open(LIST_LOCK).and_then(|file| file.try_lock()) {
            Ok(true) => LockSeen::Dead,
            Ok(false) | Err(_) => LockSeen::Held,
        },
    }
}

fn list_file(dir: &Arc<dyn Dir>) -> ListSeen {
    match target(dir, LIST) {
        PathSeen::None => ListSeen::Missing,
        PathSeen::Strange(what) => ListSeen::Strange(what),
        PathSeen::Unreadable(reason) => ListSeen::Unreadable(reason),
        PathSeen::File(stat) if stat.size > load::LONGEST => ListSeen::Strange("it is longer than any list"),
        PathSeen::File(_) => {
            let read = again_if_stale(|| {
                let file = dir.open(LIST)?;
                Ok((file.stat()?, file.contents()?.to_vec()))
            });
            match read {
                Ok((stat, contents)) => ListSeen::Read(stat, contents),
                Err(error) if error.kind() == ErrorKind::NotFound => ListSeen::Missing,
                Err(error) => ListSeen::Unreadable(Refused::by_system(&error)),
            }
        }
    }
}

/// What a name leads to.
enum PathSeen {
    None,
    File(FileStat),
    Strange(&'static str),
    Unreadable(Refused),
}

/// To be asked before it is opened: opening a pipe would wait for a writer.
fn target(dir: &Arc<dyn Dir>, name: &str) -> PathSeen {
    match dir.target(name) {
        Ok(stat) if stat.is_file => PathSeen::File(stat),
        Ok(_) => PathSeen::Strange("it is no file"),
        Err(error) if error.kind() == ErrorKind::NotFound => match dir.stat(name) {
            Ok(_) => PathSeen::Strange("it is a symbolic link that leads nowhere"),
            Err(_) => PathSeen::None,
        },
        Err(error) => PathSeen::Unreadable(Refused::by_system(&error)),
    }
}

/// Reads all of a table, unless it is known.
fn examine(
    dir: &Arc<dyn Dir>,
    name: &str,
    known: Option<&(Option<FileStat>, TableSeen)>,
) -> (Option<FileStat>, TableSeen) {
    let stat = match target(dir, name) {
        PathSeen::None => return (None, TableSeen::Missing),
        PathSeen::Strange(what) => return (None, TableSeen::Strange(what)),
        PathSeen::Unreadable(reason) => return (None, TableSeen::Unreadable(reason)),
        PathSeen::File(stat) => stat,
    };
    if let Some(known) = known.filter(|(known, _)| stat.is_unique() && *known == Some(stat)) {
        return known.clone();
    }
    let seen = match load::open(&**dir, name, Reading::Copied) {
        Ok(table) => read(table, &stat),
        Err(error) if error.is_not_found() => return (None, TableSeen::Missing),
        Err(error) if error.kind() == error::ErrorKind::Corrupt => TableSeen::Damaged(error.message().to_owned(), 0),
        // The system refuses, or this version does not know such tables: others may read it.
        Err(error) => TableSeen::Unreadable(Refused::of(&error)),
    };
    (Some(stat), seen)
}

fn read(table: Arc<Table>, stat: &FileStat) -> TableSeen {
    let mut records = 0;
    let flaw = match read_blocks(&table, &mut records) {
        Ok(()) => None,
        Err(error) => Some(error.message().to_owned()),
    };
    let header = table.header();
    let (min, max, hash) = (header.min_update_index, header.max_update_index, table.hash());
    match flaw {
        Some(reason) if read_records(table).is_err() => TableSeen::Damaged(reason, records),
        flaw => TableSeen::Whole(Whole { min, max, hash, modified: stat.modified, flaw }),
    }
}

fn read_blocks(table: &Table, records: &mut u64) -> Result<()> {
    let mut blocks = table.blocks();
    while let Some(block) = blocks.next()? {
        block.check_padding()?;
        let counts = |record: RecordView<'_>| matches!(record, RecordView::Ref(_) | RecordView::Log(_));
        block.records(|_, record| *records += u64::from(counts(record)))?;
    }
    Ok(())
}

/// Reads it as listings of references and logs do: without its indexes.
fn read_records(table: Arc<Table>) -> Result<()> {
    let snapshot = Snapshot::new(vec![table], None);
    let mut refs = snapshot.refs()?;
    while refs.next()?.is_some() {}
    let mut logs = snapshot.logs()?;
    while logs.next()?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fails_is_not_a_question_of_permissions() {
        let disk = Refused::by_system(&io::Error::from_raw_os_error(5));
        assert!(disk.advice.starts_with("the disk"), "{disk:?}");
        let wrapped = Error::io("cannot read", std::path::Path::new("x"), io::Error::from_raw_os_error(5));
        let wrapped = Refused::of(&wrapped);
        assert!(wrapped.advice == disk.advice && wrapped.reason == disk.reason, "said once: {wrapped:?}");
        let other = Refused::by_system(&ErrorKind::PermissionDenied.into());
        assert!(other.advice.contains("as a user who may read it"), "{other:?}");
    }
}
