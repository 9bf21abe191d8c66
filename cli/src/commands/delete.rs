//! `reftable delete`

use std::ffi::OsString;

use clap::Args;
use reftable::Expect;
use reftable_git::{Change, Repository};

use super::change::{Asked, Changing, expect_old};
use crate::cli::any_name;
use crate::failure::{Code, Failure};
use crate::output::Out;

/// Delete a reference and its reflog
///
/// As 'git refs delete': a symbolic reference stands for the one it leads to, and it is no
/// failure if there was nothing to delete, unless OLD says that there should be. A name that breaks
/// git's rules can be deleted if it is there, if need be by 'reftable update --stdin', which reads
/// the quotes that 'reftable list' prints. Such a name, FETCH_HEAD and MERGE_HEAD stand for
/// themselves even if they are symbolic: git follows none of them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reftable delete refs/heads/topic
  reftable delete refs/heads/topic 2e6f9b0d5885b6010f9167787445617f553a735f
  reftable delete --no-deref refs/remotes/origin/HEAD")]
pub(crate) struct Delete {
    /// The full name, and the object that it must be at now
    #[arg(value_names = ["NAME", "OLD"], num_args = 0..)]
    words: Vec<OsString>,

    #[command(flatten)]
    changing: Changing,
}

impl Delete {
    pub(crate) fn run(&self, repo: &Repository, out: &Out) -> Result<Code, Failure> {
        let (name, old) = match self.words.as_slice() {
            [name] => (name, None),
            [name, old] => (name, Some(old)),
            _ => {
                let message = "delete requires reference name and an optional old object ID";
                return Err(Failure::Arguments(message.to_owned()));
            }
        };
        let mut asked = Asked::open(repo, &self.changing)?;
        let expect = match old {
            None => Expect::Any,
            Some(old) => match asked.id(old, |word| format!("invalid old object ID: '{word}'"))? {
                None => return Err(Failure::usage("cannot delete reference with null old object ID")),
                old => expect_old(old),
            },
        };
        let follow = !self.changing.no_deref;
        let change = Change::delete(any_name(name)?, expect).following(follow);
        self.changing.make(change, false, &mut asked, out).map_err(Failure::not_fatal)?;
        Ok(Code::Done)
    }
}
