//! The format of a repository: where its references are, and which hash its ids have.
//!
//! Whether a repository keeps them in a reftable store is said by its own `config`, without what
//! that includes and without other files: so does git decide before it reads any other
//! configuration.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use gix_config::{File, Source, file};
use reftable::HashKind;
use reftable::escape::escaped;

use crate::bytes;
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
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize), serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum RefStorage {
    /// One file each, and `packed-refs`.
    Files,
    /// A reftable store.
    Reftable,
}

/// The format of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Format {
    /// Where the references are.
    pub refs: RefStorage,
    /// The hash of all ids.
    pub hash: HashKind,
    /// Another place than the common directory, relative to it, from `reftable://PATH`.
    pub place: Option<PathBuf>,
    /// `extensions.worktreeConfig`: whether worktrees have configuration of their own.
    pub worktree_config: bool,
    /// `core.bare`.
    pub is_bare: Option<bool>,
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
    match ref_storage(backend.as_encoded_bytes()) {
        Ok((refs, place)) => Ok(Format { refs, place, ..format }),
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
    let (refs, hash) = (RefStorage::Files, HashKind::Sha1);
    let oldest = Format { refs, hash, place: None, worktree_config: false, is_bare: None };
    let contents = match fs::read(&path) {
        Ok(contents) => contents,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && fs::symlink_metadata(&path).is_err() => {
            return Ok(oldest);
        }
        Err(error) => return Err(Error::file(&path, format!("cannot read the configuration: {error}"))),
    };
    let file = File::from_bytes_no_includes(&contents, file::Metadata::from(Source::Local), Default::default())
        .map_err(|error| Error::configuration(&path, error.iter_errors()))?;
    let version = file
        .integer("core.repositoryformatversion")
        .map_err(|_| Error::file(&path, "core.repositoryformatversion is not a number"))?;
    let is_bare = file.boolean("core.bare").map_err(|_| Error::file(&path, "core.bare is neither true nor false"))?;
    match version {
        None => Ok(Format { is_bare, ..oldest }),
        Some(version @ 0..=1) => check_extensions(&file, version)
            .and_then(|()| of_extensions(&file))
            .map(|format| Format { is_bare, ..format })
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
        Some(Some(value)) => Ok(Some(value.to_vec())),
        None => Ok(None),
    };
    let refs = value("extensions.refStorage")?;
    let (refs, place) = refs
        .as_deref()
        .map_or(Ok((RefStorage::Files, None)), ref_storage)
        .map_err(|problem| format!("extensions.refStorage is {problem}"))?;
    let hash = match value("extensions.objectFormat")?.as_deref() {
        None | Some(b"sha1") => HashKind::Sha1,
        Some(b"sha256") => HashKind::Sha256,
        Some(other) => return Err(format!("extensions.objectFormat is '{}', which is not known", escaped(other))),
    };
    let worktree_config = file.boolean("extensions.worktreeConfig").ok().flatten().unwrap_or(false);
    Ok(Format { refs, hash, place, worktree_config, is_bare: None })
}

/// Reads the name of a storage, and the place after `://`; says what is wrong with it.
fn ref_storage(value: &[u8]) -> Result<(RefStorage, Option<PathBuf>), String> {
    let at = value.windows(3).position(|part| part == b"://");
    let (name, place) = match at {
        Some(at) => (value.get(..at), value.get(at + 3..).filter(|place| !place.is_empty())),
        None => (Some(value), None),
    };
    let refs = match name.unwrap_or_default() {
        b"files" => RefStorage::Files,
        b"reftable" => RefStorage::Reftable,
        _ => return Err(format!("'{}', which is not known", escaped(value))),
    };
    Ok((refs, place.map(bytes::to_path)))
}
