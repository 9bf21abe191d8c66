//! Follows one directory while a command changes it.
//!
//! The recorder does not trust its knowledge of system calls: after each call that may have changed
//! something it looks at what the directory shows, and records the difference. In the end it looks
//! once more, and what it has not seen happen is an error.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::Pid;

use super::calls::Effect;
use super::look::{self, Attributes, FoundFile, Identity};
use super::tracer::{Witness, path_of};
use crate::{Entry, File, FileId, Kind, Op, Place, ROOT, Tree};

/// A name: the directory that it is in, and its last part.
type Key = (FileId, String);

/// What was recorded.
#[derive(Debug)]
pub(super) struct Recording {
    /// The directory before the command.
    pub(super) before: Tree,
    /// What happened to it, and who was told.
    pub(super) log: Vec<Entry>,
    /// How stories call the processes.
    pub(super) names: BTreeMap<u32, String>,
}

/// Follows a directory.
#[derive(Debug)]
pub(super) struct Recorder {
    root: PathBuf,
    device: (u32, u32),
    /// The pipe that is the command's standard output.
    output: (u64, u64),
    exits_acknowledge: bool,
    ids: HashMap<Identity, FileId>,
    /// What each file had when it was last looked at, also of those that have no name any more.
    files: HashMap<FileId, File>,
    names: BTreeMap<Key, FileId>,
    log: Vec<Entry>,
    /// The process whose call is looked at.
    process: u32,
    /// What processes run.
    programs: BTreeMap<u32, String>,
    /// What the recording cannot see, in words.
    unseen: Vec<String>,
}

impl Recorder {
    /// Begins with what `root` has now.
    ///
    /// # Errors
    ///
    /// It cannot be read, or has names that are not UTF-8.
    pub(super) fn new(root: &Path, output: RawFd, exits_acknowledge: bool) -> io::Result<Recorder> {
        let output = fs::metadata(format!("/proc/self/fd/{output}"))?;
        let at_root = FoundFile::followed(root)?;
        let mut recorder = Recorder {
            root: root.to_path_buf(),
            device: at_root.device,
            output: (output.dev(), output.ino()),
            exits_acknowledge,
            ids: HashMap::from([(at_root.identity, ROOT)]),
            files: HashMap::from([(ROOT, File { kind: Kind::Directory, ..File::default() })]),
            names: BTreeMap::new(),
            log: Vec::new(),
            process: 0,
            programs: BTreeMap::new(),
            unseen: Vec::new(),
        };
        recorder.look_at_names()?;
        recorder.log.clear();
        Ok(recorder)
    }

    /// The directory as it was last seen.
    pub(super) fn tree(&self) -> Tree {
        let mut tree = Tree::default();
        for (entry, id) in &self.names {
            if let (Some(path), Some(file)) = (self.path_of_entry(entry), self.files.get(id)) {
                tree.names.insert(path.into(), *id);
                tree.files.insert(*id, file.clone());
            }
        }
        tree
    }

    /// Looks once more at everything, and returns what was recorded.
    ///
    /// # Errors
    ///
    /// Something has changed that was not seen: the recording would not be what has happened.
    pub(super) fn finish(mut self, before: Tree) -> io::Result<Recording> {
        let seen = self.log.len();
        self.look_at_names()?;
        self.look_at_all()?;
        self.has_missed(seen);
        if !self.unseen.is_empty() {
            return Err(io::Error::other(self.unseen.join("; ")));
        }
        Ok(Recording { before, log: self.log, names: names(&self.programs) })
    }

    /// What was recorded after the first `seen` operations was done by no process that is traced.
    fn has_missed(&mut self, seen: usize) {
        let missed: Vec<String> = self.log.iter().skip(seen).map(|entry| crate::story::deed(&entry.op)).collect();
        if !missed.is_empty() {
            self.unseen.push(format!("a process that is not traced {}", missed.join("; ")));
        }
    }

    /// Looks at the names before a call that may change them.
    fn look_for_strangers(&mut self) {
        let seen = self.log.len();
        match self.look_at_names() {
            Ok(()) => self.has_missed(seen),
            Err(error) => self.unseen.push(error.to_string()),
        }
    }

    fn record(&mut self, op: Op) {
        self.log.push(Entry { process: self.process, op, acknowledged: 0, published: 0 });
    }

    fn acknowledge(&mut self, what: &str) {
        self.record(Op::Acknowledge { what: what.to_owned() });
    }

    /// The path below the root of a file by any of its names; empty for the root.
    fn path(&self, id: FileId) -> Option<String> {
        if id == ROOT {
            return Some(String::new());
        }
        self.path_of_entry(self.names.iter().find(|(_, other)| **other == id)?.0)
    }

    fn path_of_entry(&self, (dir, name): &Key) -> Option<String> {
        let dir = self.path(*dir)?;
        Some(if dir.is_empty() { name.clone() } else { format!("{dir}/{name}") })
    }

    /// How a story calls a file.
    fn called(&self, id: FileId) -> Arc<str> {
        self.path(id).unwrap_or_else(|| "(a file without a name)".to_owned()).into()
    }

    /// The file that a path leads to, if it is followed.
    fn at(&self, path: &Path) -> Option<FileId> {
        let found = FoundFile::followed(path).ok().filter(|found| found.device == self.device)?;
        self.ids.get(&found.identity).copied()
    }

    /// Records which names have changed since the last look.
    fn look_at_names(&mut self) -> io::Result<()> {
        let mut found = BTreeMap::new();
        let mut dirs = vec![(ROOT, String::new())];
        let mut new = Vec::new();
        while let Some((dir, path)) = dirs.pop() {
            for entry in fs::read_dir(self.root.join(&path))? {
                let (entry, path) = (entry?.file_name(), &path);
                let name = look::name_of(&entry)?.to_owned();
                let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                let stat = FoundFile::at(&self.root.join(&path))?;
                let Some(kind) = stat.kind.filter(|_| stat.device == self.device) else { continue };
                let id = self.ids.get(&stat.identity).copied().unwrap_or_else(|| {
                    let id = self.files.len() as FileId;
                    self.ids.insert(stat.identity, id);
                    self.files.insert(id, File { kind, number: stat.identity.0, ..File::default() });
                    new.push(id);
                    id
                });
                found.insert((dir, name), id);
                if kind == Kind::Directory {
                    dirs.push((id, path));
                }
            }
        }
        let old = std::mem::replace(&mut self.names, found);
        self.record_names(&old, &new)?;
        for id in new {
            self.look_at(id)?;
        }
        Ok(())
    }

    /// Records by which operation the names became what they are.
    fn record_names(&mut self, old: &BTreeMap<Key, FileId>, new: &[FileId]) -> io::Result<()> {
        let mut gone: Vec<_> = old.iter().filter(|(entry, _)| !self.names.contains_key(*entry)).collect();
        let given: Vec<_> = self.names.iter().filter(|(entry, id)| old.get(*entry) != Some(id)).collect();
        let (mut ops, mut made) = (Vec::new(), Vec::new());
        for (entry, id) in given {
            let at = self.place(entry)?;
            if new.contains(id) && !made.contains(id) {
                made.push(*id);
                ops.push(self.creation(at, *id)?);
            } else if let Some(position) = gone.iter().position(|(_, other)| *other == id) {
                let (from, _) = gone.remove(position);
                // The old name's directory is still there: no call moves two things.
                ops.push(Op::Rename { from: self.place(from)?, to: at, file: *id });
            } else {
                let existing = old.iter().find(|(_, other)| *other == id).map(|(entry, _)| self.place(entry));
                let existing = existing.transpose()?.map_or_else(|| "".into(), |place| place.path);
                ops.push(Op::Link { existing, new: at, file: *id });
            }
        }
        for (entry, _) in gone {
            ops.push(Op::Remove { at: self.place(entry)? });
        }
        if ops.len() > 1 && ops.iter().any(|op| matches!(op, Op::Link { .. })) {
            self.unseen.push(format!("one call has changed several names at once: {ops:?}"));
        }
        ops.into_iter().for_each(|op| self.record(op));
        Ok(())
    }

    fn creation(&self, at: Place, id: FileId) -> io::Result<Op> {
        let file = self.files.get(&id).ok_or_else(|| io::Error::other("a file that was not met"))?;
        Ok(match file.kind {
            Kind::Directory => Op::MakeDir { at, file: id },
            Kind::Symlink => {
                let target = look::contents(&self.root.join(&*at.path), Kind::Symlink)?;
                Op::Symlink { at, file: id, target: Arc::new(target) }
            }
            _ => Op::Create { at, file: id, number: file.number, created: 0 },
        })
    }

    fn place(&self, entry: &Key) -> io::Result<Place> {
        let path = self.path_of_entry(entry).ok_or_else(|| io::Error::other("a directory went while it was read"))?;
        Ok(Place { dir: entry.0, path: path.into() })
    }

    fn look_at_all(&mut self) -> io::Result<()> {
        let named: std::collections::BTreeSet<FileId> = self.names.values().copied().collect();
        named.into_iter().try_for_each(|id| self.look_at(id))
    }

    /// Records how a file that has a name has changed since the last look.
    fn look_at(&mut self, id: FileId) -> io::Result<()> {
        let path = self.path(id).map(|path| self.root.join(path));
        path.map_or(Ok(()), |path| self.look_at_by(id, &path))
    }

    /// Records how a file has changed since the last look, which is opened by `path`.
    fn look_at_by(&mut self, id: FileId, path: &Path) -> io::Result<()> {
        let called = self.called(id);
        let Some(file) = self.files.get_mut(&id) else { return Ok(()) };
        let bytes = look::contents(path, file.kind)?;
        let mut ops = Vec::new();
        if file.kind == Kind::File {
            if bytes.len() < file.bytes.len() {
                ops.push(Op::Truncate { path: Arc::clone(&called), file: id, len: bytes.len() as u64 });
            }
            let kept = file.bytes.get(..bytes.len()).unwrap_or(&file.bytes);
            if let Some((at, changed)) = look::difference(kept, &bytes) {
                let (path, bytes) = (Arc::clone(&called), Arc::new(changed));
                ops.push(Op::Write { path, file: id, offset: at as u64, bytes });
            }
        }
        file.bytes = Arc::new(bytes);
        if file.kind != Kind::Symlink {
            let note = Some(Attributes::read(path)?.to_note()).filter(|note| !note.is_empty()).map(Arc::new);
            if note != file.note {
                let note = note.clone().unwrap_or_default();
                ops.push(Op::SetNote { path: called, file: id, note });
            }
            (file.note, file.mode) = (note, Some(look::mode(path)?));
        }
        ops.into_iter().for_each(|op| self.record(op));
        Ok(())
    }

    /// What is recorded next was done by this process.
    fn follow(&mut self, pid: Pid) {
        self.process = pid.as_raw().cast_unsigned();
        if let Ok(program) = fs::read_to_string(format!("/proc/{pid}/comm")) {
            self.programs.insert(self.process, program.trim_end().to_owned());
        }
    }

    fn is_output(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == self.output)
    }

    fn wrote(&mut self, pid: Pid, fd: RawFd) -> io::Result<()> {
        let path = path_of(pid, fd);
        if self.is_output(&path) {
            self.acknowledge("a line of output");
            return Ok(());
        }
        let Some(id) = self.at(&path) else { return Ok(()) };
        self.look_at_by(id, &path)?;
        if writes_are_synced(pid, fd) {
            self.sync(id);
        }
        Ok(())
    }

    fn sync(&mut self, id: FileId) {
        let path = self.called(id);
        let is_directory = self.files.get(&id).is_some_and(File::is_directory);
        self.record(match is_directory {
            true => Op::SyncDir { path, dir: id },
            false => Op::SyncFile { path, file: id },
        });
    }

    /// A file that an open has made without a name, or cut.
    fn opened(&mut self, pid: Pid, fd: RawFd) -> io::Result<()> {
        let path = path_of(pid, fd);
        let Ok(found) = FoundFile::followed(&path) else { return Ok(()) };
        if found.kind != Some(Kind::File) || found.device != self.device {
            return Ok(());
        }
        if found.links == 0 && !self.ids.contains_key(&found.identity) {
            let (id, number) = (self.files.len() as FileId, found.identity.0);
            self.ids.insert(found.identity, id);
            self.files.insert(id, File { number, ..File::default() });
            self.record(Op::CreateUnnamed { file: id, number, created: 0 });
        }
        match self.ids.get(&found.identity) {
            Some(id) => self.look_at_by(*id, &path),
            None => Ok(()),
        }
    }
}

impl Witness for Recorder {
    fn concerns(&mut self, pid: Pid, effect: Effect) -> bool {
        match effect {
            Effect::None => false,
            Effect::Contents(fd) => {
                let path = path_of(pid, fd);
                self.is_output(&path) || self.at(&path).is_some()
            }
            Effect::Sync(fd) => self.at(&path_of(pid, fd)).is_some(),
            Effect::Names { .. } => {
                self.look_for_strangers();
                true
            }
            Effect::ContentsByPath | Effect::Attributes(_) | Effect::SyncAll => true,
            Effect::Maps(fd) => {
                let path = path_of(pid, fd);
                if self.at(&path).is_some() {
                    let name = fs::read_link(&path).unwrap_or(path);
                    self.unseen.push(format!("{} is mapped, and written without any call", name.display()));
                }
                false
            }
            Effect::Unseen(what) => {
                self.unseen.push(format!("the command uses {what}, whose writes cannot be seen"));
                false
            }
        }
    }

    fn done(&mut self, pid: Pid, effect: Effect, result: i64) -> io::Result<()> {
        self.follow(pid);
        match effect {
            Effect::None | Effect::Maps(_) | Effect::Unseen(_) => Ok(()),
            Effect::Contents(fd) => self.wrote(pid, fd),
            Effect::ContentsByPath | Effect::Attributes(None) => self.look_at_all(),
            Effect::Names { opens } => {
                self.look_at_names()?;
                match RawFd::try_from(result) {
                    Ok(fd) if opens => self.opened(pid, fd),
                    _ => Ok(()),
                }
            }
            Effect::Attributes(Some(fd)) => {
                let path = path_of(pid, fd);
                self.at(&path).map_or(Ok(()), |id| self.look_at_by(id, &path))
            }
            Effect::Sync(fd) => {
                if let Some(id) = self.at(&path_of(pid, fd)) {
                    self.sync(id);
                }
                Ok(())
            }
            Effect::SyncAll => {
                self.record(Op::SyncAll);
                Ok(())
            }
        }
    }

    fn ended(&mut self, pid: Pid, code: Option<i32>) {
        self.process = pid.as_raw().cast_unsigned();
        if self.exits_acknowledge && code == Some(0) {
            self.acknowledge("a process has ended well");
        }
    }
}

/// Whether the descriptor was opened so that each write is durable before it returns.
fn writes_are_synced(pid: Pid, fd: RawFd) -> bool {
    let about = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).unwrap_or_default();
    let flags = about.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok()).unwrap_or_default();
    flags & nix::libc::O_DSYNC != 0
}

/// The program that a process runs, and which of several processes that run it this is.
fn names(programs: &BTreeMap<u32, String>) -> BTreeMap<u32, String> {
    let name = |(pid, program): (&u32, &String)| {
        let number = programs.iter().filter(|(other, same)| *same == program && *other <= pid).count();
        let name = if number > 1 { format!("{program} ({number})") } else { program.clone() };
        (*pid, name)
    };
    programs.iter().map(name).collect()
}
