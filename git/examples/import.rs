//! Writes the `packed-refs` of a repository and the logs beside it into a new store, as one table:
//! `cargo run --example import -- GIT-DIR STORE`
//!
//! References are read and written one after the other. In memory are the names that have a log,
//! the current log, and what a table keeps of all ids for its index.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use reftable::table::{LogRecordView, RefRecordView};
use reftable::{LogEntry, ObjectId, Options, Stack, Target};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Says how many references and log entries there are now.
pub(crate) fn import(git_dir: &Path, store: &Path) -> Result<(u64, u64)> {
    let logs = logs(git_dir)?;
    // The entries of one log have numbers of their own.
    let longest = logs.iter().map(|(_, path)| count_lines(path)).collect::<io::Result<Vec<u64>>>()?;
    let last = longest.into_iter().max().unwrap_or(0).max(1);
    fs::create_dir_all(store)?;
    let stack = Stack::open(store, Options::default())?;
    let mut addition = stack.addition()?;
    if !addition.snapshot().tables().is_empty() {
        return Err("the store is not empty".into());
    }
    let mut table = addition.table(1..=last)?;
    let mut references = 0;
    each_packed(&git_dir.join("packed-refs"), |name, target| {
        references += 1;
        Ok(table.add_ref(&RefRecordView { name, update_index: last, target: Some(target.as_view()) })?)
    })?;
    let mut entries = 0;
    for (name, path) in &logs {
        let log = read_log(path)?;
        entries += log.len() as u64;
        for (number, entry) in (1..).zip(&log).collect::<Vec<(u64, _)>>().into_iter().rev() {
            let entry = Some(entry.as_view());
            table.add_log(&LogRecordView { refname: name, update_index: number, entry })?;
        }
    }
    addition.add(table)?;
    addition.commit()?;
    Ok((references, entries))
}

/// Hands all references to `each`, in the order of the file, which is that of names.
fn each_packed(path: &Path, mut each: impl FnMut(&[u8], &Target) -> Result<()>) -> Result<()> {
    let mut file = BufReader::new(File::open(path)?);
    let mut last: Option<(Vec<u8>, Target)> = None;
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line)? > 0 {
        let text = line.trim_ascii_end();
        match (text.strip_prefix(b"^"), text.split_once_space()) {
            // What the tag before leads to.
            (Some(peeled), _) => {
                if let Some((_, target)) = &mut last
                    && let Some(id) = target.id()
                {
                    *target = Target::Tag { id, peeled: ObjectId::from_hex(peeled)? };
                }
            }
            (None, Some((id, name))) if !text.starts_with(b"#") => {
                let found = (name.to_vec(), Target::Id(ObjectId::from_hex(id)?));
                if let Some((name, target)) = last.replace(found) {
                    each(&name, &target)?;
                }
            }
            _ => {}
        }
        line.clear();
    }
    last.map_or(Ok(()), |(name, target)| each(&name, &target))
}

trait SplitOnce {
    fn split_once_space(&self) -> Option<(&[u8], &[u8])>;
}

impl SplitOnce for [u8] {
    fn split_once_space(&self) -> Option<(&[u8], &[u8])> {
        let at = self.iter().position(|byte| *byte == b' ')?;
        Some((self.get(..at)?, self.get(at + 1..)?))
    }
}

/// The logs below `logs/`, by name.
fn logs(git_dir: &Path) -> Result<Vec<(Vec<u8>, PathBuf)>> {
    let top = git_dir.join("logs");
    let mut found = Vec::new();
    let mut left = vec![top.clone()];
    while let Some(directory) = left.pop().filter(|directory| directory.is_dir()) {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            match path.is_dir() {
                true => left.push(path),
                false => found.push((path.strip_prefix(&top)?.as_os_str().as_encoded_bytes().to_vec(), path)),
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn count_lines(path: &Path) -> io::Result<u64> {
    BufReader::new(File::open(path)?).split(b'\n').try_fold(0, |count, line| line.map(|_| count + 1))
}

/// The entries of a log, the oldest first.
fn read_log(path: &Path) -> Result<Vec<LogEntry>> {
    let mut entries = Vec::new();
    for line in BufReader::new(File::open(path)?).split(b'\n') {
        entries.push(LogEntry::parse_line(&line?)?);
    }
    Ok(entries)
}

fn main() -> Result<()> {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [git_dir, store] = args.as_slice() else { return Err("GIT-DIR STORE".into()) };
    let (references, entries) = import(git_dir, store)?;
    writeln!(io::stdout(), "{references} references, {entries} log entries")?;
    Ok(())
}
