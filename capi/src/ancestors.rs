//! Which process waits for which: one waits for the children that it has started, and for itself.

use std::fs;

/// More generations than a process has.
const MOST: usize = 64;

/// Whether the process of this number cannot go on before this thread does: it is this process, or
/// one that has started it. If this one has other threads, one of them may have what is waited for.
pub(crate) fn waits_for_us(process: u32) -> bool {
    let own = std::process::id();
    if process == own { threads_of(own).is_none_or(|threads| threads < 2) } else { is_ancestor(own, process) }
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
    use super::*;

    /// Tests run in threads of their own, and the first one waits.
    #[test]
    fn a_process_with_threads_does_not_wait_for_one_of_them() {
        assert!(threads_of(std::process::id()).unwrap() >= 2);
        assert!(!waits_for_us(std::process::id()));
    }

    #[test]
    fn parents_wait_for_their_children_and_not_the_other_way_round() {
        let own = std::process::id();
        assert!(waits_for_us(parent(own).unwrap()) || parent(own) == Some(1) || parent(own) == Some(0));
        let mut child = std::process::Command::new("sleep").arg("9").spawn().unwrap();
        assert!(!waits_for_us(child.id()) && is_ancestor(child.id(), own));
        assert_eq!((parent(child.id()), threads_of(child.id())), (Some(own), Some(1)));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(field("12 (a) b) S 7 8", 4), Some(7));
        assert_eq!((field("12", 4), field("12 (a) S 7", 20)), (None, None));
    }
}
