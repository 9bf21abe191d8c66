//! The data that all peers were measured with: names, ids, and how tables share them.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use reftable::table::RefRecordView;
use reftable::table::{TableWriter, WriteOptions};
use reftable::{HashKind, ObjectId, TargetView};

pub(crate) fn splitmix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

pub(crate) fn oid(i: u64) -> ObjectId {
    let mut bytes = [0; 20];
    let word = |k| splitmix(3u64.wrapping_mul(i).wrapping_add(k)).to_be_bytes();
    bytes[..8].copy_from_slice(&word(0));
    bytes[8..16].copy_from_slice(&word(1));
    bytes[16..].copy_from_slice(&word(2)[..4]);
    ObjectId::from_bytes(&bytes).unwrap()
}

/// An id that ascends with `i`, as below `refs/keep-around/`.
fn ascending(i: u64) -> ObjectId {
    let mut bytes = [0; 20];
    bytes.copy_from_slice(oid(i).as_bytes());
    bytes[..4].copy_from_slice(&(i as u32).to_be_bytes());
    ObjectId::from_bytes(&bytes).unwrap()
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    Uniform,
    Mix,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    Random,
    Ascending,
}

/// Sorted names, and the ids that go with their positions.
pub(crate) struct Data {
    pub(crate) names: Vec<String>,
    ids: Ids,
}

impl Data {
    pub(crate) fn new(count: usize, names: Names, ids: Ids) -> Data {
        let mut names: Vec<String> = (0..count as u64).map(|i| name(names, i)).collect();
        names.sort_unstable();
        Data { names, ids }
    }

    /// Hands record number `i` to `each`.
    pub(crate) fn record(&self, i: usize, update_index: u64, each: impl FnOnce(&RefRecordView<'_>)) {
        let name = self.names[i].as_bytes();
        let number = i as u64;
        let id = if self.ids == Ids::Ascending { ascending(number) } else { oid(number) };
        let view = |target| RefRecordView { name, update_index, target: Some(target) };
        if name.starts_with(b"refs/tags/") {
            let peeled = oid(number + (1 << 32));
            each(&view(TargetView::Tag { id: id.as_view(), peeled: peeled.as_view() }));
        } else {
            each(&view(TargetView::Id(id.as_view())));
        }
    }

    /// The position of lookup number `j`.
    pub(crate) fn pick(&self, j: u64) -> usize {
        (splitmix(0x1000 + j) % self.names.len() as u64) as usize
    }

    /// A directory with one table of everything.
    pub(crate) fn make_st1(&self, dir: &Path, options: &WriteOptions) {
        self.write_tables(dir, options, &[(0..self.names.len()).collect()]);
    }

    /// A directory with ten tables of disjoint names, each half as large as the one below.
    pub(crate) fn make_st10(&self, dir: &Path, options: &WriteOptions) {
        let mut tables = vec![Vec::new(); 10];
        for i in 0..self.names.len() {
            let hash = splitmix(i as u64 + 0xAB_CDEF) % 1023;
            // 512 values to the first table, 256 to the second, and so on; one to the last.
            let table = (1023 - hash).ilog2();
            tables[9 - table as usize].push(i);
        }
        self.write_tables(dir, options, &tables);
    }

    pub(crate) fn write_tables(&self, dir: &Path, options: &WriteOptions, tables: &[Vec<usize>]) {
        let mut list = String::new();
        for (k, members) in tables.iter().enumerate() {
            let index = k as u64 + 1;
            let name = format!("0x{index:012x}-0x{index:012x}-{k:08x}.ref");
            let out = BufWriter::with_capacity(1 << 18, File::create(dir.join(&name)).unwrap());
            let mut writer = TableWriter::new(out, HashKind::Sha1, index..=index, options).unwrap();
            for &i in members {
                self.record(i, index, |record| writer.add_ref(record).unwrap());
            }
            writer.finish().unwrap().0.into_inner().unwrap();
            list += &format!("{name}\n");
        }
        std::fs::write(dir.join("tables.list"), list).unwrap();
    }
}

fn name(names: Names, i: u64) -> String {
    if names == Names::Uniform {
        return format!("refs/heads/branch-{i:08}");
    }
    let (kind, q) = (i % 10, i / 10);
    match kind {
        0..=3 => format!("refs/heads/branch-{i:08}"),
        4..=8 => {
            let c = q * 5 + (kind - 4);
            let (change, patch_set) = (c / 3, c % 3 + 1);
            format!("refs/changes/{:02}/{change:06}/{patch_set}", change % 100)
        }
        _ => format!("refs/tags/v{}.{}.{}", q / 1000, (q / 10) % 100, q % 10),
    }
}
