//! `reftable update`

use std::ffi::OsString;

use clap::Args;
use reftable::{Expect, ObjectId, Target};
use reftable_git::{Action, Batch, Change, Repository, ident};

use super::stdin;
use crate::cli::{Writing, any_name, old_value, ref_name};
use crate::failure::{Code, Failure};
use crate::output::{Out, tell};

/// Point a reference at an object
///
/// Like 'git update-ref', except that nobody looks whether the objects exist, and that a reflog
/// entry is written only with -m. With it, the reference gets an entry, and so does each symbolic
/// reference that led to it, and HEAD if it leads to it; those without a reflog get one if
/// core.logAllRefUpdates says so. The committer is taken from GIT_COMMITTER_NAME,
/// GIT_COMMITTER_EMAIL and GIT_COMMITTER_DATE, else from git's configuration, else from the system.
/// The hook reference-transaction is run, as git runs it.
///
/// FETCH_HEAD and MERGE_HEAD are refused: git keeps these two in files of their own.
///
/// Exits with 1, having changed nothing, if the reference is not at OLD or the store is locked.
#[derive(Debug, Args)]
#[command(after_help = STDIN_HELP)]
pub(crate) struct Update {
    /// The full name; a symbolic reference stands for the one it leads to
    #[arg(required_unless_present = "stdin")]
    name: Option<OsString>,

    /// The new id; all zeroes delete the reference and its reflog
    #[arg(required_unless_present = "stdin")]
    new: Option<String>,

    /// The id that it must have now; all zeroes or nothing ('') if it must not exist
    old: Option<String>,

    /// Write a reflog entry with this message
    #[arg(short = 'm', value_name = "REASON")]
    reason: Option<OsString>,

    /// Overwrite a symbolic reference instead of following it
    #[arg(long)]
    no_deref: bool,

    /// Store this, too: the object that the annotated tag NEW leads to
    #[arg(long, value_name = "ID", conflicts_with = "stdin")]
    peeled: Option<String>,

    /// Read commands from the standard input, see below
    #[arg(long, conflicts_with_all = ["name", "new", "old"])]
    stdin: bool,

    #[command(flatten)]
    writing: Writing,
}

const STDIN_HELP: &str = "\
With --stdin, each line is a command, and all happen together at the end or not at all:
  update REF NEW [OLD]     create REF NEW     delete REF [OLD]     verify REF [OLD]
  symref-update REF TARGET [ref OLD-TARGET | oid OLD]              symref-create REF TARGET
  symref-delete REF [OLD-TARGET]                                   symref-verify REF [OLD-TARGET]
  option no-deref          (for the next command)
  start | prepare | commit | abort
The last four are answered by 'start: ok' and so on. After 'start' nothing happens without 'commit'.
As in git, each reference may be changed or verified once, directly or through a symbolic one; who changes the branch that HEAD leads to
changes HEAD, too.
A word may be a C string in double quotes, as 'reftable list' prints names with control characters. Each line ends with
a newline: input that ends within a line is an error, and without 'commit' before it nothing has happened.

Examples:
  reftable update refs/heads/main 2e6f9b0d5885b6010f9167787445617f553a735f
  reftable update -m 'deploy' HEAD 2e6f9b0d5885b6010f9167787445617f553a735f
  printf 'create refs/tags/%s '$ID'\\n' a b c | reftable update --stdin";

impl Update {
    pub(crate) fn run(&self, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        let stores = repo.open(&self.writing.options(), self.writing.patience())?;
        let mut batch = Batch::default();
        if let Some(reason) = &self.reason {
            batch.reason = Some((ident::committer(repo.config()?)?, ident::one_line(reason.as_encoded_bytes())));
        }
        match (&self.name, &self.new) {
            (Some(name), Some(new)) => {
                batch.changes.push(self.change(name, new)?);
                tell(&batch.commit(&stores)?);
            }
            _ => stdin::run(&stores, batch, !self.no_deref, out)?,
        }
        Ok(Code::Done)
    }

    fn change(&self, name: &OsString, new: &str) -> Result<Change, Failure> {
        let id: ObjectId = new.parse()?;
        let expect = self.old.as_deref().map(old_value).transpose()?.map_or(Expect::Any, expect_old);
        let action = match &self.peeled {
            _ if id.is_null() => Action::Delete,
            None => Action::Set(Target::Id(id)),
            Some(peeled) => Action::Set(Target::Tag { id, peeled: peeled.parse()? }),
        };
        let name = if id.is_null() { any_name(name)? } else { ref_name(name)? };
        Ok(Change::new(name, expect, action).following(!self.no_deref))
    }
}

/// The expectation that an old value states.
pub(super) fn expect_old(old: Option<ObjectId>) -> Expect {
    old.map_or(Expect::Absent, |id| Expect::Is(Target::Id(id)))
}
