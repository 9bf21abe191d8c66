//! From a directory to its stores.
//!
//! A repository has one store, `reftable/` in the git directory. A linked worktree has a second one
//! in its own git directory, for the references that each worktree has for itself. Only the
//! configuration says whether that directory is the store: it may be left over from a migration, or
//! have the name by chance.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reftable::{HashKind, Options, Reading, Snapshot, Stack};

use crate::config::{self, Format, RefStorage};
use crate::failure::Failure;
use crate::output::shown_path;
use crate::view::View;

const STORE: &str = "reftable";
const LIST: &str = "tables.list";

/// How long a batch that has one store's lock waits for that of the other.
pub(crate) const SECOND_LOCK: Duration = Duration::from_millis(20);

/// Where the stores are. Nothing has been opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Repo {
    /// The store of the repository, or the only one.
    pub(crate) shared: PathBuf,
    /// The store of a linked worktree.
    pub(crate) worktree: Option<PathBuf>,
    /// The repository around them: its common directory, and its format.
    config: Option<(PathBuf, Format)>,
}

/// One of the stores of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Shared,
    Worktree,
}

impl Place {
    /// Where git keeps `name`.
    pub(crate) fn of(name: &[u8]) -> Place {
        if reftable::is_per_worktree(name) { Place::Worktree } else { Place::Shared }
    }
}

impl Repo {
    /// Finds the stores for a command that was told to start at `start`, or was told nothing.
    /// `GIT_DIR` decides, as it does for git; unless `start` is in another repository, which is an
    /// error.
    pub(crate) fn find(start: Option<&Path>) -> Result<Repo, Failure> {
        let dir = start.unwrap_or(Path::new("."));
        let named = |variable| env::var_os(variable).filter(|value| !value.is_empty()).map(|value| dir.join(value));
        let common_dir = named("GIT_COMMON_DIR").map(|dir| canonical(&dir)).transpose()?;
        let Some(git_dir) = named("GIT_DIR") else { return Repo::around(dir, common_dir) };
        let git_dir = canonical(&git_dir)?;
        if !is_git_dir(&git_dir) {
            return Err(Failure::file(&git_dir, "GIT_DIR names this, which is no git directory"));
        }
        let Some(start) = start else { return Repo::of_git_dir(&git_dir, common_dir) };
        let start = canonical(start)?;
        match discover(&start)? {
            Some(other) if canonical(&other)? != git_dir => {
                let message =
                    format!("GIT_DIR names another repository, {}; unset it, or go there", shown_path(&git_dir));
                Err(Failure::file(&start, message))
            }
            Some(_) => Repo::around(&start, common_dir),
            None if has_list(&start) => {
                let message = format!("a store outside of {}, which GIT_DIR names; unset it", shown_path(&git_dir));
                Err(Failure::file(&start, message))
            }
            None => Repo::of_git_dir(&git_dir, common_dir),
        }
    }

    /// Finds the stores of `start`, whatever `GIT_DIR` says: a git directory, anything in a work
    /// tree, a store of a repository, or a store without a repository around it.
    pub(crate) fn at(start: &Path) -> Result<Repo, Failure> {
        Repo::around(start, None)
    }

    fn around(start: &Path, common_dir: Option<PathBuf>) -> Result<Repo, Failure> {
        let start = canonical(start)?;
        let Some(git_dir) = discover(&start)? else {
            if let Some(ruin) = ruin_around(&start) {
                // Its configuration still says whether this is its store, and of what kind.
                let config = Repo::of_git_dir(ruin, common_dir)?.config;
                return Ok(Repo { shared: start, worktree: None, config });
            }
            return as_store(&start).ok_or_else(|| {
                let message = "neither in a git repository nor a reftable store";
                Failure::file(&start, message)
            });
        };
        let repo = Repo::of_git_dir(&git_dir, common_dir)?;
        if repo.directories().any(|store| store.canonicalize().is_ok_and(|store| store == start)) {
            return Ok(Repo { shared: start, worktree: None, config: repo.config });
        }
        if has_list(&start) && git_dir_of(&start)?.is_none() {
            let message = format!(
                "has a table list, but is not the store of the repository around it, {}; to look into it, copy it to a \
                 place outside",
                shown_path(&git_dir)
            );
            return Err(Failure::file(&start, message));
        }
        Ok(repo)
    }

    fn of_git_dir(git_dir: &Path, common_dir: Option<PathBuf>) -> Result<Repo, Failure> {
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
            return Err(Failure::file(git_dir, message));
        }
        if !shared.is_dir() {
            return Err(Failure::file(&shared, "the store that the repository's configuration names is missing"));
        }
        let config = Some((common.to_owned(), format));
        Ok(Repo { shared, worktree: common_dir.map(|_| git_dir.join(STORE)), config })
    }

    /// The repository's common directory, if there is a repository around the stores.
    pub(crate) fn common_dir(&self) -> Option<&Path> {
        self.config.as_ref().map(|(common_dir, _)| common_dir.as_path())
    }

    /// The stores' directories, the shared one first.
    pub(crate) fn directories(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.shared.as_path()).chain(self.worktree.as_deref())
    }

    /// Whether there is a repository around the stores.
    pub(crate) fn is_repository(&self) -> bool {
        self.config.is_some()
    }

    /// Opens the stores, to wait for a lock as long as `patience` says.
    pub(crate) fn open(&self, options: &Options, patience: Option<Duration>) -> Result<Stores, Failure> {
        let open = |dir: &PathBuf, patience| Stack::open(dir, self.options(dir, options).lock_timeout(patience));
        let shared = open(&self.shared, patience)?;
        let short = Some(patience.map_or(SECOND_LOCK, |patience| patience.min(SECOND_LOCK)));
        let worktree = self.worktree.as_ref().map(|dir| Ok::<_, Failure>((open(dir, patience)?, open(dir, short)?)));
        Ok(Stores { shared, worktree: worktree.transpose()?, patience, hash: self.hash() })
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
    pub(crate) fn view(&self, reading: Reading) -> Result<View, Failure> {
        self.open(&for_reading(reading), Some(Duration::ZERO))?.view()
    }
}

/// How long a command that only reads waits for a list or a table that is not there.
///
/// git's first commit names its table before its list, and a compaction removes tables that a list
/// named a moment ago: both are over within milliseconds, also on a busy disk. What is missing
/// longer stays missing, and the prompt of a shell should not wait for it.
pub(crate) const PATIENCE: Duration = Duration::from_millis(200);

/// The options of commands that only read.
pub(crate) fn for_reading(reading: Reading) -> Options {
    Options::default().reading(reading).reload_deadline(PATIENCE)
}

/// The open stores of a repository.
#[derive(Debug)]
pub(crate) struct Stores {
    shared: Stack,
    /// That of a linked worktree, twice: the second one does not wait long for its lock.
    worktree: Option<(Stack, Stack)>,
    patience: Option<Duration>,
    hash: Option<HashKind>,
}

impl Stores {
    /// The hash of the repository's ids, by its configuration.
    pub(crate) fn hash(&self) -> Option<HashKind> {
        self.hash
    }

    /// How long to wait for locks, and for others to be slower; `None` is for ever.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.patience
    }

    /// The store for `place`; without a linked worktree there is only one.
    pub(crate) fn at(&self, place: Place) -> &Stack {
        match (place, &self.worktree) {
            (Place::Worktree, Some((worktree, _))) => worktree,
            _ => &self.shared,
        }
    }

    /// The linked worktree's store, if there is one, for a batch that will have the lock of the
    /// shared one when it takes this one's. Waiting long would keep everybody from the first one,
    /// and others may have the two crosswise: who has time lets go of both, and tries again.
    pub(crate) fn second(&self) -> Option<&Stack> {
        self.worktree.as_ref().map(|(_, second)| second)
    }

    /// All stores, the shared one first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Stack> {
        std::iter::once(&self.shared).chain(self.worktree.iter().map(|(worktree, _)| worktree))
    }

    /// What is in them now.
    pub(crate) fn view(&self) -> Result<View, Failure> {
        let worktree: Option<Snapshot> = self.worktree.as_ref().map(|(worktree, _)| worktree.snapshot()).transpose()?;
        Ok(View::new(self.shared.snapshot()?, worktree))
    }
}

fn canonical(path: &Path) -> Result<PathBuf, Failure> {
    path.canonicalize().map_err(|error| Failure::file(path, error))
}

/// The git directory of the repository that `start` is in. As git does it looks into no directory
/// of `GIT_CEILING_DIRECTORIES` nor above, but for `start` itself.
fn discover(start: &Path) -> Result<Option<PathBuf>, Failure> {
    let ceilings = env::var_os("GIT_CEILING_DIRECTORIES").map(|list| ceilings(&list)).unwrap_or_default();
    let is_above_start = |ceiling: &&PathBuf| start.starts_with(ceiling) && *ceiling != start;
    let is_closed = |dir: &Path| ceilings.iter().filter(is_above_start).any(|ceiling| ceiling.starts_with(dir));
    let is_open = |dir: &&Path| *dir == start || !is_closed(dir);
    start.ancestors().take_while(is_open).find_map(|dir| git_dir_of(dir).transpose()).transpose()
}

/// The absolute paths of a list. Symbolic links are followed in those before an empty entry.
fn ceilings(list: &OsStr) -> Vec<PathBuf> {
    let mut follows_links = true;
    let mut ceilings = Vec::new();
    for path in env::split_paths(list) {
        if path.as_os_str().is_empty() {
            follows_links = false;
        } else if path.is_absolute() {
            let path = if follows_links { path.canonicalize().ok() } else { Some(path) };
            ceilings.extend(path);
        }
    }
    ceilings
}

fn has_list(dir: &Path) -> bool {
    dir.join(LIST).symlink_metadata().is_ok()
}

/// A store without a repository: it has a table list, or it has the name and nothing in it yet.
fn as_store(dir: &Path) -> Option<Repo> {
    let is_new = || dir.ends_with(STORE) && fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
    (has_list(dir) || is_new()).then(|| Repo { shared: dir.to_owned(), worktree: None, config: None })
}

/// What is left of the git directory that `store` is in, if git does not take it for one any more:
/// it has lost its `HEAD` or its objects.
fn ruin_around(store: &Path) -> Option<&Path> {
    let dir = store.parent().filter(|_| store.ends_with(STORE))?;
    ["config", "commondir", "HEAD"].iter().any(|file| dir.join(file).is_file()).then_some(dir)
}

/// The git directory that belongs to `dir`: itself, its `.git`, or what its `.git` file names.
fn git_dir_of(dir: &Path) -> Result<Option<PathBuf>, Failure> {
    let dot_git = dir.join(".git");
    if is_git_dir(&dot_git) {
        return Ok(Some(dot_git));
    }
    if dot_git.is_file() {
        let contents = fs::read_to_string(&dot_git).map_err(|error| Failure::file(&dot_git, error))?;
        let target = contents
            .strip_prefix("gitdir:")
            .ok_or_else(|| Failure::file(&dot_git, "not a 'gitdir:' file, nor a git directory"))?;
        let git_dir = dir.join(target.trim());
        if !is_git_dir(&git_dir) {
            return Err(Failure::file(&dot_git, format!("names '{}', which is no git directory", target.trim())));
        }
        return Ok(Some(git_dir));
    }
    Ok(is_git_dir(dir).then(|| dir.to_owned()))
}

/// A git directory has `HEAD`, and objects or another directory that has them.
fn is_git_dir(dir: &Path) -> bool {
    dir.join("HEAD").symlink_metadata().is_ok() && (dir.join("objects").is_dir() || dir.join("commondir").is_file())
}

/// The path in a one-line file, relative to the file's directory; `None` if there is no such file.
fn read_path(file: &Path) -> Result<Option<PathBuf>, Failure> {
    match fs::read_to_string(file) {
        Ok(contents) => {
            let path = file.with_file_name("").join(contents.trim_end_matches(['\n', '\r']));
            path.canonicalize().map(Some).map_err(|error| Failure::file(&path, error))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::file(file, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worktree_has_its_own_root_references_and_bisections() {
        for own in ["HEAD", "ORIG_HEAD", "refs/bisect/bad", "refs/worktree/x", "refs/rewritten/x"] {
            assert_eq!(Place::of(own.as_bytes()), Place::Worktree, "{own}");
        }
        for shared in ["refs/heads/main", "refs/stash", "refs/bisect", "refs/heads/HEAD"] {
            assert_eq!(Place::of(shared.as_bytes()), Place::Shared, "{shared}");
        }
    }
}
