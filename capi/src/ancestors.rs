//! Who waits for whom: a process waits for the children that it has started.

use std::fs;

/// More generations than anybody has.
const MOST: usize = 64;

/// Whether the process of this number is this one, or one that has started it.
pub(crate) fn is_ancestor(process: u32) -> bool {
    let mut one = Some(std::process::id());
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
    parent_in(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// Field 4 of `/proc/PID/stat`. The second field is in parentheses and may have anything in it.
fn parent_in(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_and_its_parents_are_its_ancestors() {
        let own = std::process::id();
        assert!(is_ancestor(own));
        assert!(is_ancestor(parent(own).unwrap()) || parent(own) == Some(1) || parent(own) == Some(0));
        let mut child = std::process::Command::new("sleep").arg("9").spawn().unwrap();
        assert!(!is_ancestor(child.id()));
        assert_eq!(parent(child.id()), Some(own));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(parent_in("12 (a) b) S 7 8"), Some(7));
        assert_eq!(parent_in("12"), None);
    }
}
