//! What a real file shows: who it is, and what it has.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Statx, StatxFlags, statx};

use crate::Kind;

/// What distinguishes a file from another that gets its inode number later: when it was made.
pub(super) type Identity = (u64, i64, u32);

/// A file as it was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct FoundFile {
    pub(super) identity: Identity,
    /// The file system that it is on.
    pub(super) device: (u32, u32),
    /// `None` for pipes, sockets and devices.
    pub(super) kind: Option<Kind>,
    pub(super) links: u32,
}

impl FoundFile {
    /// What stands at a path; a symbolic link there is not followed.
    pub(super) fn at(path: &Path) -> io::Result<FoundFile> {
        FoundFile::with(path, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// What a path leads to, symbolic links followed: such as a descriptor's below `/proc`.
    pub(super) fn followed(path: &Path) -> io::Result<FoundFile> {
        FoundFile::with(path, AtFlags::empty())
    }

    fn with(path: &Path, flags: AtFlags) -> io::Result<FoundFile> {
        let stat = statx(CWD, path, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
        Ok(FoundFile {
            identity: (stat.stx_ino, stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec),
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            kind: kind(&stat),
            links: stat.stx_nlink,
        })
    }
}

fn kind(stat: &Statx) -> Option<Kind> {
    match FileType::from_raw_mode(u32::from(stat.stx_mode)) {
        FileType::RegularFile => Some(Kind::File),
        FileType::Directory => Some(Kind::Directory),
        FileType::Symlink => Some(Kind::Symlink),
        _ => None,
    }
}

/// The bytes of a file, or where a symbolic link leads.
pub(super) fn contents(path: &Path, kind: Kind) -> io::Result<Vec<u8>> {
    match kind {
        Kind::Symlink => Ok(fs::read_link(path)?.into_os_string().into_vec()),
        Kind::File => {
            let mut bytes = Vec::new();
            File::open(path)?.read_to_end(&mut bytes)?;
            Ok(bytes)
        }
        _ => Ok(Vec::new()),
    }
}

/// The permission bits.
pub(super) fn mode(path: &Path) -> io::Result<u32> {
    Ok(fs::metadata(path)?.mode() & 0o7777)
}

/// The extended attributes that programs set (`user.*`); the others belong to the system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Attributes(BTreeMap<Vec<u8>, Vec<u8>>);

impl Attributes {
    pub(super) fn read(path: &Path) -> io::Result<Attributes> {
        let mut buffer = vec![0; 64 * 1024];
        let len = match rustix::fs::listxattr(path, buffer.as_mut_slice()) {
            Err(rustix::io::Errno::NOTSUP) => 0,
            other => other?,
        };
        let names = buffer.get(..len).unwrap_or_default().to_vec();
        let mut found = BTreeMap::new();
        for name in names.split(|byte| *byte == 0).filter(|name| name.starts_with(b"user.")) {
            let len = rustix::fs::getxattr(path, name, buffer.as_mut_slice())?;
            found.insert(name.to_vec(), buffer.get(..len).unwrap_or_default().to_vec());
        }
        Ok(Attributes(found))
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        for (name, value) in &self.0 {
            rustix::fs::setxattr(path, name.as_slice(), value, rustix::fs::XattrFlags::empty())?;
        }
        Ok(())
    }

    /// All of them as the one attribute that a simulated file has: each name, a zero byte, the
    /// length of the value in four bytes, and the value.
    pub(super) fn to_note(&self) -> Vec<u8> {
        let mut note = Vec::new();
        for (name, value) in &self.0 {
            note.extend_from_slice(name);
            note.push(0);
            note.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
            note.extend_from_slice(value);
        }
        note
    }

    /// The reverse of [`Attributes::to_note`].
    pub(super) fn from_note(mut note: &[u8]) -> Attributes {
        let mut found = BTreeMap::new();
        while let Some((name, rest)) = split_name(note) {
            let Some((len, rest)) = rest.split_first_chunk::<4>() else { break };
            let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX).min(rest.len());
            let (value, rest) = rest.split_at(len);
            found.insert(name.to_vec(), value.to_vec());
            note = rest;
        }
        Attributes(found)
    }
}

fn split_name(note: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = note.iter().position(|byte| *byte == 0)?;
    Some((note.get(..end)?, note.get(end + 1..)?))
}

/// The smallest range in which the new bytes differ from the old: where it begins, and the new
/// bytes there. `None` if they are equal.
pub(super) fn difference(old: &[u8], new: &[u8]) -> Option<(usize, Vec<u8>)> {
    if old == new {
        return None;
    }
    let at = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let tail = match old.len() == new.len() {
        true => old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count(),
        false => 0,
    };
    let end = new.len().saturating_sub(tail).max(at);
    Some((at, new.get(at..end).unwrap_or_default().to_vec()))
}

/// A path as the simulated disk names it: such a disk has names that are text only.
///
/// # Errors
///
/// The name is not UTF-8.
pub(super) fn name_of(path: &std::ffi::OsStr) -> io::Result<&str> {
    path.to_str().ok_or_else(|| {
        let name = OsString::from_vec(path.as_bytes().to_vec());
        io::Error::other(format!("{} is not UTF-8, and such names are not followed", name.display()))
    })
}
