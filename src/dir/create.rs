//! Who may use new files: the users of the list that they belong to.
//!
//! A list that its readers may not open hides every reference from them, and git then shows an
//! empty repository and no error. So the umask of the process that happens to commit does not
//! matter.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use super::Writers;

/// The file that new files follow: what every reader opens first.
const LIST: &str = "tables.list";

/// The owner and the mode bits that a new file gets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Access {
    /// `None` leaves the bits to the umask.
    mode: Option<u32>,
    /// User and group; `None` leaves them to the system.
    owner: Option<(u32, u32)>,
    /// Whether a file of another group is of no use.
    needs_group: bool,
}

impl Access {
    /// These mode bits, whatever the list has.
    pub(super) fn with_mode(mode: u32) -> Access {
        Access { mode: Some(mode & 0o777), ..Access::default() }
    }

    /// The access to the list in `dir`; without a list, to the newest table. Without tables, that
    /// to the directory, if its setgid bit says that a group shares it; else what the umask says.
    pub(super) fn of_dir(dir: &Path) -> Access {
        let list = fs::symlink_metadata(dir.join(LIST)).ok().filter(Metadata::is_file);
        if let Some(file) = list.or_else(|| newest_table(dir)) {
            let owner = Some((file.uid(), file.gid()));
            return Access { mode: Some(file.mode() & 0o666), owner, needs_group: false };
        }
        let Ok(dir) = fs::metadata(dir) else { return Access::default() };
        let is_shared = dir.mode() & 0o2000 != 0;
        let (mode, owner) = (is_shared.then_some(dir.mode() & 0o666), Some((dir.uid(), dir.gid())));
        Access { mode, owner, needs_group: false }
    }

    /// The access to a file that is writable by all who may write to `dir` and read a file with
    /// this access.
    pub(super) fn for_writers(self, dir: &Path) -> io::Result<Access> {
        let dir = writable(dir)?;
        let readable = self.mode.unwrap_or(dir.mode());
        let shared = |write: u32, read: u32| dir.mode() & write != 0 && readable & read != 0;
        let (group, others) = (shared(0o020, 0o040), shared(0o002, 0o004));
        let mode = 0o600 | if group { 0o060 } else { 0 } | if others { 0o006 } else { 0 };
        Ok(Access { mode: Some(mode), owner: Some((dir.uid(), dir.gid())), needs_group: group && !others })
    }

    /// Creates a file that at no time more people may open than in the end.
    pub(super) fn create(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        if self.mode.is_some() {
            options.mode(0o600);
        }
        let file = options.read(true).append(true).create_new(true).open(path)?;
        if let Err(error) = self.give(&file) {
            // Nobody above knows that there is a file.
            let _ = fs::remove_file(path);
            return Err(error);
        }
        Ok(file)
    }

    fn give(&self, file: &File) -> io::Result<()> {
        let has_group = match self.owner {
            Some((user, group)) => give_owner(file, user, group)?,
            None => true,
        };
        match self.mode {
            _ if self.needs_group && !has_group => Err(io::ErrorKind::Unsupported.into()),
            // Its owner writes to it, whatever has become of the list.
            Some(mode) if has_group => file.set_permissions(Permissions::from_mode(mode | 0o600)),
            Some(mode) => file.set_permissions(Permissions::from_mode(for_another_group(mode) | 0o600)),
            None => Ok(()),
        }
    }
}

/// A directory in which files can be made for all who may write to it. In a sticky one nobody may
/// remove or replace what others have made.
fn writable(dir: &Path) -> io::Result<Metadata> {
    let dir = fs::metadata(dir)?;
    if dir.mode() & 0o1000 != 0 { Err(io::ErrorKind::Unsupported.into()) } else { Ok(dir) }
}

/// Who may write to `dir`. What lists of access add shows in the bits of the group.
pub(super) fn writers(dir: &Path) -> io::Result<Writers> {
    let dir = writable(dir)?;
    let is_shared = dir.mode() & 0o022 != 0;
    Ok(if is_shared { Writers::Many } else { Writers::Users(our_number(&dir), dir.uid()) })
}

/// The user that we are.
#[cfg(target_os = "linux")]
fn our_number(_dir: &Metadata) -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Elsewhere that is not asked for: the owner of the directory counts alone.
#[cfg(not(target_os = "linux"))]
fn our_number(dir: &Metadata) -> u32 {
    dir.uid()
}

/// The table that was written last: its users are those of the list that is missing. Looks at
/// each name in the directory, which is for the first commit of a store and for `repair`.
fn newest_table(dir: &Path) -> Option<Metadata> {
    let tables = fs::read_dir(dir).ok()?.filter_map(Result::ok);
    let tables = tables.filter(|entry| entry.file_name().as_encoded_bytes().ends_with(b".ref"));
    let tables = tables.filter_map(|entry| Some((entry.metadata().ok()?, entry.file_name())));
    let tables = tables.filter(|(table, _)| table.is_file());
    let newest = tables.max_by_key(|(table, name)| (table.mtime(), table.mtime_nsec(), name.clone()));
    newest.map(|(table, _)| table)
}

/// Gives the file to `user`, which root alone may, or at least to `group`. Says whether it has the
/// group.
fn give_owner(file: &File, user: u32, group: u32) -> io::Result<bool> {
    let there = file.metadata()?;
    if (there.uid(), there.gid()) == (user, group) || fchown(file, Some(user), Some(group)).is_ok() {
        return Ok(true);
    }
    Ok(there.gid() == group || fchown(file, None, Some(group)).is_ok())
}

/// The bits for a file whose group is not the list's: to its group it gives what others have.
fn for_another_group(mode: u32) -> u32 {
    mode & !0o070 | mode & (mode & 0o007) << 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_group_gets_no_more_than_others() {
        assert_eq!(for_another_group(0o660), 0o600);
        assert_eq!(for_another_group(0o664), 0o644);
        assert_eq!(for_another_group(0o666), 0o666);
        assert_eq!(for_another_group(0o606), 0o606);
    }
}
