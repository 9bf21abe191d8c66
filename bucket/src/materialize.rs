//! A directory that git reads.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use reftable::Snapshot;

use crate::error::{Error, ErrorKind, Result};

/// Writes the tables of `snapshot`, and then a `tables.list` that names them, into the empty
/// directory `dir`, which is made if it is not there. All is synced before it returns.
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
    let mut list = String::new();
    for table in snapshot.tables() {
        let path = dir.join(table.name());
        write(&path, table.bytes()).map_err(|error| failed(&path, error))?;
        list.push_str(table.name());
        list.push('\n');
    }
    let path = dir.join("tables.list");
    write(&path, list.as_bytes()).map_err(|error| failed(&path, error))?;
    sync_dir(dir).map_err(|error| failed(dir, error))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Where directories cannot be opened their entries need no sync.
fn sync_dir(dir: &Path) -> io::Result<()> {
    match File::open(dir) {
        Ok(dir) if cfg!(unix) => dir.sync_all(),
        _ => Ok(()),
    }
}
