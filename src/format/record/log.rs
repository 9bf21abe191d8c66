//! Log records: who moved a reference when, from where, to where, and why.

use super::{ByteRange, Context, Record, put_id, unknown_type};
use crate::error::{Error, Result};
use crate::format::header::BlockKind;
use crate::format::varint::{Reader, put_string, put_varint};
use crate::value::{LogEntryView, LogRecordView};

/// Bytes after the name in a log key: a zero and the inverted update index.
const KEY_TAIL: usize = 9;

/// The kind of record in `g` blocks.
#[derive(Debug)]
pub(crate) enum LogRecord {}

const DELETION: u8 = 0;
const UPDATE: u8 = 1;

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LogSpan {
    is_update: bool,
    old: ByteRange,
    new: ByteRange,
    name: ByteRange,
    email: ByteRange,
    time: u64,
    time_zone: i16,
    message: ByteRange,
}

/// Puts the key of an entry into `key`: entries of a name sort newest first, because the index is
/// inverted.
pub(crate) fn log_key(key: &mut Vec<u8>, refname: &[u8], update_index: u64) {
    key.clear();
    key.extend_from_slice(refname);
    key.push(0);
    key.extend_from_slice(&(!update_index).to_be_bytes());
}

/// Whether two log keys are of one name.
pub(crate) fn is_same_log(a: &[u8], b: &[u8]) -> bool {
    let name = |key: &[u8]| key.len().checked_sub(KEY_TAIL);
    name(a) == name(b) && name(a).is_some_and(|len| a.get(..len) == b.get(..len))
}

/// The name and update index in a log key.
pub(crate) fn split_key(key: &[u8]) -> Option<(&[u8], u64)> {
    let (name, tail) = key.split_at_checked(key.len().checked_sub(KEY_TAIL)?)?;
    let (zero, inverted) = tail.split_first()?;
    let inverted: [u8; 8] = inverted.try_into().ok()?;
    (*zero == 0 && !name.is_empty()).then_some((name, !u64::from_be_bytes(inverted)))
}

impl Record for LogRecord {
    const KIND: BlockKind = BlockKind::Log;
    type Span = LogSpan;
    type View<'a> = LogRecordView<'a>;

    fn check_key(key: &[u8], end: usize) -> Result<()> {
        if split_key(key).is_none() {
            let message = "a log key is not a name, a zero and an update index";
            return Err(Error::corrupt(message).at(end as u64));
        }
        Ok(())
    }

    fn decode(r: &mut Reader<'_>, value_type: u8, cx: &Context) -> Result<LogSpan> {
        match value_type {
            DELETION => return Ok(LogSpan::default()),
            UPDATE => {}
            other => return Err(unknown_type("log", other, r.pos())),
        }
        let len = cx.hash.len();
        Ok(LogSpan {
            is_update: true,
            old: ByteRange::read(r, len)?,
            new: ByteRange::read(r, len)?,
            name: ByteRange::read_string(r)?,
            email: ByteRange::read_string(r)?,
            time: r.varint()?,
            time_zone: i16::from_be_bytes(r.be16()?.to_be_bytes()),
            message: ByteRange::read_string(r)?,
        })
    }

    fn view<'a>(key: &'a [u8], block: &'a [u8], span: &LogSpan, cx: &Context) -> LogRecordView<'a> {
        let (refname, update_index) = split_key(key).unwrap_or((key, 0));
        let entry = span.is_update.then(|| LogEntryView {
            old: span.old.id(block, cx),
            new: span.new.id(block, cx),
            name: span.name.of(block),
            email: span.email.of(block),
            time: span.time,
            time_zone: span.time_zone,
            message: span.message.of(block),
        });
        LogRecordView { refname, update_index, entry }
    }

    fn is_tombstone(span: &LogSpan) -> bool {
        !span.is_update
    }

    fn key(view: &LogRecordView<'_>, key: &mut Vec<u8>) {
        log_key(key, view.refname, view.update_index);
    }

    fn value_type(view: &LogRecordView<'_>) -> u8 {
        if view.entry.is_some() { UPDATE } else { DELETION }
    }

    fn encode(view: &LogRecordView<'_>, cx: &Context, out: &mut Vec<u8>) -> Result<()> {
        let Some(entry) = &view.entry else { return Ok(()) };
        put_id(out, entry.old.as_view(), cx)?;
        put_id(out, entry.new.as_view(), cx)?;
        put_string(out, entry.name);
        put_string(out, entry.email);
        put_varint(out, entry.time);
        out.extend_from_slice(&entry.time_zone.to_be_bytes());
        put_string(out, entry.message);
        Ok(())
    }
}
