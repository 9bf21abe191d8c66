//! What is in a directory besides the files of those who live, which are locked with the kernel:
//! stacks that are open may have some.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

use fs4::FileExt;

/// Whether this is a file that a process keeps locked with the kernel.
fn is_living(dir: &Path, name: &str) -> bool {
    name.starts_with("reftable-") && File::open(dir.join(name)).is_ok_and(|file| FileExt::try_lock(&file).is_err())
}

/// The names in a directory.
pub(crate) fn names(dir: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !is_living(dir, name)).collect()
}

/// Names and contents of a directory of files.
pub(crate) fn dump(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    names(dir).into_iter().map(|name| (name.clone(), fs::read(dir.join(name)).unwrap())).collect()
}

/// The list and the tables that it names.
pub(crate) fn listed(dir: &Path) -> BTreeSet<String> {
    let list = fs::read_to_string(dir.join("tables.list")).unwrap();
    list.lines().chain(["tables.list"]).map(str::to_owned).collect()
}

pub(crate) fn assert_none(dir: &Path) {
    assert_eq!(names(dir), listed(dir), "files in {}", dir.display());
}
