//! What may be wrong, and what the fix would do, in words.

use std::fmt;
use std::path::PathBuf;

use super::Evidence;
use crate::escape::{command, escaped, shell_word};
use crate::list::{DAMAGED, UNLISTED};

/// Something that keeps a store from working as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A lock whose owner the kernel cannot judge: git's, or another machine's.
    ForeignLock(Evidence),
    /// The list is not there, or is damaged, or names what cannot be read, or is older than the
    /// tables. As long as this is so nothing in the directory is garbage.
    List(ListProblem),
    /// Tables that no list names, that fit nowhere into the list, and of which nothing proves that
    /// they were replaced.
    Unlisted {
        /// The directory that they are in.
        store: PathBuf,
        /// Each with what is known of it.
        tables: Vec<(String, String)>,
    },
    /// The store works, and compacting it mends what is wrong.
    NeedsCompaction {
        /// What is wrong.
        reason: String,
        /// The command that mends it.
        command: String,
    },
    /// Files that nobody needs any more: of dead processes.
    Garbage {
        /// Their names.
        files: Vec<String>,
    },
}

/// A list that does not lead to a store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListProblem {
    /// Everything that is wrong.
    pub reasons: Vec<String>,
    /// The list that fits what is there; if there is none, or it would be a guess, what a person
    /// can do.
    pub fix: Result<Proposal, String>,
    /// Whether the list does not say any more which update index it ends with.
    pub(super) is_lost: bool,
    /// Whether unlisted tables fill gaps between listed ones.
    pub(super) has_gaps: bool,
}

/// A list that fits, and what becomes of everything that it does not name. Nothing is removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Proposal {
    /// The tables of the new list, oldest first.
    pub tables: Vec<String>,
    /// Files that get another name, each with the reason.
    pub set_aside: Vec<SetAside>,
    /// What the store loses by it, one sentence each.
    pub losses: Vec<String>,
}

/// A file that gets another name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetAside {
    /// Its name in the directory of the store.
    pub file: String,
    /// Why.
    pub reason: String,
    /// What is appended to its name: `.damaged`, or `.unlisted` for tables that are whole. A number
    /// follows if that is taken.
    pub suffix: &'static str,
}

impl SetAside {
    pub(super) fn damaged(file: &str, reason: impl Into<String>) -> SetAside {
        SetAside { file: file.to_owned(), reason: reason.into(), suffix: DAMAGED }
    }

    pub(super) fn unlisted(file: &str, reason: impl Into<String>) -> SetAside {
        SetAside { file: file.to_owned(), reason: reason.into(), suffix: UNLISTED }
    }
}

impl Problem {
    /// Whether there is a fix, by what was seen.
    #[must_use]
    pub fn has_fix(&self) -> bool {
        match self {
            Problem::ForeignLock(evidence) => evidence.is_sufficient(),
            Problem::List(list) => list.fix.is_ok(),
            Problem::NeedsCompaction { .. } => false,
            Problem::Unlisted { .. } | Problem::Garbage { .. } => true,
        }
    }

    /// One word for programs; more may come.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Problem::ForeignLock(_) => "lock",
            Problem::List(_) => "list",
            Problem::Unlisted { .. } => "unlisted",
            Problem::NeedsCompaction { .. } => "compaction",
            Problem::Garbage { .. } => "leftovers",
        }
    }

    /// What of it was found in another look, too; `None` if nothing was.
    pub(super) fn seen_again(self, others: &[Problem]) -> Option<Problem> {
        let again =
            |pick: fn(&Problem) -> Vec<String>, name: &String| others.iter().any(|other| pick(other).contains(name));
        match self {
            Problem::Garbage { mut files } => {
                files.retain(|file| again(Problem::garbage, file));
                (!files.is_empty()).then_some(Problem::Garbage { files })
            }
            Problem::Unlisted { store, mut tables } => {
                tables.retain(|(table, _)| again(Problem::unlisted, table));
                (!tables.is_empty()).then_some(Problem::Unlisted { store, tables })
            }
            problem => others.contains(&problem).then_some(problem),
        }
    }

    pub(super) fn garbage(&self) -> Vec<String> {
        if let Problem::Garbage { files } = self { files.clone() } else { Vec::new() }
    }

    pub(super) fn unlisted(&self) -> Vec<String> {
        let Problem::Unlisted { tables, .. } = self else { return Vec::new() };
        tables.iter().map(|(table, _)| table.clone()).collect()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::ForeignLock(evidence) => evidence.fmt(f),
            Problem::List(list) => list.fmt(f),
            Problem::Unlisted { store, tables } => {
                f.write_str("no list names these tables, and nothing proves that they were replaced: ")?;
                for (number, (table, reason)) in tables.iter().enumerate() {
                    let comma = if number == 0 { "" } else { ", " };
                    write!(f, "{comma}{} ({reason})", shown(table))?;
                }
                f.write_str(
                    "; they fit nowhere into the list. The fix removes nothing, and keeps each as NAME.unlisted: the \
                     references and logs in them stay unlisted. To get them back: ",
                )?;
                for (number, (table, _)) in tables.iter().enumerate() {
                    let comma = if number == 0 { "" } else { ", " };
                    let dump = command(store, &format!("dump {}", shell_word(table.as_bytes())));
                    write!(f, "{comma}{dump}")?;
                }
                write!(f, " shows what is in them now; {} writes references again", command(store, "update --stdin"))
            }
            Problem::NeedsCompaction { reason, command } => write!(f, "{reason}; {command} mends that"),
            Problem::Garbage { files } => write!(f, "nobody needs {} any more; the fix removes them", all(files)),
        }
    }
}

impl fmt::Display for ListProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reasons.join("; "))?;
        match &self.fix {
            Ok(proposal) => write!(f, "; {proposal}"),
            Err(advice) => write!(f, "; there is no safe fix: {advice}"),
        }
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tables.as_slice() {
            [] => f.write_str("the fix is an empty list")?,
            tables => write!(f, "the fix is a list of {}", all(tables))?,
        }
        for SetAside { file, reason, suffix } in &self.set_aside {
            write!(f, "; {0} would be kept as {0}{suffix}: {reason}", shown(file))?;
        }
        self.losses.iter().try_for_each(|loss| write!(f, "; {loss}"))
    }
}

/// A name that may hold anything.
pub(super) fn shown(name: &str) -> String {
    let short: String = name.chars().take(255).collect();
    escaped(short.as_bytes()).to_string()
}

pub(super) fn all(names: &[String]) -> String {
    names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ")
}
