//! `reftable update`

use std::ffi::OsString;

use clap::Args;
use reftable::{Expect, Target};
use reftable_git::{Action, Change, Repository};

use super::change::{Asked, Changing, Logging, expect_old, failed_for, written_name};
use super::stdin::{self, Input};
use crate::cli::any_name;
use crate::failure::{Code, Failure};
use crate::output::Out;

/// Point a reference at an object
///
/// As 'git refs update', and with --stdin as 'git update-ref --stdin'. The object must exist, and
/// be a commit if the reference is a branch. The reference gets a reflog entry, and so does each
/// symbolic reference that led to it, and HEAD if it leads to it; those without a reflog get one if
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
    /// The full name, the object, and the object that it must be at now
    ///
    /// Objects are ids, references, or what else git reads as one. All zeroes as NEW delete the
    /// reference and its reflog; as OLD they, or nothing (''), say that it must not exist.
    #[arg(value_names = ["NAME", "NEW", "OLD"], num_args = 0..)]
    words: Vec<OsString>,

    /// Store this, too: the id of the object that the annotated tag NEW leads to
    ///
    /// Without a repository around the store that cannot be found out.
    #[arg(long, value_name = "ID", conflicts_with = "stdin")]
    pub(crate) peeled: Option<String>,

    #[command(flatten)]
    pub(crate) changing: Changing,

    #[command(flatten)]
    pub(crate) logging: Logging,

    #[command(flatten)]
    pub(crate) input: Input,
}

pub(super) const STDIN_HELP: &str = "\
With --stdin, each line is a command, and all happen together at the end or not at all:
  update REF NEW [OLD]     create REF NEW     delete REF [OLD]     verify REF [OLD]
  symref-update REF TARGET [ref OLD-TARGET | oid OLD]              symref-create REF TARGET
  symref-delete REF [OLD-TARGET]                                   symref-verify REF [OLD-TARGET]
  option no-deref          (for the next command)
  start | prepare | commit | abort
The last four are answered by 'start: ok' and so on. After 'start' nothing happens without 'commit'.

As in git, each reference may be changed or verified once, directly or through a symbolic one; who
changes the branch that HEAD leads to changes HEAD, too. 'symref-delete' and 'symref-verify' need
--no-deref or 'option no-deref'.

A word may be a C string in double quotes, as 'reftable list' prints names with control characters.
Each line ends with a newline: input that ends within a line is an error, and without 'commit'
before it nothing has happened. With -z each word but the first ends with a NUL instead, and none is
quoted; a value that is not given is empty.

With --batch-updates what stands in the way of a change stops only that change, and is told:
rejected REF NEW OLD WHY.

Examples:
  reftable update refs/heads/main HEAD~1
  reftable update -m 'deploy' HEAD 2e6f9b0d5885b6010f9167787445617f553a735f
  printf 'create refs/tags/%s HEAD\\n' a b c | reftable update --stdin";

/// What is to be changed.
pub(crate) enum Words<'a> {
    /// What the standard input says.
    Input,
    /// One reference.
    Change { name: &'a OsString, new: &'a OsString, old: Option<&'a OsString> },
}

impl Update {
    /// What the arguments ask for.
    pub(crate) fn words(&self) -> Result<Words<'_>, Failure> {
        match self.words.as_slice() {
            [] if self.input.stdin => Ok(Words::Input),
            _ if self.input.is_given() => {
                Err(Failure::Arguments("-z and --batch-updates need --stdin, and no names with it".to_owned()))
            }
            [name, new] => Ok(Words::Change { name, new, old: None }),
            [name, new, old] => Ok(Words::Change { name, new, old: Some(old) }),
            _ => {
                let message = "update requires reference name, new value and an optional old value";
                Err(Failure::Arguments(message.to_owned()))
            }
        }
    }

    pub(crate) fn run(&self, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        let (name, new, old) = match self.words()? {
            Words::Input => return stdin::run(repo, &self.changing, &self.logging, &self.input, out),
            Words::Change { name, new, old } => (name, new, old),
        };
        let mut asked = Asked::open(repo, &self.changing)?;
        let new = asked.id(new, |word| format!("invalid new object ID: '{word}'"))?;
        let expect = match old {
            None => Expect::Any,
            Some(old) if old.is_empty() => Expect::Absent,
            Some(old) => expect_old(asked.id(old, |word| format!("invalid old object ID: '{word}'"))?),
        };
        let action = match (new, &self.peeled) {
            (None, _) => Action::Delete,
            (Some(id), None) => Action::Set(Target::Id(id)),
            (Some(id), Some(peeled)) => Action::Set(Target::Tag { id, peeled: peeled.parse()? }),
        };
        let failed = |failure: Failure| failure.within(&failed_for(name)).not_fatal();
        let bytes = match new {
            None => any_name(name)?,
            Some(_) => written_name(name).map_err(failed)?,
        };
        let change = Change::new(bytes, expect, action).following(!self.changing.no_deref);
        self.changing.make(change, self.logging.create_reflog, &mut asked, out).map_err(failed)?;
        Ok(Code::Done)
    }
}
