//! A directory in memory that is only read.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use reftable::bytes::Bytes;
use reftable::dir::{Dir, DirFile, FileStat};

/// Files by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemDir(pub(crate) BTreeMap<String, Vec<u8>>);

impl MemDir {
    /// A stack of these tables, the oldest first.
    pub(crate) fn of_tables(tables: &[Vec<u8>]) -> MemDir {
        let mut files = BTreeMap::new();
        let mut list = String::new();
        for (number, table) in tables.iter().enumerate() {
            let name = format!("{number}.ref");
            list += &format!("{name}\n");
            files.insert(name, table.clone());
        }
        files.insert("tables.list".to_owned(), list.into_bytes());
        MemDir(files)
    }

    fn file(&self, name: &str) -> io::Result<MemFile> {
        self.0.get(name).map(|bytes| MemFile(bytes.clone())).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn read_only<T>() -> io::Result<T> {
    Err(io::ErrorKind::PermissionDenied.into())
}

impl Dir for MemDir {
    fn path(&self) -> &Path {
        Path::new("memory")
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DirFile>> {
        self.file(name).map(|file| Box::new(file) as _)
    }

    fn create(&self, _name: &str) -> io::Result<Box<dyn DirFile>> {
        read_only()
    }

    fn stat(&self, name: &str) -> io::Result<FileStat> {
        self.file(name)?.stat()
    }

    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        read_only()
    }

    fn remove(&self, _name: &str) -> io::Result<()> {
        read_only()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.keys().cloned().collect())
    }

    fn sync(&self) -> io::Result<()> {
        read_only()
    }

    fn sleep(&self, _time: Duration) {}

    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn random(&self) -> u64 {
        0
    }
}

#[derive(Debug)]
struct MemFile(Vec<u8>);

impl DirFile for MemFile {
    fn contents(&self) -> io::Result<Bytes> {
        Ok(self.0.clone().into())
    }

    fn write(&mut self, _bytes: &[u8]) -> io::Result<()> {
        read_only()
    }

    fn sync(&self) -> io::Result<()> {
        read_only()
    }

    fn stat(&self) -> io::Result<FileStat> {
        let mut stat = FileStat::default();
        stat.size = self.0.len() as u64;
        Ok(stat)
    }

    fn try_lock(&self) -> io::Result<bool> {
        read_only()
    }
}
