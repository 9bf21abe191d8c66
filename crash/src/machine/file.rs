//! A file that a process has open.

use std::io;
use std::sync::Arc;

use super::{Locked, Machine, State, pid_of};
use crate::op::{Op, Pid};
use crate::tree::{Bytes, File, FileId, Name};

/// A file that a process has open: what `read`, `write`, `fsync` and `flock` would do with a
/// descriptor. It is closed when it is dropped.
#[derive(Debug)]
pub struct OpenFile {
    machine: Machine,
    file: FileId,
    description: u64,
    path: Name,
}

impl OpenFile {
    pub(super) fn new(machine: &Machine, file: FileId, description: u64, path: Name) -> OpenFile {
        OpenFile { machine: machine.clone(), file, description, path }
    }

    fn pid(&self) -> Pid {
        pid_of(self.description)
    }

    /// Which file it is.
    #[must_use]
    pub fn id(&self) -> FileId {
        self.file
    }

    /// What a kernel lock through this description is on.
    fn locked(&self, state: &State) -> Locked {
        (self.file, state.locks_names.then(|| Arc::clone(&self.path)))
    }

    fn look<T>(&self, look: impl FnOnce(&State) -> io::Result<T>) -> io::Result<T> {
        self.machine.call(self.pid(), false, |state| Ok((look(state)?, None)))
    }

    fn change(&self, operation: impl FnOnce(&mut State) -> io::Result<Op>) -> io::Result<()> {
        self.machine.call(self.pid(), true, |state| Ok(((), Some(operation(state)?))))
    }

    /// All that is in it.
    ///
    /// # Errors
    ///
    /// By a plan, or because the process is dead.
    pub fn read(&self) -> io::Result<Bytes> {
        self.look(|state| Ok(Arc::clone(&state.volume.file(self.file)?.bytes)))
    }

    /// Puts bytes at its end.
    ///
    /// # Errors
    ///
    /// If it would become longer than a gibibyte; by a plan, after half of it or before; or because
    /// the process is dead.
    pub fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.write_some(bytes, |state, bytes| state.volume.append(self.file, &self.path, bytes))
    }

    /// Puts bytes at this offset.
    ///
    /// # Errors
    ///
    /// As [`Self::append`].
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_some(bytes, |state, bytes| state.volume.write(self.file, &self.path, offset, bytes))
    }

    fn write_some(&self, bytes: &[u8], write: impl FnOnce(&mut State, &[u8]) -> io::Result<Op>) -> io::Result<()> {
        let is_torn = self.machine.lock().processes.entry(self.pid()).or_default().tears_now();
        let bytes = if is_torn { bytes.get(..bytes.len() / 2).unwrap_or_default() } else { bytes };
        self.change(|state| write(state, bytes))?;
        if is_torn { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// Gives it this length.
    ///
    /// # Errors
    ///
    /// If that is more than a gibibyte; by a plan, or because the process is dead.
    pub fn truncate(&self, len: u64) -> io::Result<()> {
        self.change(|state| state.volume.truncate(self.file, &self.path, len))
    }

    /// Makes what is in it durable.
    ///
    /// # Errors
    ///
    /// By a plan: then nothing of it is ever durable. Or because the process is dead.
    pub fn sync(&self) -> io::Result<()> {
        let (path, file) = (Arc::clone(&self.path), self.file);
        if self.machine.lock().processes.entry(self.pid()).or_default().sync_fails_now() {
            self.change(|_| Ok(Op::SyncFailed { path, file }))?;
            return Err(io::Error::from_raw_os_error(5));
        }
        self.change(|_| Ok(Op::SyncFile { path, file }))
    }

    /// What `fstat` says of it.
    ///
    /// # Errors
    ///
    /// By a plan, or because the process is dead.
    pub fn stat(&self) -> io::Result<File> {
        self.look(|state| state.volume.file(self.file).cloned())
    }

    /// Sets its extended attribute.
    ///
    /// # Errors
    ///
    /// By a plan, or because the process is dead.
    pub fn set_note(&self, note: &[u8]) -> io::Result<()> {
        self.change(|state| state.volume.set_note(self.file, &self.path, note))
    }

    /// Its extended attribute.
    ///
    /// # Errors
    ///
    /// By a plan, or because the process is dead.
    pub fn note(&self) -> io::Result<Option<Vec<u8>>> {
        self.look(|state| Ok(state.volume.file(self.file)?.note.as_ref().map(|note| note.to_vec())))
    }

    /// Takes the kernel's lock of it (`flock`), if nobody else has it. It is free again when this
    /// is dropped, or the process is killed.
    ///
    /// # Errors
    ///
    /// By a plan, or because the process is dead.
    pub fn try_lock(&self) -> io::Result<bool> {
        self.machine.call_for_lock(self.pid(), false, |state| {
            let locked = self.locked(state);
            let holder = *state.locks.entry(locked).or_insert(self.description);
            Ok((holder == self.description, None))
        })
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        let mut state = self.machine.lock();
        let locked = self.locked(&state);
        state.close(self.description, self.file, &locked);
    }
}
