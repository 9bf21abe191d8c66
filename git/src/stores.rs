//! The open stores of a repository.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reftable::bytes::Reading;
use reftable::{HashKind, Options, Snapshot, Stack, Target};

use crate::batch::Hook;
use crate::config::LogPolicy;
use crate::error::{Error, Result};
use crate::names::Place;
#[cfg(feature = "objects")]
use crate::objects::Objects;
use crate::view::{Dirs, View};

/// How long a batch that has one store's lock waits for that of the other.
pub(crate) const SECOND_LOCK: Duration = Duration::from_millis(20);

/// How long a command that only reads waits for a list or a table that is not there.
///
/// git's first commit names its table before its list, and a compaction removes tables that a list
/// named a moment ago: both are over within milliseconds, also on a busy disk. What is missing
/// longer stays missing, and the prompt of a shell should not wait for it.
pub const PATIENCE: Duration = Duration::from_millis(200);

/// The options of commands that only read.
#[must_use = "options do nothing by themselves"]
pub fn for_reading(reading: Reading) -> Options {
    Options::default().reading(reading).reload_deadline(PATIENCE)
}

/// The open stores of a repository.
#[derive(Debug)]
pub struct Stores {
    shared: Stack,
    /// That of a linked worktree, twice: the second one does not wait long for its lock.
    worktree: Option<(Stack, Stack)>,
    /// How others are opened, which commit together with these.
    options: Options,
    patience: Option<Duration>,
    hash: Option<HashKind>,
    dirs: Option<Arc<Dirs>>,
    /// Which references get a log without being told so.
    pub(crate) log_policy: LogPolicy,
    /// The hook that has a say in transactions.
    pub(crate) hook: Option<Hook>,
    /// What references may point at, if that is to be checked.
    #[cfg(feature = "objects")]
    objects: Option<Objects>,
}

impl Stores {
    pub(crate) fn new(
        shared: Stack,
        worktree: Option<(Stack, Stack)>,
        options: Options,
        patience: Option<Duration>,
        hash: Option<HashKind>,
        dirs: Option<Arc<Dirs>>,
    ) -> Stores {
        Stores {
            shared,
            worktree,
            options,
            patience,
            hash,
            dirs,
            log_policy: LogPolicy::Always,
            hook: None,
            #[cfg(feature = "objects")]
            objects: None,
        }
    }

    /// The same, and batches are checked as by git before the lock is asked for: each new value is
    /// an object that exists, and that of a branch a commit. Where an annotated tag is, the peeled
    /// id is stored, too.
    #[cfg(feature = "objects")]
    #[must_use]
    pub fn with_objects(self, objects: Objects) -> Stores {
        Stores { objects: Some(objects), ..self }
    }

    /// `target` as the reference `name` may have it.
    pub(crate) fn checked(&self, name: &[u8], target: &Target) -> Result<Target> {
        #[cfg(feature = "objects")]
        if let Some(objects) = &self.objects {
            return objects.checked(name, target);
        }
        let _nobody_looks = name;
        Ok(target.clone())
    }

    /// The hash of the repository's ids, by its configuration.
    #[must_use]
    pub fn hash(&self) -> Option<HashKind> {
        self.hash
    }

    /// How long to wait for locks, and for others to be slower; `None` is for ever.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        self.patience
    }

    /// The store for `place`; without a linked worktree there is only one.
    #[must_use]
    pub fn at(&self, place: Place) -> &Stack {
        match (place, &self.worktree) {
            (Place::Worktree, Some((worktree, _))) => worktree,
            _ => &self.shared,
        }
    }

    /// Without a linked worktree all that has a place is in one store.
    pub(crate) fn settled(&self, place: Place) -> Place {
        if self.worktree.is_some() { place } else { Place::Shared }
    }

    /// The linked worktree's store, if there is one, for a batch that will have the lock of the
    /// shared one when it takes this one's. Waiting long would keep all others from the first one,
    /// and others may have the two crosswise: a call that has time lets go of both, and tries
    /// again.
    pub(crate) fn second(&self) -> Option<&Stack> {
        self.worktree.as_ref().map(|(_, second)| second)
    }

    /// All stores, the shared one first.
    pub fn all(&self) -> impl Iterator<Item = &Stack> {
        std::iter::once(&self.shared).chain(self.worktree.iter().map(|(worktree, _)| worktree))
    }

    /// The stores of all linked worktrees, this one's among them, in order. What is left of a
    /// worktree and is no store is passed by.
    pub(crate) fn linked_worktrees(&self) -> Result<Vec<Stack>> {
        let Some(dirs) = &self.dirs else { return Ok(Vec::new()) };
        let top = dirs.main.join("worktrees");
        let entries = match fs::read_dir(&top) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::file(&top, error)),
        };
        let paths = entries.map(|entry| entry.map(|entry| entry.path().join("reftable")));
        let mut paths = paths.collect::<io::Result<Vec<_>>>().map_err(|error| Error::file(&top, error))?;
        paths.sort_unstable();
        let open = |path: PathBuf| Stack::open(path, self.options.clone().lock_timeout(self.patience));
        paths.into_iter().filter(|path| path.join("tables.list").is_file()).map(|path| Ok(open(path)?)).collect()
    }

    /// What is in them now.
    ///
    /// # Errors
    /// If a store cannot be read.
    pub fn view(&self) -> Result<View> {
        let worktree: Option<Snapshot> = self.worktree.as_ref().map(|(worktree, _)| worktree.snapshot()).transpose()?;
        Ok(self.view_of(self.shared.snapshot()?, worktree))
    }

    pub(crate) fn view_of(&self, shared: Snapshot, worktree: Option<Snapshot>) -> View {
        View::of_tables(shared, worktree, self.dirs.clone())
    }
}
