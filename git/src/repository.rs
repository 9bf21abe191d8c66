//! A repository: where its stores are, and what holds for them.
//!
//! A repository has one store, `reftable/` in the git directory. A linked worktree has a second one
//! in its own git directory, for the references that each worktree has for itself. Only the
//! configuration says whether that directory is the store: it may be left over from a migration, or
//! have the name by chance.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reftable::{HashKind, Options, Reading, Stack};

use crate::config::{self, Format, RefStorage};
use crate::discover::{canonical, discover, git_dir_of, is_git_dir, read_path};
use crate::error::{Error, Result, shown_path};
use crate::stores::{SECOND_LOCK, Stores};
use crate::view::View;

const STORE: &str = "reftable";
const LIST: &str = "tables.list";

/// Where the stores are. Nothing has been opened.
#[derive(Debug, PartialEq, Eq)]
pub struct Repository {
    /// The store of the repository, or the only one.
    shared: PathBuf,
    /// The store of a linked worktree.
    worktree: Option<PathBuf>,
    /// The repository around them: its common directory, and its format.
    config: Option<(PathBuf, Format)>,
}

impl Repository {
    /// Finds the stores for a command that was told to start at `start`, or was told nothing.
    /// `GIT_DIR` decides, as it does for git; unless `start` is in another repository, which is an
    /// error.
    pub fn find(start: Option<&Path>) -> Result<Repository> {
        let dir = start.unwrap_or(Path::new("."));
        let named = |variable| env::var_os(variable).filter(|value| !value.is_empty()).map(|value| dir.join(value));
        let common_dir = named("GIT_COMMON_DIR").map(|dir| canonical(&dir)).transpose()?;
        let Some(git_dir) = named("GIT_DIR") else { return Repository::around(dir, common_dir) };
        let git_dir = canonical(&git_dir)?;
        if !is_git_dir(&git_dir) {
            return Err(Error::file(&git_dir, "GIT_DIR names this, which is no git directory"));
        }
        let Some(start) = start else { return Repository::of_git_dir(&git_dir, common_dir) };
        let start = canonical(start)?;
        match discover(&start)? {
            Some(other) if canonical(&other)? != git_dir => {
                let message =
                    format!("GIT_DIR names another repository, {}; unset it, or go there", shown_path(&git_dir));
                Err(Error::file(&start, message))
            }
            Some(_) => Repository::around(&start, common_dir),
            None if has_list(&start) => {
                let message = format!("a store outside of {}, which GIT_DIR names; unset it", shown_path(&git_dir));
                Err(Error::file(&start, message))
            }
            None => Repository::of_git_dir(&git_dir, common_dir),
        }
    }

    /// Finds the stores of `start`, whatever `GIT_DIR` says: a git directory, anything in a work
    /// tree, a store of a repository, or a store without a repository around it.
    pub fn at(start: &Path) -> Result<Repository> {
        Repository::around(start, None)
    }

    fn around(start: &Path, common_dir: Option<PathBuf>) -> Result<Repository> {
        let start = canonical(start)?;
        let Some(git_dir) = discover(&start)? else {
            if let Some(ruin) = ruin_around(&start) {
                // Its configuration still says whether this is its store, and of what kind.
                let config = Repository::of_git_dir(ruin, common_dir)?.config;
                return Ok(Repository { shared: start, worktree: None, config });
            }
            return as_store(&start).ok_or_else(|| {
                let message = "neither in a git repository nor a reftable store";
                Error::file(&start, message)
            });
        };
        let repo = Repository::of_git_dir(&git_dir, common_dir)?;
        if repo.directories().any(|store| store.canonicalize().is_ok_and(|store| store == start)) {
            return Ok(Repository { shared: start, worktree: None, config: repo.config });
        }
        if has_list(&start) && git_dir_of(&start)?.is_none() {
            let message = format!(
                "has a table list, but is not the store of the repository around it, {}; to look into it, copy it to a \
                 place outside",
                shown_path(&git_dir)
            );
            return Err(Error::file(&start, message));
        }
        Ok(repo)
    }

    fn of_git_dir(git_dir: &Path, common_dir: Option<PathBuf>) -> Result<Repository> {
        let common_dir = match common_dir {
            Some(dir) => Some(dir),
            None => read_path(&git_dir.join("commondir"))?,
        };
        let common = common_dir.as_deref().unwrap_or(git_dir);
        let format = config::format(common)?;
        let shared = common.join(STORE);
        if format.refs != RefStorage::Reftable {
            let unused = if shared.is_dir() { ", and its 'reftable' directory is not in use" } else { "" };
            let message = format!(
                "by its configuration this repository does not keep its references in the reftable format{unused}; \
                 'git refs migrate --ref-format=reftable' converts it"
            );
            return Err(Error::file(git_dir, message));
        }
        if !shared.is_dir() {
            return Err(Error::file(&shared, "the store that the repository's configuration names is missing"));
        }
        let config = Some((common.to_owned(), format));
        Ok(Repository { shared, worktree: common_dir.map(|_| git_dir.join(STORE)), config })
    }

    /// The repository's common directory, if there is a repository around the stores.
    pub fn common_dir(&self) -> Option<&Path> {
        self.config.as_ref().map(|(common_dir, _)| common_dir.as_path())
    }

    /// The store of the repository, or the only one.
    #[must_use]
    pub fn shared(&self) -> &Path {
        &self.shared
    }

    /// The stores' directories, the shared one first.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.shared.as_path()).chain(self.worktree.as_deref())
    }

    /// Whether there is a repository around the stores.
    pub fn is_repository(&self) -> bool {
        self.config.is_some()
    }

    /// Opens the stores, to wait for a lock as long as `patience` says.
    pub fn open(&self, options: &Options, patience: Option<Duration>) -> Result<Stores> {
        let open = |dir: &PathBuf, patience| Stack::open(dir, self.options(dir, options).lock_timeout(patience));
        let shared = open(&self.shared, patience)?;
        let short = Some(patience.map_or(SECOND_LOCK, |patience| patience.min(SECOND_LOCK)));
        let worktree = self.worktree.as_ref().map(|dir| Ok::<_, Error>((open(dir, patience)?, open(dir, short)?)));
        Ok(Stores::new(shared, worktree.transpose()?, patience, self.hash()))
    }

    /// What the configuration says goes for a store without tables, which says nothing itself.
    fn options(&self, store: &Path, options: &Options) -> Options {
        let mut options = options.clone();
        let list = fs::symlink_metadata(store.join(LIST)).ok();
        if let Some((common_dir, format)) = &self.config {
            if list.is_none() {
                options = options.permissions(config::shared_mode(common_dir));
            }
            if list.is_none_or(|list| list.len() == 0) {
                options = options.hash(format.hash);
            }
        }
        options
    }

    /// The hash of the repository's ids, if there is a repository.
    fn hash(&self) -> Option<HashKind> {
        self.config.as_ref().map(|(_, format)| format.hash)
    }

    /// What is in the stores now, for those who only read.
    pub fn view(&self, reading: Reading) -> Result<View> {
        self.open(&for_reading(reading), Some(Duration::ZERO))?.view()
    }
}

/// How long a command that only reads waits for a list or a table that is not there.
///
/// git's first commit names its table before its list, and a compaction removes tables that a list
/// named a moment ago: both are over within milliseconds, also on a busy disk. What is missing
/// longer stays missing, and the prompt of a shell should not wait for it.
pub const PATIENCE: Duration = Duration::from_millis(200);

/// The options of commands that only read.
pub fn for_reading(reading: Reading) -> Options {
    Options::default().reading(reading).reload_deadline(PATIENCE)
}

fn has_list(dir: &Path) -> bool {
    dir.join(LIST).symlink_metadata().is_ok()
}

/// A store without a repository: it has a table list, or it has the name and nothing in it yet.
fn as_store(dir: &Path) -> Option<Repository> {
    let is_new = || dir.ends_with(STORE) && fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
    (has_list(dir) || is_new()).then(|| Repository { shared: dir.to_owned(), worktree: None, config: None })
}

/// What is left of the git directory that `store` is in, if git does not take it for one any more:
/// it has lost its `HEAD` or its objects.
fn ruin_around(store: &Path) -> Option<&Path> {
    let dir = store.parent().filter(|_| store.ends_with(STORE))?;
    ["config", "commondir", "HEAD"].iter().any(|file| dir.join(file).is_file()).then_some(dir)
}
