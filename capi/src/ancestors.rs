//! Which process waits for which: one waits for the children that it has started, and for itself.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// More generations than a process has.
const MOST: usize = 64;

/// Whether the process of this number, who has `lock`, cannot go on before this thread does: it is
/// this process, or one that has started it. If this one has other threads, one of them may have
/// what is waited for.
///
/// In another container a process of the same number is another one, and does not show here what it
/// has open. Who it is that may not be looked at is not known: then it counts as ours.
pub(crate) fn waits_for_us(process: u32, lock: &Path) -> bool {
    let own = std::process::id();
    let is_related =
        if process == own { threads_of(own).is_none_or(|threads| threads < 2) } else { is_ancestor(own, process) };
    is_related && has_open(process, lock).unwrap_or(true)
}

/// Whether a process has this file open.
fn has_open(process: u32, path: &Path) -> Option<bool> {
    let file = |path: &Path| fs::metadata(path).ok().map(|about| (about.dev(), about.ino()));
    let open = fs::read_dir(format!("/proc/{process}/fd")).ok()?;
    // One that is gone changes hands.
    let Some(wanted) = file(path) else { return Some(false) };
    Some(open.flatten().any(|entry| file(&entry.path()) == Some(wanted)))
}

/// Whether `process` has started the one called `of`, or one that has.
fn is_ancestor(of: u32, process: u32) -> bool {
    let mut one = parent(of);
    for _ in 0..MOST {
        match one {
            Some(0 | 1) | None => return false,
            Some(number) if number == process => return true,
            Some(number) => one = parent(number),
        }
    }
    false
}

fn parent(process: u32) -> Option<u32> {
    field(&stat_of(process)?, 4)
}

fn threads_of(process: u32) -> Option<u32> {
    field(&stat_of(process)?, 20)
}

fn stat_of(process: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{process}/stat")).ok()
}

/// A field of `/proc/PID/stat`, the third or a later one; the first is 1. The second is in
/// parentheses and may have anything in it.
fn field(stat: &str, number: usize) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Stdio;

    use super::*;

    /// Something that a process has open, if it is more than pipes.
    fn some_file_of(process: u32) -> Option<PathBuf> {
        let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap().flatten();
        let files = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        files.into_iter().find(|path| path.exists())
    }

    /// Tests run in threads of their own, and the first one waits.
    #[test]
    fn a_process_with_threads_does_not_wait_for_one_of_them() {
        let (own, at) = (std::process::id(), tempfile::NamedTempFile::new().unwrap());
        assert!(threads_of(own).unwrap() >= 2);
        assert!(!waits_for_us(own, at.path()));
    }

    #[test]
    fn parents_wait_for_their_children_and_not_the_other_way_round() {
        let own = std::process::id();
        let mut child = std::process::Command::new("sleep").arg("9").stdin(Stdio::null()).spawn().unwrap();
        assert!(is_ancestor(child.id(), own) && !is_ancestor(own, child.id()));
        assert!(!waits_for_us(child.id(), &some_file_of(child.id()).unwrap()));
        assert_eq!((parent(child.id()), threads_of(child.id())), (Some(own), Some(1)));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(field("12 (a) b) S 7 8", 4), Some(7));
        assert_eq!((field("12", 4), field("12 (a) S 7", 20)), (None, None));
    }

    /// One of another container may have the number of our parent.
    #[test]
    fn who_has_not_the_lock_is_not_waiting_for_us() {
        let at = tempfile::NamedTempFile::new().unwrap();
        let Some(parent) = parent(std::process::id()).filter(|parent| *parent > 1) else { return };
        assert!(is_ancestor(std::process::id(), parent));
        assert!(!waits_for_us(parent, at.path()));
        assert!(some_file_of(parent).is_none_or(|file| waits_for_us(parent, &file)));
        assert_eq!(has_open(std::process::id(), at.path()), Some(true));
        assert_eq!(has_open(std::process::id(), Path::new("/nowhere")), Some(false));
        assert_eq!(has_open(u32::MAX, at.path()), None);
    }
}
