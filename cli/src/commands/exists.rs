//! `reftable exists`

use std::ffi::OsString;

use clap::Args;
use reftable::bytes::Reading;
use reftable_git::Repository;

use crate::failure::{Code, Failure};

/// Say by the exit code whether a reference exists
///
/// As 'git refs exists': 0 if it exists, be it symbolic and leading to nothing; 2 if it does not; 1
/// if that cannot be found out. The object that it points at is not looked at.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reftable exists refs/heads/main
  reftable exists refs/heads/none; echo $?      # 2")]
pub(crate) struct Exists {
    /// The full name
    #[arg(value_name = "NAME", num_args = 0..)]
    words: Vec<OsString>,
}

impl Exists {
    pub(crate) fn run(&self, repo: &Repository) -> Result<Code, Failure> {
        let [name] = self.words.as_slice() else {
            return Err(Failure::usage("'exists' requires a reference"));
        };
        exists(name, repo)
    }
}

/// Answers as git does.
pub(super) fn exists(name: &OsString, repo: &Repository) -> Result<Code, Failure> {
    let found =
        || -> Result<bool, Failure> { Ok(repo.view(Reading::Checked)?.get(name.as_encoded_bytes())?.is_some()) };
    match found().map_err(Failure::not_fatal)? {
        true => Ok(Code::Done),
        false => Err(Failure::Told(Code::Git(2), "reference does not exist".to_owned()).not_fatal()),
    }
}
