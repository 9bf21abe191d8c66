//! Tables as others may write them: all that the format allows and git or JGit read, not only what
//! this library writes.

#![allow(dead_code, reason = "each test uses its own part of this")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::ops::RangeInclusive;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use reftable::{HashKind, LogEntry, Target};

/// A record of a reference; no target is a tombstone.
pub(crate) type RefRow = (String, u64, Option<Target>);
/// A record of a log; no entry is a tombstone.
pub(crate) type LogRow = (String, u64, Option<LogEntry>);

/// How a table is laid out.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    pub(crate) hash: HashKind,
    /// 1 or 2; SHA-256 needs 2.
    pub(crate) version: u8,
    /// As the header states it: 0 if blocks are not aligned.
    pub(crate) block_size: usize,
    /// Bytes of a block of references or objects; at most the block size if they are aligned.
    pub(crate) fill: usize,
    /// Bytes of a log block, inflated.
    pub(crate) log_fill: usize,
    pub(crate) aligned: bool,
    /// Whether padding counts from the start of the file (JGit) or of the block (git). It differs
    /// after log blocks only.
    pub(crate) pads_from_file: bool,
    /// Whether the last block before the logs is padded, too.
    pub(crate) pads_before_logs: bool,
    /// Whether the last block of the file is.
    pub(crate) pads_the_end: bool,
    pub(crate) restarts: Restarts,
    pub(crate) ref_index: Index,
    pub(crate) obj_index: Index,
    pub(crate) log_index: Index,
    /// Bytes of each id in the object section; `None`: no such section.
    pub(crate) id_len: Option<usize>,
    /// Object records of more blocks than this say "look everywhere".
    pub(crate) most_positions: usize,
    /// Whether the log block of a table without references begins after the header, or has it in
    /// it.
    pub(crate) logs_apart: bool,
    /// 0 (stored) to 9.
    pub(crate) deflate: u32,
}

/// Where keys stand alone.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Restarts {
    /// At the first record of a block only.
    First,
    /// At every so many records.
    Every(usize),
    /// Anywhere; and some keys are whole without being listed.
    Anywhere(u64),
}

/// The index over a section.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Index {
    None,
    /// One block of whatever length.
    Single,
    /// Levels of blocks of so many entries, until one is left.
    Levels(usize),
    /// The same until so many are left, side by side.
    Wide(usize, usize),
}

impl Style {
    /// Any that is allowed; `pick` gives a random number below its argument.
    pub(crate) fn any(hash: HashKind, mut pick: impl FnMut(u64) -> u64) -> Style {
        let aligned = pick(3) > 0;
        let size = [256, 257, 300, 1000, 4096][pick(5) as usize];
        let index = |choice: u64| match choice {
            0 => Index::Single,
            1 => Index::Levels(2),
            2 => Index::Levels(5),
            3 => Index::Wide(4, 3),
            _ => Index::None,
        };
        // Without alignment an index must be there.
        let (ref_index, obj_index) = (index(pick(if aligned { 5 } else { 4 })), index(pick(4)));
        let restarts = match pick(5) {
            0 => Restarts::First,
            1 => Restarts::Every(1),
            2 => Restarts::Every(16),
            3 => Restarts::Every(64),
            _ => Restarts::Anywhere(pick(1 << 20)),
        };
        let fill = size - if pick(2) == 0 { 0 } else { pick(size / 4) };
        Style {
            hash,
            version: if hash == HashKind::Sha256 { 2 } else { 1 + pick(2) as u8 },
            block_size: if aligned { size as usize } else { 0 },
            fill: fill as usize,
            log_fill: (size * [1, 2, 9][pick(3) as usize]).max(400) as usize,
            aligned,
            pads_from_file: pick(2) == 0,
            pads_before_logs: pick(2) == 0,
            pads_the_end: pick(3) == 0,
            restarts,
            ref_index,
            obj_index,
            log_index: index(pick(4)),
            id_len: (pick(3) > 0).then(|| [2, 3, 7, 20, 31][pick(5) as usize].min(hash.len())),
            most_positions: [0, 2, 9, 1000][pick(4) as usize],
            logs_apart: pick(3) > 0,
            deflate: [0, 1, 6, 9][pick(4) as usize],
        }
    }

    /// The table of these rows, which are in order.
    pub(crate) fn table(&self, range: RangeInclusive<u64>, refs: &[RefRow], logs: &[LogRow]) -> Vec<u8> {
        let mut draft = Draft::new(self, &range);
        let mut footer = [0; 5];
        if !refs.is_empty() {
            let rows: Vec<Row> = refs.iter().map(|row| ref_row(row, *range.start())).collect();
            let blocks = draft.section(b'r', &rows, self.fill);
            footer[0] = draft.index(&blocks, self.ref_index);
            if let (Some(len), true) = (self.id_len, footer[0] > 0) {
                let rows = self.objects(refs, &blocks, len);
                draft.pad();
                footer[1] = (draft.next() << 5) | len as u64;
                let blocks = draft.section(b'o', &rows, self.fill);
                footer[2] = draft.index(&blocks, self.obj_index);
            }
        }
        if !logs.is_empty() {
            if self.pads_before_logs {
                draft.pad();
            }
            draft.pending = None;
            if refs.is_empty() && self.logs_apart {
                draft.has_header_apart = true;
            }
            footer[3] = draft.next();
            let rows: Vec<Row> = logs.iter().map(log_row).collect();
            let blocks = draft.section(b'g', &rows, self.log_fill);
            footer[4] = draft.index(&blocks, self.log_index);
        }
        draft.finish(footer)
    }

    fn objects(&self, refs: &[RefRow], blocks: &[(Vec<u8>, u64)], len: usize) -> Vec<Row> {
        let mut positions: BTreeMap<Vec<u8>, BTreeSet<u64>> = BTreeMap::new();
        for (name, _, target) in refs {
            let at = blocks.partition_point(|(last, _)| last.as_slice() < name.as_bytes());
            let ids = match target {
                Some(Target::Id(id)) => vec![id],
                Some(Target::Tag { id, peeled }) => vec![id, peeled],
                _ => vec![],
            };
            for id in ids {
                positions
                    .entry(id.as_bytes()[..len.min(id.as_bytes().len())].to_vec())
                    .or_default()
                    .insert(blocks[at].1);
            }
        }
        let row = |(key, blocks): (Vec<u8>, BTreeSet<u64>)| {
            let blocks: Vec<u64> =
                if blocks.len() > self.most_positions { vec![] } else { blocks.into_iter().collect() };
            let mut value = Vec::new();
            let kind = if (1..=7).contains(&blocks.len()) { blocks.len() as u8 } else { 0 };
            if kind == 0 {
                value.extend(varint(blocks.len() as u64));
            }
            let mut last = 0;
            for block in blocks {
                value.extend(varint(block - std::mem::replace(&mut last, block)));
            }
            Row { key, kind, value }
        };
        positions.into_iter().map(row).collect()
    }
}

struct Row {
    key: Vec<u8>,
    kind: u8,
    value: Vec<u8>,
}

fn ref_row((name, index, target): &RefRow, min: u64) -> Row {
    let mut value = varint(index - min);
    let kind = match target {
        None => 0,
        Some(Target::Id(id)) => {
            value.extend_from_slice(id.as_bytes());
            1
        }
        Some(Target::Tag { id, peeled }) => {
            value.extend_from_slice(id.as_bytes());
            value.extend_from_slice(peeled.as_bytes());
            2
        }
        Some(Target::Symbolic(name)) => {
            value.extend(string(name));
            3
        }
        Some(other) => panic!("{other}"),
    };
    Row { key: name.clone().into_bytes(), kind, value }
}

fn log_row((name, index, entry): &LogRow) -> Row {
    let key = [name.as_bytes(), &[0], &(!index).to_be_bytes()].concat();
    let Some(LogEntry { old, new, committer, message }) = entry else { return Row { key, kind: 0, value: vec![] } };
    let value = [
        old.as_bytes(),
        new.as_bytes(),
        &string(&committer.name),
        &string(&committer.email),
        &varint(committer.time),
        &committer.time_zone.to_be_bytes(),
        &string(message),
    ];
    Row { key, kind: 1, value: value.concat() }
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [varint(bytes.len() as u64).as_slice(), bytes].concat()
}

/// A number in the variable form of pack files.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = vec![(number & 127) as u8];
    while number >= 128 {
        number = (number >> 7) - 1;
        bytes.insert(0, 128 | (number & 127) as u8);
    }
    bytes
}

struct Draft<'a> {
    style: &'a Style,
    header: Vec<u8>,
    bytes: Vec<u8>,
    /// Where the last block starts, if it is one that may be padded.
    pending: Option<usize>,
    has_header_apart: bool,
    /// Where keys stand alone by chance.
    dice: u64,
}

impl<'a> Draft<'a> {
    fn new(style: &'a Style, range: &RangeInclusive<u64>) -> Draft<'a> {
        let mut header = b"REFT".to_vec();
        header.push(style.version);
        header.extend_from_slice(&(style.block_size as u32).to_be_bytes()[1..]);
        header.extend_from_slice(&range.start().to_be_bytes());
        header.extend_from_slice(&range.end().to_be_bytes());
        if style.version == 2 {
            header.extend_from_slice(if style.hash == HashKind::Sha1 { b"sha1" } else { b"s256" });
        }
        let seed = if let Restarts::Anywhere(seed) = style.restarts { seed } else { 0 };
        let bytes = header.clone();
        Draft { style, header, bytes, pending: None, has_header_apart: false, dice: seed }
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33).is_multiple_of(chances)
    }

    /// Where the next block starts, once padding is settled.
    fn next(&self) -> u64 {
        let is_first = self.bytes.len() == self.header.len() && !self.has_header_apart;
        if is_first { 0 } else { self.bytes.len() as u64 }
    }

    /// Pads the block before.
    fn pad(&mut self) {
        let Some(start) = self.pending.take().filter(|_| self.style.aligned) else { return };
        let origin = if self.style.pads_from_file { 0 } else { start };
        let len = (self.bytes.len() - origin).next_multiple_of(self.style.block_size);
        self.bytes.resize(origin + len, 0);
    }

    /// Writes blocks of about `fill` bytes, and returns the last key and the start of each.
    fn section(&mut self, kind: u8, rows: &[Row], fill: usize) -> Vec<(Vec<u8>, u64)> {
        let mut blocks = Vec::new();
        let mut rest = rows;
        while !rest.is_empty() {
            let (at, taken) = self.block(kind, rest, |_, len| len <= fill);
            assert!(taken > 0, "a record that fits into no block");
            blocks.push((rest[taken - 1].key.clone(), at));
            rest = &rest[taken..];
        }
        blocks
    }

    /// Writes as many records as `fits` allows, which sees their number and the length of the
    /// block. Returns where the block starts, and how many they are.
    fn block(&mut self, kind: u8, rows: &[Row], fits: impl Fn(usize, usize) -> bool) -> (u64, usize) {
        self.pad();
        let at = self.next();
        let head = self.bytes.len() - at as usize + 4;
        let (mut records, mut restarts, mut before, mut taken) = (Vec::new(), Vec::new(), &[][..], 0);
        for row in rows {
            let is_restart = match self.style.restarts {
                _ if taken == 0 => true,
                Restarts::First => false,
                Restarts::Every(interval) => taken % interval == 0,
                Restarts::Anywhere(_) => self.one_in(4),
            };
            let is_whole = is_restart || matches!(self.style.restarts, Restarts::Anywhere(_)) && self.one_in(9);
            let same = row.key.iter().zip(before).take_while(|(a, b)| a == b).count();
            let shared = if is_whole { 0 } else { same };
            let mut record = varint(shared as u64);
            record.extend(varint(((row.key.len() - shared) as u64) << 3 | u64::from(row.kind)));
            record.extend_from_slice(&row.key[shared..]);
            record.extend_from_slice(&row.value);
            let len = head + records.len() + record.len() + 3 * (restarts.len() + usize::from(is_restart)) + 2;
            if !fits(taken + 1, len) {
                break;
            }
            if is_restart {
                restarts.push(head + records.len());
            }
            records.extend(record);
            (before, taken) = (&row.key, taken + 1);
        }
        for restart in &restarts {
            records.extend_from_slice(&(*restart as u32).to_be_bytes()[1..]);
        }
        records.extend_from_slice(&(restarts.len() as u16).to_be_bytes());
        self.put(kind, at, head + records.len(), &records);
        (at, taken)
    }

    fn put(&mut self, kind: u8, at: u64, len: usize, body: &[u8]) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&(len as u32).to_be_bytes()[1..]);
        if kind == b'g' {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(self.style.deflate));
            encoder.write_all(body).unwrap();
            self.bytes.extend(encoder.finish().unwrap());
        } else {
            self.bytes.extend_from_slice(body);
            self.pending = Some(at as usize);
        }
    }

    /// Writes the index over `blocks` and returns where its root is.
    fn index(&mut self, blocks: &[(Vec<u8>, u64)], index: Index) -> u64 {
        let (fanout, most) = match index {
            Index::None => return 0,
            // What nobody needs nobody writes.
            _ if blocks.len() < 2 => return 0,
            Index::Single => (usize::MAX, 1),
            Index::Levels(fanout) => (fanout, 1),
            Index::Wide(fanout, most) => (fanout, most),
        };
        let (mut below, mut is_first) = (blocks.to_vec(), true);
        let mut root = 0;
        while below.len() > most || is_first {
            is_first = false;
            let rows = below.iter().map(|(key, at)| Row { key: key.clone(), kind: 0, value: varint(*at) });
            let rows: Vec<Row> = rows.collect();
            let mut rest = rows.as_slice();
            below.clear();
            while !rest.is_empty() {
                let (at, taken) = self.block(b'i', rest, |count, _| count <= fanout);
                below.push((rest[taken - 1].key.clone(), at));
                rest = &rest[taken..];
            }
            root = below[0].1;
        }
        root
    }

    fn finish(mut self, footer: [u64; 5]) -> Vec<u8> {
        if self.style.pads_the_end {
            self.pad();
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&self.header);
        for field in footer {
            self.bytes.extend_from_slice(&field.to_be_bytes());
        }
        let checksum = crc32fast::hash(&self.bytes[start..]);
        self.bytes.extend_from_slice(&checksum.to_be_bytes());
        self.bytes
    }
}
