//! What Linux tells about the machine, the run of its kernel, and its processes.

use std::fs;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, getrlimit};

use super::Room;

/// The run of the kernel. Each process that writes asks for it, so it is read in one call.
pub(super) fn boot_id() -> Option<String> {
    let mut text = [0; 128];
    let file = rustix::fs::open("/proc/sys/kernel/random/boot_id", OFlags::CLOEXEC, Mode::empty()).ok()?;
    let len = rustix::io::read(&file, &mut text).ok()?;
    let word = str::from_utf8(text.get(..len)?).ok()?.trim();
    let is_plain = word.bytes().all(|byte| byte.is_ascii_graphic());
    (!word.is_empty() && word.len() <= 64 && is_plain).then(|| word.to_owned())
}

/// When the kernel started, in nanoseconds since 1970. In a time namespace another time is told, as
/// long ago as one likes: then it is not known.
pub(super) fn booted() -> Option<u128> {
    if is_shifted(&fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default()) {
        return None;
    }
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u128>().ok())?;
    seconds.checked_mul(1_000_000_000)
}

/// Whether any clock is shifted, by lines such as `boottime 100 0`. Kernels without time namespaces
/// tell nothing.
fn is_shifted(offsets: &str) -> bool {
    offsets.lines().flat_map(|line| line.split_whitespace().skip(1)).any(|number| number != "0")
}

/// What the limits of this process leave. When all descriptors are in use they cannot even be
/// counted.
pub(super) fn room() -> Room {
    let descriptors = match fs::read_dir("/proc/self/fd") {
        Ok(open) => {
            let open = open.count() as u64;
            getrlimit(Resource::Nofile).current.map(|most| most.saturating_sub(open))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(_) => Some(0),
    };
    Room { descriptors, file_size: getrlimit(Resource::Fsize).current }
}

/// When a process started, in the kernel's ticks since its own start; `None` if there is none of
/// this number.
pub(super) fn process_started(process: u32) -> Option<u64> {
    started(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// Field 22 of `/proc/PID/stat`. The second field is in parentheses and may have anything in it.
fn started(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_process_is_found_behind_any_name() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(started(&format!("12 (name) {rest}")), Some(4711));
        assert_eq!(started(&format!("12 (a) b ( 1 2 3) {rest}")), Some(4711));
        assert_eq!(started("12 (name) S 1"), None);
        assert_eq!(process_started(std::process::id()), process_started(std::process::id()));
        assert!(process_started(std::process::id()).is_some());
        assert_eq!(process_started(u32::MAX), None);
    }

    #[test]
    fn shifted_clocks_are_noticed() {
        assert!(!is_shifted(""));
        assert!(!is_shifted("monotonic           0         0\nboottime            0         0\n"));
        assert!(is_shifted("monotonic           0         0\nboottime       -1000         0\n"));
        assert!(is_shifted("monotonic           0         5\nboottime            0         0\n"));
    }
}
