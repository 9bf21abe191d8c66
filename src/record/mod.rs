//! What blocks hold: reference, log, object and index records.
//!
//! A record is a key, three bits of type, and a value. Keys are prefix-compressed against the record before,
//! so a reader keeps the key in one buffer; the rest is read in place. [`Record::decode`] walks over a value,
//! checks it and keeps only where its parts lie ([`Record::Span`]); [`Record::view`] gives the borrowed form.

mod index;
mod log;
mod object;
mod reference;

pub(crate) use index::{IndexRecord, IndexView};
pub use log::{LogEntryView, LogRecordView};
pub(crate) use log::{LogRecord, log_key};
pub(crate) use object::{ObjectRecord, ObjectView, Offsets};
pub(crate) use reference::RefRecord;
pub use reference::{RefRecordView, TargetView};

use std::fmt::Debug;

use crate::error::{Error, Result};
use crate::format::BlockKind;
use crate::oid::{HashKind, ObjectId};
use crate::varint::{Reader, put_varint};

/// What decoding a record needs to know about its table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    pub(crate) hash: HashKind,
    /// Update indexes of references are stored as the difference to this.
    pub(crate) min_update_index: u64,
}

/// One of the four kinds of record.
pub(crate) trait Record: 'static {
    /// The kind of block that holds these records.
    const KIND: BlockKind;
    /// Where the parts of a value lie, as offsets into the block.
    type Span: Copy + Default + Debug + Send + Sync;
    /// The borrowed record.
    type View<'a>: Copy + Debug;

    /// Reads the value at `r`, whose key is `key` and whose type is `value_type`.
    fn decode(r: &mut Reader<'_>, key: &[u8], value_type: u8, cx: &Context) -> Result<Self::Span>;

    /// The record of a decoded span; `block` is what `decode` read from.
    fn view<'a>(key: &'a [u8], block: &'a [u8], span: &Self::Span, cx: &Context) -> Self::View<'a>;

    /// Whether the record hides older ones of its key.
    fn is_tombstone(_span: &Self::Span) -> bool {
        false
    }

    /// Puts the key of `view` into `key`, which is cleared first.
    fn key(view: &Self::View<'_>, key: &mut Vec<u8>);

    /// The three type bits of `view`.
    fn value_type(view: &Self::View<'_>) -> u8;

    /// Appends the value of `view`.
    fn encode(view: &Self::View<'_>, cx: &Context, out: &mut Vec<u8>) -> Result<()>;
}

/// A stretch of a block. 32 bits suffice: blocks have 24-bit lengths.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Part {
    start: u32,
    end: u32,
}

impl Part {
    /// Reads `len` bytes and remembers where they are.
    #[inline]
    fn read(r: &mut Reader<'_>, len: usize) -> Result<Part> {
        let start = r.pos() as u32;
        r.bytes(len)?;
        Ok(Part { start, end: r.pos() as u32 })
    }

    /// Reads a length and that many bytes and remembers where the latter are.
    fn read_string(r: &mut Reader<'_>) -> Result<Part> {
        let len = r.varint_len()?;
        Part::read(r, len)
    }

    #[inline]
    fn of<'a>(&self, block: &'a [u8]) -> &'a [u8] {
        block.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The object id in this part. Parts of ids are read with the length of an id.
    #[inline]
    fn id(&self, block: &[u8], cx: &Context) -> ObjectId {
        ObjectId::from_bytes(self.of(block)).unwrap_or(ObjectId::null(cx.hash))
    }
}

/// Reads a key at `r` into `key`, which holds the one before, and returns the three type bits.
#[inline]
pub(crate) fn decode_key(r: &mut Reader<'_>, key: &mut Vec<u8>) -> Result<u8> {
    let start = r.pos();
    let shared = r.varint_len()?;
    if shared > key.len() {
        return Err(Error::corrupt("a key shares more bytes than the key before it has").at(start as u64));
    }
    let tail = r.varint()?;
    let len = usize::try_from(tail >> 3)
        .map_err(|_| Error::corrupt("a length exceeds the address space").at(start as u64))?;
    let suffix = r.bytes(len)?;
    key.truncate(shared);
    key.extend_from_slice(suffix);
    if key.is_empty() {
        return Err(Error::corrupt("a record has an empty key").at(start as u64));
    }
    Ok((tail & 7) as u8)
}

/// Appends `key`, compressed against `before`. Returns whether nothing was shared, which makes it a restart.
pub(crate) fn encode_key(out: &mut Vec<u8>, before: &[u8], key: &[u8], value_type: u8) -> bool {
    let shared = before.iter().zip(key).take_while(|(a, b)| a == b).count();
    let suffix = key.get(shared..).unwrap_or_default();
    put_varint(out, shared as u64);
    put_varint(out, ((suffix.len() as u64) << 3) | u64::from(value_type & 7));
    out.extend_from_slice(suffix);
    shared == 0
}

/// Appends an id after checking that it belongs to the table's hash.
fn put_id(out: &mut Vec<u8>, id: &ObjectId, cx: &Context) -> Result<()> {
    if id.kind() != cx.hash {
        let message = format!("{id} is a {} id, the table holds {} ids", id.kind(), cx.hash);
        return Err(Error::invalid(message));
    }
    out.extend_from_slice(id.as_bytes());
    Ok(())
}

#[cold]
fn unknown_type(what: &str, value_type: u8, r: &Reader<'_>) -> Error {
    Error::corrupt(format!("a {what} record has the unknown type {value_type}")).at(r.pos() as u64)
}
