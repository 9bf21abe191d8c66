//! Checking a store against every rule of the format: a report, not the first error.

mod index;
mod objects;
mod table;

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::list::{self, LIST, TableName};
use crate::stack::Stack;
use crate::table::Table;

/// One rule that is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The file it was found in.
    pub file: String,
    /// Where in the file, if it can be told.
    pub offset: Option<u64>,
    /// What is wrong.
    pub message: String,
}

impl Finding {
    fn new(file: &str, offset: impl Into<Option<u64>>, message: impl Into<String>) -> Finding {
        Finding { file: file.to_owned(), offset: offset.into(), message: message.into() }
    }

    fn of(file: &str, error: &Error) -> Finding {
        let mut message = error.message().to_owned();
        if let Some(source) = std::error::Error::source(error) {
            message = format!("{message}: {source}");
        }
        Finding::new(file, error.offset(), message)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            Some(offset) => write!(f, "{}: at offset {offset}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// What [`Stack::verify`] saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// The tables that were walked, oldest first.
    pub tables: Vec<String>,
    /// Blocks in them.
    pub blocks: u64,
    /// Reference records in them, tombstones included.
    pub refs: u64,
    /// Log records in them, tombstones included.
    pub logs: u64,
    /// Every broken rule; empty when all is well.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether no rule is broken.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

impl Stack {
    /// Reads every byte that the table list leads to and reports all that is wrong with it.
    ///
    /// Works on damaged stores as far as it can: what cannot be read is a finding. Takes no lock; a commit or a
    /// compaction meanwhile does not disturb it, because the tables stay open.
    ///
    /// # Errors
    /// Only when the directory cannot be read at all.
    pub fn verify(&self) -> Result<Report> {
        verify_dir(&*self.shared.dir)
    }
}

/// How often the list may change between reading it and opening its tables.
const MAX_ATTEMPTS: usize = 50;

/// [`Stack::verify`] for a directory that is too damaged to be opened as a stack.
///
/// # Errors
/// Only when the directory cannot be read at all.
pub fn verify_dir(dir: &dyn crate::Dir) -> Result<Report> {
    let mut report = Report::default();
    let mut listed = load(dir)?;
    for _ in 0..MAX_ATTEMPTS {
        let is_missing = |table: &Result<Arc<Table>>| table.as_ref().is_err_and(Error::is_not_found);
        if !listed.tables.iter().any(|(_, table)| is_missing(table)) {
            break;
        }
        // A compaction may have replaced the tables; or they are really gone.
        let again = load(dir)?;
        let unchanged = again.contents == listed.contents;
        listed = again;
        if unchanged {
            break;
        }
    }
    report.findings.append(&mut listed.findings);
    let mut below: Option<Arc<Table>> = None;
    for (name, table) in listed.tables {
        match table {
            Ok(table) => {
                check_name(&name, &table, &mut report);
                check_range(&name, &table, &mut report);
                check_neighbours(below.as_deref(), &name, &table, &mut report);
                table::check(&name, &table, &mut report);
                report.tables.push(name);
                // The one that reaches highest: that is the last one, unless its indexes run backwards.
                let most = |table: &Arc<Table>| table.header().max_update_index;
                below = below.into_iter().chain([table]).max_by_key(most);
            }
            Err(error) => report.findings.push(Finding::of(&name, &error)),
        }
    }
    Ok(report)
}

/// The list and what it leads to.
struct Listed {
    contents: Vec<u8>,
    tables: Vec<(String, Result<Arc<Table>>)>,
    findings: Vec<Finding>,
}

fn load(dir: &dyn crate::Dir) -> Result<Listed> {
    let mut listed = Listed { contents: Vec::new(), tables: Vec::new(), findings: Vec::new() };
    let contents = match dir.open(LIST).and_then(|file| file.contents()) {
        Ok(contents) => contents,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let names = dir.names().map_err(|error| Error::io("cannot read the directory", dir.path(), error))?;
            if let Some(table) = names.iter().find(|name| name.ends_with(".ref")) {
                let message = format!("the table list is missing, but there are tables, such as {table}");
                listed.findings.push(Finding::new(LIST, None, message));
            }
            return Ok(listed);
        }
        Err(error) => return Err(Error::io("cannot read the table list", &dir.path().join(LIST), error)),
    };
    listed.contents = contents.to_vec();
    match list::parse(&contents) {
        Ok(names) => {
            listed.tables = names
                .into_iter()
                .map(|name| {
                    let table = open(dir, &name);
                    (name, table)
                })
                .collect();
        }
        Err(error) => listed.findings.push(Finding::of(LIST, &error)),
    }
    Ok(listed)
}

fn open(dir: &dyn crate::Dir, name: &str) -> Result<Arc<Table>> {
    let path = dir.path().join(name);
    let bytes = dir.open(name).and_then(|file| file.contents());
    let bytes = bytes.map_err(|error| Error::io("cannot read the table", &path, error))?;
    Table::open(path, bytes).map(Arc::new)
}

/// The name of a table states its update indexes. Names of another form are not wrong, only unusual.
fn check_name(name: &str, table: &Table, report: &mut Report) {
    let header = table.header();
    if let Some(stated) = TableName::parse(name)
        && (stated.min, stated.max) != (header.min_update_index, header.max_update_index)
    {
        let message = format!(
            "the name states update indexes {} to {}, the header {} to {}",
            stated.min, stated.max, header.min_update_index, header.max_update_index
        );
        report.findings.push(Finding::new(name, 8, message));
    }
}

/// A range that is none. Readers take it, as git's do.
fn check_range(name: &str, table: &Table, report: &mut Report) {
    let header = table.header();
    if header.runs_backwards() {
        let (min, max) = (header.min_update_index, header.max_update_index);
        report.findings.push(Finding::new(name, 8, format!("the update indexes run backwards, from {min} to {max}")));
    }
}

fn check_neighbours(below: Option<&Table>, name: &str, table: &Table, report: &mut Report) {
    let Some(below) = below else { return };
    if table.header().min_update_index <= below.header().max_update_index {
        let message = format!(
            "begins with update index {}, but {} below it ends with {}",
            table.header().min_update_index,
            below.name(),
            below.header().max_update_index
        );
        report.findings.push(Finding::new(name, 8, message));
    }
    if table.hash() != below.hash() {
        let message = format!("holds {} ids, {} below it {} ids", table.hash(), below.name(), below.hash());
        report.findings.push(Finding::new(name, 4, message));
    }
}
