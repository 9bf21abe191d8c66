//! Checking a store against every rule of the format: a report, not the first error.

mod finding;
mod index;
mod objects;
mod table;

use std::sync::Arc;

pub use finding::{Finding, Report, Severity};

use crate::bytes::Reading;
use crate::error::{Error, ErrorKind, Result};
use crate::list::{LIST, TableName};
use crate::load::{self, Listing};
use crate::stack::Stack;
use crate::table::Table;

impl Stack {
    /// Reads every byte that the table list leads to and reports all that is wrong with it, and how wrong.
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
    let list = match load::read(dir) {
        Ok(Listing::Listed(list)) => list,
        Ok(Listing::Nothing) => return Ok(listed),
        Ok(Listing::Lost(lost)) => {
            listed.findings.push(Finding::of(LIST, &lost.error(dir)));
            return Ok(listed);
        }
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            listed.findings.push(Finding::of(LIST, &error));
            return Ok(listed);
        }
        Err(error) => return Err(error),
    };
    listed.contents = list.contents.to_vec();
    match list.names(dir) {
        Ok(names) => {
            let tables = names.into_iter().map(|name| {
                let table = load::open(dir, &name, Reading::Copied);
                (name, table)
            });
            listed.tables = tables.collect();
        }
        Err(error) => listed.findings.push(Finding::of(LIST, &error)),
    }
    Ok(listed)
}

/// The name of a table states its update indexes, and everybody believes the header.
fn check_name(name: &str, table: &Table, report: &mut Report) {
    let header = table.header();
    let range = (header.min_update_index, header.max_update_index);
    let finding = match TableName::parse(name) {
        None => Finding::note(name, None, "the file name is not of the form that git gives to tables"),
        Some(stated) if (stated.min, stated.max) != range => {
            let message = format!(
                "the name states update indexes {} to {}, the header {} to {}",
                stated.min, stated.max, range.0, range.1
            );
            Finding::note(name, 8, message)
        }
        Some(_) => return,
    };
    report.findings.push(finding);
}

/// A range that is none. Readers take it, as git's do.
fn check_range(name: &str, table: &Table, report: &mut Report) {
    let header = table.header();
    if header.runs_backwards() {
        let (min, max) = (header.min_update_index, header.max_update_index);
        let message = format!("the update indexes run backwards, from {min} to {max}");
        report.findings.push(Finding::warning(name, 8, message));
    }
}

/// Git reads tables whose update indexes overlap in the order of the list.
fn check_neighbours(below: Option<&Table>, name: &str, table: &Table, report: &mut Report) {
    let Some(below) = below else { return };
    let (header, theirs) = (table.header(), below.header());
    if header.min_update_index <= theirs.max_update_index {
        let what_now = match header.max_update_index < theirs.min_update_index {
            true => "the list may have them in the wrong order, which decides",
            false => "the order of the list decides, compacting all tables settles it",
        };
        let message = format!(
            "begins with update index {}, but {} below it ends with {}: {what_now}",
            header.min_update_index,
            below.name(),
            theirs.max_update_index
        );
        report.findings.push(Finding::warning(name, 8, message));
    }
    if table.hash() != below.hash() {
        let message = format!("holds {} ids, {} below it {} ids", table.hash(), below.name(), below.hash());
        report.findings.push(Finding::error(name, 4, message));
    }
}
