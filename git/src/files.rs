//! Reading a repository that keeps its references in files, through gix-ref.

use std::fs;
use std::io;
use std::path::Path;

use bstr::BStr;
use gix_ref::{FullNameRef, file};
use reftable::{HashKind, Ident, LogEntry, Ref};

use crate::convert::{from_object_id, from_reference, to_hash};
use crate::error::{Error, Result};
use crate::ident::time_zone;
use crate::names::Place;

/// References in files: as they are at each call.
pub(crate) struct Files {
    store: file::Store,
    hash: HashKind,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("git_dir", &self.store.git_dir()).finish_non_exhaustive()
    }
}

impl Files {
    pub(crate) fn new(git_dir: &Path, common_dir: &Path, hash: HashKind) -> Files {
        let kind = to_hash(hash);
        let store = match git_dir == common_dir {
            true => file::Store::at(git_dir.to_owned(), kind),
            false => file::Store::for_linked_worktree(git_dir.to_owned(), common_dir.to_owned(), kind),
        };
        Files { store, hash }
    }

    pub(crate) fn hash(&self) -> HashKind {
        self.hash
    }

    fn broken(&self, error: &dyn std::fmt::Display) -> Error {
        Error::file(self.store.git_dir(), format!("cannot read its references: {error}"))
    }

    /// One reference as it is stored. No name that git forbids is there.
    pub(crate) fn get(&self, name: &[u8]) -> Result<Option<Ref>> {
        let Ok(full) = <&FullNameRef>::try_from(BStr::new(name)) else { return Ok(None) };
        let found = self.store.try_find(full.as_partial_name()).map_err(|error| self.broken(&error))?;
        // It also finds what the name may be short for.
        Ok(found.as_ref().map(from_reference).filter(|found| found.name == name))
    }

    /// All whose names start with `prefix`, by name.
    pub(crate) fn refs(&self, prefix: &[u8]) -> Result<Vec<Ref>> {
        let platform = self.store.iter().map_err(|error| self.broken(&error))?;
        let mut refs = Vec::new();
        for part in [platform.pseudo(), platform.all()] {
            for found in part.map_err(|error| self.broken(&error))? {
                let found = from_reference(&found.map_err(|error| self.broken(&error))?);
                if found.name.starts_with(prefix) {
                    refs.push(found);
                }
            }
        }
        refs.sort_by(|left, right| left.name.cmp(&right.name));
        refs.dedup_by(|left, right| left.name == right.name);
        Ok(refs)
    }

    pub(crate) fn log_exists(&self, name: &[u8]) -> Result<bool> {
        let Ok(full) = <&FullNameRef>::try_from(BStr::new(name)) else { return Ok(false) };
        self.store.reflog_exists(full).map_err(|error| self.broken(&error))
    }

    /// The names of all files below `logs/`: those of this worktree and the shared ones.
    pub(crate) fn log_names(&self) -> Result<Vec<Vec<u8>>> {
        let own = self.store.git_dir();
        let common = self.store.common_dir().unwrap_or(own);
        let mut names = names_below(&own.join("logs"))?;
        if own != common {
            names.retain(|name| Place::of(name) == Place::Worktree);
            names
                .extend(names_below(&common.join("logs"))?.into_iter().filter(|name| Place::of(name) == Place::Shared));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The entries of a log, the newest first.
    pub(crate) fn log(&self, name: &[u8]) -> Result<Vec<LogEntry>> {
        let Ok(full) = <&FullNameRef>::try_from(BStr::new(name)) else { return Ok(Vec::new()) };
        let mut buffer = Vec::new();
        let lines = self.store.reflog_iter(full, &mut buffer).map_err(|error| self.broken(&error))?;
        let mut entries = Vec::new();
        for line in lines.into_iter().flatten() {
            let line = line.map_err(|error| self.broken(&error))?;
            let time = line.signature.time().map_err(|error| self.broken(&error))?;
            let committer = Ident {
                name: line.signature.name.to_vec(),
                email: line.signature.email.to_vec(),
                time: u64::try_from(time.seconds).unwrap_or(0),
                time_zone: time_zone(time.offset),
            };
            let (old, new) = (from_object_id(&line.previous_oid()), from_object_id(&line.new_oid()));
            entries.push(LogEntry { old, new, committer, message: line.message.to_vec() });
        }
        entries.reverse();
        Ok(entries)
    }
}

/// The paths of the files below `top`, from there; none if it does not exist.
fn names_below(top: &Path) -> Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    let mut left = vec![(top.to_owned(), Vec::new())];
    while let Some((directory, prefix)) = left.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            // It may have gone meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::file(&directory, error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| Error::file(&directory, error))?;
            let name = [prefix.as_slice(), entry.file_name().as_encoded_bytes()].concat();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => left.push((entry.path(), [name.as_slice(), b"/"].concat())),
                _ if reftable::name::check(&name).is_ok() => names.push(name),
                _ => {}
            }
        }
    }
    Ok(names)
}
