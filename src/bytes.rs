//! A table's bytes: on the heap or mapped, and their way to the disk. The only `unsafe` of this
//! crate.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
#[cfg(not(unix))]
use std::io::Read;
use std::ops::Deref;
use std::ptr::NonNull;

/// Files up to this many bytes are always copied: that costs less than a mapping, and holds no
/// address space.
const MAP_ABOVE: usize = 64 * 1024;

/// [`Reading::Copied`] copies files up to this many bytes.
const COPY_UP_TO: usize = 256 * 1024 * 1024;

/// How much is read at a time where nothing is kept of it.
const PIECE: usize = 256 * 1024;

/// How the tables of a store are read. Tables of up to 64 KiB are copied in any case.
///
/// A mapping is a promise of the system to read later, without a call that could fail: a sector
/// that cannot be read, or another process that truncates the file, kills this one with `SIGBUS`.
/// No implementation of the protocol truncates a table; disks do fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Reading {
    /// Larger tables are mapped. Opening one takes microseconds whatever its size, look-ups read
    /// the blocks that they need, and processes share the memory. For most; the default.
    #[default]
    Mapped,
    /// Larger tables are read through once with read calls, and then mapped: what cannot be read is
    /// an error with its offset. Takes about 2.5 ms for a million references (26 MB) that are in
    /// the page cache, and no memory. What is left is memory pressure: pages that the system drops
    /// are read again. For processes that live for one look-up.
    Checked,
    /// All tables are copied with read calls: whatever happens to the files, no signal. Takes about
    /// 10 ms and 26 MB of memory for a million references, in each process. Tables above 256 MiB
    /// are [`Reading::Checked`] only. For servers that must not die of one repository's disk, and
    /// for processes that read all of a store.
    Copied,
}

/// The immutable contents of a file. [`From<Vec<u8>>`] makes one of bytes in memory.
#[derive(Debug)]
pub struct Bytes(Contents);

#[derive(Debug)]
enum Contents {
    /// A copy on the heap.
    Heap(Box<[u8]>),
    /// A read-only mapping. The file's descriptor is closed already.
    Mapped(memmap2::Mmap),
    /// Memory that the caller owns.
    Kept(Kept),
}

impl Bytes {
    /// The contents of `file` from its start, read as `reading` says. It must be a regular file: no
    /// other has a length.
    ///
    /// # Errors
    /// What the operating system says; where a read call fails, with the offset. `InvalidInput` for
    /// what is no regular file.
    pub fn of_file(file: &File, reading: Reading) -> io::Result<Bytes> {
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(not_regular(&about));
        }
        let len = usize::try_from(about.len()).unwrap_or(usize::MAX);
        match reading {
            Reading::Mapped if len > MAP_ABOVE => Self::map(file, len),
            Reading::Checked if len > MAP_ABOVE => Self::map(file, read_through(file, len)?),
            Reading::Copied if len > COPY_UP_TO => Self::map(file, read_through(file, len)?),
            Reading::Mapped | Reading::Checked | Reading::Copied => Self::copy(file, len),
        }
    }

    /// Not more than `len`, which it had: a device or a file that grows would fill the memory.
    fn copy(file: &File, len: usize) -> io::Result<Bytes> {
        let mut contents = vec![0; len];
        let read = read_at(file, 0, &mut contents)?;
        contents.truncate(read);
        Ok(contents.into())
    }

    /// Whether nothing that happens to the file can change them or take them away.
    pub(crate) fn is_copy(&self) -> bool {
        matches!(self.0, Contents::Heap(_))
    }

    /// The bytes of `owner`, which is kept until the last use of them. For hosts that have their
    /// own ways to map files.
    pub fn from_owner<T: AsRef<[u8]> + Send + Sync + 'static>(owner: T) -> Bytes {
        Bytes(Contents::Kept(Kept::new(owner)))
    }

    #[expect(unsafe_code, reason = "mapping a file is unsafe: another process may change it")]
    fn map(file: &File, len: usize) -> io::Result<Bytes> {
        // SAFETY: tables are written once, under a name that nobody else uses, and only unlinked
        // afterwards; unlinking leaves a mapping intact. What a process that breaks this rule can
        // do to us is change bytes between two reads: nothing derived from an earlier read is used
        // to skip the bounds check of a later one.
        let map = unsafe { memmap2::MmapOptions::new().len(len).map(file)? };
        Ok(Bytes(Contents::Mapped(map)))
    }
}

/// Hands what was written to the disk, and with `waits` returns when the disk has it. This is no
/// sync: neither the file's length nor the disk's own cache is made durable. For implementations of
/// [`DirFile::write_out`](crate::dir::DirFile::write_out), on file systems that this kernel alone
/// writes to.
///
/// # Errors
/// An error of the disk is told here *instead of* by the next sync.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no safe wrapper of sync_file_range is known")]
pub fn write_out(file: &File, waits: bool) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let flags = match waits {
        true => libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER,
        false => libc::SYNC_FILE_RANGE_WRITE,
    };
    // SAFETY: the call takes a descriptor, which `file` keeps open, and numbers; it touches no
    // memory of this process. A length of 0 means all of the file.
    let answer = unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, flags) };
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EIO | libc::ENOSPC | libc::EDQUOT) if answer != 0 => Err(error),
        // Done, or not known here, as in some sandboxes: the sync does it all.
        _ => Ok(()),
    }
}

/// The error for a file that is no file.
pub(crate) fn not_regular(about: &Metadata) -> io::Error {
    let what = kind_of(about);
    io::Error::new(io::ErrorKind::InvalidInput, format!("this is {what}, not a regular file"))
}

fn kind_of(about: &Metadata) -> &'static str {
    if about.is_dir() {
        return "a directory";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = about.file_type();
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    "something else"
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
        // SAFETY: the slice was borrowed from the owner, which lives as long as `self`, does not
        // move, and is not used for anything until it is dropped: nothing can end or change that
        // borrow.
        unsafe { self.bytes.as_ref() }
    }
}

#[expect(unsafe_code, reason = "a pointer is not Send by itself")]
// SAFETY: the owner is `Send`, and the slice is only read.
unsafe impl Send for Kept {}

#[expect(unsafe_code, reason = "a pointer is not Sync by itself")]
// SAFETY: the owner is `Sync`, and the slice is only read.
unsafe impl Sync for Kept {}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes(Contents::Heap(bytes.into_boxed_slice()))
    }
}

/// A read call that failed, and where. Travels within an [`io::Error`] of the same kind.
#[derive(Debug)]
pub(crate) struct FailedRead {
    pub(crate) offset: u64,
    pub(crate) source: io::Error,
}

impl fmt::Display for FailedRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}", self.source, self.offset)
    }
}

impl std::error::Error for FailedRead {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// `len` bytes of a file from `start` on, or as many as there are.
pub(crate) fn part(file: &File, start: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut part = vec![0; len];
    let read = read_at(file, usize::try_from(start).unwrap_or(usize::MAX), &mut part)?;
    part.truncate(read);
    Ok(part)
}

/// Reads the first `len` bytes of a file and keeps none. Returns how many there were.
fn read_through(file: &File, len: usize) -> io::Result<usize> {
    let mut piece = vec![0; PIECE.min(len)];
    let mut seen = 0;
    while let Some(rest) = piece.get_mut(..PIECE.min(len - seen)).filter(|rest| !rest.is_empty()) {
        match read_at(file, seen, rest)? {
            0 => break,
            more => seen += more,
        }
    }
    Ok(seen)
}

/// Reads a file from `start` on, wherever it stands. Returns how many bytes there were.
#[cfg_attr(unix, expect(unused_mut, reason = "reading moves the file's position where there is no other way"))]
fn read_at(mut file: &File, start: usize, into: &mut [u8]) -> io::Result<usize> {
    let offset = |read: usize| (start as u64).saturating_add(read as u64);
    #[cfg(not(unix))]
    io::Seek::seek(&mut file, io::SeekFrom::Start(offset(0)))?;
    let mut read = 0;
    while let Some(rest) = into.get_mut(read..).filter(|rest| !rest.is_empty()) {
        #[cfg(unix)]
        let more = std::os::unix::fs::FileExt::read_at(file, rest, offset(read));
        #[cfg(not(unix))]
        let more = file.read(rest);
        match more {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => {
                return Err(io::Error::new(source.kind(), FailedRead { offset: offset(read), source }));
            }
        }
    }
    Ok(read)
}
