//! Reading the table list and opening what it names: the same for readers, which stop at the first
//! thing that is wrong, and for verification and repair, which look at all.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::bytes::{Bytes, Reading};
use crate::dir::{Dir, DirFile, FileStat, again_if_stale};
use crate::error::{Error, ErrorKind, Result};
use crate::garbage::UnlistedTables;
use crate::list::{self, LIST};
use crate::table::Table;

/// No list is longer, in bytes: it would name a million tables. What is, is not worth its memory.
pub(crate) const LONGEST: u64 = 64 * 1024 * 1024;

/// What the directory of a store has at one moment.
#[derive(Debug)]
pub(crate) enum Listing {
    /// Neither list nor tables: an empty store.
    Nothing,
    /// A list. What it says may be wrong.
    Listed(List),
    /// Tables, and nothing that says which of them count.
    Lost(Lost),
}

/// A table list that was read.
#[derive(Debug)]
pub(crate) struct List {
    /// As long as it is open no other list has its stat.
    pub(crate) file: Box<dyn DirFile>,
    pub(crate) stat: FileStat,
    pub(crate) contents: Bytes,
}

/// Tables whose list is gone.
#[derive(Debug)]
pub(crate) struct Lost {
    /// Their names, in order.
    pub(crate) tables: Vec<String>,
    /// The list, if there is one: it is empty.
    pub(crate) list: Option<FileStat>,
    /// The list was not there when it was opened, and was there afterwards.
    pub(crate) has_come: bool,
}

/// Reads the list.
///
/// # Errors
/// `Missing` when the directory is, `Corrupt` for what is too long for a list, `Io`.
pub(crate) fn read(dir: &dyn Dir) -> Result<Listing> {
    let read = again_if_stale(|| {
        let file = dir.open(LIST)?;
        let stat = file.stat()?;
        let contents = if stat.size > LONGEST { None } else { Some(file.contents()?) };
        Ok((file, stat, contents))
    });
    match read {
        Ok((file, stat, Some(contents))) => {
            let list = List { file, stat, contents };
            if list.contents.is_empty() { names_nothing(dir, list) } else { Ok(Listing::Listed(list)) }
        }
        Ok((_, stat, None)) => {
            let message = format!("the table list has {} bytes, more than any list has", stat.size);
            Err(Error::corrupt(message).in_store_file(&dir.path().join(LIST)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => without_list(dir),
        Err(error) => Err(not_read("cannot read the table list", &dir.path().join(LIST), error)),
    }
}

/// No list: an empty store, unless there are tables. Those would be lost to the next commit.
///
/// git creates a store in the order table, list, so for a moment this may be what we see.
fn without_list(dir: &dyn Dir) -> Result<Listing> {
    let names = names(dir)?;
    let has_come = names.iter().any(|name| name == LIST);
    let tables: Vec<String> = names.into_iter().filter(|name| name.ends_with(".ref")).collect();
    if tables.is_empty() && !has_come {
        return Ok(Listing::Nothing);
    }
    Ok(Listing::Lost(Lost { tables, list: None, has_come }))
}

/// A list that names nothing: an empty store, unless there are tables. A power failure may have
/// emptied it; git does not sync what it writes.
///
/// Our own first commit publishes such a list before its table gets a name, and that table says so.
fn names_nothing(dir: &dyn Dir, list: List) -> Result<Listing> {
    let UnlistedTables { kept, .. } = UnlistedTables::among(dir, names(dir)?, &BTreeSet::new());
    if kept.is_empty() {
        return Ok(Listing::Listed(list));
    }
    Ok(Listing::Lost(Lost { tables: kept, list: Some(list.stat), has_come: false }))
}

/// The names in the directory, in order.
///
/// # Errors
/// `Missing` when the directory is, `Io`.
pub(crate) fn names(dir: &dyn Dir) -> Result<Vec<String>> {
    let mut names = dir.names().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let missing = Error::new(ErrorKind::Missing, "there is no such directory");
            missing
                .in_file(dir.path())
                .way_out("create it for a new store; one that is lost comes from a copy of the repository")
        }
        _ => Error::io("cannot read the directory", dir.path(), error),
    })?;
    names.sort_unstable();
    Ok(names)
}

impl List {
    /// The names of the tables, oldest first.
    ///
    /// # Errors
    /// `Corrupt`, with path and offset.
    pub(crate) fn names(&self, dir: &dyn Dir) -> Result<Vec<String>> {
        list::parse(&self.contents).map_err(|error| error.in_store_file(&dir.path().join(LIST)))
    }
}

impl Lost {
    /// The error of a reader that cannot wait any longer.
    pub(crate) fn error(&self, dir: &dyn Dir) -> Error {
        let message = match self.tables.first() {
            Some(table) if self.list.is_some() => {
                format!("the table list is empty, but there are tables, such as {table}")
            }
            Some(table) if !self.has_come => {
                format!("the table list is missing, but there are tables, such as {table}")
            }
            _ => "the table list came and went".to_owned(),
        };
        missing(message, LIST, dir)
    }
}

/// The error for a table that is listed and was not there until the deadline.
pub(crate) fn missing_table(name: &str, dir: &dyn Dir) -> Error {
    missing("the table list names this table, and it is not there".to_owned(), name, dir)
}

fn missing(message: String, name: &str, dir: &dyn Dir) -> Error {
    Error::new(ErrorKind::Missing, message).in_store_file(&dir.path().join(name))
}

fn not_read(what: &'static str, path: &Path, error: io::Error) -> Error {
    Error::io_somewhere(what, error).in_store_file(path)
}

/// Opens a table.
///
/// # Errors
/// `Io`, for which [`Error::is_not_found`] tells that it is not there; `Corrupt`, `Unsupported`.
pub(crate) fn open(dir: &dyn Dir, name: &str, reading: Reading) -> Result<Arc<Table>> {
    let path = dir.path().join(name);
    let bytes = again_if_stale(|| dir.open(name)?.contents_by(reading));
    let bytes = bytes.map_err(|error| not_read("cannot read the table", &path, error))?;
    Table::open_in_store(path, bytes).map(Arc::new)
}
