//! `reftable create`

use std::ffi::OsString;

use clap::Args;
use reftable::{Expect, Target};
use reftable_git::{Action, Change, Repository};

use super::change::{Asked, Changing, Logging, failed_for, written_name};
use crate::failure::{Code, Failure};
use crate::output::Out;

/// Create a reference, which must not exist
///
/// As 'git refs create'. Through a symbolic reference that leads to nothing, the one that it leads
/// to is created.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reftable create refs/heads/topic HEAD
  reftable create -m 'for the release' refs/heads/v2 2e6f9b0d5885b6010f9167787445617f553a735f")]
pub(crate) struct Create {
    /// The full name, and the object: an id, a reference, or what else git reads as one
    #[arg(value_names = ["NAME", "NEW"], num_args = 0..)]
    words: Vec<OsString>,

    #[command(flatten)]
    changing: Changing,

    #[command(flatten)]
    logging: Logging,
}

impl Create {
    pub(crate) fn run(&self, repo: &Repository, out: &Out) -> Result<Code, Failure> {
        let [name, new] = self.words.as_slice() else {
            return Err(Failure::Arguments("create requires reference name and an object ID".to_owned()));
        };
        let mut asked = Asked::open(repo, &self.changing)?;
        let new = asked.id(new, |word| format!("invalid object ID: '{word}'"))?;
        let new = new.ok_or_else(|| Failure::usage("cannot create reference with null new object ID"))?;
        let failed = |failure: Failure| failure.within(&failed_for(name)).not_fatal();
        let action = Action::Set(Target::Id(new));
        let change = Change::new(written_name(name).map_err(failed)?, Expect::Absent, action);
        let change = change.following(!self.changing.no_deref);
        self.changing.make(change, self.logging.create_reflog, &mut asked, out).map_err(failed)?;
        Ok(Code::Done)
    }
}
