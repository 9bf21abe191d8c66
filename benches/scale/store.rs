//! Stores of any size: names are made on the way, so that nothing but the tables takes memory.

use std::fs::File;
use std::path::Path;

use reftable::table::RefRecordView;
use reftable::table::{TableWriter, WriteOptions};
use reftable::{AutoCompact, Durability, HashKind, Options, Snapshot, Stack, TargetView};

use crate::data::{oid, splitmix};

/// Names to look up.
pub(crate) struct Names(pub(crate) Vec<String>);

impl Names {
    /// Some of the names of a store of `count` references, each with `suffix`.
    pub(crate) fn some(count: usize, how_many: usize, suffix: &str) -> Names {
        let pick = |j: usize| splitmix(0x1000 + j as u64) % count as u64;
        Names((0..how_many).map(|j| format!("{}{suffix}", name(pick(j)))).collect())
    }
}

pub(crate) fn name(number: u64) -> String {
    format!("refs/heads/branch-{number:08}")
}

pub(crate) fn open(dir: &Path) -> Snapshot {
    let options = Options::default().durability(Durability::Off).auto_compact(AutoCompact::Off);
    Stack::open(dir, options).unwrap().snapshot().unwrap()
}

/// A store of `count` references in `tables` tables of about equal size.
pub(crate) fn make(dir: &Path, count: usize, tables: usize) -> Snapshot {
    let mut list = String::new();
    for table in 0..tables as u64 {
        let members = (0..count as u64).filter(|number| splitmix(*number) % tables as u64 == table);
        list += &write(dir, table + 1, members, &mut |_| ());
    }
    std::fs::write(dir.join("tables.list"), list).unwrap();
    open(dir)
}

/// Writes a table without an object index and returns its line of the list; tells `progress` each
/// number.
pub(crate) fn write(
    dir: &Path,
    update_index: u64,
    members: impl Iterator<Item = u64>,
    progress: &mut dyn FnMut(u64),
) -> String {
    let file = format!("0x{update_index:012x}-0x{update_index:012x}-00000000.ref");
    let options = WriteOptions::default().object_index(false);
    let out = File::create(dir.join(&file)).unwrap();
    let mut writer = TableWriter::new(out, HashKind::Sha1, update_index..=update_index, &options).unwrap();
    for number in members {
        let (name, id) = (name(number), oid(number));
        let target = Some(TargetView::Id(id.as_view()));
        writer.add_ref(&RefRecordView { name: name.as_bytes(), update_index, target }).unwrap();
        progress(number);
    }
    writer.finish().unwrap();
    file + "\n"
}
