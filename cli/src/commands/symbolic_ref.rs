//! `reftable symbolic-ref`

use std::ffi::OsString;
use std::io::Write;

use clap::Args;
use reftable::bytes::Reading;
use reftable::escape::{escaped, quoted};
use reftable::{Expect, Ref, Target};
use reftable_git::{Action, Batch, Change, Repository, Revisions};

use super::change::{check_reason, reason, written_name};
use crate::cli::{Writing, any_name, ref_name};
use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::output::{Out, tell};

/// Print where a symbolic reference points, or make it point elsewhere
///
/// As 'git symbolic-ref'. Without TARGET, prints the name at the end of the chain; it need not
/// exist. Exits with 128, with -q with 1, if NAME is not symbolic. With TARGET, makes NAME a
/// symbolic reference, whatever it was before.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reftable symbolic-ref HEAD
  reftable symbolic-ref --short HEAD
  reftable symbolic-ref -m 'checkout: moving to topic' HEAD refs/heads/topic
  reftable symbolic-ref --delete refs/remotes/origin/HEAD")]
pub(crate) struct SymbolicRef {
    /// The full name, and the full name that it is to lead to
    #[arg(value_names = ["NAME", "TARGET"], num_args = 0..)]
    words: Vec<OsString>,

    /// What the reflog says about it; there is an entry only if TARGET exists
    #[arg(short = 'm', value_name = "REASON", allow_hyphen_values = true)]
    reason: Option<OsString>,

    /// Say nothing if NAME is not symbolic
    #[arg(short, long)]
    quiet: bool,

    /// Delete NAME, which must be symbolic
    #[arg(short, long)]
    delete: bool,

    /// Print the short name, as people say it: main for refs/heads/main
    #[arg(long)]
    short: bool,

    /// Stop after the first step
    #[arg(long, overrides_with = "recurse")]
    no_recurse: bool,

    #[arg(long, hide = true)]
    recurse: bool,

    #[command(flatten)]
    writing: Writing,
}

const USAGE: &str =
    "reftable symbolic-ref [-m REASON] NAME TARGET, [-q] [--short] [--no-recurse] NAME, or --delete [-q] NAME";

impl SymbolicRef {
    pub(crate) fn run(&self, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        check_reason(self.reason.as_ref(), "Refusing to perform update with empty message")?;
        match (self.delete, self.words.as_slice()) {
            (true, [name]) => self.delete(any_name(name)?, repo, out),
            (false, [name]) => self.print(name.as_encoded_bytes(), repo, out),
            (false, [name, target]) => self.set(name, target, repo, out),
            _ => Err(Failure::Arguments(USAGE.to_owned())),
        }
    }

    fn print(&self, name: &[u8], repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        let view = repo.view(Reading::Checked)?;
        let shown = escaped(name);
        let found = view.get(name)?;
        let Some(found @ Ref { target: Target::Symbolic(first), .. }) = &found else {
            if reftable::name::check(name).is_err() {
                return Err(Failure::not_found(format!("No such ref: {shown}")));
            }
            let why = if found.is_none() { ": there is none" } else { "" };
            return match self.quiet {
                true => Ok(Code::Git(1)),
                false => Err(Failure::not_found(format!("ref {shown} is not a symbolic ref{why}"))),
            };
        };
        let target = if self.no_recurse { first.clone() } else { view.follow(first)?.name };
        let target = if self.short { view.shorten_loosely(&target)? } else { target };
        if out.wants_json() {
            let object = Object::of("reference").put_text("name", name).put_text("symref", &target);
            out.json(&object.put("update_index", found.update_index).build())?;
        } else {
            writeln!(out, "{}", quoted(&target))?;
        }
        Ok(Code::Done)
    }

    fn set(&self, name: &OsString, target: &OsString, repo: &Repository, out: &Out) -> Result<Code, Failure> {
        let reason = Some(reason(self.reason.as_ref(), repo)?);
        if name == "HEAD" && !target.as_encoded_bytes().starts_with(b"refs/") {
            return Err(Failure::usage(
                "refusing to point HEAD outside of refs/: git would not know the repository any more",
            ));
        }
        let target = ref_name(target).map_err(|_| {
            let (name, target) = (escaped(name.as_encoded_bytes()), escaped(target.as_encoded_bytes()));
            Failure::usage(format!("Refusing to set '{name}' to invalid ref '{target}'"))
        })?;
        let action = Action::Set(Target::symbolic(target));
        let change = Change::new(written_name(name).map_err(Failure::not_fatal)?, Expect::Any, action).no_deref();
        self.commit(change, reason, repo, out)
    }

    fn delete(&self, name: &[u8], repo: &Repository, out: &Out) -> Result<Code, Failure> {
        let shown = escaped(name);
        let found = repo.view(Reading::Checked)?.get(name)?;
        let Some(Target::Symbolic(target)) = found.map(|found| found.target) else {
            return Err(Failure::not_found(format!("Cannot delete {shown}, not a symbolic ref")));
        };
        if name == b"HEAD" {
            return Err(Failure::usage(format!("deleting '{shown}' is not allowed")));
        }
        let expect = Expect::Is(Target::symbolic(target));
        let change = Change::delete(name, expect).no_deref();
        self.commit(change, None, repo, out)
    }

    fn commit(
        &self,
        change: Change,
        reason: Option<(reftable::Ident, Vec<u8>)>,
        repo: &Repository,
        out: &Out,
    ) -> Result<Code, Failure> {
        let batch = Batch { changes: vec![change], reason, ..Batch::default() };
        let stores = repo.open(&self.writing.options(), self.writing.patience())?;
        let commits = batch.commit_checked(&stores, &mut Revisions::of(repo));
        tell(&commits.map_err(|error| Failure::from(error).not_fatal())?, out);
        Ok(Code::Done)
    }
}
