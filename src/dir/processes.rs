//! Which processes use a file, as far as Linux tells. What it does not tell is unknown, never
//! "nobody".

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What `/proc` is, by `statfs(2)`.
const PROC: u64 = 0x9fa0;
/// The first namespace of process numbers, which has all processes of the kernel; see
/// `PROC_PID_INIT_INO`.
const ALL_PROCESSES: &str = "pid:[4026531836]";
/// Threads of the kernel that open files for other machines, without descriptors.
const SERVERS: [&str; 2] = ["nfsd", "ksmbd"];

/// The processes that have the file `name` of the directory open, or any other file of it open or
/// mapped: git has its tables mapped while it holds a lock, and may have closed the lock. This
/// process counts only if it has the file itself open, and so do those that have made an
/// [`Announcement`]. `None` if there may be processes that cannot be seen.
pub(super) fn users_of(dir: &Path, name: &str) -> Option<Vec<u32>> {
    if !sees_all() {
        return None;
    }
    let wanted = Wanted::of(dir, name).ok()?;
    let mut users = Vec::new();
    for process in fs::read_dir("/proc").ok()? {
        let process = process.ok()?;
        let Some(number) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        match wanted.is_used_by(&process.path(), number == std::process::id()) {
            Ok(true) => users.push(number),
            Ok(false) => {}
            Err(error) if is_gone(&error) => {}
            // Another user's, say.
            Err(_) => return None,
        }
    }
    Some(users)
}

/// Whether there is a process of this number; `None` if there may be one that cannot be seen.
pub(super) fn lives(process: u32) -> Option<bool> {
    if Path::new("/proc").join(process.to_string()).symlink_metadata().is_ok() {
        return Some(true);
    }
    sees_all().then_some(false)
}

/// Whether `/proc` has every process of this kernel: a container has its own, and `hidepid` hides
/// those of others, the first one among them.
fn sees_all() -> bool {
    let is_proc = rustix::fs::statfs("/proc").is_ok_and(|about| about.f_type as u64 == PROC);
    let is = |link: &str, target: &str| fs::read_link(link).is_ok_and(|to| to.as_os_str() == target);
    is_proc
        && is("/proc/self", &std::process::id().to_string())
        && is("/proc/self/ns/pid", ALL_PROCESSES)
        && fs::read_dir("/proc/1").is_ok()
}

/// Whether the process has ended meanwhile, or has closed what was looked at.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// What tells others that this process has no lock of a directory that it has closed: an open file
/// of that name, in memory, which `/proc` shows. Ends with the process, and with whatever it
/// executes.
#[derive(Debug)]
pub(super) struct Announcement {
    _file: OwnedFd,
}

impl Announcement {
    pub(super) fn of(dir: &Path) -> io::Result<Announcement> {
        let about = fs::metadata(dir)?;
        let name = announced((about.dev(), about.ino()));
        Ok(Announcement { _file: rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)? })
    }
}

fn announced((device, inode): Number) -> String {
    format!("reftable-{device}-{inode}")
}

/// A file by device and inode: a name may look different from within another namespace of mounts.
type Number = (u64, u64);

struct Wanted {
    dir: PathBuf,
    file: Number,
    /// Where `/proc` says that the [`Announcement`] of a process leads to.
    announcement: PathBuf,
    /// Everything in the directory.
    all: BTreeSet<Number>,
}

impl Wanted {
    fn of(dir: &Path, name: &str) -> io::Result<Wanted> {
        let dir = dir.canonicalize()?;
        let number = |about: fs::Metadata| (about.dev(), about.ino());
        let file = number(fs::symlink_metadata(dir.join(name))?);
        let announcement = format!("/memfd:{} (deleted)", announced(number(fs::metadata(&dir)?))).into();
        let mut all = BTreeSet::new();
        for entry in fs::read_dir(&dir)? {
            match entry?.metadata() {
                Err(error) if is_gone(&error) => {}
                about => drop(all.insert(number(about?))),
            }
        }
        Ok(Wanted { dir, file, announcement, all })
    }

    fn is_used_by(&self, process: &Path, is_this: bool) -> io::Result<bool> {
        let name = fs::read_to_string(process.join("comm"))?;
        if SERVERS.iter().any(|server| name.starts_with(server)) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let files = Files::of(self, process)?;
        Ok(files.has_wanted
            || (!is_this && !files.has_announcement && (files.has_others || self.is_mapped_in(process)?)))
    }

    /// A mapping is of one of the files, or of one that had a name here: a compaction may have
    /// removed it.
    fn is_mapped_in(&self, process: &Path) -> io::Result<bool> {
        let maps = fs::read(process.join("maps"))?;
        Ok(maps.split(|byte| *byte == b'\n').filter_map(mapped).any(|(number, path)| {
            number.is_some_and(|number| self.all.contains(&number)) || path.parent() == Some(&self.dir)
        }))
    }
}

/// What a process has open.
#[derive(Default)]
struct Files {
    /// The file that was asked about.
    has_wanted: bool,
    /// Any other of the directory.
    has_others: bool,
    has_announcement: bool,
}

impl Files {
    fn of(wanted: &Wanted, process: &Path) -> io::Result<Files> {
        let mut files = Files::default();
        for file in fs::read_dir(process.join("fd"))? {
            let path = file?.path();
            match fs::metadata(&path) {
                Ok(about) if (about.dev(), about.ino()) == wanted.file => files.has_wanted = true,
                Ok(about) if wanted.all.contains(&(about.dev(), about.ino())) => files.has_others = true,
                Err(error) if !is_gone(&error) => return Err(error),
                Ok(_) | Err(_) => {}
            }
            files.has_announcement |= fs::read_link(&path).is_ok_and(|target| target == wanted.announcement);
        }
        Ok(files)
    }
}

/// The file of a line `START-END PERMISSIONS OFFSET MAJOR:MINOR INODE  PATH`.
fn mapped(line: &[u8]) -> Option<(Option<Number>, PathBuf)> {
    let path = line.get(line.iter().position(|byte| *byte == b'/')?..)?;
    let mut words = std::str::from_utf8(line.get(..line.len() - path.len())?).ok()?.split_ascii_whitespace();
    let (device, inode) = (words.nth(3)?, words.next()?);
    let number = || {
        let (major, minor) = device.split_once(':')?;
        let number = |digits| u32::from_str_radix(digits, 16).ok();
        Some((rustix::fs::makedev(number(major)?, number(minor)?), inode.parse().ok()?))
    };
    Some((number(), PathBuf::from(OsString::from_vec(path.to_vec()))))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::bytes::{Bytes, Reading};

    #[test]
    fn a_mapping_is_known_by_its_number_and_its_path() {
        let line = b"7f3d0000-7f3d1000 r--s 00000000 103:02 4711                    /srv/a b/reftable/x.ref";
        let (number, path) = mapped(line).unwrap();
        assert_eq!(number, Some((rustix::fs::makedev(0x103, 2), 4711)));
        assert_eq!(path, Path::new("/srv/a b/reftable/x.ref"));
        for other in [&b""[..], b"7f3d0000-7f3d1000 r--s 00000000 00:00 0", b"7f3d0000-7f3d1000 rw-p 0 00:00 0 [heap]"]
        {
            assert_eq!(mapped(other), None);
        }
    }

    /// Where everything can be seen: as root, outside of containers.
    #[test]
    fn who_has_the_file_open_is_seen_or_nothing_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let open = File::create(&path).unwrap();
        let expected = |users: &[u32]| users_of(dir.path(), "lock").is_none_or(|seen| seen == users);
        assert!(expected(&[std::process::id()]));
        drop(open);
        assert!(expected(&[]));
        assert_eq!(users_of(dir.path(), "none"), None);
        assert_eq!(lives(std::process::id()), Some(true));
        assert_ne!(lives(u32::MAX), Some(true));
    }

    /// git maps tables, and closes them; this process stands for itself, so another one has to do
    /// it.
    #[test]
    fn who_has_another_file_of_the_directory_open_uses_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("lock"), "").unwrap();
        let table = File::create(dir.path().join("x.ref")).unwrap();
        let process = |number: u32| Path::new("/proc").join(number.to_string());
        for (input, expected) in [(table.into(), true), (std::process::Stdio::null(), false)] {
            let mut child = std::process::Command::new("sleep").arg("60").stdin(input).spawn().unwrap();
            let used = Wanted::of(dir.path(), "lock").unwrap().is_used_by(&process(child.id()), false);
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(used.unwrap(), expected);
        }
        // What this process does is its own business, but for the lock.
        let _table = File::open(dir.path().join("x.ref")).unwrap();
        let wanted = Wanted::of(dir.path(), "lock").unwrap();
        assert!(!wanted.is_used_by(&process(std::process::id()), true).unwrap());
        let _lock = File::open(dir.path().join("lock")).unwrap();
        assert!(wanted.is_used_by(&process(std::process::id()), true).unwrap());
    }

    /// A server that waits for the lock has tables open, too.
    #[test]
    fn who_has_announced_itself_counts_only_with_the_file_itself() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(dir.path().join("lock"), "").unwrap();
        fs::write(dir.path().join("x.ref"), "").unwrap();
        let is_used = || {
            let here = Path::new("/proc").join(std::process::id().to_string());
            Wanted::of(dir.path(), "lock").unwrap().is_used_by(&here, false).unwrap()
        };
        let _table = File::open(dir.path().join("x.ref")).unwrap();
        let elsewhere = Announcement::of(other.path()).unwrap();
        assert!(is_used(), "the announcement is about another directory");
        let here = Announcement::of(dir.path()).unwrap();
        assert!(!is_used());
        let lock = File::open(dir.path().join("lock")).unwrap();
        assert!(is_used());
        drop((lock, here, elsewhere));
        assert!(is_used(), "that it was announced is over");
    }

    /// git has closed the table that it has mapped, and the lock, and has yet to rename the lock.
    #[test]
    fn who_has_mapped_a_table_uses_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("lock"), "").unwrap();
        let (table, here) = (dir.path().join("x.ref"), Path::new("/proc/self"));
        fs::write(&table, [7; 100_000]).unwrap();
        let wanted = Wanted::of(dir.path(), "lock").unwrap();
        assert!(!wanted.is_mapped_in(here).unwrap());
        let mapped = Bytes::of_file(&File::open(&table).unwrap(), Reading::Mapped).unwrap();
        assert!(wanted.is_mapped_in(here).unwrap());
        fs::remove_file(&table).unwrap();
        assert!(Wanted::of(dir.path(), "lock").unwrap().is_mapped_in(here).unwrap(), "by a compaction");
        drop(mapped);
        assert!(!wanted.is_mapped_in(here).unwrap());
    }
}
