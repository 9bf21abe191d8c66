//! What the commands that change references have in common.

use std::ffi::OsString;

use clap::Args;
use reftable::escape::escaped;
use reftable::{Commit, Expect, Ident, ObjectId, Target};
use reftable_git::{Batch, Change, Repository, Revisions, Stores, View, ident};

use crate::cli::{Writing, check_place};
use crate::failure::Failure;
use crate::output::{Out, tell};

/// How references are changed.
#[derive(Debug, Args)]
pub(crate) struct Changing {
    /// What the reflog says about it
    #[arg(short = 'm', long = "message", value_name = "REASON", allow_hyphen_values = true)]
    reason: Option<OsString>,

    /// A symbolic reference is meant itself, not the one it leads to
    #[arg(long, overrides_with = "deref")]
    pub(crate) no_deref: bool,

    #[arg(long, hide = true)]
    deref: bool,

    /// Take ids as they are, without looking whether such objects exist
    #[arg(long)]
    unchecked: bool,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

/// Whether a log is made.
#[derive(Debug, Args)]
pub(crate) struct Logging {
    /// Make a reflog, whatever core.logAllRefUpdates says
    #[arg(long, overrides_with = "no_create_reflog")]
    pub(crate) create_reflog: bool,

    #[arg(long, hide = true)]
    no_create_reflog: bool,
}

impl Changing {
    /// Refuses a reason that says nothing, in the words of git's older commands.
    pub(super) fn check_reason(&self, refusal: &str) -> Result<(), Failure> {
        check_reason(self.reason.as_ref(), refusal)
    }

    /// The committer and what is said, as log entries have them.
    pub(super) fn reason(&self, repo: &Repository) -> Result<Option<(Ident, Vec<u8>)>, Failure> {
        reason(self.reason.as_ref(), repo).map(Some)
    }

    /// What is said, where there is no repository.
    #[cfg(feature = "object-store")]
    pub(crate) fn message(&self) -> Result<Vec<u8>, Failure> {
        message(self.reason.as_ref())
    }

    pub(super) fn open(&self, repo: &Repository) -> Result<Stores, Failure> {
        Ok(repo.open(&self.writing.options(), self.writing.patience())?)
    }

    pub(super) fn revisions(&self, repo: &Repository) -> Revisions {
        let revisions = Revisions::of(repo);
        if self.unchecked { revisions.unchecked() } else { revisions }
    }

    /// Makes one change.
    pub(super) fn make(
        &self,
        change: Change,
        forces_logs: bool,
        session: &mut Asked,
        out: &Out,
    ) -> Result<(), Failure> {
        let batch = Batch { changes: vec![change], reason: session.reason.take(), forces_logs, ..Batch::default() };
        let commits: Vec<Commit> = batch.commit_checked(&session.stores, &mut session.revisions)?;
        tell(&commits, out);
        Ok(())
    }
}

/// The committer and what is said, as log entries have them.
pub(super) fn reason(reason: Option<&OsString>, repo: &Repository) -> Result<(Ident, Vec<u8>), Failure> {
    Ok((ident::committer(repo.config()?)?, message(reason)?))
}

fn message(reason: Option<&OsString>) -> Result<Vec<u8>, Failure> {
    check_reason(reason, "refusing to perform update with empty message")?;
    Ok(ident::one_line(reason.map(|reason| reason.as_encoded_bytes()).unwrap_or_default()))
}

/// Scripts that lost the message on their way are told, with `refusal`.
pub(super) fn check_reason(reason: Option<&OsString>, refusal: &str) -> Result<(), Failure> {
    if reason.is_some_and(|reason| reason.is_empty()) { Err(Failure::usage(refusal)) } else { Ok(()) }
}

/// What git says before it says why the reference `name` could not be set.
pub(super) fn failed_for(name: &OsString) -> String {
    format!("update_ref failed for ref '{}'", escaped(name.as_encoded_bytes()))
}

/// The name of a reference that is to be set.
pub(super) fn written_name(name: &OsString) -> Result<&[u8], Failure> {
    let bytes = name.as_encoded_bytes();
    reftable::name::check(bytes).map_err(|error| {
        let (shown, message) = (escaped(bytes), error.message().to_owned());
        let why = message.split_once(" name: ").map_or(message.as_str(), |(_, why)| why);
        Failure::usage(format!("refusing to update ref with bad name '{shown}': {why}"))
    })?;
    check_place(bytes)?;
    Ok(bytes)
}

/// A repository that is open for writing, what words are resolved by, and what logs will say.
pub(super) struct Asked {
    reason: Option<(Ident, Vec<u8>)>,
    pub(super) stores: Stores,
    pub(super) revisions: Revisions,
    view: View,
}

impl Asked {
    pub(super) fn open(repo: &Repository, changing: &Changing) -> Result<Asked, Failure> {
        let stores = changing.open(repo)?;
        let view = stores.view()?;
        Ok(Asked { reason: changing.reason(repo)?, revisions: changing.revisions(repo), stores, view })
    }

    /// The id that git reads `word` as; `None` for zeroes.
    pub(super) fn id(
        &mut self,
        word: &OsString,
        wrong: impl FnOnce(&str) -> String,
    ) -> Result<Option<ObjectId>, Failure> {
        let found = self.revisions.id(word.as_encoded_bytes(), &self.view)?;
        let id = found.ok_or_else(|| Failure::usage(wrong(&word.to_string_lossy())))?;
        Ok((!id.is_null()).then_some(id))
    }
}

/// The expectation that an old value states; `None` for "must not exist".
pub(super) fn expect_old(old: Option<ObjectId>) -> Expect {
    old.map_or(Expect::Absent, |id| Expect::Is(Target::Id(id)))
}
