//! From a directory to the git directory that belongs to it, as git looks for it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::bytes;
use crate::error::{Error, Result, shown_path};

/// A `.git` file has one path; git reads none that is larger.
const LARGEST_GIT_FILE: u64 = 1 << 20;

/// Where a search has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// The git directory: of a linked worktree its own.
    pub(crate) git_dir: PathBuf,
    /// The directory whose `.git` it is, or which has the `.git` file; `None` if the search has met
    /// a git directory itself.
    pub(crate) top: Option<PathBuf>,
    /// The `.git` file that names the git directory.
    pub(crate) git_file: Option<PathBuf>,
}

/// A path from the environment, relative to `dir`.
pub(crate) fn named(variable: &str, dir: &Path) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(|value| dir.join(value))
}

pub(crate) fn canonical(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|error| Error::file(path, error))
}

/// The git directory of the repository that `start` is in. As git does it looks into no directory
/// of `GIT_CEILING_DIRECTORIES` nor above, but for `start` itself, and stops where another file
/// system begins, unless `GIT_DISCOVERY_ACROSS_FILESYSTEM` is set.
///
/// # Errors
/// For a `.git` that is no directory and leads nowhere: the repository is meant to be there.
pub(crate) fn discover(start: &Path) -> Result<Option<Found>> {
    let ceilings = env::var_os("GIT_CEILING_DIRECTORIES").map(|list| ceilings(&list)).unwrap_or_default();
    let is_above_start = |ceiling: &&PathBuf| start.starts_with(ceiling) && *ceiling != start;
    let is_closed = |dir: &Path| ceilings.iter().filter(is_above_start).any(|ceiling| ceiling.starts_with(dir));
    let goes_on = is_true("GIT_DISCOVERY_ACROSS_FILESYSTEM");
    let device = device_of(start);
    let is_open = |dir: &&Path| *dir == start || !is_closed(dir) && (goes_on || device_of(dir) == device);
    start.ancestors().take_while(is_open).find_map(|dir| git_dir_of(dir).transpose()).transpose()
}

#[cfg(unix)]
fn device_of(dir: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    dir.metadata().ok().map(|metadata| metadata.dev())
}

#[cfg(not(unix))]
fn device_of(_dir: &Path) -> Option<u64> {
    None
}

fn is_true(variable: &str) -> bool {
    let is_true = |value: OsString| matches!(value.to_ascii_lowercase().to_str(), Some("1" | "true" | "yes" | "on"));
    env::var_os(variable).is_some_and(is_true)
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

/// The git directory that belongs to `dir`: what its `.git` file names, its `.git`, or itself.
pub(crate) fn git_dir_of(dir: &Path) -> Result<Option<Found>> {
    let dot_git = dir.join(".git");
    let top = || Some(dir.to_owned());
    if let Some(git_dir) = read_git_file(&dot_git)? {
        return Ok(Some(Found { git_dir, top: top(), git_file: Some(dot_git) }));
    }
    if is_git_dir(&dot_git)? {
        return Ok(Some(Found { git_dir: dot_git, top: top(), git_file: None }));
    }
    Ok(is_git_dir(dir)?.then(|| Found { git_dir: dir.to_owned(), top: None, git_file: None }))
}

/// The git directory that `path` names if it is a file; `None` if there is nothing, or a directory.
pub(crate) fn read_git_file(path: &Path) -> Result<Option<PathBuf>> {
    let metadata = match path.metadata() {
        Ok(metadata) if metadata.is_dir() => return Ok(None),
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(Error::file(path, error)),
    };
    if !metadata.is_file() {
        return Err(Error::file(path, "neither a git directory nor a file that names one"));
    }
    if metadata.len() > LARGEST_GIT_FILE {
        return Err(Error::file(path, "too large for a file that names a git directory"));
    }
    let contents = fs::read(path).map_err(|error| Error::file(path, error))?;
    let target = contents
        .strip_prefix(b"gitdir: ")
        .map(without_newlines)
        .ok_or_else(|| Error::file(path, "not a 'gitdir:' file, nor a git directory"))?;
    if target.is_empty() {
        return Err(Error::file(path, "names no git directory after 'gitdir:'"));
    }
    let git_dir = path.with_file_name("").join(bytes::to_path(target));
    if !is_git_dir(&git_dir)? {
        let message = format!("names {}, which is no git directory", shown_path(&bytes::to_path(target)));
        return Err(Error::file(path, message));
    }
    Ok(Some(git_dir))
}

/// Whether git takes `dir` for a git directory: it has a `HEAD` that looks like one, and it or its
/// common directory has `refs` and `objects`.
pub(crate) fn is_git_dir(dir: &Path) -> Result<bool> {
    if !is_head(&dir.join("HEAD")) {
        return Ok(false);
    }
    let common = match named("GIT_COMMON_DIR", Path::new("")) {
        Some(common) => Some(common),
        None => read_common_dir(dir)?,
    };
    let common = common.as_deref().unwrap_or(dir);
    let objects = named("GIT_OBJECT_DIRECTORY", Path::new("")).unwrap_or_else(|| common.join("objects"));
    Ok(can_be_entered(&objects) && can_be_entered(&common.join("refs")))
}

fn can_be_entered(dir: &Path) -> bool {
    dir.join(".").metadata().is_ok()
}

/// Whether a file looks like a `HEAD`: a symbolic reference into `refs/`, or an id. In a reftable
/// repository it is a stub.
fn is_head(path: &Path) -> bool {
    let Ok(metadata) = path.symlink_metadata() else { return false };
    if metadata.is_symlink() {
        return fs::read_link(path).is_ok_and(|target| target.as_os_str().as_encoded_bytes().starts_with(b"refs/"));
    }
    let mut contents = Vec::new();
    if fs::File::open(path).and_then(|file| file.take(255).read_to_end(&mut contents)).is_err() {
        return false;
    }
    match contents.strip_prefix(b"ref:") {
        Some(target) => target.trim_ascii_start().starts_with(b"refs/"),
        None => contents.get(..40).is_some_and(|id| id.iter().all(u8::is_ascii_hexdigit)),
    }
}

/// The common directory that the git directory of a linked worktree names.
pub(crate) fn read_common_dir(git_dir: &Path) -> Result<Option<PathBuf>> {
    let file = git_dir.join("commondir");
    match fs::read(&file) {
        Ok(contents) => {
            let path = git_dir.join(bytes::to_path(without_newlines(&contents)));
            let advice = |error| Error::file(&file, format!("leads to {}: {error}", shown_path(&path)));
            path.canonicalize().map(Some).map_err(advice)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file(&file, error)),
    }
}

fn without_newlines(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
    text.get(..end).unwrap_or_default()
}
