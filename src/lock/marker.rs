//! What stands in a lock file of ours, so that others can tell whose it is and whether its owner can be judged.

use crate::dir::Host;
use crate::list::is_temporary_name;

/// No marker is longer; a larger file is not one.
pub(super) const MAX_LEN: u64 = 512;
const FIRST_LINE: &str = "reftable lock 1";

/// The owner of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) boot: Option<String>,
    pub(super) machine: Option<String>,
    pub(super) process: u32,
    /// The first name of the file, which is removed when its locks are inherited.
    pub(super) owner: String,
}

impl Marker {
    pub(super) fn new(host: &Host, process: u32, owner: &str) -> Marker {
        Marker { boot: host.boot.clone(), machine: host.machine.clone(), process, owner: owner.to_owned() }
    }

    /// Lines of text with a checksum: a marker that a loss of power cut short is not taken for one.
    pub(super) fn print(&self) -> Vec<u8> {
        let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "-".to_owned());
        let (boot, machine) = (word(&self.boot), word(&self.machine));
        let (process, owner) = (self.process, &self.owner);
        let text = format!("{FIRST_LINE}\nboot {boot}\nmachine {machine}\nprocess {process}\nowner {owner}\n");
        format!("{text}check {:08x}\n", crc32fast::hash(text.as_bytes())).into_bytes()
    }

    /// The marker in a lock file; `None` if it is none of ours, or not whole.
    pub(super) fn parse(contents: &[u8]) -> Option<Marker> {
        let contents = std::str::from_utf8(contents).ok()?;
        let (text, check) = contents.strip_suffix('\n')?.rsplit_once("check ")?;
        if u32::from_str_radix(check, 16).ok()? != crc32fast::hash(text.as_bytes()) {
            return None;
        }
        let mut lines = text.lines();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let word = |line: &str| (line != "-").then(|| line.to_owned());
        Some(Marker {
            boot: word(lines.next()?.strip_prefix("boot ")?),
            machine: word(lines.next()?.strip_prefix("machine ")?),
            process: lines.next()?.strip_prefix("process ")?.parse().ok()?,
            owner: lines.next()?.strip_prefix("owner ").filter(|name| is_temporary_name(name))?.to_owned(),
        })
    }

    /// Whether the kernel we run on can tell if the owner lives: it runs on the same one, or ran on this machine
    /// before that started. `created` is when the lock's file was written.
    ///
    /// The same machine with another boot is not enough, because copies of a virtual machine share its id. So an
    /// earlier boot counts only in a directory that no other kernel can write to, and only if the file is older than
    /// our kernel: a younger one was written by somebody who ran beside it. `is_local` is asked only where it matters.
    pub(super) fn can_be_judged(&self, host: &Host, is_local: impl FnOnce() -> bool, created: u128) -> bool {
        let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
        if same(&self.boot, &host.boot) {
            return true;
        }
        let both_known = self.boot.is_some() && host.boot.is_some();
        let is_past = host.booted.is_some_and(|booted| created < booted);
        both_known && same(&self.machine, &host.machine) && is_past && is_local()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: &str = "reftable-0123456789abcdef.owner";

    fn host(boot: &str, machine: &str, booted: u128) -> Host {
        Host { boot: Some(boot.to_owned()), machine: Some(machine.to_owned()), booted: Some(booted) }
    }

    #[test]
    fn a_marker_survives_a_round_trip_and_nothing_else_is_one() {
        let marker = Marker::new(&host("b", "m", 7), 12, OWNER);
        let text = marker.print();
        assert_eq!(Marker::parse(&text), Some(marker));
        for len in 0..text.len() {
            assert_eq!(Marker::parse(&text[..len]), None);
        }
        for position in 0..text.len() {
            let mut damaged = text.clone();
            damaged[position] ^= 1;
            assert_eq!(Marker::parse(&damaged), None, "{}", String::from_utf8_lossy(&damaged));
        }
    }

    #[test]
    fn only_this_kernel_and_the_past_of_this_machine_can_be_judged() {
        let marker = Marker::new(&host("b", "m", 7), 12, OWNER);
        let judged = |host: &Host, is_local| marker.can_be_judged(host, || is_local, 10);
        assert!(judged(&host("b", "other", 5), false), "a container beside ours");
        assert!(judged(&host("later", "m", 20), true), "before the reboot");
        assert!(!judged(&host("later", "m", 20), false), "a copy of this machine, in a folder that both have");
        assert!(!judged(&host("later", "m", 5), true), "a copy of this machine, at the same time");
        assert!(!judged(&host("later", "other", 20), true), "another machine");
        assert!(!judged(&Host::default(), true), "we do not know where we are");
        assert!(!Marker::new(&Host::default(), 1, OWNER).can_be_judged(&Host::default(), || true, 10), "nobody knows");
    }
}
