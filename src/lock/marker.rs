//! What a lock file of this library says, in its contents or in an attribute: whose it is, and
//! whether its owner can be judged.

use crate::dir::{FileStat, Host};
use crate::list::is_temporary_name;

/// No marker is longer; a larger file is not one.
pub(super) const MAX_LEN: u64 = 512;
/// What the file is, and the version of its form. A marker of another version is nobody's that we
/// could judge: it is respected as a lock of another program.
const KIND: &str = "reftable lock 2";

/// What the bytes of an attribute mean; the attributes of lists and tables have 1 and 2.
const ATTRIBUTE_VERSION: u8 = 3;
/// The same with a rider: what is said besides of a lock that becomes the list.
const WITH_RIDER: u8 = 4;
/// The length of a rider. With it an attribute has 61 bytes, and 64 fit into an inode of 256.
const RIDER: usize = 20;

/// Where a lock is, as one process sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LockLocation {
    pub(super) device: u64,
    /// The kind of the file system, as [`crate::dir::Dir::file_system`] says; 0 if that is not
    /// known.
    pub(super) file_system: u64,
    /// Whether one kernel alone writes there. Not part of the marker.
    pub(super) is_local: bool,
}

/// The owner of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) boot: Option<String>,
    device: u64,
    file_system: u64,
    pub(super) process: u32,
    /// When that process started, by [`crate::dir::Dir::process_started`].
    pub(super) started: Option<u64>,
    /// The first name of the file, which is removed when its locks are taken over; `None` if it
    /// never had one but that of the lock.
    pub(super) owner: Option<String>,
}

impl Marker {
    pub(super) fn new(
        boot: Option<String>,
        location: LockLocation,
        (process, started): (u32, Option<u64>),
        owner: Option<&str>,
    ) -> Marker {
        let LockLocation { device, file_system, .. } = location;
        Marker { boot, device, file_system, process, started, owner: owner.map(str::to_owned) }
    }

    /// Lines of text: kind, version and length, what there is to say, and a checksum. A marker that
    /// a power failure cut short is not taken for one.
    pub(super) fn print(&self) -> Vec<u8> {
        let boot = self.boot.as_deref().unwrap_or("-");
        let started = self.started.map_or("-".to_owned(), |started| started.to_string());
        let owner = self.owner.as_deref().unwrap_or("-");
        let Marker { device, file_system, process, .. } = self;
        let rest = format!(
            "boot {boot}\ndevice {device}\nfile-system {file_system}\nprocess {process}\nstarted {started}\nowner {owner}\n"
        );
        // Three digits and a newline, and the last line.
        let len = KIND.len() + 1 + 4 + rest.len() + "check \n".len() + 8;
        let text = format!("{KIND} {len:03}\n{rest}");
        format!("{text}check {:08x}\n", crc32fast::hash(text.as_bytes())).into_bytes()
    }

    /// The marker in a lock file; `None` if it is none of this version, or not whole.
    pub(super) fn parse(contents: &[u8]) -> Option<Marker> {
        let text = std::str::from_utf8(contents).ok()?;
        let (text, check) = text.strip_suffix('\n')?.rsplit_once("check ")?;
        if u32::from_str_radix(check, 16).ok()? != crc32fast::hash(text.as_bytes()) {
            return None;
        }
        let mut lines = text.lines();
        let len = lines.next()?.strip_prefix(KIND)?.strip_prefix(' ')?;
        if len.parse::<usize>().ok()? != contents.len() {
            return None;
        }
        let mut value = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix(' ');
        let known = |value: &str| (value != "-").then(|| value.to_owned());
        Some(Marker {
            boot: known(value("boot")?),
            device: value("device")?.parse().ok()?,
            file_system: value("file-system")?.parse().ok()?,
            process: value("process")?.parse().ok()?,
            started: known(value("started")?).map(|started| started.parse()).transpose().ok()?,
            owner: match value("owner")? {
                "-" => None,
                name => Some(name.to_owned()).filter(|name| is_temporary_name(name)).map(Some)?,
            },
        })
    }

    /// The marker as an attribute on a lock file: 41 bytes, which fit into an inode of 256, where
    /// the text would take a block of its own. Where the run of the kernel is named in another way
    /// than Linux does, the text.
    pub(super) fn attribute(&self) -> Vec<u8> {
        let boot = self.boot.as_deref().and_then(number_of);
        let Some(boot) = boot.filter(|_| self.owner.is_none() && self.started.is_none()) else { return self.print() };
        let mut attribute = vec![ATTRIBUTE_VERSION];
        attribute.extend(boot.to_be_bytes());
        attribute.extend(self.device.to_be_bytes());
        attribute.extend(self.file_system.to_be_bytes());
        attribute.extend(self.process.to_be_bytes());
        attribute.extend(crc32fast::hash(&attribute).to_be_bytes());
        attribute
    }

    /// The marker in an attribute; `None` if it is none.
    pub(super) fn of_attribute(attribute: &[u8]) -> Option<Marker> {
        let Some((marker, _)) = split(attribute) else { return Marker::parse(attribute) };
        let (boot, rest) = marker.split_first_chunk::<16>()?;
        let (device, rest) = rest.split_first_chunk::<8>()?;
        let (file_system, rest) = rest.split_first_chunk::<8>()?;
        let process = rest.try_into().ok()?;
        Some(Marker {
            boot: Some(name_of(u128::from_be_bytes(*boot))),
            device: u64::from_be_bytes(*device),
            file_system: u64::from_be_bytes(*file_system),
            process: u32::from_be_bytes(process),
            started: None,
            owner: None,
        })
    }

    /// Whether a kernel lock that is free proves that the owner is dead: the owner's lock would be
    /// seen through this file.
    ///
    /// *In this run of the kernel* it would if both reach the file by the same device: then it is
    /// one inode to both. Another device is another way to the same directory, with kernel locks of
    /// its own. Only on a local file system the number may have changed because it was mounted
    /// anew, and says nothing; but the kind has not.
    ///
    /// *In another run* the owner has run on another kernel, or before this one started. A local
    /// file system excludes other kernels, unless this one serves it to them: those see another
    /// kind of file system. To be sure, too, that it was before this kernel started, the lock must
    /// not have changed since: each lock that is taken changes the time `stat.changed` of its file,
    /// which no call can set. A successor changes it as well; but it takes away the first name
    /// before anything else, so if `is_first_name_gone` an earlier successor has been sure already.
    /// A living owner keeps that name until it holds no lock.
    pub(super) fn can_be_judged(
        &self,
        host: &Host,
        here: LockLocation,
        stat: &FileStat,
        is_first_name_gone: impl FnOnce() -> bool,
    ) -> bool {
        let (Some(boot), Some(this_boot)) = (&self.boot, &host.boot) else { return false };
        let is_same_kind = here.is_local && here.file_system != 0 && self.file_system == here.file_system;
        if boot == this_boot {
            let is_same_device = (self.device, self.file_system) == (here.device, here.file_system);
            return is_same_device || is_same_kind;
        }
        let is_past = host.booted.is_some_and(|booted| stat.changed != 0 && stat.changed < booted);
        is_same_kind && (is_past || is_first_name_gone())
    }
}

/// The marker in an attribute of bytes, and what rides on it; `None` if it is not such an
/// attribute, or not whole.
fn split(attribute: &[u8]) -> Option<(&[u8], &[u8])> {
    let (bytes, check) = attribute.split_last_chunk::<4>()?;
    if crc32fast::hash(bytes) != u32::from_be_bytes(*check) {
        return None;
    }
    match bytes.split_first()? {
        (&ATTRIBUTE_VERSION, marker) => Some((marker, &[])),
        (&WITH_RIDER, rest) => rest.split_at_checked(rest.len().checked_sub(RIDER)?),
        _ => None,
    }
}

/// The attribute of a lock with something to ride on it, which is about to become the list: in one
/// attribute, so that there is no moment in which the lock has no marker. `None` if the attribute
/// is a text.
pub(crate) fn with_rider(attribute: &[u8], rider: &[u8; RIDER]) -> Option<Vec<u8>> {
    let (marker, _) = split(attribute)?;
    let mut attribute = [&[WITH_RIDER], marker, rider].concat();
    attribute.extend(crc32fast::hash(&attribute).to_be_bytes());
    Some(attribute)
}

/// What rides on the attribute of a lock that has become the list, and the device in its marker.
pub(crate) fn rider_of(attribute: &[u8]) -> Option<(u64, &[u8; RIDER])> {
    let (marker, rider) = split(attribute)?;
    let (device, _) = marker.get(16..)?.split_first_chunk()?;
    Some((u64::from_be_bytes(*device), rider.try_into().ok()?))
}

/// The number that Linux writes as the name of a run of the kernel; `None` for any other text.
fn number_of(boot: &str) -> Option<u128> {
    let digits: String = boot.split('-').collect();
    let number = u128::from_str_radix(&digits, 16).ok()?;
    (name_of(number) == boot).then_some(number)
}

/// The text of it.
fn name_of(boot: u128) -> String {
    let part = |shift: u32, digits: u32| (boot >> shift) & ((1 << (4 * digits)) - 1);
    format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", part(96, 8), part(80, 4), part(64, 4), part(48, 4), part(0, 12))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: &str = "reftable-0123456789abcdef.owner";
    const DISK: LockLocation = LockLocation { device: 1, file_system: 0xEF53, is_local: true };
    const FUSE: LockLocation = LockLocation { device: 7, file_system: 0x6573_5546, is_local: false };

    fn host(boot: &str, booted: u128) -> Host {
        Host { boot: Some(boot.to_owned()), booted: Some(booted) }
    }

    fn marker(location: LockLocation) -> Marker {
        Marker::new(Some("b".to_owned()), location, (12, Some(34)), Some(OWNER))
    }

    #[test]
    fn a_marker_survives_a_round_trip_and_nothing_else_is_one() {
        let marker = marker(DISK);
        let text = marker.print();
        assert!(text.len() as u64 <= MAX_LEN);
        assert_eq!(Marker::parse(&text), Some(marker));
        for len in 0..text.len() {
            assert_eq!(Marker::parse(&text[..len]), None);
        }
        for position in 0..text.len() {
            let mut damaged = text.clone();
            damaged[position] ^= 1;
            assert_eq!(Marker::parse(&damaged), None, "{}", String::from_utf8_lossy(&damaged));
        }
        assert_eq!(Marker::parse(&[&text[..], b"\n"].concat()), None);
    }

    #[test]
    fn an_attribute_survives_a_round_trip_and_fits_into_an_inode() {
        let boot = "cb0a093f-57ee-4856-89c5-9a0f3706e298";
        let marker = Marker::new(Some(boot.to_owned()), DISK, (12, None), None);
        let attribute = marker.attribute();
        assert_eq!(attribute.len(), 41);
        assert_eq!(Marker::of_attribute(&attribute), Some(marker));
        for position in 0..attribute.len() {
            assert_eq!(Marker::of_attribute(&attribute[..position]), None);
            let mut damaged = attribute.clone();
            damaged[position] ^= 1;
            assert_eq!(Marker::of_attribute(&damaged), None);
        }
        for boot in ["b", "CB0A093F-57EE-4856-89C5-9A0F3706E298", "cb0a093f57ee485689c59a0f3706e298"] {
            let marker = Marker::new(Some(boot.to_owned()), DISK, (12, None), None);
            assert_eq!(Marker::of_attribute(&marker.attribute()), Some(marker));
        }
    }

    #[test]
    fn a_rider_changes_nothing_about_the_marker() {
        let boot = "cb0a093f-57ee-4856-89c5-9a0f3706e298";
        let marker = Marker::new(Some(boot.to_owned()), DISK, (12, None), None);
        let (first, second) = ([7; RIDER], [8; RIDER]);
        let attribute = with_rider(&marker.attribute(), &first).unwrap();
        assert_eq!(attribute.len(), 61);
        assert_eq!(
            (Marker::of_attribute(&attribute), rider_of(&attribute)),
            (Some(marker.clone()), Some((DISK.device, &first)))
        );
        let replaced = with_rider(&attribute, &second).unwrap();
        assert_eq!(rider_of(&replaced), Some((DISK.device, &second)));
        assert_eq!(rider_of(&marker.attribute()), None);
        assert_eq!(with_rider(&marker.print(), &first), None);
        for position in 0..attribute.len() {
            let mut damaged = attribute.clone();
            damaged[position] ^= 1;
            for attribute in [&attribute[..position], &damaged] {
                assert_eq!((Marker::of_attribute(attribute), rider_of(attribute)), (None, None), "{position}");
            }
        }
    }

    #[test]
    fn the_longest_marker_fits() {
        let boot = Some("b".repeat(64));
        let location = LockLocation { device: u64::MAX, file_system: u64::MAX, is_local: true };
        let longest = Marker::new(boot, location, (u32::MAX, Some(u64::MAX)), Some(OWNER));
        let text = longest.print();
        assert!(text.len() as u64 <= MAX_LEN, "{}", text.len());
        assert_eq!(Marker::parse(&text), Some(longest));
        let unknown = Marker::new(None, location, (1, None), None);
        assert_eq!(Marker::parse(&unknown.print()), Some(unknown));
    }

    #[test]
    fn in_one_run_of_the_kernel_the_way_to_the_file_counts() {
        let judged = |marker: &Marker, here| marker.can_be_judged(&host("b", 5), here, &FileStat::default(), || false);
        assert!(judged(&marker(FUSE), FUSE));
        assert!(!judged(&marker(FUSE), LockLocation { device: 8, ..FUSE }), "another mount of the same directory");
        assert!(!judged(&marker(FUSE), DISK), "the directory itself below a mount");
        assert!(!judged(&marker(DISK), FUSE));
        assert!(judged(&marker(DISK), LockLocation { device: 2, ..DISK }), "a disk that was mounted anew");
        let unknown = LockLocation { file_system: 0, ..DISK };
        assert!(!judged(&marker(unknown), LockLocation { device: 2, ..unknown }));
    }

    #[test]
    fn of_another_run_only_the_past_of_a_local_file_system_can_be_judged() {
        let at = |changed| FileStat { changed, ..FileStat::default() };
        let judged =
            |marker: &Marker, host: &Host, here, changed| marker.can_be_judged(host, here, &at(changed), || false);
        let later = host("later", 20);
        assert!(judged(&marker(DISK), &later, DISK, 10), "before the reboot, or on another node");
        assert!(judged(&marker(DISK), &later, LockLocation { device: 9, ..DISK }, 10), "devices are numbered anew");
        assert!(!judged(&marker(DISK), &later, DISK, 20), "since this kernel started");
        assert!(!judged(&marker(DISK), &later, DISK, 0), "nobody knows when");
        assert!(!judged(&marker(FUSE), &later, FUSE, 10), "another kernel may have it, too");
        assert!(!judged(&marker(FUSE), &later, DISK, 10), "we serve it to another kernel");
        assert!(!judged(&marker(DISK), &Host { booted: None, ..later.clone() }, DISK, 10), "our clock tells nothing");
        assert!(!judged(&marker(DISK), &Host::default(), DISK, 10), "we do not know where we are");
        let found_dead = |here| marker(DISK).can_be_judged(&later, here, &at(30), || true);
        assert!(found_dead(DISK), "a successor has changed it since, and died");
        assert!(!found_dead(FUSE));
        let nobody = Marker::new(None, DISK, (1, None), None);
        assert!(!judged(&nobody, &Host::default(), DISK, 10), "nobody knows");
    }
}
