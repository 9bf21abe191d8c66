//! A table's bytes: on the heap or mapped. The only `unsafe` of this crate.

use std::fs::File;
use std::io;
#[cfg(not(unix))]
use std::io::Read;
use std::ops::Deref;
use std::ptr::NonNull;

/// Files up to this many bytes are read, larger ones are mapped.
///
/// A copy cannot change under its reader, costs less than a mapping up to about this size, and holds no
/// address space. A mapping that somebody truncates kills the process with `SIGBUS`; no implementation of
/// the protocol truncates a table, and small tables, the ones that come and go, never are at risk.
const MAP_ABOVE: usize = 64 * 1024;

/// The immutable contents of a file. [`From<Vec<u8>>`] makes one of bytes in memory.
#[derive(Debug)]
pub struct Bytes(Contents);

#[derive(Debug)]
enum Contents {
    /// A copy on the heap.
    Heap(Box<[u8]>),
    /// A read-only mapping. The file's descriptor is closed already.
    Mapped(memmap2::Mmap),
    /// What somebody else keeps for us.
    Kept(Kept),
}

impl Bytes {
    /// The contents of `file` from its start: a copy when small, a mapping when not.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn of_file(file: &File) -> io::Result<Bytes> {
        let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        if len > MAP_ABOVE {
            return Self::map(file, len);
        }
        // Not more than it had: a device or a file that grows would fill the memory.
        let mut contents = vec![0; len];
        let read = read_from_start(file, &mut contents)?;
        contents.truncate(read);
        Ok(contents.into())
    }

    /// The bytes of `owner`, which is kept until the last use of them. For hosts that have their own ways to map files.
    pub fn from_owner<T: AsRef<[u8]> + Send + Sync + 'static>(owner: T) -> Bytes {
        Bytes(Contents::Kept(Kept::new(owner)))
    }

    #[expect(unsafe_code, reason = "mapping a file is unsafe: another process may change it")]
    fn map(file: &File, len: usize) -> io::Result<Bytes> {
        // SAFETY: tables are written once, under a name that nobody else uses, and only unlinked afterwards;
        // unlinking leaves a mapping intact. What a process that breaks this rule can do to us is change bytes
        // between two reads: nothing derived from an earlier read is used to skip the bounds check of a later one.
        let map = unsafe { memmap2::MmapOptions::new().len(len).map(file)? };
        Ok(Bytes(Contents::Mapped(map)))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Contents::Heap(heap) => heap,
            Contents::Mapped(map) => map,
            Contents::Kept(kept) => kept,
        }
    }
}

/// Bytes of an owner, asked for once: a call for each access would be felt.
struct Kept {
    /// Into `_owner`.
    bytes: NonNull<[u8]>,
    _owner: Box<dyn Send + Sync>,
}

impl Kept {
    fn new<T: AsRef<[u8]> + Send + Sync + 'static>(owner: T) -> Kept {
        // On the heap first: the bytes may lie within the value itself.
        let owner = Box::new(owner);
        let bytes = NonNull::from((*owner).as_ref());
        Kept { bytes, _owner: owner }
    }
}

impl Deref for Kept {
    type Target = [u8];

    #[inline]
    #[expect(unsafe_code, reason = "the slice borrows from its neighbour, which the language cannot express")]
    fn deref(&self) -> &[u8] {
        // SAFETY: the slice was borrowed from the owner, which lives as long as `self`, does not move, and is not used
        // for anything until it is dropped: nothing can end or change that borrow.
        unsafe { self.bytes.as_ref() }
    }
}

#[expect(unsafe_code, reason = "a pointer is not Send by itself")]
// SAFETY: the owner is `Send`, and the slice is only read.
unsafe impl Send for Kept {}

#[expect(unsafe_code, reason = "a pointer is not Sync by itself")]
// SAFETY: the owner is `Sync`, and the slice is only read.
unsafe impl Sync for Kept {}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes(Contents::Heap(bytes.into_boxed_slice()))
    }
}

/// Reads the first bytes of a file, wherever it stands. Returns how many there were.
#[cfg_attr(unix, expect(unused_mut, reason = "reading moves the file's position where there is no other way"))]
fn read_from_start(mut file: &File, into: &mut [u8]) -> io::Result<usize> {
    #[cfg(not(unix))]
    io::Seek::rewind(&mut file)?;
    let mut read = 0;
    while let Some(rest) = into.get_mut(read..).filter(|rest| !rest.is_empty()) {
        #[cfg(unix)]
        let more = std::os::unix::fs::FileExt::read_at(file, rest, read as u64);
        #[cfg(not(unix))]
        let more = file.read(rest);
        match more {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
