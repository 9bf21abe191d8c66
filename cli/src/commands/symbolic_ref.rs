//! `reftable symbolic-ref`

use std::ffi::OsString;
use std::io::Write;

use clap::Args;
use reftable::bytes::Reading;
use reftable::escape::{escaped, quoted};
use reftable::{Expect, Target};
use reftable_git::{Action, Batch, Change, Repository, ident};

use crate::cli::{Format, Writing, ref_name};
use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::output::{Out, tell};

/// Print where a symbolic reference points, or make it point elsewhere
///
/// Like 'git symbolic-ref'. Without TARGET, prints the name at the end of the chain; it need not
/// exist. Exits with 1 if NAME is not symbolic. With TARGET, makes NAME a symbolic reference,
/// whatever it was before.
#[derive(Debug, Args)]
#[command(after_help = "\
To delete a symbolic reference: reftable delete --no-deref NAME

Examples:
  reftable symbolic-ref HEAD
  reftable symbolic-ref HEAD refs/heads/topic
  reftable symbolic-ref -m 'checkout: moving to topic' HEAD refs/heads/topic")]
pub(crate) struct SymbolicRef {
    /// The full name
    name: OsString,

    /// The full name that it is to lead to
    target: Option<OsString>,

    /// Write a reflog entry with this message, if TARGET exists
    #[arg(short = 'm', value_name = "REASON", requires = "target")]
    reason: Option<OsString>,

    /// Stop after the first step
    #[arg(long, conflicts_with = "target")]
    no_recurse: bool,

    #[command(flatten)]
    format: Format,

    #[command(flatten)]
    writing: Writing,
}

impl SymbolicRef {
    pub(crate) fn run(&self, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        let name = ref_name(&self.name)?;
        match &self.target {
            None => self.print(name, repo, out),
            Some(target) => self.set(name, ref_name(target)?, repo),
        }
    }

    fn print(&self, name: &[u8], repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        let view = repo.view(Reading::Checked)?;
        let shown = escaped(name);
        let found = view.get(name)?.ok_or_else(|| Failure::not_found(format!("'{shown}' does not exist")))?;
        let Target::Symbolic(first) = &found.target else {
            return Err(Failure::not_found(format!("'{shown}' is not symbolic, it is at {}", found.target)));
        };
        let target = if self.no_recurse { first.clone() } else { view.follow(first)?.name };
        if self.format.json {
            let object = Object::default().put_text("name", name).put_text("symref", &target);
            out.json(&object.put("update_index", found.update_index).build())?;
        } else {
            writeln!(out, "{}", quoted(&target))?;
        }
        Ok(Code::Done)
    }

    fn set(&self, name: &[u8], target: &[u8], repo: &Repository) -> Result<Code, Failure> {
        if name == b"HEAD" && !target.starts_with(b"refs/") {
            return Err(Failure::usage("HEAD must not lead out of refs/: git would not know the repository any more"));
        }
        let action = Action::Set(Target::symbolic(target));
        let change = Change::new(name, Expect::Any, action).no_deref();
        let mut batch = Batch { changes: vec![change], ..Batch::default() };
        if let Some(reason) = &self.reason {
            batch.reason = Some((ident::committer(repo.config()?)?, ident::one_line(reason.as_encoded_bytes())));
        }
        tell(&batch.commit(&repo.open(&self.writing.options(), self.writing.patience())?)?);
        Ok(Code::Done)
    }
}
