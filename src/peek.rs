//! A look-up or two without opening the store: what a prompt does.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::dir::LocalFile;
use crate::error::{Error, ErrorKind, Result};
use crate::list::{self, LIST};
use crate::table::PartialTable;
use crate::value::Ref;

/// A longer list is one of a store that is to be opened.
const LONGEST_LIST: u64 = 64 * 1024;

/// The state of a store, of which only what is asked for is read, by read calls: of each table some
/// blocks, of the newest tables first, and none of those below the one that knows a name. With two
/// tables in a store that takes some 15 system calls; opening it takes as many, and maps the
/// larger ones, which costs more than all of them.
///
/// An error says no more than that the store has to be opened ([`crate::Stack`]): so it is with one
/// that is empty or damaged, that others are changing at this moment, or that is on a network or
/// another file system whose answers are not to be taken as they are. Opening tells which.
///
/// ```
/// # use reftable::{Expect, Options, Stack, Target};
/// use reftable::peek::Peek;
/// # let dir = tempfile::tempdir()?;
/// # let stack = Stack::open(dir.path(), Options::default())?;
/// # let mut tx = stack.transaction();
/// # tx.set("HEAD", Expect::Any, Target::symbolic("refs/heads/main"));
/// # tx.commit()?;
/// let store = dir.path();
/// let head = match Peek::open(store).and_then(|mut peek| peek.get(b"HEAD")) {
///     Ok(head) => head,
///     Err(_) => Stack::open(store, Options::default())?.snapshot()?.get(b"HEAD")?,
/// };
/// assert_eq!(head.expect("it was set").target, Target::symbolic("refs/heads/main"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Peek {
    dir: PathBuf,
    list: LocalFile,
    /// Those that were not asked yet, oldest first.
    names: Vec<String>,
    /// Those that were, newest first.
    tables: Vec<PartialTable<ReadFile>>,
}

type ReadFile = Box<dyn Fn(u64, usize) -> Result<Vec<u8>> + Send + Sync>;

impl Peek {
    /// Reads the list of the store in `dir`.
    ///
    /// # Errors
    /// Whatever keeps it from being read as it is: see [`Peek`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Peek> {
        let dir = dir.as_ref().to_owned();
        let path = dir.join(LIST);
        let failed = |error| Error::io("cannot read the table list", &path, error);
        let list = LocalFile::open(&path).map_err(failed)?;
        if list.len == 0 || list.len > LONGEST_LIST || !list.is_local() {
            return Err(Error::new(ErrorKind::Unsupported, "the store is to be opened").in_file(&path));
        }
        let contents = list.part(0, usize::try_from(list.len).unwrap_or(usize::MAX)).map_err(failed)?;
        let names = list::parse(&contents).map_err(|error| error.in_file(&path))?;
        Ok(Peek { dir, list, names, tables: Vec::new() })
    }

    /// One reference, without following symbolic ones; of the state that was there when the list
    /// was read.
    ///
    /// # Errors
    /// Whatever keeps a table from being read as it is: see [`Peek`].
    pub fn get(&mut self, name: &[u8]) -> Result<Option<Ref>> {
        for table in &self.tables {
            if let Some(found) = table.get(name)? {
                return Ok(found);
            }
        }
        while let Some(next) = self.names.last() {
            // What cannot be opened stays the next one.
            let table = self.open_table(next)?;
            self.names.pop();
            let found = table.get(name);
            self.tables.push(table);
            if let Some(found) = found? {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn open_table(&self, name: &str) -> Result<PartialTable<ReadFile>> {
        let path = self.dir.join(name);
        let failed = |error| Error::io("cannot read the table", &path, error);
        let file = LocalFile::open(&path).map_err(failed)?;
        if !file.is_beside(&self.list) {
            return Err(Error::new(ErrorKind::Unsupported, "the store is to be opened").in_file(&path));
        }
        let len = file.len;
        let read = {
            let path = path.clone();
            move |start, len| file.part(start, len).map_err(|error| Error::io("cannot read the table", &path, error))
        };
        PartialTable::open(len, Box::new(read) as ReadFile)
    }
}

impl fmt::Debug for Peek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peek").field("dir", &self.dir).finish_non_exhaustive()
    }
}
