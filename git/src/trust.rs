//! Whose repository it is. In one of another user's nothing is written, and nothing runs that its
//! owner has prepared; unless the user's own configuration calls it safe.

use std::env;
use std::path::Path;

use crate::config::{Config, expanded};
use crate::discover::Found;
use crate::error::Result;

/// Whether the owner of a repository may decide what this process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize), serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Trust {
    /// It is the user's own, or called safe.
    Full,
    /// It may be read.
    Reduced,
}

/// Judges what a search has found, as git does: the `.git` file, the work tree and the git
/// directory must be the user's own, or `safe.directory` names the repository. Only configuration
/// that the owner of the repository cannot have written is asked.
///
/// # Errors
/// If that configuration cannot be read.
pub(crate) fn of(found: &Found) -> Result<Trust> {
    let is_other = env::var_os("GIT_TEST_ASSUME_DIFFERENT_OWNER").is_some_and(|value| value == "1" || value == "true");
    let mut parts = found.git_file.iter().chain(&found.top).chain([&found.git_dir]);
    if !is_other && parts.all(|part| is_own(part)) {
        return Ok(Trust::Full);
    }
    let Ok(place) = found.top.as_ref().unwrap_or(&found.git_dir).canonicalize() else { return Ok(Trust::Reduced) };
    let mut trust = Trust::Reduced;
    for value in Config::without_repository()?.all("safe.directory") {
        match value.as_deref() {
            None | Some(b"") => trust = Trust::Reduced,
            Some(value) if is_named(value, &place) => trust = Trust::Full,
            Some(_) => {}
        }
    }
    Ok(trust)
}

/// Whether a value of `safe.directory` means `place`.
fn is_named(value: &[u8], place: &Path) -> bool {
    if value == b"*" {
        return true;
    }
    let (value, is_prefix) = value.strip_suffix(b"/*").map_or((value, false), |value| (value, true));
    let path = expanded(value);
    if !path.is_absolute() && path != Path::new(".") {
        return false;
    }
    let Ok(path) = path.canonicalize() else { return false };
    if is_prefix { place != path && place.starts_with(&path) } else { place == path }
}

#[cfg(unix)]
fn is_own(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(owner) = path.symlink_metadata().map(|metadata| metadata.uid()) else { return false };
    let user = rustix::process::geteuid();
    // Who became root with sudo works in the repositories of before, too.
    let before = || env::var("SUDO_UID").ok().and_then(|uid| uid.parse::<u32>().ok());
    owner == user.as_raw() || user.is_root() && before() == Some(owner)
}

#[cfg(not(unix))]
fn is_own(_path: &Path) -> bool {
    true
}
