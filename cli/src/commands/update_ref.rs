//! `reftable update-ref`

use std::ffi::OsString;

use clap::Args;
use reftable::{Expect, Target};
use reftable_git::{Action, Change, Repository};

use super::change::{Asked, Changing, Logging, expect_old, failed_for, written_name};
use super::stdin::{self, Input};
use super::update::STDIN_HELP;
use crate::cli::any_name;
use crate::failure::{Code, Failure};
use crate::output::Out;

/// Change references as 'git update-ref' does
///
/// The same arguments, messages and exit codes; the time to wait for a lock is that of --wait.
#[derive(Debug, Args)]
#[command(after_help = STDIN_HELP)]
pub(crate) struct UpdateRef {
    /// The full name, the object, and the object that it must be at now; with -d no new object
    #[arg(value_names = ["NAME", "NEW", "OLD"], num_args = 0..)]
    words: Vec<OsString>,

    /// Delete the reference and its reflog
    #[arg(short = 'd')]
    delete: bool,

    #[command(flatten)]
    changing: Changing,

    #[command(flatten)]
    logging: Logging,

    #[command(flatten)]
    input: Input,
}

const USAGE: &str = "reftable update-ref [OPTIONS] -d NAME [OLD], NAME NEW [OLD], or --stdin [-z] [--batch-updates]";

impl UpdateRef {
    pub(crate) fn run(&self, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        self.changing.check_reason("Refusing to perform update with empty message.")?;
        let usage = || Failure::Arguments(USAGE.to_owned());
        if self.input.stdin {
            return match self.words.as_slice() {
                [] if !self.delete => stdin::run(repo, &self.changing, &self.logging, &self.input, out),
                _ => Err(usage()),
            };
        }
        if self.input.batch_updates {
            return Err(Failure::usage("--batch-updates can only be used with --stdin"));
        }
        let (name, new, old) = match (self.delete, self.words.as_slice()) {
            _ if self.input.is_given() => return Err(usage()),
            (true, [name]) => (name, None, None),
            (true, [name, old]) => (name, None, Some(old)),
            (false, [name, new]) => (name, Some(new), None),
            (false, [name, new, old]) => (name, Some(new), Some(old)),
            _ => return Err(usage()),
        };
        let mut asked = Asked::open(repo, &self.changing)?;
        let new = match new {
            Some(new) => asked.id(new, |word| format!("{word}: not a valid SHA1"))?,
            None => None,
        };
        let old = match old {
            None => None,
            Some(old) if old.is_empty() => Some(None),
            Some(old) => Some(asked.id(old, |word| format!("{word}: not a valid old SHA1"))?),
        };
        let expect = match old {
            // For a deletion, zeroes are as good as no word.
            Some(None) if self.delete => Expect::Any,
            old => old.map_or(Expect::Any, expect_old),
        };
        let action = new.map_or(Action::Delete, |id| Action::Set(Target::Id(id)));
        let failed = failed_for(name);
        let bytes = match new {
            None => any_name(name)?,
            Some(_) => written_name(name).map_err(|failure| failure.within(&failed))?,
        };
        let change = Change::new(bytes, expect, action).following(!self.changing.no_deref);
        match self.changing.make(change, self.logging.create_reflog, &mut asked, out) {
            Ok(()) => Ok(Code::Done),
            Err(failure) if self.delete => Err(failure.not_fatal()),
            Err(failure) => Err(failure.within(&failed)),
        }
    }
}
