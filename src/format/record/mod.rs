//! What blocks hold: reference, log, object and index records.
//!
//! A record is a key, three bits of type, and a value. Keys are prefix-compressed against the
//! record before, so a reader keeps the key in one buffer; the rest is read in place.
//! [`Record::decode`] walks over a value, checks it and keeps only where its parts lie
//! ([`Record::Span`]); [`Record::view`] gives the borrowed form.

mod index;
mod key;
mod log;
mod object;
mod reference;

pub(crate) use index::{IndexRecord, IndexView};
pub(crate) use key::{Head, KeyBuf, common_prefix, encode_key};
pub(crate) use log::{LogRecord, is_same_log, log_key, split_key};
pub(crate) use object::{ObjectRecord, ObjectView, Offsets};
pub(crate) use reference::RefRecord;

use std::fmt::Debug;

use crate::error::{Error, Result};
use crate::format::header::BlockKind;
use crate::format::varint::Reader;
use crate::oid::{HashKind, IdView, ObjectId};

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

    /// Reads the value at `r`, whose type is `value_type`.
    fn decode(r: &mut Reader<'_>, value_type: u8, cx: &Context) -> Result<Self::Span>;

    /// Checks that `key`, whose record ends at `end`, is one that this kind of record can have.
    #[inline(always)]
    fn check_key(_key: &[u8], _end: usize) -> Result<()> {
        Ok(())
    }

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

/// Decodes the record at `r`, whose key is left in `key`. `None` at the end.
#[inline(always)]
pub(crate) fn next_record<R: Record>(r: &mut Reader<'_>, key: &mut KeyBuf, cx: &Context) -> Result<Option<R::Span>> {
    if r.is_at_end() {
        return Ok(None);
    }
    let value_type = key.read(r)?;
    R::check_key(key.as_slice(), r.pos())?;
    R::decode(r, value_type, cx).map(Some)
}

/// As [`next_record`]; says, too, how many bytes the key has in common with the one before.
#[inline(always)]
pub(crate) fn next_shared<R: Record>(
    r: &mut Reader<'_>,
    key: &mut KeyBuf,
    cx: &Context,
) -> Result<Option<(R::Span, usize)>> {
    if r.is_at_end() {
        return Ok(None);
    }
    let (value_type, shared) = key.read_shared(r)?;
    R::check_key(key.as_slice(), r.pos())?;
    Ok(Some((R::decode(r, value_type, cx)?, shared)))
}

/// A stretch of a block. 32 bits suffice: blocks have 24-bit lengths.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ByteRange {
    start: u32,
    end: u32,
}

impl ByteRange {
    /// Reads `len` bytes and remembers where they are.
    #[inline]
    fn read(r: &mut Reader<'_>, len: usize) -> Result<ByteRange> {
        let start = r.pos() as u32;
        r.bytes(len)?;
        Ok(ByteRange { start, end: r.pos() as u32 })
    }

    /// Reads a length and that many bytes and remembers where the latter are.
    fn read_string(r: &mut Reader<'_>) -> Result<ByteRange> {
        let len = r.varint_len()?;
        ByteRange::read(r, len)
    }

    /// The `len` bytes before `end`.
    #[inline(always)]
    pub(crate) fn before(end: usize, len: usize) -> ByteRange {
        ByteRange { start: end.saturating_sub(len) as u32, end: end as u32 }
    }

    #[inline]
    pub(crate) fn of<'a>(&self, block: &'a [u8]) -> &'a [u8] {
        block.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The object id in this part. Parts of ids are read with the length of an id.
    #[inline]
    fn id(&self, block: &[u8], cx: &Context) -> ObjectId {
        cx.hash.leading_id(self.of(block)).to_id()
    }
}

/// Appends an id after checking that it belongs to the table's hash.
#[inline]
fn put_id(out: &mut Vec<u8>, id: IdView<'_>, cx: &Context) -> Result<()> {
    if id.kind() != cx.hash {
        let message = format!("{id} is a {} id, the table holds {} ids", id.kind(), cx.hash);
        return Err(Error::invalid(message));
    }
    out.extend_from_slice(id.as_bytes());
    Ok(())
}

#[cold]
fn unknown_type(what: &str, value_type: u8, pos: usize) -> Error {
    Error::corrupt(format!("a {what} record has the unknown type {value_type}")).at(pos as u64)
}
