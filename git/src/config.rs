//! What the configuration of a repository says about its references.
//!
//! Whether a repository keeps them in a reftable store is said by its own `config`, without what
//! that includes and without anybody else's: so does git decide before it reads any other
//! configuration.

use std::env;
use std::fs;
use std::path::Path;

use gix_config::{File, Source};
use reftable::HashKind;

use crate::error::{Error, Result};

/// Extensions that git knows, in lower case. None of those that are not read here touches
/// references.
const KNOWN: [&str; 10] = [
    "noop",
    "noop-v1",
    "preciousobjects",
    "partialclone",
    "worktreeconfig",
    "objectformat",
    "compatobjectformat",
    "refstorage",
    "relativeworktrees",
    "submodulepathconfig",
];

/// Of these, the ones that git ignored while repositories had version 0; the others need version 1.
const OF_VERSION_0: [&str; 4] = ["noop", "preciousobjects", "partialclone", "worktreeconfig"];

/// Where a repository keeps its references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefStorage {
    /// One file each, and `packed-refs`.
    Files,
    /// A reftable store.
    Reftable,
}

/// The format of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Where the references are.
    pub refs: RefStorage,
    /// The hash of all ids.
    pub hash: HashKind,
}

/// The format of the repository with this common directory: by its `config`, unless
/// `GIT_REFERENCE_BACKEND` says that the references are elsewhere, as it does to newer versions of
/// git.
///
/// # Errors
/// Those of [`of_config`], and for a place that is not understood.
pub(crate) fn format(common_dir: &Path) -> Result<Format> {
    let format = of_config(common_dir)?;
    let Some(backend) = env::var_os("GIT_REFERENCE_BACKEND").filter(|value| !value.is_empty()) else {
        return Ok(format);
    };
    match ref_storage(&backend.to_string_lossy()) {
        Ok(refs) => Ok(Format { refs, ..format }),
        Err(problem) => Err(Error::invalid(format!("GIT_REFERENCE_BACKEND is {problem}"))),
    }
}

/// Reads the format from `config` in the common directory of a repository. Without that file, or
/// without a version in it, the repository is of the oldest format.
///
/// # Errors
/// For what git refuses, too: versions and extensions that are not known.
fn of_config(common_dir: &Path) -> Result<Format> {
    let path = common_dir.join("config");
    let oldest = Format { refs: RefStorage::Files, hash: HashKind::Sha1 };
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(oldest),
        _ => {}
    }
    let file = File::from_path_no_includes(path.clone(), Source::Local)
        .map_err(|error| Error::file(&path, format!("cannot read the configuration: {error}")))?;
    let version = file
        .integer("core.repositoryformatversion")
        .map_err(|_| Error::file(&path, "core.repositoryformatversion is not a number"))?;
    match version {
        None => Ok(oldest),
        Some(version @ 0..=1) => check_extensions(&file, version)
            .and_then(|()| of_extensions(&file))
            .map_err(|message| Error::file(&path, message)),
        Some(version) => {
            Err(Error::file(&path, format!("core.repositoryformatversion is {version}, at most 1 is understood")))
        }
    }
}

fn check_extensions(file: &File, version: i64) -> Result<(), String> {
    for section in file.sections_by_name("extensions").into_iter().flatten() {
        if let Some(name) = section.header().subsection_name().filter(|_| version > 0) {
            return Err(format!("the extension '{name}.*' is not known"));
        }
        for name in section.value_names().map(|name| name.to_ascii_lowercase()) {
            match (version, KNOWN.contains(&name.as_str()), OF_VERSION_0.contains(&name.as_str())) {
                (1, false, _) => return Err(format!("the extension '{name}' is not known")),
                (0, true, false) => {
                    return Err(format!("the extension '{name}' needs core.repositoryformatversion = 1, it is 0"));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn of_extensions(file: &File) -> Result<Format, String> {
    let value = |name: &str| match file.string_implicit(name) {
        Some(None) => Err(format!("{name} has no value")),
        Some(Some(value)) => Ok(Some(String::from_utf8_lossy(&value).into_owned())),
        None => Ok(None),
    };
    let refs = value("extensions.refStorage")?.as_deref().map_or(Ok(RefStorage::Files), ref_storage);
    let refs = refs.map_err(|problem| format!("extensions.refStorage is {problem}"))?;
    let hash = match value("extensions.objectFormat")?.as_deref() {
        None | Some("sha1") => HashKind::Sha1,
        Some("sha256") => HashKind::Sha256,
        Some(other) => return Err(format!("extensions.objectFormat is '{other}', which is not known")),
    };
    Ok(Format { refs, hash })
}

/// Reads the name of a storage; says what is wrong with it.
fn ref_storage(name: &str) -> Result<RefStorage, String> {
    match name {
        "files" => Ok(RefStorage::Files),
        "reftable" => Ok(RefStorage::Reftable),
        other if other.contains("://") => Err(format!("'{other}'; a store at another place is not supported yet")),
        other => Err(format!("'{other}', which is not known")),
    }
}

/// The mode bits that `core.sharedRepository` asks for, from all of git's configuration for this
/// repository. `None` if the repository is not shared, or the configuration cannot be read.
pub(crate) fn shared_mode(common_dir: &Path) -> Option<u32> {
    let file = File::from_git_dir(common_dir.to_owned()).ok()?;
    let value = file.string_implicit("core.sharedRepository")?;
    mode_of(value.as_ref().map(|value| String::from_utf8_lossy(value)).as_deref())
}

/// `None` as argument is a key without a value, which is true.
fn mode_of(value: Option<&str>) -> Option<u32> {
    const GROUP: u32 = 0o660;
    const ALL: u32 = 0o664;
    let Some(value) = value else { return Some(GROUP) };
    match value.to_ascii_lowercase().as_str() {
        "group" | "true" | "yes" | "on" | "1" => Some(GROUP),
        "all" | "world" | "everybody" | "2" => Some(ALL),
        number => u32::from_str_radix(number, 8).ok().filter(|mode| mode & 0o600 == 0o600).map(|mode| mode & 0o666),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_repositories_are_named_in_many_ways() {
        for (value, mode) in [
            (None, Some(0o660)),
            (Some("group"), Some(0o660)),
            (Some("TRUE"), Some(0o660)),
            (Some("1"), Some(0o660)),
            (Some("all"), Some(0o664)),
            (Some("everybody"), Some(0o664)),
            (Some("2"), Some(0o664)),
            (Some("0640"), Some(0o640)),
            (Some("0777"), Some(0o666)),
            (Some("0060"), None),
            (Some("umask"), None),
            (Some("false"), None),
            (Some("0"), None),
        ] {
            assert_eq!(mode_of(value), mode, "{value:?}");
        }
    }
}
