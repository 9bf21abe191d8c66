//! What a table says of where it came from: an attribute on its file, by which others can tell
//! whether a table that no list names may still be needed.
//!
//! A commit records *upon which list* its table was made. Listing the table replaces that list.
//! So as long as that very file is the list, no list has ever named the table.
//!
//! A compaction records *of which tables* its output was merged. Once the output is listed, they
//! are garbage; as long as all of them are listed, the output is.
//!
//! An attribute counts for this file, or beside this list, only: what a copy of the store says of
//! files is not about its own. A power failure may bring back what was there before, unless it was
//! synced; so what was not says that it counts in this run of the kernel only.

use crate::dir::{Dir, FileStat};
use crate::format::varint::{Reader, put_varint};
use crate::list::TableName;

/// What the bytes below mean; durability marks have 1.
const VERSION: u8 = 2;
const UPON: u8 = 1;
const MERGED: u8 = 2;
/// No longer attribute is made. With more tables than fit nothing is said.
const MAX_LEN: usize = 1024;

/// Which file: no two have the same, whenever they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
    created: u64,
}

impl FileId {
    /// `None` where files have no numbers, or do not tell when they were made: a number is used
    /// again.
    pub(crate) fn of(stat: &FileStat) -> Option<FileId> {
        let created = stat.created as u64;
        (stat.is_unique() && created != 0).then_some(FileId { device: stat.device, inode: stat.inode, created })
    }
}

/// When an attribute counts: in any run of the kernel (0), or in this one only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run(u32);

impl Run {
    pub(crate) const ANY: Run = Run(0);

    /// This run of the kernel; `None` where it cannot be told from others.
    pub(crate) fn this(dir: &dyn Dir) -> Option<Run> {
        dir.boot().map(|boot| Run(crc32fast::hash(boot.as_bytes()).max(1)))
    }
}

/// Where a table came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It was made to be added to this list.
    Upon(FileId),
    /// All that is in these tables is in it, but for what was to be left out.
    MergedFrom(Vec<TableName>),
}

impl Origin {
    /// The attribute of a table that is to be added to `list`.
    pub(crate) fn upon(list: &FileStat, run: Run) -> Option<Vec<u8>> {
        Some(finished(begun(UPON, run, FileId::of(list)?)))
    }

    /// The attribute of the table in `file`, which was merged from `tables`; `None` if it has no
    /// room for them, or if their names are not of git's form.
    pub(crate) fn merged<'a>(file: &FileStat, tables: impl IntoIterator<Item = &'a str>, run: Run) -> Option<Vec<u8>> {
        let mut attribute = begun(MERGED, run, FileId::of(file)?);
        let mut above = 0;
        for table in tables {
            let TableName { min, max, random } = TableName::parse(table)?;
            put_varint(&mut attribute, min.wrapping_sub(above));
            put_varint(&mut attribute, max.wrapping_sub(min));
            attribute.extend(random.to_be_bytes());
            above = max;
        }
        let attribute = finished(attribute);
        (attribute.len() <= MAX_LEN).then_some(attribute)
    }

    /// Reads the attribute of the table in `file`, if it counts in this run of the kernel.
    pub(crate) fn parse(attribute: &[u8], file: &FileStat, this: Option<Run>) -> Option<Origin> {
        let (text, check) = attribute.split_last_chunk::<4>()?;
        if crc32fast::hash(text) != u32::from_be_bytes(*check) {
            return None;
        }
        let mut reader = Reader::new(text, 0);
        let (version, kind, run) = (reader.u8().ok()?, reader.u8().ok()?, Run(reader.be32().ok()?));
        if version != VERSION || (run != Run::ANY && Some(run) != this) {
            return None;
        }
        let mut number = || reader.be64().ok();
        let id = FileId { device: number()?, inode: number()?, created: number()? };
        match kind {
            UPON if reader.is_at_end() => Some(Origin::Upon(id)),
            MERGED if FileId::of(file) == Some(id) => names(reader).map(Origin::MergedFrom),
            _ => None,
        }
    }
}

fn begun(kind: u8, run: Run, id: FileId) -> Vec<u8> {
    let mut attribute = vec![VERSION, kind];
    attribute.extend(run.0.to_be_bytes());
    [id.device, id.inode, id.created].iter().for_each(|number| attribute.extend(number.to_be_bytes()));
    attribute
}

fn finished(mut attribute: Vec<u8>) -> Vec<u8> {
    let check = crc32fast::hash(&attribute);
    attribute.extend(check.to_be_bytes());
    attribute
}

fn names(mut reader: Reader<'_>) -> Option<Vec<TableName>> {
    let (mut names, mut below) = (Vec::new(), 0u64);
    while !reader.is_at_end() {
        let min = below.wrapping_add(reader.varint().ok()?);
        let max = min.wrapping_add(reader.varint().ok()?);
        names.push(TableName { min, max, random: reader.be32().ok()? });
        below = max;
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileStat =
        FileStat { device: 1, inode: 2, size: 3, modified: 4, changed: 5, created: 1 << 60, is_file: true };
    const NAMES: [&str; 3] = [
        "0x000000000001-0x000000000007-deadbeef.ref",
        "0x000000000009-0x000000000009-00000000.ref",
        // Update indexes may overlap, and run backwards.
        "0x000000000008-0x000000000003-ffffffff.ref",
    ];

    fn merged() -> Vec<u8> {
        Origin::merged(&FILE, NAMES, Run::ANY).unwrap()
    }

    #[test]
    fn an_origin_survives_a_round_trip() {
        let names = NAMES.map(|name| TableName::parse(name).unwrap()).to_vec();
        assert_eq!(Origin::parse(&merged(), &FILE, None), Some(Origin::MergedFrom(names)));
        let upon = Origin::upon(&FILE, Run::ANY).unwrap();
        let other = FileStat { inode: 9, ..FILE };
        assert_eq!(Origin::parse(&upon, &other, None), Some(Origin::Upon(FileId::of(&FILE).unwrap())));
        assert!(upon.len() <= 64, "fits into an inode of 256 bytes");
    }

    #[test]
    fn what_was_merged_is_said_of_one_file_only() {
        for other in [FileStat { device: 9, ..FILE }, FileStat { inode: 9, ..FILE }, FileStat { created: 9, ..FILE }] {
            assert_eq!(Origin::parse(&merged(), &other, None), None, "{other:?}");
        }
    }

    #[test]
    fn what_is_not_durable_counts_in_one_run_only() {
        let attribute = Origin::upon(&FILE, Run(7)).unwrap();
        assert!(Origin::parse(&attribute, &FILE, Some(Run(7))).is_some());
        for run in [None, Some(Run(8)), Some(Run::ANY)] {
            assert_eq!(Origin::parse(&attribute, &FILE, run), None);
        }
    }

    #[test]
    fn no_bytes_that_differ_are_an_origin() {
        for attribute in [merged(), Origin::upon(&FILE, Run::ANY).unwrap()] {
            for bit in 0..attribute.len() * 8 {
                let mut other = attribute.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Origin::parse(&other, &FILE, None), None, "bit {bit}");
            }
            (0..attribute.len()).for_each(|len| assert_eq!(Origin::parse(&attribute[..len], &FILE, None), None));
        }
    }

    #[test]
    fn nothing_is_said_where_it_could_be_wrong() {
        for file in [FileStat { inode: 0, device: 0, ..FILE }, FileStat { created: 0, ..FILE }] {
            assert_eq!(Origin::upon(&file, Run::ANY), None);
            assert_eq!(Origin::merged(&file, NAMES, Run::ANY), None);
        }
        assert_eq!(Origin::merged(&FILE, ["other.ref"], Run::ANY), None);
        assert_eq!(Origin::merged(&FILE, [NAMES[0]; 500], Run::ANY), None);
    }
}
