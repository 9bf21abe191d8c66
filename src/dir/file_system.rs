//! What kind of file system a directory is on, and how to ask it how a file is now.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, OFlags, Statx, StatxFlags, StatxTimestamp, fcntl_getfl, fcntl_setfl, major, makedev, statx,
};

use super::FileStat;

/// ext2 to 4, XFS, Btrfs, F2FS, tmpfs, ZFS, bcachefs, overlay; see statfs(2). Of these one kernel
/// alone writes to each.
const LOCAL: [u64; 8] =
    [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010, 0x0102_1994, 0x2FC1_2FC1, 0xCA45_1A4E, 0x794C_7630];

/// Servers in user space, by FUSE; virtiofs, too.
const FUSE: u64 = 0x6573_5546;

/// The number of the kind; `None` where there is no such directory, 0 where it is not to be
/// trusted.
pub(super) fn kind_of(directory: &Path) -> Option<u64> {
    let kind = rustix::fs::statfs(directory).ok()?.f_type as u64;
    let about = statx(CWD, directory, AtFlags::empty(), StatxFlags::BTIME).ok()?;
    let tells_birth = about.stx_mask & StatxFlags::BTIME.bits() != 0;
    Some(if is_credible(kind, about.stx_dev_major, tells_birth) { kind } else { 0 })
}

/// Whether one kernel alone writes to the file system of an open file, which is on this device.
pub(super) fn is_file_local(file: &File, device: u64, tells_birth: bool) -> bool {
    let Ok(about) = rustix::fs::fstatfs(file) else { return false };
    let kind = about.f_type as u64;
    is_local(kind) && is_credible(kind, major(device), tells_birth)
}

/// 9p passes on what the server says of its own file system, which may be a local one there. But it
/// has no disk, and does not tell when files were made. What is local has the one or the other.
fn is_credible(kind: u64, device_major: u32, tells_birth: bool) -> bool {
    !is_local(kind) || device_major != 0 || tells_birth
}

/// Whether one kernel alone writes to a file system of this kind.
pub(super) fn is_local(kind: u64) -> bool {
    LOCAL.contains(&kind)
}

/// From now on reads of `file` ask the server, if it is one in user space, and not the page cache.
/// That is by names there:
/// 1. A opens the list. It is replaced by another way to the same directory: here it keeps
///    its number.
/// 2. B, the holder of the list lock, opens the list. That empties the cache.
/// 3. A reads what it has open, which fills the cache with the old list.
/// 4. B reads the old list in the place of the new one.
///
/// The server is not told: it would want aligned buffers.
pub(super) fn bypass_cache(file: &File, kind: u64) {
    if kind == FUSE
        && let Ok(flags) = fcntl_getfl(file)
    {
        // Without it things are as they are anywhere else.
        let _ = fcntl_setfl(file, flags | OFlags::DIRECT);
    }
}

/// The stat of a name as the server of a file system has it now. FUSE answers from memory
/// otherwise, for a second and longer: a list that was replaced by another way to the same
/// directory would look as if it were there still.
pub(super) fn stat_now(path: &Path) -> io::Result<FileStat> {
    Ok(stat(&statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_FORCE_SYNC, StatxFlags::ALL)?))
}

/// The same of an open file.
pub(super) fn stat_of_open_now(file: impl AsFd) -> io::Result<FileStat> {
    Ok(stat(&statx(file, "", AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC, StatxFlags::ALL)?))
}

fn stat(about: &Statx) -> FileStat {
    let is_born = about.stx_mask & StatxFlags::BTIME.bits() != 0;
    FileStat {
        device: makedev(about.stx_dev_major, about.stx_dev_minor),
        inode: about.stx_ino,
        size: about.stx_size,
        modified: nanoseconds(about.stx_mtime),
        created: if is_born { nanoseconds(about.stx_btime) } else { 0 },
        changed: nanoseconds(about.stx_ctime),
        is_file: about.stx_mode & 0o170_000 == 0o100_000,
    }
}

fn nanoseconds(time: StatxTimestamp) -> u128 {
    (i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)) as u128
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_server_that_looks_local_is_not_believed() {
        let (ext4, btrfs) = (0xEF53, 0x9123_683E);
        assert!(is_credible(ext4, 254, false), "inodes of 128 bytes");
        assert!(is_credible(btrfs, 0, true));
        assert!(is_credible(FUSE, 0, false));
        assert!(!is_credible(ext4, 0, false) && !is_credible(btrfs, 0, false));
    }

    #[test]
    fn a_stat_from_the_server_is_that_of_the_system() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "contents").unwrap();
        let expected = FileStat::of(&fs::symlink_metadata(&path).unwrap());
        for found in [stat_now(&path).unwrap(), stat_of_open_now(File::open(&path).unwrap()).unwrap()] {
            assert_eq!((found, found.changed), (expected, expected.changed));
        }
        assert!(!stat_now(dir.path()).unwrap().is_file);
        assert_eq!(stat_now(&dir.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
