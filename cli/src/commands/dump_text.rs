//! Tables for people.

use std::io::{self, Write};

use reftable::TargetView;
use reftable::escape::quoted;
use reftable::table::{BlockDump, RecordView, Table};
use reftable::table::{LogRecordView, RefRecordView};

use super::dump::Show;
use super::log;
use crate::json::hex;
use crate::output::{Out, shown_path};

pub(super) struct TextDump;

impl Show for TextDump {
    fn header(&mut self, table: &Table, out: &mut Out) -> io::Result<()> {
        let header = table.header();
        writeln!(out, "table {}, {} bytes", shown_path(table.path()), table.file_size())?;
        writeln!(
            out,
            "header: version {}, block size {}, update indexes {} to {}, {}",
            header.version, header.block_size, header.min_update_index, header.max_update_index, header.hash
        )
    }

    fn block(&mut self, block: &BlockDump<'_>, out: &mut Out) -> io::Result<()> {
        writeln!(
            out,
            "block at {}: {}, length {}, in the file {}, {} restarts, {} bytes of padding",
            block.offset(),
            block.kind().name(),
            block.len(),
            block.file_len(),
            block.restarts(),
            block.padding()
        )
    }

    fn record(&mut self, pos: u64, record: &RecordView<'_>, out: &mut Out) -> io::Result<()> {
        write!(out, "  {pos:>6}: ")?;
        match record {
            RecordView::Ref(record) => write_ref(record, out),
            RecordView::Log(record) => write_log(record, out),
            RecordView::Object { prefix, blocks } if blocks.is_empty() => {
                writeln!(out, "{} may be in any block", hex(prefix))
            }
            RecordView::Object { prefix, blocks } => {
                let blocks: Vec<String> = blocks.iter().map(u64::to_string).collect();
                writeln!(out, "{} is in the blocks at {}", hex(prefix), blocks.join(", "))
            }
            RecordView::Index { last_key, block } => {
                out.write_all(b"up to ")?;
                write_key(last_key, out)?;
                writeln!(out, ": block at {block}")
            }
            _ => writeln!(out, "a record of a kind that is not known here"),
        }
    }

    fn footer(&mut self, table: &Table, out: &mut Out) -> io::Result<()> {
        let footer = table.footer();
        let or_none = |offset: u64| if offset == 0 { "none".to_owned() } else { offset.to_string() };
        writeln!(
            out,
            "footer: ref index {}, objects {} (ids of {} bytes), object index {}, logs {}, log index {}",
            or_none(footer.ref_index),
            or_none(footer.obj),
            footer.obj_id_len,
            or_none(footer.obj_index),
            or_none(footer.log),
            or_none(footer.log_index)
        )
    }
}

fn write_ref(record: &RefRecordView<'_>, out: &mut Out) -> io::Result<()> {
    write!(out, "{} @{} ", quoted(record.name), record.update_index)?;
    match record.target {
        None => out.write_all(b"deleted")?,
        Some(TargetView::Id(id)) => write!(out, "{id}")?,
        Some(TargetView::Tag { id, peeled }) => write!(out, "{id} peeled {peeled}")?,
        Some(TargetView::Symbolic(name)) => {
            write!(out, "ref: {}", quoted(name))?;
        }
        Some(_) => out.write_all(b"a target of a kind that is not known here")?,
    }
    out.write_all(b"\n")
}

fn write_log(record: &LogRecordView<'_>, out: &mut Out) -> io::Result<()> {
    write!(out, "{} @{} ", quoted(record.refname), record.update_index)?;
    match &record.entry {
        None => out.write_all(b"deleted\n"),
        Some(entry) => log::print_text(entry, out),
    }
}

/// A key of an index: a name, a name with the update index of a log entry, or the start of an id.
fn write_key(key: &[u8], out: &mut Out) -> io::Result<()> {
    match log_key(key) {
        Some((name, update_index)) => {
            write!(out, "{} @{update_index}", quoted(name))
        }
        None if reftable::name::check(key).is_ok() => write!(out, "{}", quoted(key)),
        None => write!(out, "{}", hex(key)),
    }
}

/// Takes the key of a log record apart: the name, a zero byte, the complement of the update index.
pub(super) fn log_key(key: &[u8]) -> Option<(&[u8], u64)> {
    let (name, index) = key.split_last_chunk::<8>()?;
    let name = name.strip_suffix(b"\0").filter(|name| reftable::name::check(name).is_ok())?;
    Some((name, !u64::from_be_bytes(*index)))
}
