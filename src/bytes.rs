//! A table's bytes: on the heap or mapped. The only `unsafe` of this crate.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;

/// Files up to this many bytes are read, larger ones are mapped.
///
/// A copy cannot change under its reader, costs less than a mapping up to about this size, and holds no
/// address space. A mapping that somebody truncates kills the process with `SIGBUS`; no implementation of
/// the protocol truncates a table, and small tables, the ones that come and go, never are at risk.
const MAP_ABOVE: u64 = 64 * 1024;

/// The immutable contents of a file. [`From<Vec<u8>>`] makes one of bytes in memory.
#[derive(Debug)]
pub struct Bytes(Contents);

#[derive(Debug)]
enum Contents {
    /// A copy on the heap.
    Heap(Box<[u8]>),
    /// A read-only mapping. The file's descriptor is closed already.
    Mapped(memmap2::Mmap),
}

impl Bytes {
    /// The contents of `file` from its start: a copy when small, a mapping when not.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn of_file(file: &File) -> io::Result<Bytes> {
        let len = file.metadata()?.len();
        if len > MAP_ABOVE {
            return Self::map(file);
        }
        let mut contents = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        // Not more than it had: a device or a file that grows would fill the memory.
        file.take(len).read_to_end(&mut contents)?;
        Ok(contents.into())
    }

    #[expect(unsafe_code, reason = "mapping a file is unsafe: another process may change it")]
    fn map(file: &File) -> io::Result<Bytes> {
        // SAFETY: tables are written once, under a name that nobody else uses, and only unlinked afterwards;
        // unlinking leaves a mapping intact. What a process that breaks this rule can do to us is change bytes
        // between two reads: nothing derived from an earlier read is used to skip the bounds check of a later one.
        let map = unsafe { memmap2::Mmap::map(file)? };
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
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes(Contents::Heap(bytes.into_boxed_slice()))
    }
}
