//! From a directory to its stores.
//!
//! A repository has one store, `reftable/` in the git directory. A linked worktree has a second one in its own
//! git directory, for the references that each worktree has for itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reftable::{Options, Reading, Snapshot, Stack};

use crate::failure::Failure;
use crate::view::View;

const STORE: &str = "reftable";

/// How long a batch that has one store's lock waits for that of the other.
const SECOND_LOCK: Duration = Duration::from_millis(100);

/// Where the stores are. Nothing has been opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Repo {
    /// The store of the repository, or the only one.
    pub(crate) shared: PathBuf,
    /// The store of a linked worktree.
    pub(crate) worktree: Option<PathBuf>,
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
        let is_root = name.iter().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'));
        let own = [b"refs/worktree/".as_slice(), b"refs/bisect/", b"refs/rewritten/"];
        if is_root || own.iter().any(|prefix| name.starts_with(prefix)) { Place::Worktree } else { Place::Shared }
    }
}

impl Repo {
    /// Finds the stores of `start`: a `reftable` directory, a git directory, or anything in a work tree.
    pub(crate) fn find(start: &Path) -> Result<Repo, Failure> {
        let start = start.canonicalize().map_err(|error| Failure::file(start, error))?;
        if let Some(store) = as_store(&start) {
            return Ok(Repo { shared: store, worktree: None });
        }
        for dir in start.ancestors() {
            if let Some(git_dir) = git_dir_of(dir)? {
                return Repo::of_git_dir(&git_dir);
            }
        }
        let message = "neither a git repository nor a reftable directory, and no parent is a repository";
        Err(Failure::file(&start, message))
    }

    fn of_git_dir(git_dir: &Path) -> Result<Repo, Failure> {
        let common_dir = read_path(&git_dir.join("commondir"))?;
        let shared = common_dir.as_deref().unwrap_or(git_dir).join(STORE);
        if !shared.is_dir() {
            let message = "this repository does not keep its references in the reftable format; \
                           'git refs migrate --ref-format=reftable' converts it";
            return Err(Failure::file(git_dir, message));
        }
        Ok(Repo { shared, worktree: common_dir.map(|_| git_dir.join(STORE)) })
    }

    /// The stores' directories, the shared one first.
    pub(crate) fn directories(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.shared.as_path()).chain(self.worktree.as_deref())
    }

    /// Opens the stores, to wait for a lock as long as `patience` says.
    pub(crate) fn open(&self, options: &Options, patience: Option<Duration>) -> Result<Stores, Failure> {
        let open = |dir: &PathBuf, patience| Stack::open(dir, options.clone().lock_timeout(patience));
        let shared = open(&self.shared, patience)?;
        let short = Some(patience.map_or(SECOND_LOCK, |patience| patience.min(SECOND_LOCK)));
        let worktree = self.worktree.as_ref().map(|dir| Ok::<_, Failure>((open(dir, patience)?, open(dir, short)?)));
        Ok(Stores { shared, worktree: worktree.transpose()?, patience })
    }

    /// What is in the stores now, for those who only read.
    pub(crate) fn view(&self, reading: Reading) -> Result<View, Failure> {
        self.open(&for_reading(reading), Some(Duration::ZERO))?.view()
    }
}

/// How long a command that only reads waits for a list or a table that is not there.
///
/// git's first commit names its table before its list, and a compaction removes tables that a list named
/// a moment ago: both are over within milliseconds, also on a busy disk. What is missing longer stays
/// missing, and the prompt of a shell should not wait for it.
const PATIENCE: Duration = Duration::from_millis(200);

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
}

impl Stores {
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

    /// The linked worktree's store, if there is one, for a batch that will have the lock of the shared one when it takes
    /// this one's. Waiting long would keep everybody from the first one, and others may have the two crosswise: who has
    /// time lets go of both, and tries again.
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

/// `dir` if it is a store itself: it has a table list, or is empty yet and has the name.
fn as_store(dir: &Path) -> Option<PathBuf> {
    let is_store = dir.join("tables.list").exists() || (dir.ends_with(STORE) && !dir.join(".git").exists());
    is_store.then(|| dir.to_owned())
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
