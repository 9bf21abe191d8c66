//! Durability marks: a list says of itself that all it names survives a power failure. A committer
//! that publishes a list under `Full` has synced the tables that it adds, and has made sure of the
//! others: by a sync, or by the mark of the list before. So it leaves a mark on the new list, as an
//! attribute on the file, and the next committer need not sync what it cannot know to be synced.
//!
//! A mark holds for these contents of this file, and for nothing else. A list of git's is a new
//! file and has none; a list that was edited in place has other contents; a copy, with its
//! attribute or without, is another file, and the tables beside it may be copies that were never
//! synced.

use crate::dir::FileStat;
use crate::lock;
use crate::mutant::{self, Mutant};

/// What the bytes below mean.
const VERSION: u8 = 1;
/// Of these, the first so many are about the contents of the list, the others about the file.
const CONTENTS: usize = 5;
/// Where the device stands.
const DEVICE: std::ops::Range<usize> = CONTENTS..13;

/// The durability mark of a list: a version, a checksum of the contents, device, inode, and time of
/// birth of the file. The last one tells a file from an earlier one that had its number, whose
/// attribute an archive may have brought back. `None` where files have no numbers, or no time of
/// birth: an archive that is unpacked where the store was could not be told from it.
pub(super) fn print(list: &[u8], file: &FileStat) -> Option<Vec<u8>> {
    let mut mark = vec![VERSION];
    mark.extend(crc32fast::hash(list).to_be_bytes());
    mark.extend(file.device.to_be_bytes());
    mark.extend(file.inode.to_be_bytes());
    mark.extend((file.created as u64).to_be_bytes());
    (file.is_unique() && file.created != 0).then_some(mark)
}

/// The mark of a list that is a lock until it gets its name, and so has a `marker`, which must not
/// go: both in one attribute. Version and device are left out, so that they fit into an inode.
pub(super) fn print_beside(marker: &[u8], list: &[u8], file: &FileStat) -> Option<Vec<u8>> {
    let mark = print(list, file)?;
    let rider = [mark.get(1..DEVICE.start)?, mark.get(DEVICE.end..)?].concat();
    lock::with_rider(marker, rider.first_chunk()?)
}

/// Whether an attribute has the mark of a list with these contents in this file.
pub(super) fn fits(attribute: &[u8], list: &[u8], file: &FileStat) -> bool {
    match lock::rider_of(attribute) {
        None => is_mark(attribute, list, file),
        Some((device, rider)) => {
            let (contents, place) = rider.split_at(CONTENTS - 1);
            let mark = [&[VERSION], contents, &device.to_be_bytes(), place].concat();
            is_mark(&mark, list, file)
        }
    }
}

fn is_mark(mark: &[u8], list: &[u8], file: &FileStat) -> bool {
    let Some(expected) = print(list, file) else { return false };
    let Some(((contents, place), expected)) = mark.split_at_checked(CONTENTS).zip(expected.split_at_checked(CONTENTS))
    else {
        return false;
    };
    (contents == expected.0 || mutant::is_on(Mutant::TrustMarkOfOtherContents))
        && (place == expected.1 || mutant::is_on(Mutant::TrustMarkOfOtherFile))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &[u8] = b"a.ref\nb.ref\n";
    const FILE: FileStat = FileStat {
        device: 1,
        inode: 2,
        size: LIST.len() as u64,
        modified: 3,
        created: 1 << 60,
        changed: 4,
        is_file: true,
    };

    /// The attribute of a lock, as `lock/marker.rs` writes it.
    fn marker() -> Vec<u8> {
        let mut marker = [&[3][..], &[0xab; 16], &FILE.device.to_be_bytes(), &[0; 8], &[0, 0, 0, 12]].concat();
        marker.extend(crc32fast::hash(&marker).to_be_bytes());
        marker
    }

    #[test]
    fn a_mark_beside_a_marker_fits_as_well() {
        let marker = marker();
        let both = print_beside(&marker, LIST, &FILE).unwrap();
        assert!(both.len() <= 64, "fits into an inode of 256 bytes");
        assert!(fits(&both, LIST, &FILE) && !fits(&marker, LIST, &FILE));
        assert!(!fits(&both, b"a.ref\n", &FILE));
        for other in [FileStat { device: 9, ..FILE }, FileStat { inode: 9, ..FILE }, FileStat { created: 9, ..FILE }] {
            assert!(!fits(&both, LIST, &other), "{other:?}");
        }
        for bit in 0..both.len() * 8 {
            let mut other = both.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!fits(&other, LIST, &FILE), "bit {bit}");
        }
        (0..both.len()).for_each(|len| assert!(!fits(&both[..len], LIST, &FILE), "{len} bytes"));
        assert_eq!(print_beside(b"", LIST, &FILE), None);
    }

    #[test]
    fn a_mark_fits_its_list() {
        let mark = print(LIST, &FILE).unwrap();
        assert!(fits(&mark, LIST, &FILE));
        assert!(mark.len() <= 64, "fits into an inode of 256 bytes");
    }

    #[test]
    fn it_fits_no_other_contents() {
        let mark = print(LIST, &FILE).unwrap();
        for other in [&b""[..], b"a.ref\n", b"b.ref\na.ref\n", b"a.ref\nb.ref\nc.ref\n"] {
            assert!(!fits(&mark, other, &FILE));
        }
    }

    #[test]
    fn it_fits_no_other_file() {
        let mark = print(LIST, &FILE).unwrap();
        for other in [FileStat { device: 9, ..FILE }, FileStat { inode: 9, ..FILE }, FileStat { created: 9, ..FILE }] {
            assert!(!fits(&mark, LIST, &other), "{other:?}");
        }
        let touched = FileStat { modified: 9, ..FILE };
        assert!(fits(&mark, LIST, &touched), "a rename or a touch changes nothing that was marked");
    }

    #[test]
    fn no_bytes_that_differ_fit() {
        let mark = print(LIST, &FILE).unwrap();
        for bit in 0..mark.len() * 8 {
            let mut other = mark.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!fits(&other, LIST, &FILE), "bit {bit}");
        }
        (0..mark.len()).for_each(|len| assert!(!fits(&mark[..len], LIST, &FILE), "{len} bytes"));
        assert!(!fits(&[&mark[..], b"\0"].concat(), LIST, &FILE));
    }

    #[test]
    fn files_without_numbers_or_times_of_birth_have_none() {
        let mark = print(LIST, &FILE).unwrap();
        for poor in [FileStat { inode: 0, ..FILE }, FileStat { created: 0, ..FILE }] {
            assert_eq!(print(LIST, &poor), None);
            assert!(!fits(&mark, LIST, &poor));
        }
    }
}
