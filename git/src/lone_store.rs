//! Stores without a repository around them, or with the ruins of one.

use std::fs;
use std::io::Read;
use std::path::Path;

use reftable::dir::OsDir;

/// The directory of a store.
pub(crate) const STORE: &str = "reftable";
pub(crate) const LIST: &str = "tables.list";

pub(crate) fn has_list(dir: &Path) -> bool {
    dir.join(LIST).symlink_metadata().is_ok()
}

/// Whether `dir` is a store without a repository: it has a table list, or has lost it and has
/// tables, or it has the name and nothing in it yet.
pub(crate) fn is_store(dir: &Path) -> bool {
    let is_new = || dir.ends_with(STORE) && fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
    has_list(dir) || is_new() || has_table(dir)
}

/// Whether there is a file that is called like a table and begins like one.
fn has_table(dir: &Path) -> bool {
    let begins = |path: &Path| {
        let mut magic = [0; 4];
        let read = OsDir::open_file(path).and_then(|mut file| file.read_exact(&mut magic));
        read.is_ok() && magic == *b"REFT"
    };
    let mut entries = fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    entries.any(|path| path.extension().is_some_and(|end| end == "ref") && path.is_file() && begins(&path))
}

/// What is left of the git directory that `store` is in, if git does not take it for one any more:
/// it has lost its `HEAD` or its objects.
pub(crate) fn ruin_around(store: &Path) -> Option<&Path> {
    let dir = store.parent().filter(|_| store.ends_with(STORE))?;
    ["config", "commondir", "HEAD"].iter().any(|file| dir.join(file).is_file()).then_some(dir)
}
