//! Names under which what leaves a store is kept.

use std::io::{ErrorKind, Write};
use std::sync::Arc;

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::list::LIST;
use crate::temp_file::TempFile;

/// So many files of one name can be put aside.
const MAX: usize = 10_000;

/// A file, and the name that it is kept under.
#[derive(Debug)]
pub(super) struct PutAside {
    pub(super) file: String,
    pub(super) name: String,
}

/// Gives a file a second name, `file` and `suffix`, with a number where another file has that.
/// Where there are no hard links a list is copied, and a table gets the name from
/// [`leave_first_name`].
pub(super) fn put_aside(dir: &Arc<dyn Dir>, file: &str, suffix: &str) -> Result<PutAside> {
    let failed = |error| Error::io("cannot keep the file under another name", &dir.path().join(file), error);
    for number in 1..MAX {
        let name = if number == 1 { format!("{file}{suffix}") } else { format!("{file}{suffix}.{number}") };
        let kept = PutAside { file: file.to_owned(), name };
        match (dir.stat(file), dir.stat(&kept.name)) {
            // An earlier repair has come as far as this.
            (Ok(there), Ok(other)) if there.is_unique() && there.is_same_file(&other) => return Ok(kept),
            (Ok(_), Ok(_)) => continue,
            (Ok(_), Err(error)) if error.kind() == ErrorKind::NotFound => {}
            (Err(error), _) | (_, Err(error)) => return Err(failed(error)),
        }
        match dir.link(file, &kept.name) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            Err(_) if file == LIST => keep_list(dir, &kept)?,
            Err(_) => {}
        }
        return Ok(kept);
    }
    Err(failed(ErrorKind::AlreadyExists.into()))
}

/// Without hard links: a copy of the list, or a directory that has the name, moved.
fn keep_list(dir: &Arc<dyn Dir>, kept: &PutAside) -> Result<()> {
    let failed = |error| Error::io("cannot keep the table list", &dir.path().join(LIST), error);
    if !dir.target(LIST).is_ok_and(|there| there.is_file) {
        return dir.rename(LIST, &kept.name).map_err(failed);
    }
    let contents = dir.open(LIST).and_then(|list| list.contents()).map_err(failed)?;
    let mut copy = TempFile::create(dir, kept.name.clone())?;
    copy.write_all(&contents).map_err(failed)?;
    copy.sync()?;
    copy.stay();
    Ok(())
}

/// Leaves a file only the name that it is kept under. Renaming does nothing if it has both.
pub(super) fn leave_first_name(dir: &Arc<dyn Dir>, kept: &PutAside) -> Result<()> {
    let path = dir.path().join(&kept.file);
    dir.rename(&kept.file, &kept.name).map_err(|error| Error::io("cannot rename the file", &path, error))?;
    match dir.remove(&kept.file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("cannot remove the file", &path, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
