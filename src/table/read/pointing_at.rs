//! Finding the references that point at an object, through the object section or by looking at all
//! of them.

use std::sync::Arc;
use std::vec;

use memchr::memmem::Finder;

use crate::error::Result;
use crate::format::header::BlockKind;
use crate::format::record::{ObjectRecord, Record, RefRecord};
use crate::oid::ObjectId;
use crate::table::{Table, WarmUp};
use crate::value::Ref;
use crate::value::RefRecordView;

/// The references of one table that point at an object, by name. Keeps its table.
///
/// What newer tables say is not known here: [`crate::Snapshot::pointing_at`] asks them, too.
#[derive(Debug)]
pub struct PointingAt {
    table: Arc<Table>,
    id: ObjectId,
    from: Vec<u8>,
    candidates: Candidates,
    /// What the current block has.
    found: vec::IntoIter<Ref>,
    current: Option<Ref>,
}

/// The reference blocks that may mention an id, front to back.
#[derive(Debug)]
enum Candidates {
    /// As the object section lists them.
    Listed(vec::IntoIter<u64>),
    /// All, from this offset on: the table cannot tell.
    From(u64),
    None,
}

impl PointingAt {
    /// The references in `table` whose id, or whose peeled id, is `id`.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset.
    pub fn new(table: Arc<Table>, id: ObjectId) -> Result<PointingAt> {
        let candidates = Candidates::new(&table, &id)?;
        Ok(PointingAt { table, id, from: Vec::new(), candidates, found: Vec::new().into_iter(), current: None })
    }

    /// Moves before the first of them whose name is at least `name`, backwards, too. Looks from
    /// the start.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn seek(&mut self, name: &[u8]) -> Result<()> {
        self.candidates = Candidates::new(&self.table, &self.id)?;
        self.found = Vec::new().into_iter();
        name.clone_into(&mut self.from);
        Ok(())
    }

    /// The next one; `None` at the end. Cost: a block is looked through when those found in the
    /// last one are used up.
    ///
    /// # Errors
    /// `Corrupt`, with file and offset; nothing follows it.
    #[expect(clippy::should_implement_trait, reason = "lends its record, which Iterator cannot")]
    pub fn next(&mut self) -> Result<Option<RefRecordView<'_>>> {
        self.current = self.found.next();
        while self.current.is_none() {
            let mut found = Vec::new();
            let looked = self.candidates.next(&self.table, &self.id, &mut |record| {
                found.extend(record.to_ref().filter(|found| found.name >= self.from));
            });
            if !looked.inspect_err(|_| self.candidates = Candidates::None)? {
                break;
            }
            self.found = found.into_iter();
            self.current = self.found.next();
        }
        Ok(self.current.as_ref().map(|found| RefRecordView {
            name: &found.name,
            update_index: found.update_index,
            target: Some(found.target.as_view()),
        }))
    }
}

/// Calls `found` with each reference in `table` that points at `id`, in order.
pub(crate) fn refs_pointing_at(table: &Table, id: &ObjectId, found: &mut dyn FnMut(&RefRecordView<'_>)) -> Result<()> {
    let mut candidates = Candidates::new(table, id)?;
    while candidates.next(table, id, found)? {}
    Ok(())
}

impl Candidates {
    fn new(table: &Table, id: &ObjectId) -> Result<Candidates> {
        let Some(section) = table.section(BlockKind::Ref).filter(|_| table.hash() == id.kind()) else {
            return Ok(Candidates::None);
        };
        Ok(match blocks_with(table, id)? {
            Some(blocks) => Candidates::Listed(blocks.into_iter()),
            None => Candidates::From(section.offset),
        })
    }

    /// Calls `found` with the references of the next block that point at `id`. `false` if there is
    /// no such block.
    fn next(&mut self, table: &Table, id: &ObjectId, found: &mut dyn FnMut(&RefRecordView<'_>)) -> Result<bool> {
        match self {
            Candidates::Listed(blocks) => {
                let Some(offset) = blocks.next() else { return Ok(false) };
                select(table, offset, id, found)?;
            }
            Candidates::From(next) => {
                if table.file.kind_at(*next)? != Some(BlockKind::Ref) {
                    return Ok(false);
                }
                *next = select(table, *next, id, found)?;
            }
            Candidates::None => return Ok(false),
        }
        Ok(true)
    }
}

/// Looks through one reference block and returns where the next one starts.
fn select(table: &Table, offset: u64, id: &ObjectId, found: &mut dyn FnMut(&RefRecordView<'_>)) -> Result<u64> {
    let block = table.file.data_block(BlockKind::Ref, offset, &mut Vec::new())?;
    let (data, cx) = (table.file.bytes_of(&block), table.file.context());
    // An id is found as a string of bytes: then only the records that have it need to be decoded.
    let searched = block.shape.search::<RefRecord>(data, &cx, &Finder::new(id.as_bytes()), |key, span| {
        if span.points_at(data, id.as_bytes()) {
            found(&RefRecord::view(key, data, span, &cx));
        }
    });
    searched.map_err(|error| table.file.locate(error, &block))?;
    Ok(offset + block.stride)
}

/// The reference blocks in which `id` may appear; `None` when the table cannot tell.
fn blocks_with(table: &Table, id: &ObjectId) -> Result<Option<Vec<u64>>> {
    if table.section(BlockKind::Obj).is_none() {
        return Ok(None);
    }
    let prefix = id.as_bytes().get(..usize::from(table.footer().obj_id_len)).unwrap_or(id.as_bytes());
    let found = table.seek::<ObjectRecord>(prefix, &mut Vec::new(), Some(WarmUp::READ))?;
    let Some(found) = found.filter(|found| found.hit.is_equal) else { return Ok(Some(Vec::new())) };
    let record = ObjectRecord::view(prefix, table.file.bytes_of(&found.block), &found.hit.span, &table.file.context());
    let blocks = record.blocks.to_vec();
    // A record without offsets means that they did not fit into a block.
    Ok((!blocks.is_empty()).then_some(blocks))
}
