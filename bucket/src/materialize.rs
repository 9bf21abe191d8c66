//! A directory that git reads.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use reftable::Snapshot;

use crate::error::{Error, ErrorKind, Result};

/// Writes a `tables.list`, and then the tables of `snapshot`, which it names, into the empty
/// directory `dir`, which is made if it is not there. All is synced before it returns.
///
/// The list comes first, so that a directory that is not finished is none that looks whole or
/// empty: opening it is an error about a table that is missing or damaged. What was written is
/// deleted again if the system refuses the rest.
///
/// # Errors
/// `Invalid` if there is something in the directory; `Unavailable` if the system refuses.
pub fn materialize(snapshot: &Snapshot, dir: &Path) -> Result<()> {
    let failed = |path: &Path, error: io::Error| {
        Error::new(ErrorKind::Unavailable, error.to_string()).in_object(&path.to_string_lossy())
    };
    fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    if fs::read_dir(dir).map_err(|error| failed(dir, error))?.next().is_some() {
        let message = "the directory is not empty; name one that is, or that is not there";
        return Err(Error::new(ErrorKind::Invalid, message).in_object(&dir.to_string_lossy()));
    }
    let list: String = snapshot.tables().iter().map(|table| format!("{}\n", table.name())).collect();
    let tables = snapshot.tables().iter().map(|table| (table.name(), table.bytes()));
    let mut written = Vec::new();
    for (name, bytes) in std::iter::once(("tables.list", list.as_bytes())).chain(tables) {
        let path = dir.join(name);
        let result = write(&path, bytes).and_then(|()| sync_dir(dir));
        written.push(path.clone());
        if let Err(error) = result {
            // The list goes last.
            written.iter().rev().for_each(|path| drop(fs::remove_file(path)));
            return Err(failed(&path, error));
        }
    }
    Ok(())
}

/// A file that is there in one piece: an empty list would be a store, too.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let mut file = File::create_new(&unfinished)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&unfinished, path));
    written.inspect_err(|_| drop(fs::remove_file(&unfinished)))
}

/// Where directories cannot be opened their entries need no sync.
fn sync_dir(dir: &Path) -> io::Result<()> {
    match File::open(dir) {
        Ok(dir) if cfg!(unix) => dir.sync_all(),
        _ => Ok(()),
    }
}
