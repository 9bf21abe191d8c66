//! What a process calls.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Machine, OpenFile, State, pid_of};
use crate::op::{Op, Pid};
use crate::tree::{File, FileId, Name, parent};

/// A process on a [`Machine`]. What it calls is what a program would ask of the system; paths are
/// those of [`Volume`](crate::Volume).
///
/// Each method is one call, and fails like it: by what is there, by a plan (see
/// [`Machine::fail_at`]), or because the process is dead.
#[derive(Debug, Clone)]
pub struct Process {
    machine: Machine,
    pid: Pid,
}

impl Process {
    pub(super) fn new(machine: &Machine, pid: Pid) -> Process {
        Process { machine: machine.clone(), pid }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> Pid {
        self.pid
    }

    /// The machine it runs on.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    fn change(&self, operation: impl FnOnce(&mut State) -> io::Result<Op>) -> io::Result<()> {
        self.machine.call(self.pid, true, |state| Ok(((), Some(operation(state)?))))
    }

    fn look<T>(&self, look: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        self.machine.call(self.pid, false, |state| Ok((look(state)?, None)))
    }

    fn file(&self, (file, description): (FileId, u64), path: &str) -> OpenFile {
        OpenFile::new(&self.machine, file, description, path.into())
    }

    /// Fails if it has no descriptor left.
    fn check_descriptors(&self) -> io::Result<()> {
        self.machine.lock().check_descriptors(self.pid)
    }

    /// Opens a file. Symbolic links are followed.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn open(&self, path: &str) -> io::Result<OpenFile> {
        self.check_descriptors()?;
        let opened = self.look(|state| {
            let file = state.volume.follow(path)?;
            Ok((file, state.describe(self.pid, file)))
        })?;
        Ok(self.file(opened, path))
    }

    /// Makes an empty file (`O_CREAT | O_EXCL`).
    ///
    /// # Errors
    ///
    /// If there is something.
    pub fn create(&self, path: &str) -> io::Result<OpenFile> {
        self.check_descriptors()?;
        let created = self.machine.call(self.pid, true, |state| {
            let (file, op) = state.volume.create(path)?;
            Ok(((file, state.describe(self.pid, file)), Some(op)))
        })?;
        Ok(self.file(created, path))
    }

    /// Reads a file: opens it, reads all, closes it.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        Ok(self.open(path)?.read()?.to_vec())
    }

    /// Makes a file with these contents: creates it, and writes once. Nothing is synced.
    ///
    /// # Errors
    ///
    /// If there is something.
    pub fn write_new(&self, path: &str, contents: &[u8]) -> io::Result<OpenFile> {
        let file = self.create(path)?;
        file.append(contents)?;
        Ok(file)
    }

    /// What `stat` says of a path; of a symbolic link itself.
    ///
    /// # Errors
    ///
    /// If there is nothing.
    pub fn stat(&self, path: &str) -> io::Result<File> {
        self.look(|state| state.volume.file(state.volume.find(path)?).cloned())
    }

    /// The same of what a symbolic link leads to.
    ///
    /// # Errors
    ///
    /// If there is nothing.
    pub fn stat_target(&self, path: &str) -> io::Result<File> {
        self.look(|state| state.volume.file(state.volume.follow(path)?).cloned())
    }

    /// The names in a directory, whose path is empty for the root.
    ///
    /// # Errors
    ///
    /// If there is no such directory.
    pub fn list(&self, directory: &str) -> io::Result<Vec<Name>> {
        self.check_descriptors()?;
        self.look(|state| {
            let tree = state.volume.tree();
            tree.directory(directory).ok_or(io::ErrorKind::NotADirectory)?;
            let below = if directory.is_empty() { 0 } else { directory.len().saturating_add(1) };
            let inside = tree.names.keys().filter(|path| parent(path) == directory);
            Ok(inside
                .map(|path| if below == 0 { Arc::clone(path) } else { path.get(below..).unwrap_or(path).into() })
                .collect())
        })
    }

    /// Makes a directory.
    ///
    /// # Errors
    ///
    /// If there is something.
    pub fn make_dir(&self, path: &str) -> io::Result<()> {
        self.change(|state| state.volume.make_dir(path))
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    ///
    /// If there is something.
    pub fn symlink(&self, target: &str, path: &str) -> io::Result<()> {
        self.change(|state| state.volume.symlink(target, path))
    }

    /// Gives a file one more name.
    ///
    /// # Errors
    ///
    /// If there is none, or the name is taken.
    pub fn link(&self, existing: &str, new: &str) -> io::Result<()> {
        self.machine.call_for_lock(self.pid, true, |state| Ok(((), Some(state.volume.link(existing, new)?))))
    }

    /// Gives something another name, in the place of what had it.
    ///
    /// # Errors
    ///
    /// If there is nothing, or it does not fit what it would replace.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.machine.call(self.pid, true, |state| Ok(((), state.volume.rename(from, to)?)))
    }

    /// Lets go of the kernel's locks (`flock`) that it has on a file, as if it had closed all that
    /// it has open of it.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn unlock(&self, path: &str) -> io::Result<()> {
        self.look(|state| {
            let file = state.volume.find(path)?;
            state.locks.retain(|(locked, _), description| *locked != file || pid_of(*description) != self.pid);
            Ok(())
        })
    }

    /// Takes a name of a file away.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn remove(&self, path: &str) -> io::Result<()> {
        self.change(|state| state.volume.remove(path))
    }

    /// Takes an empty directory away.
    ///
    /// # Errors
    ///
    /// If there is none, or something in it.
    pub fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.change(|state| state.volume.remove_dir(path))
    }

    /// Makes the names in a directory durable; its path is empty for the root.
    ///
    /// # Errors
    ///
    /// If there is no such directory.
    pub fn sync_dir(&self, directory: &str) -> io::Result<()> {
        self.change(|state| state.volume.sync_dir(directory))
    }

    /// Makes everything durable.
    ///
    /// # Errors
    ///
    /// By a plan, or because the process is dead.
    pub fn sync_all(&self) -> io::Result<()> {
        self.change(|_| Ok(Op::SyncAll))
    }

    /// From here on readers may see state `state`. To be said before the change that shows it.
    pub fn publishes(&self, what: &str, state: usize) {
        if !self.machine.is_dead(self.pid) {
            self.machine.publish(self.pid, what, state);
        }
    }

    /// What it did has returned: from here on state `state`, or a later one, must be there.
    pub fn acknowledges(&self, what: &str, state: usize) {
        if !self.machine.is_dead(self.pid) {
            self.machine.acknowledge(self.pid, what, Some(state));
        }
    }

    /// Lets simulated time go by.
    pub fn sleep(&self, time: Duration) {
        self.machine.let_others_work(self.pid);
        let mut state = self.machine.lock();
        state.tick(time.as_nanos());
        let plans = state.processes.entry(self.pid).or_default();
        plans.clock = plans.clock.saturating_add(time);
    }

    /// A number that is drawn by the machine's run and the process alone.
    #[must_use]
    pub fn random(&self) -> u64 {
        let mut state = self.machine.lock();
        let seed = state.boot << 32 | u64::from(self.pid);
        state.processes.entry(self.pid).or_default().random(seed)
    }
}
