//! From a directory to the git directory that belongs to it.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

pub(crate) fn canonical(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|error| Error::file(path, error))
}

/// The git directory of the repository that `start` is in. As git does it looks into no directory
/// of `GIT_CEILING_DIRECTORIES` nor above, but for `start` itself.
pub(crate) fn discover(start: &Path) -> Result<Option<PathBuf>> {
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

/// The git directory that belongs to `dir`: itself, its `.git`, or what its `.git` file names.
pub(crate) fn git_dir_of(dir: &Path) -> Result<Option<PathBuf>> {
    let dot_git = dir.join(".git");
    if is_git_dir(&dot_git) {
        return Ok(Some(dot_git));
    }
    if dot_git.is_file() {
        let contents = fs::read_to_string(&dot_git).map_err(|error| Error::file(&dot_git, error))?;
        let target = contents
            .strip_prefix("gitdir:")
            .ok_or_else(|| Error::file(&dot_git, "not a 'gitdir:' file, nor a git directory"))?;
        let git_dir = dir.join(target.trim());
        if !is_git_dir(&git_dir) {
            return Err(Error::file(&dot_git, format!("names '{}', which is no git directory", target.trim())));
        }
        return Ok(Some(git_dir));
    }
    Ok(is_git_dir(dir).then(|| dir.to_owned()))
}

/// A git directory has `HEAD`, and objects or another directory that has them.
pub(crate) fn is_git_dir(dir: &Path) -> bool {
    dir.join("HEAD").symlink_metadata().is_ok() && (dir.join("objects").is_dir() || dir.join("commondir").is_file())
}

/// The path in a one-line file, relative to the file's directory; `None` if there is no such file.
pub(crate) fn read_path(file: &Path) -> Result<Option<PathBuf>> {
    match fs::read_to_string(file) {
        Ok(contents) => {
            let path = file.with_file_name("").join(contents.trim_end_matches(['\n', '\r']));
            path.canonicalize().map(Some).map_err(|error| Error::file(&path, error))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file(file, error)),
    }
}
