//! Writers for tables of which most is zeros.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const PAGE: usize = 4096;

/// A file in which pages of zeros are seeked over, so that they take no room on a disk that knows
/// holes.
#[derive(Debug)]
pub(crate) struct SparseFile {
    file: File,
    /// Zeros that were asked for and not written.
    hole: u64,
}

impl SparseFile {
    pub(crate) fn create(path: &Path) -> io::Result<SparseFile> {
        File::create_new(path).map(|file| SparseFile { file, hole: 0 })
    }

    fn skip_hole(&mut self) -> io::Result<u64> {
        let hole = std::mem::take(&mut self.hole);
        self.file.seek(SeekFrom::Current(i64::try_from(hole).unwrap()))
    }

    /// Ends the file after the last byte that was asked for, and returns its length.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        let len = self.skip_hole()?;
        self.file.set_len(len)?;
        Ok(len)
    }
}

impl Write for SparseFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        const ZEROS: [u8; PAGE] = [0; PAGE];
        for page in bytes.chunks(PAGE) {
            if page == &ZEROS[..page.len()] {
                self.hole += page.len() as u64;
            } else {
                self.skip_hole()?;
                self.file.write_all(page)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps nothing but the number of bytes.
#[derive(Debug, Default)]
pub(crate) struct Counter(pub(crate) u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes that a file takes on the disk.
pub(crate) fn room(path: &Path) -> io::Result<u64> {
    // By definition in units of 512 bytes.
    path.metadata().map(|metadata| metadata.blocks() * 512)
}

/// Why `dir` is no place for a sparse file that would take up to `room` bytes; `None` if it is.
pub(crate) fn obstacle(dir: &Path, wanted: u64) -> Option<String> {
    let free = fs4::available_space(dir).unwrap();
    if free < wanted {
        return Some(format!("{} has only {free} bytes free", dir.display()));
    }
    let path = dir.join("probe");
    let mut probe = SparseFile::create(&path).unwrap();
    for _ in 0..64 {
        probe.write_all(&[0; 1 << 16]).unwrap();
    }
    let len = probe.finish().unwrap();
    let taken = room(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    (taken > len / 4).then(|| format!("the file system of {} has no sparse files", dir.display()))
}
