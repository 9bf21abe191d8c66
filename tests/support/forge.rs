//! Version 1 and 2 tables put together by hand, so that each can break one rule.

use super::hostile::mend_checksum;

/// A key, the three bits of its type, and its value.
pub(crate) type Row = (Vec<u8>, u8, Vec<u8>);

/// A table in the making. Every record is a restart, so keys stand alone.
#[derive(Debug)]
pub(crate) struct Forge {
    header: Vec<u8>,
    bytes: Vec<u8>,
    block_size: usize,
}

impl Forge {
    /// A SHA-1 table for update indexes from `min` to `max`.
    pub(crate) fn new(block_size: usize, min: u64, max: u64) -> Forge {
        let size = (block_size as u32).to_be_bytes();
        let header = [b"REFT\x01", &size[1..], &min.to_be_bytes(), &max.to_be_bytes()].concat();
        Forge { bytes: header.clone(), header, block_size }
    }

    /// Where the next block will start.
    fn next(&self) -> usize {
        if self.bytes.len() == self.header.len() { 0 } else { self.bytes.len() }
    }

    /// Appends a block and returns where it starts. Padded, if something is to follow that is not a
    /// log block.
    pub(crate) fn block(&mut self, kind: u8, rows: &[Row], padded: bool) -> u64 {
        let at = self.next();
        let mut records = Vec::new();
        let first = self.bytes.len() - at + 4;
        let mut restarts = Vec::new();
        for row in rows {
            restarts.push(first + records.len());
            records.extend(record(row));
        }
        self.frame(at, kind, &records, &restarts);
        if padded {
            self.bytes.resize(at + self.block_size, 0);
        }
        at as u64
    }

    /// Appends a block of these records, whose restarts are at these places, counted from the start
    /// of the block.
    fn frame(&mut self, at: usize, kind: u8, records: &[u8], restarts: &[usize]) {
        let len = self.bytes.len() - at + 4 + records.len() + 3 * restarts.len() + 2;
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&be24(len));
        self.bytes.extend_from_slice(records);
        for restart in restarts {
            self.bytes.extend_from_slice(&be24(*restart));
        }
        self.bytes.extend_from_slice(&(restarts.len() as u16).to_be_bytes());
    }

    /// Ends the table. Offsets in the order of the footer: reference index, objects, object index,
    /// logs, log index.
    pub(crate) fn finish(mut self, footer: [u64; 5]) -> Vec<u8> {
        self.bytes.extend_from_slice(&self.header);
        for field in footer {
            self.bytes.extend_from_slice(&field.to_be_bytes());
        }
        self.bytes.extend_from_slice(&[0; 4]);
        mend_checksum(&mut self.bytes);
        self.bytes
    }
}

fn be24(number: usize) -> [u8; 3] {
    let [_, bytes @ ..] = (number as u32).to_be_bytes();
    bytes
}

/// A number in the variable form of pack files.
pub(crate) fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = vec![(number & 127) as u8];
    while number >= 128 {
        number = (number >> 7) - 1;
        bytes.insert(0, 128 | (number & 127) as u8);
    }
    bytes
}

fn record((key, kind, value): &Row) -> Vec<u8> {
    let tail = varint((key.len() as u64) << 3 | u64::from(*kind));
    [&[0], tail.as_slice(), key, value].concat()
}

/// A reference to the id of this byte; `delta` is added to the table's smallest update index.
pub(crate) fn reference(name: &str, delta: u64, byte: u8) -> Row {
    (name.as_bytes().to_vec(), 1, [varint(delta), vec![byte; 20]].concat())
}

/// A reference to an annotated tag and what it leads to.
pub(crate) fn tag(name: &str, byte: u8, peeled: u8) -> Row {
    (name.as_bytes().to_vec(), 2, [vec![0], vec![byte; 20], vec![peeled; 20]].concat())
}

/// An entry of an index.
pub(crate) fn entry(last_key: &[u8], block: u64) -> Row {
    (last_key.to_vec(), 0, varint(block))
}

/// The first two bytes of the id of this byte, and the blocks it is in; fewer than eight.
pub(crate) fn object(byte: u8, blocks: &[u64]) -> Row {
    let mut last = 0;
    let differences = blocks.iter().flat_map(|block| varint(block - std::mem::replace(&mut last, *block)));
    (vec![byte; 2], blocks.len() as u8, differences.collect())
}
