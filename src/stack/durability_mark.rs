//! Durability marks: a list says of itself that all it names survives a loss of power.
//!
//! Whoever publishes a list under `Full` has synced the tables that it adds, and has made sure of
//! the others: by a sync, or by the mark of the list before. So it leaves a mark on the new list,
//! as an attribute on the file, and whoever commits next need not sync what it cannot know to be
//! synced.
//!
//! A mark holds for these contents of this file, and for nothing else. A list of git's is a new
//! file and has none; a list that was edited in place has other contents; a copy, with its
//! attribute or without, is another file, and the tables beside it may be copies that nobody has
//! synced.

use crate::dir::FileStat;
use crate::mutant::{self, Mutant};

/// What the bytes below mean.
const VERSION: u8 = 1;
/// Of these, the first so many are about the contents of the list, the others about the file.
const CONTENTS: usize = 5;

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

/// Whether this is the mark of a list with these contents in this file.
pub(super) fn fits(mark: &[u8], list: &[u8], file: &FileStat) -> bool {
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
