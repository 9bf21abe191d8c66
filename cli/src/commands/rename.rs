//! `reftable rename`

use std::ffi::OsString;

use clap::Args;
use reftable::bytes::Reading;
use reftable::escape::escaped;
use reftable_git::{Rename as Renaming, Repository};

use super::change::reason;
use crate::cli::{Writing, ref_name};
use crate::failure::{Code, Failure};
use crate::output::{Out, tell};

/// Give a reference another name, together with its reflog
///
/// As 'git refs rename': the old name must exist, the new one must not. Symbolic references are not
/// renamed, and no HEAD follows: for a branch that is checked out there is 'git branch -m'.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reftable rename refs/heads/topic refs/heads/feature
  reftable rename -m 'a better name' refs/heads/topic refs/heads/feature")]
pub(crate) struct Rename {
    /// The full name, and the new one
    #[arg(value_names = ["OLD", "NEW"], num_args = 0..)]
    words: Vec<OsString>,

    /// What the reflog says about it
    #[arg(short = 'm', long = "message", value_name = "REASON", allow_hyphen_values = true)]
    reason: Option<OsString>,

    #[command(flatten)]
    writing: Writing,
}

impl Rename {
    pub(crate) fn run(&self, repo: &Repository, out: &Out) -> Result<Code, Failure> {
        let [old, new] = self.words.as_slice() else {
            return Err(Failure::Arguments("rename requires old and new reference name".to_owned()));
        };
        let (committer, message) = reason(self.reason.as_ref(), repo)?;
        let (old, new) = (full_name(old)?, full_name(new)?);
        let view = repo.view(Reading::Checked)?;
        if view.resolve(old)?.is_none() {
            return Err(Failure::not_found(format!("reference does not exist: '{}'", escaped(old))));
        }
        if view.resolve(new)?.is_some() {
            return Err(Failure::usage(format!("reference already exists: '{}'", escaped(new))));
        }
        let stores = repo.open(&self.writing.options(), self.writing.patience())?;
        let rename = Renaming::new(old, new, committer, message);
        tell(&rename.commit(&stores).map_err(|error| Failure::from(error).not_fatal())?, out);
        Ok(Code::Done)
    }
}

/// A name that can be renamed, or come of it: one below `refs/`.
fn full_name(name: &OsString) -> Result<&[u8], Failure> {
    let wrong = || Failure::usage(format!("invalid ref format: '{}'", escaped(name.as_encoded_bytes())));
    ref_name(name).ok().filter(|name| name.contains(&b'/')).ok_or_else(wrong)
}
