//! Which tables are garbage, because no process can need them any more: the one rule, for
//! compactions, for successors of locks, and for repair.
//!
//! A table that no list names may be all that is left of a repository: an older list comes back
//! after a power failure, a copy of a store is torn, a person has edited the list. So it is garbage
//! only if that is proven, by what tables say of where they came from ([`crate::origin`]). What is
//! not proven stays, for `repair` to ask.

use std::collections::BTreeSet;
use std::{fmt, io};

use crate::dir::{Dir, FileStat};
use crate::list::{LIST, TableName};
use crate::mutant::{self, Mutant};
use crate::origin::{FileId, Origin, Run};

/// Why a table is garbage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It has no bytes.
    Empty,
    /// It was made upon the list that is there. So no list has ever named it, and its maker is
    /// gone.
    NeverListed,
    /// All that is in it was merged from tables that are listed.
    Copied,
    /// All that is in it was merged into this table, which is listed, or was merged itself into one
    /// that is.
    Merged(String),
    /// It was merged with others, and nothing is left to list.
    Dropped,
}

/// A table that is garbage, or will be once the list is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GarbageTable {
    pub(crate) name: String,
    pub(crate) proof: Proof,
}

/// Tables that the list does not name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct UnlistedTables {
    /// Each before the one that is the proof for it.
    pub(crate) garbage: Vec<GarbageTable>,
    /// Those that may be needed, as far as can be told.
    pub(crate) kept: Vec<String>,
}

impl UnlistedTables {
    /// Sorts those of `names` that are called like a table and are not `listed`.
    ///
    /// To remove something the list lock must be held: without it another process may be about to
    /// list what looks like garbage. And all tables that are listed must have been opened: while
    /// one is missing, or cannot be read, nothing is garbage.
    ///
    /// Costs nothing if there is none; otherwise some calls for each, and for each listed table
    /// that spans it.
    pub(crate) fn among<N: AsRef<str>>(
        dir: &dyn Dir,
        names: impl IntoIterator<Item = N>,
        listed: &BTreeSet<&str>,
    ) -> UnlistedTables {
        let names = names.into_iter().filter(|name| name.as_ref().ends_with(".ref"));
        let names: Vec<N> = names.filter(|name| !listed.contains(name.as_ref())).collect();
        let mut unlisted = UnlistedTables::default();
        if names.is_empty() {
            return unlisted;
        }
        let court = Court::of(dir, listed);
        let mut open = Vec::new();
        for name in names.iter().map(AsRef::as_ref) {
            match TableName::parse(name).filter(|_| court.is_file(name)) {
                None => unlisted.kept.push(name.to_owned()),
                Some(table) => match court.proof(name, table) {
                    Some(proof) => unlisted.garbage.push(GarbageTable { name: name.to_owned(), proof }),
                    None => open.push((name, table)),
                },
            }
        }
        unlisted.add_merged(&court, open);
        unlisted.kept.sort_unstable();
        unlisted
    }

    /// Adds what was merged into listed tables, and what was merged into that: of two compactions,
    /// one after the other, both may have ended before they had removed anything. Those go first of
    /// which the others are the proof.
    fn add_merged(&mut self, court: &Court<'_>, mut open: Vec<(&str, TableName)>) {
        let mut outputs: Vec<String> = court.listed.iter().map(|name| (*name).to_owned()).collect();
        let mut found = Vec::new();
        while !open.is_empty() && !outputs.is_empty() {
            let (mut merged, mut rest) = (Vec::new(), Vec::new());
            for (name, table) in open {
                match outputs.iter().find(|output| court.says_merged(output, table)) {
                    Some(output) => {
                        merged.push(GarbageTable { name: name.to_owned(), proof: Proof::Merged(output.clone()) });
                    }
                    None => rest.push((name, table)),
                }
            }
            outputs = merged.iter().map(|table| table.name.clone()).collect();
            open = rest;
            found.push(merged);
        }
        self.garbage.extend(found.into_iter().rev().flatten());
        self.kept.extend(open.into_iter().map(|(name, _)| name.to_owned()));
    }
}

/// Removes tables, of which each comes before the one that is the proof for it. Those that are gone
/// already are fine. Where one stays, so does the one that proves that it can go: the next one
/// could not tell it from what was lost. Returns what is left, with the reason.
///
/// The list lock must be held, and no crash may bring back a list that names them.
pub(crate) fn remove_tables(dir: &dyn Dir, tables: &[GarbageTable]) -> Vec<String> {
    let mut proofs = BTreeSet::new();
    let mut left = Vec::new();
    for GarbageTable { name, proof } in tables {
        let refused = if proofs.contains(name.as_str()) {
            "it proves that others can go, which are left".to_owned()
        } else {
            match dir.remove(name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => error.to_string(),
                _ => continue,
            }
        };
        left.push(format!("{name}: {refused}"));
        if let Proof::Merged(into) = proof {
            proofs.insert(into.as_str());
        }
    }
    left
}

/// What proofs are measured by.
struct Court<'a> {
    dir: &'a dyn Dir,
    listed: &'a BTreeSet<&'a str>,
    /// The list, and when it was changed last; `None` if that cannot be told.
    list: Option<(FileId, Changed)>,
    run: Option<Run>,
}

/// When the list was replaced, renamed or linked last.
enum Changed {
    /// It names nothing: it may be younger than the table that its maker made to be listed first.
    Empty,
    At(u128),
}

impl<'a> Court<'a> {
    fn of(dir: &'a dyn Dir, listed: &'a BTreeSet<&'a str>) -> Court<'a> {
        Court { dir, listed, list: list(dir), run: Run::this(dir) }
    }

    fn is_file(&self, name: &str) -> bool {
        self.dir.stat(name).is_ok_and(|there| there.is_file)
    }

    /// What is proven of a table by itself.
    fn proof(&self, name: &str, table: TableName) -> Option<Proof> {
        if mutant::is_on(Mutant::RemoveUnproven) && self.is_old(table) {
            return Some(Proof::NeverListed);
        }
        if self.dir.stat(name).ok()?.size == 0 {
            return Some(Proof::Empty);
        }
        match self.origin(name)? {
            (Origin::Upon(list), created) => self.is_still(list, created).then_some(Proof::NeverListed),
            (Origin::MergedFrom(tables), _) => self.are_listed(&tables).then_some(Proof::Copied),
        }
    }

    /// For [`Mutant::RemoveUnproven`].
    fn is_old(&self, table: TableName) -> bool {
        self.listed.iter().filter_map(|name| TableName::parse(name)).any(|listed| table.max <= listed.max)
    }

    /// Whether a table that was `created` then was made upon the list that is there. A list that
    /// was taken away and put back is the same file, and has changed since.
    fn is_still(&self, list: FileId, created: u128) -> bool {
        self.list.as_ref().is_some_and(|(there, changed)| {
            *there == list
                && match changed {
                    Changed::Empty => true,
                    Changed::At(changed) => *changed <= created,
                }
        })
    }

    fn are_listed(&self, tables: &[TableName]) -> bool {
        !tables.is_empty() && tables.iter().all(|table| self.listed.contains(table.to_string().as_str()))
    }

    /// Whether `output` says that `table` was merged into it.
    fn says_merged(&self, output: &str, table: TableName) -> bool {
        let spans = |all: TableName| all.min <= table.min && table.max <= all.max;
        TableName::parse(output).is_some_and(spans)
            && matches!(self.origin(output), Some((Origin::MergedFrom(tables), _)) if tables.contains(&table))
    }

    /// What a table says of itself, and when it was made.
    fn origin(&self, name: &str) -> Option<(Origin, u128)> {
        let file = self.dir.open(name).ok()?;
        let (stat, attribute) = (file.stat().ok()?, file.attribute().ok()??);
        Some((Origin::parse(&attribute, &stat, self.run)?, stat.created))
    }
}

fn list(dir: &dyn Dir) -> Option<(FileId, Changed)> {
    let file = dir.open(LIST).ok()?;
    let stat: FileStat = file.stat().ok()?;
    let changed = match stat.size {
        0 => Changed::Empty,
        _ if stat.changed == 0 => return None,
        _ => Changed::At(stat.changed),
    };
    Some((FileId::of(&stat)?, changed))
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proof::Empty => f.write_str("it is empty"),
            Proof::NeverListed => f.write_str("the process that made it ended before it was listed"),
            Proof::Copied => f.write_str("the tables that it was merged from are listed"),
            Proof::Merged(table) => write!(f, "it was merged into {table}"),
            Proof::Dropped => f.write_str("nothing was left of it when it was merged"),
        }
    }
}
