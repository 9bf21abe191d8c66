//! Tables on a disk of this machine, so that they are read from the object store once.
//!
//! A table is never written twice under one name, so that nothing here grows old. Whatever is wrong
//! with the directory costs a request and no more: what is read is checked like what comes from the
//! object store, and what cannot be written is not.

use std::fs::{self, DirEntry, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::root::TableLine;

/// A file that was not finished for so long is garbage.
const ABANDONED: Duration = Duration::from_secs(3600);

/// A directory of tables, which processes may share.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    dir: PathBuf,
    most: u64,
}

impl Cache {
    pub(crate) fn new(dir: PathBuf, most: u64) -> Cache {
        Cache { dir, most }
    }

    /// The name of a table has been checked when its root was read: it is no path.
    fn path(&self, store: u64, line: &TableLine) -> PathBuf {
        self.dir.join(format!("{store:016x}-{}", line.name))
    }

    /// The bytes of a table, if they are here and whole.
    pub(crate) fn get(&self, store: u64, line: &TableLine) -> Option<Bytes> {
        let path = self.path(store, line);
        let bytes = fs::read(&path).ok()?;
        if bytes.len() as u64 != line.len || crc32fast::hash(&bytes) != line.crc {
            let _ = fs::remove_file(&path);
            return None;
        }
        // What is used last goes last.
        let _ = File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(bytes.into())
    }

    /// Keeps the bytes of a table, if there is room.
    pub(crate) fn put(&self, store: u64, line: &TableLine, bytes: &[u8], random: u64) {
        if bytes.len() as u64 <= self.most {
            let _ = self.try_to_put(&self.path(store, line), bytes, random);
        }
    }

    fn try_to_put(&self, path: &Path, bytes: &[u8], random: u64) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        self.make_room(bytes.len() as u64)?;
        let unfinished = self.dir.join(format!("unfinished-{random:016x}"));
        let written = File::create_new(&unfinished).and_then(|mut file| file.write_all(bytes));
        let placed = written.and_then(|()| fs::rename(&unfinished, path));
        placed.inspect_err(|_| drop(fs::remove_file(&unfinished)))
    }

    /// Deletes what was not used for longest, until there is room for so many bytes. Files that are
    /// not called like ours are not touched.
    fn make_room(&self, wanted: u64) -> io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.dir)?.filter_map(Result::ok) {
            let Ok(about) = entry.metadata() else { continue };
            let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if is_unfinished(&entry) {
                let age = SystemTime::now().duration_since(used).unwrap_or_default();
                if age > ABANDONED {
                    let _ = fs::remove_file(entry.path());
                }
            } else if is_table(&entry) {
                files.push((used, about.len(), entry.path()));
            }
        }
        files.sort_unstable();
        let mut total = files.iter().fold(wanted, |total, file| total.saturating_add(file.1));
        for (_, len, path) in files {
            if total <= self.most {
                break;
            }
            fs::remove_file(path)?;
            total = total.saturating_sub(len);
        }
        Ok(())
    }
}

fn is_unfinished(entry: &DirEntry) -> bool {
    entry.file_name().to_str().is_some_and(|name| name.starts_with("unfinished-"))
}

fn is_table(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let parts = name.to_str().and_then(|name| name.split_once('-'));
    parts.is_some_and(|(store, table)| {
        store.len() == 16
            && store.bytes().all(|byte| byte.is_ascii_hexdigit())
            && reftable::engine::update_indexes_of_name(table).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64, bytes: &[u8]) -> TableLine {
        let name = reftable::engine::table_name(number, number, number);
        TableLine { name, len: bytes.len() as u64, crc: crc32fast::hash(bytes), inline: None }
    }

    #[test]
    fn what_was_used_last_stays_when_room_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().join("cache"), 25);
        let lines: Vec<TableLine> = (1..=3).map(|number| line(number, &[7; 10])).collect();
        fs::create_dir(dir.path().join("cache")).unwrap();
        fs::write(dir.path().join("cache/notes.txt"), [0; 100]).unwrap();
        cache.put(1, &lines[0], &[7; 10], 1);
        cache.put(1, &lines[1], &[7; 10], 2);
        std::thread::sleep(Duration::from_millis(20));
        assert!(cache.get(1, &lines[0]).is_some());
        cache.put(1, &lines[2], &[7; 10], 3);
        let has = |number: usize| cache.get(1, &lines[number]).is_some();
        assert_eq!([has(0), has(1), has(2)], [true, false, true]);
        assert!(dir.path().join("cache/notes.txt").exists(), "what is not ours stays");
        assert!(cache.get(2, &lines[0]).is_none(), "another store has other tables");
        cache.put(1, &line(9, &[0; 26]), &[0; 26], 4);
        assert!(cache.get(1, &line(9, &[0; 26])).is_none(), "what is larger than all of it is not kept");
    }

    #[test]
    fn what_is_damaged_is_as_if_it_were_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().to_owned(), 1000);
        let table = line(1, b"some bytes");
        cache.put(1, &table, b"some bytes", 1);
        for damaged in [&b"some bytez"[..], b"some", b""] {
            fs::write(cache.path(1, &table), damaged).unwrap();
            assert!(cache.get(1, &table).is_none());
            assert!(!cache.path(1, &table).exists());
        }
        Cache::new("/proc/none/such".into(), 1000).put(1, &table, b"some bytes", 1);
    }
}
