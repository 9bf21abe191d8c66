//! Tables for programs.

use std::io;

use reftable::table::{BlockDump, RecordView, Table};

use super::dump::Show;
use super::log;
use crate::json::{Object, hex};
use crate::output::Out;

/// One object a line: `header`, then each `block` followed by its `record`s, then `footer`.
#[derive(Default)]
pub(super) struct JsonDump {
    table: Vec<u8>,
    block: u64,
}

impl JsonDump {
    fn start(&self, kind: &str) -> Object {
        Object::of(kind).put_text("table", &self.table)
    }
}

impl Show for JsonDump {
    fn header(&mut self, table: &Table, out: &mut Out) -> io::Result<()> {
        self.table = table.path().file_name().unwrap_or_default().as_encoded_bytes().to_vec();
        let header = table.header();
        let object = self
            .start("header")
            .put("file_size", table.file_size())
            .put("version", header.version)
            .put("block_size", header.block_size)
            .put("min_update_index", header.min_update_index)
            .put("max_update_index", header.max_update_index)
            .put("hash", header.hash.name());
        out.json(&object.build())
    }

    fn block(&mut self, block: &BlockDump<'_>, out: &mut Out) -> io::Result<()> {
        self.block = block.offset();
        let object = self
            .start("block")
            .put("offset", block.offset())
            .put("kind", block.kind().name())
            .put("length", block.len())
            .put("file_length", block.file_len())
            .put("restarts", block.restarts())
            .put("padding", block.padding());
        out.json(&object.build())
    }

    fn record(&mut self, pos: u64, record: &RecordView<'_>, out: &mut Out) -> io::Result<()> {
        let object = self.start("record").put("block", self.block).put("position", pos);
        let object = match record {
            RecordView::Ref(record) => {
                let object = object.put("kind", "ref").put_text("name", record.name);
                let object = match record.target {
                    None => object.put("deleted", true),
                    Some(target) => object.put_target(&target.to_target()),
                };
                object.put("update_index", record.update_index)
            }
            RecordView::Log(record) => {
                let object = object.put("kind", "log").put_text("name", record.refname);
                let object = match &record.entry {
                    None => object.put("deleted", true),
                    Some(entry) => log::put_entry(object, entry),
                };
                object.put("update_index", record.update_index)
            }
            RecordView::Object { prefix, blocks } => {
                object.put("kind", "object").put("prefix", hex(prefix)).put("blocks", blocks.clone())
            }
            RecordView::Index { last_key, block } => {
                object.put("kind", "index").put_text("last_key", last_key).put("target", *block)
            }
            _ => object.put("kind", "unknown"),
        };
        out.json(&object.build())
    }

    fn footer(&mut self, table: &Table, out: &mut Out) -> io::Result<()> {
        let footer = table.footer();
        let object = self
            .start("footer")
            .put("ref_index", footer.ref_index)
            .put("obj", footer.obj)
            .put("obj_id_len", footer.obj_id_len)
            .put("obj_index", footer.obj_index)
            .put("log", footer.log)
            .put("log_index", footer.log_index);
        out.json(&object.build())
    }
}
