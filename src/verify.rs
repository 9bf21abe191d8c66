//! Checking a store against every rule of the format: a report, not the first error.

mod directory;
mod finding;
mod index;
mod kind;
mod objects;
mod references;
mod symbolic;
mod table;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use finding::{Finding, Report, Severity};
pub use kind::FindingKind;

use crate::bytes::Reading;
use crate::error::{Error, ErrorKind, Result, can_be_repaired};
use crate::list::{LIST, TableName};
use crate::load::{self, Listing};
use crate::oid::HashKind;
use crate::snapshot::Snapshot;
use crate::stack::Stack;
use crate::table::Table;

use view::{StoreKind, WorktreeView};

impl Stack {
    /// Reads every byte that the table list leads to and reports all that is wrong with it, and how
    /// wrong: the format, git's rules for names, targets and logs, and files that nothing leads to.
    /// Each rule about references is told of at most a hundred of them by name.
    ///
    /// Works on damaged stores as far as it can: what cannot be read is a finding. Takes no lock; a
    /// commit or a compaction meanwhile does not disturb it, because the tables stay open. What may
    /// be so for a moment only is looked at again, for half a second, or as long as
    /// [`crate::Options::reload_deadline`] says of a missing list.
    ///
    /// Memory: copies of all tables at once, because mapped bytes that cannot be read would be a
    /// fault and not a finding; and an entry for each block of a table and each id in it.
    ///
    /// # Errors
    /// Only when the directory cannot be read at all.
    pub fn verify(&self) -> Result<Report> {
        Verify::new(&*self.shared.env.dir).patience(self.shared.env.options.reload_deadline).run()
    }
}

/// How long a list may be missing, or empty, beside tables: for as long as the first commit of
/// another process takes.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often the list may change between reading it and opening its tables.
const MAX_ATTEMPTS: usize = 50;

/// [`Stack::verify`] for a directory that is too damaged to be opened as a stack.
///
/// # Errors
/// Only when the directory cannot be read at all.
pub fn verify_dir(dir: &dyn crate::dir::Dir) -> Result<Report> {
    Verify::new(dir).run()
}

/// [`verify_dir`] for a store of a git repository or of one of its worktrees, which must have a
/// HEAD.
///
/// # Errors
/// Only when the directory cannot be read at all.
pub fn verify_repository(dir: &dyn crate::dir::Dir) -> Result<Report> {
    Verify::new(dir).of_repository().run()
}

/// A check of one store, for callers that know what the store is for.
#[derive(Debug)]
pub struct Verify<'a> {
    dir: &'a dyn crate::dir::Dir,
    is_of_repository: bool,
    shared: Option<&'a dyn crate::dir::Dir>,
    hash: Option<HashKind>,
    patience: Duration,
}

impl<'a> Verify<'a> {
    /// For the store in `dir`, as [`verify_dir`] does it. Nothing is read yet.
    #[must_use]
    pub fn new(dir: &'a dyn crate::dir::Dir) -> Verify<'a> {
        Verify { dir, is_of_repository: false, shared: None, hash: None, patience: PATIENCE }
    }

    /// The store belongs to a repository or to one of its worktrees, and must have a HEAD.
    #[must_use]
    pub fn of_repository(self) -> Verify<'a> {
        Verify { is_of_repository: true, ..self }
    }

    /// The store belongs to a linked worktree of the repository whose store is in `shared`. There
    /// is the place for names that are not [`per worktree`](crate::name::is_per_worktree), and
    /// there symbolic references are followed, too. What is wrong in that store itself is not told.
    #[must_use]
    pub fn in_worktree_of(self, shared: &'a dyn crate::dir::Dir) -> Verify<'a> {
        Verify { is_of_repository: true, shared: Some(shared), ..self }
    }

    /// The repository has ids of this hash, by its configuration.
    #[must_use]
    pub fn hash(self, hash: HashKind) -> Verify<'a> {
        Verify { hash: Some(hash), ..self }
    }

    /// How long to wait for a list that is missing, or empty, beside tables: by default 1 s.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Verify<'a> {
        Verify { patience, ..self }
    }

    /// Reads all of the store, as [`Stack::verify`] does.
    ///
    /// # Errors
    /// Only when the directory cannot be read at all.
    pub fn run(&self) -> Result<Report> {
        let mut report = Report::default();
        let mut listed = load_settled(self.dir, self.patience)?;
        // What no list leads to is lost all together: that there is no HEAD says nothing more.
        let has_list = listed.findings.is_empty();
        report.findings.append(&mut listed.findings);
        let count = listed.tables.len();
        let tables = check_tables(listed.tables, &mut report);
        self.check_hash(&tables, &mut report);
        if has_list
            && tables.len() == count
            && let Err(error) = self.check_references(&tables, &mut report)
            && report.count(Severity::Error) == 0
        {
            // Only what the walk over the tables has not told already.
            report.findings.push(Finding::of(LIST, &error));
        }
        let last = tables.iter().map(|table| table.header().max_update_index).max().unwrap_or(0);
        directory::check(self.dir, last, tables.len() == count, &mut report)?;
        directory::check_kept(self.dir, &mut report)?;
        directory::check_not_utf8(self.dir, &mut report)?;
        Ok(report)
    }

    /// Git reads nothing of a store with other ids than the repository's, and does not say so.
    fn check_hash(&self, tables: &[Arc<Table>], report: &mut Report) {
        let Some(hash) = self.hash else { return };
        if let Some(table) = tables.iter().find(|table| table.hash() != hash) {
            let message = format!(
                "holds {} ids, and by its configuration the repository has {hash} ids: git reads nothing of the store",
                table.hash()
            );
            report.findings.push(Finding::new(FindingKind::WrongHash, table.name(), 4, message));
        }
    }

    fn check_references(&self, tables: &[Arc<Table>], report: &mut Report) -> Result<()> {
        let place = match self.shared {
            None => StoreKind::Only,
            Some(shared) => StoreKind::Linked { shared: snapshot(shared, self.patience) },
        };
        let view = WorktreeView::new(Snapshot::new(tables.to_vec(), None), place);
        references::check(&view, self.is_of_repository, report)
    }
}

/// What is in another store, if all of its tables can be opened.
fn snapshot(dir: &dyn crate::dir::Dir, patience: Duration) -> Option<Snapshot> {
    let listed = load_settled(dir, patience).ok().filter(|listed| listed.findings.is_empty())?;
    let tables: Result<Vec<Arc<Table>>> = listed.tables.into_iter().map(|(_, table)| table).collect();
    Some(Snapshot::new(tables.ok()?, None))
}

/// The list, and tables that it names: what a compaction removes meanwhile is looked for again.
fn load_settled(dir: &dyn crate::dir::Dir, patience: Duration) -> Result<Listed> {
    let mut listed = load_patiently(dir, patience)?;
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
    Ok(listed)
}

/// Checks each table, and those beside one another. Returns those that could be opened.
fn check_tables(listed: Vec<(String, Result<Arc<Table>>)>, report: &mut Report) -> Vec<Arc<Table>> {
    let mut opened = Vec::new();
    let mut copies = Copies::default();
    let mut below: Option<Arc<Table>> = None;
    for (name, table) in listed {
        match table {
            Ok(table) => {
                check_name(&name, &table, report);
                check_range(&name, &table, report);
                check_neighbours(below.as_deref(), &name, &table, report);
                copies.check(&name, &table, report);
                table::check(&name, &table, report);
                report.tables.push(name);
                opened.push(Arc::clone(&table));
                // The one that reaches highest: that is the last one, unless its indexes run
                // backwards.
                let most = |table: &Arc<Table>| table.header().max_update_index;
                below = below.into_iter().chain([table]).max_by_key(most);
            }
            Err(error) => report.findings.push(Finding::of(&name, &error)),
        }
    }
    opened
}

/// The tables so far, by what is quick to compare.
#[derive(Default)]
struct Copies {
    seen: BTreeMap<(u64, u64, u64), Vec<Arc<Table>>>,
}

impl Copies {
    /// No two tables are the same to the byte: each has update indexes of its own. Where one is a
    /// copy, what its file had before is gone. That its records are read twice does no harm.
    fn check(&mut self, name: &str, table: &Arc<Table>, report: &mut Report) {
        let header = table.header();
        let alike = (header.min_update_index, header.max_update_index, table.file_size());
        let alike = self.seen.entry(alike).or_default();
        if let Some(original) = alike.iter().find(|other| *other.file.bytes == *table.file.bytes) {
            let message = format!("has the same bytes as {}: what belongs into this file may be lost", original.name());
            report.findings.push(Finding::new(FindingKind::CopiedTable, name, None, message));
        }
        alike.push(Arc::clone(table));
    }
}

/// The list and what it leads to.
struct Listed {
    contents: Vec<u8>,
    tables: Vec<(String, Result<Arc<Table>>)>,
    findings: Vec<Finding>,
    /// Whether there are tables, and no list, or one that names none.
    is_without_list: bool,
}

/// The list, once there is one. Without one, or with an empty one, tables are no finding before the
/// first commit of another process would have ended.
fn load_patiently(dir: &dyn crate::dir::Dir, patience: Duration) -> Result<Listed> {
    let (mut waited, mut pause) = (Duration::ZERO, Duration::from_millis(1));
    loop {
        let listed = load(dir)?;
        if !listed.is_without_list || waited >= patience {
            return Ok(listed);
        }
        dir.sleep(pause);
        waited += pause;
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn load(dir: &dyn crate::dir::Dir) -> Result<Listed> {
    let mut listed = Listed { contents: Vec::new(), tables: Vec::new(), findings: Vec::new(), is_without_list: false };
    let list = match load::read(dir) {
        Ok(Listing::Listed(list)) => list,
        Ok(Listing::Nothing) => return Ok(listed),
        Ok(Listing::Lost(lost)) => {
            listed.is_without_list = true;
            listed.findings.push(no_list(dir, lost.error(dir).message()));
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
        Ok(names) if names.is_empty() => {
            if let Some(table) = load::names(dir)?.into_iter().find(|name| name.ends_with(".ref")) {
                listed.is_without_list = true;
                let message = format!("the table list is empty, but there are tables, such as {table}");
                listed.findings.push(no_list(dir, &message));
            }
        }
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

/// What is wrong where no list leads to the tables, with the way to get it back.
fn no_list(dir: &dyn crate::dir::Dir, message: &str) -> Finding {
    Finding::new(FindingKind::LostList, LIST, None, format!("{message}; {}", can_be_repaired(dir.path())))
}

/// The name of a table states its update indexes, and all programs believe the header.
fn check_name(name: &str, table: &Table, report: &mut Report) {
    let header = table.header();
    let range = (header.min_update_index, header.max_update_index);
    let kind = FindingKind::TableName;
    let finding = match TableName::parse(name) {
        None => Finding::new(kind, name, None, "the file name is not of the form that git gives to tables"),
        Some(stated) if (stated.min, stated.max) != range => {
            let message = format!(
                "the name states update indexes {} to {}, the header {} to {}",
                stated.min, stated.max, range.0, range.1
            );
            Finding::new(kind, name, 8, message)
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
        report.findings.push(Finding::new(FindingKind::BackwardsRange, name, 8, message));
    }
    if header.max_update_index == u64::MAX {
        let message = "the largest update index that there is is in use: nothing can be committed above it";
        report.findings.push(Finding::new(FindingKind::LastUpdateIndex, name, 16, message));
    }
}

/// Git reads tables whose update indexes overlap in the order of the list.
fn check_neighbours(below: Option<&Table>, name: &str, table: &Table, report: &mut Report) {
    let Some(below) = below else { return };
    let (header, theirs) = (table.header(), below.header());
    if header.min_update_index <= theirs.max_update_index {
        let what_now = match header.max_update_index < theirs.min_update_index {
            true => "the list may have them in the wrong order, which decides",
            false => "the order of the list decides; compacting all tables ends the overlap",
        };
        let message = format!(
            "begins with update index {}, but {} below it ends with {}: {what_now}",
            header.min_update_index,
            below.name(),
            theirs.max_update_index
        );
        report.findings.push(Finding::new(FindingKind::OverlappingRanges, name, 8, message));
    }
    if table.hash() != below.hash() {
        let message = format!("holds {} ids, {} below it {} ids", table.hash(), below.name(), below.hash());
        report.findings.push(Finding::new(FindingKind::MixedHashes, name, 4, message));
    }
}
