//! Whether a file system keeps what was synced when the power fails, as far as Linux tells.

use std::fs;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

const EXT: u64 = 0xEF53;
/// XFS has a log always; Btrfs, ZFS and bcachefs write copies; F2FS, checkpoints.
const ALWAYS: [u64; 5] = [0x5846_5342, 0x9123_683E, 0x2FC1_2FC1, 0xCA45_1A4E, 0xF2F5_2010];
/// FAT, exFAT, ext in its first form; tmpfs and ramfs keep nothing at all.
const NEVER: [u64; 5] = [0x4D44, 0x2011_BAB0, 0xEF51, 0x0102_1994, 0x8584_58F6];

/// Whether a file system of this kind has a journal, or something as good. `None` where that cannot
/// be told: what is behind a server, or below an overlay, and ext4 where `/sys` is hidden.
pub(super) fn is_kept(directory: &Path, kind: u64) -> Option<bool> {
    if ALWAYS.contains(&kind) || NEVER.contains(&kind) {
        return Some(ALWAYS.contains(&kind));
    }
    if kind != EXT {
        return None;
    }
    let about = statx(CWD, directory, AtFlags::empty(), StatxFlags::empty()).ok()?;
    let link = format!("/sys/dev/block/{}:{}", about.stx_dev_major, about.stx_dev_minor);
    let device = fs::read_link(link).ok()?;
    let device = device.file_name()?.to_str()?;
    let task = fs::read_to_string(format!("/sys/fs/ext4/{device}/journal_task"));
    task.ok().map(|task| task.trim() != "<none>").or_else(|| has_jbd2(device))
}

/// The journal of a file system has a directory, `DEVICE-INODE`. Without one there may be no
/// journal, or no statistics of it.
fn has_jbd2(device: &str) -> Option<bool> {
    let mut journals = fs::read_dir("/proc/fs/jbd2").ok()?.flatten();
    let is_its = |name: &str| name.rsplit_once('-').is_some_and(|(of, _)| of == device);
    journals.any(|journal| journal.file_name().to_str().is_some_and(is_its)).then_some(true)
}
