//! Which entries of a log expire, by age and by whether history still leads to them.

use std::collections::HashSet;
use std::ops::ControlFlow;

use reftable::{Log, ObjectId};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::expiry::ConfiguredExpiry;
use crate::log_edit::{LogEdit, Verdict};
use crate::rev::{Kind, Revisions};
use crate::stores::Stores;
use crate::time::Limit;
use crate::view::{Listing, View};

/// Which entries go: what `git reflog expire` does.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LogExpiry {
    /// Those from before this time; `None` is for what the configuration says.
    pub total: Option<Limit>,
    /// Those from before this time that the reference, for `HEAD` any reference, does not lead to
    /// any more; `None` is for what the configuration says.
    pub unreachable: Option<Limit>,
    /// Those from or to an object that does not exist, or a commit that lacks a part.
    pub stale: bool,
    /// What else happens to the log, and to its reference.
    pub edit: LogEdit,
    configured: ConfiguredExpiry,
}

impl LogExpiry {
    /// By the configuration alone.
    ///
    /// # Errors
    /// If it cannot be read, or says what is not understood: it may protect something.
    pub fn configured(config: Option<&Config>) -> Result<LogExpiry> {
        let configured = ConfiguredExpiry::read(config)?;
        Ok(LogExpiry { total: None, unreachable: None, stale: false, edit: LogEdit::default(), configured })
    }

    /// Lets entries of the log of `name` expire, and says what became of each, oldest first. A log
    /// that loses all entries still exists.
    ///
    /// # Errors
    /// If it cannot be read or written, or git not be asked about history.
    pub fn run(&self, name: &[u8], stores: &Stores, revisions: &mut Revisions) -> Result<Vec<Verdict>> {
        self.edit.run(name, stores, |logs, view| self.doomed(name, logs, view, revisions))
    }

    /// Of each of `logs` whether it expires.
    fn doomed(&self, name: &[u8], logs: &[Log], view: &View, revisions: &mut Revisions) -> Result<Vec<bool>> {
        let (total, unreachable) = self.configured.limits(name);
        let (total, unreachable) = (self.total.unwrap_or(total), self.unreachable.unwrap_or(unreachable));
        let is_before = |time: u64, limit: Limit| limit.is_some_and(|limit| time < limit);
        let needs_history = |time: u64| is_before(time, unreachable) && !is_before(time, total);
        let history = match logs.iter().any(|log| needs_history(log.entry.committer.time)) {
            true => History::of(name, view, revisions)?,
            false => History::Unknown,
        };
        let mut doomed = Vec::with_capacity(logs.len());
        for log in logs {
            let time = log.entry.committer.time;
            let mut is_doomed = is_before(time, total);
            for id in [log.entry.old, log.entry.new].into_iter().filter(|id| !id.is_null()) {
                is_doomed = is_doomed
                    || self.stale && !revisions.is_complete(id)?
                    || is_before(time, unreachable) && history.has_lost(id, revisions)?;
            }
            doomed.push(is_doomed);
        }
        Ok(doomed)
    }
}

/// What history leads to.
enum History {
    /// It was not asked for.
    Unknown,
    /// The reference is at no commit: nothing leads to it.
    Nothing,
    Commits(HashSet<ObjectId>),
}

impl History {
    fn of(name: &[u8], view: &View, revisions: &mut Revisions) -> Result<History> {
        let mut tips = Vec::new();
        if name == b"HEAD" {
            // What another root reference leads to, such as ORIG_HEAD, may go, as with git.
            view.list(&Listing::default(), |found| {
                tips.extend(found.target.id());
                Ok::<_, Error>(ControlFlow::Continue(()))
            })?;
            tips.extend(view.resolve(name).ok().flatten());
        } else {
            tips.extend(view.resolve(name).ok().flatten());
        }
        let mut commits = Vec::new();
        for tip in tips {
            match revisions.kind(tip)? {
                Some(Kind::Commit) => commits.push(tip),
                Some(Kind::Tag) => commits.extend(revisions.peeled(tip)?),
                _ => {}
            }
        }
        commits.retain(|commit| matches!(revisions.kind(*commit), Ok(Some(Kind::Commit))));
        match commits.as_slice() {
            [] => Ok(History::Nothing),
            commits => revisions.reachable_from(commits).map(History::Commits),
        }
    }

    /// Whether it was a commit to which nothing leads any more. What is no commit is in no history.
    fn has_lost(&self, id: ObjectId, revisions: &mut Revisions) -> Result<bool> {
        match self {
            History::Unknown => Ok(false),
            History::Nothing => Ok(true),
            History::Commits(commits) => {
                Ok(!commits.contains(&id) && matches!(revisions.kind(id)?, Some(Kind::Commit)))
            }
        }
    }
}
