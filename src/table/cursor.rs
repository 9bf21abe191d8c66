//! Walking the records of one table, forwards, from any key.

use std::sync::Arc;

use super::{Block, Table};
use crate::block::Shape;
use crate::error::{Error, Result};
use crate::format::BlockKind;
use crate::oid::ObjectId;
use crate::record::{IndexRecord, Record, RefRecord};

/// A position among the records of kind `R`. It owns its table, so it has no lifetime.
#[derive(Debug)]
pub(crate) struct Cursor<R: Record> {
    table: Arc<Table>,
    block: Option<Block>,
    inflated: Vec<u8>,
    pos: usize,
    key: Vec<u8>,
    span: R::Span,
    /// The record at hand was found by `seek` and has not been handed out by `next`.
    held: bool,
}

impl<R: Record> Cursor<R> {
    /// A cursor before nothing: seek it first.
    pub(crate) fn new(table: Arc<Table>) -> Self {
        Cursor {
            table,
            block: None,
            inflated: Vec::new(),
            pos: 0,
            key: Vec::new(),
            span: R::Span::default(),
            held: false,
        }
    }

    /// The key of the record at hand.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    #[inline]
    pub(crate) fn is_tombstone(&self) -> bool {
        R::is_tombstone(&self.span)
    }

    /// The record at hand.
    #[inline]
    pub(crate) fn view(&self) -> R::View<'_> {
        let data = match &self.block {
            Some(block) => self.table.data_of(block, &self.inflated),
            None => &[],
        };
        R::view(&self.key, data, &self.span, &self.table.context())
    }

    /// Steps to the next record. `false` at the end of the section.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<bool> {
        if self.held {
            self.held = false;
            return Ok(true);
        }
        loop {
            let Cursor { table, block: Some(block), inflated, pos, key, span, .. } = self else { return Ok(false) };
            let data = table.data_of(block, inflated);
            match block.shape.next::<R>(data, pos, key, &table.context()) {
                Ok(Some(next)) => {
                    *span = next;
                    return Ok(true);
                }
                Ok(None) => self.load_following()?,
                Err(error) => return Err(self.fail(error)),
            }
        }
    }

    /// Moves before the first record whose key is not below `key`.
    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.block = None;
        self.held = false;
        let Some(section) = self.table.section(R::KIND) else { return Ok(()) };
        let start = match section.index {
            0 => Some(section.offset),
            _ if key.is_empty() => Some(section.offset),
            root => self.descend(root, key)?,
        };
        if let Some(start) = start {
            self.load(start)?;
        }
        while let Cursor { table, block: Some(block), inflated, pos, key: found, span, .. } = self {
            let data = table.data_of(block, inflated);
            match block.shape.seek::<R>(data, key, pos, found, &table.context()) {
                Ok(Some(next)) => {
                    *span = next;
                    self.held = true;
                    return Ok(());
                }
                Ok(None) => self.load_following()?,
                Err(error) => return Err(self.fail(error)),
            }
        }
        Ok(())
    }

    /// Moves before the first record of the block at `offset`.
    pub(crate) fn seek_block(&mut self, offset: u64) -> Result<()> {
        self.held = false;
        self.load(offset)
    }

    /// The offset of the block that the last record came from.
    pub(crate) fn block_offset(&self) -> Option<u64> {
        self.block.map(|block| block.offset)
    }

    /// A record could not be decoded: nothing follows it.
    #[cold]
    fn fail(&mut self, error: Error) -> Error {
        match self.block.take() {
            Some(block) => self.table.locate(error, &block),
            None => error,
        }
    }

    fn load(&mut self, offset: u64) -> Result<()> {
        self.block = None;
        let block = self.table.read_block(offset, &mut self.inflated)?;
        self.expect_kind(&block.shape, offset, R::KIND)?;
        self.pos = block.shape.first;
        self.key.clear();
        self.block = Some(block);
        Ok(())
    }

    /// Loads the block behind the one at hand, unless the section ends there.
    fn load_following(&mut self) -> Result<()> {
        let Some(block) = self.block.take() else { return Ok(()) };
        let next = block.offset + block.stride;
        match self.table.kind_at(next)? {
            Some(kind) if kind == R::KIND => self.load(next),
            _ => Ok(()),
        }
    }

    fn expect_kind(&self, shape: &Shape, offset: u64, kind: BlockKind) -> Result<()> {
        if shape.kind == kind {
            return Ok(());
        }
        let message = format!("found a {} block where a {} block was expected", shape.kind.name(), kind.name());
        Err(Error::corrupt(message).at(offset).in_file(self.table.path()))
    }

    /// Goes down the index from `root` to the data block that may hold `key`; `None` when `key` is behind the last.
    ///
    /// A child always lies before its parent, because index levels are written bottom up. Insisting on it
    /// rules out cycles.
    fn descend(&mut self, root: u64, key: &[u8]) -> Result<Option<u64>> {
        let mut at = root;
        let mut at_root = true;
        loop {
            let block = self.table.read_block(at, &mut self.inflated)?;
            if block.shape.kind == R::KIND {
                return Ok(Some(at));
            }
            self.expect_kind(&block.shape, at, BlockKind::Index)?;
            let data = self.table.data_of(&block, &[]);
            let cx = self.table.context();
            let found = block.shape.seek::<IndexRecord>(data, key, &mut self.pos, &mut self.key, &cx);
            match found {
                Ok(Some(child)) if child < at => {
                    at = child;
                    at_root = false;
                }
                Ok(Some(child)) => {
                    let message = format!("an index entry points forward, to {child}");
                    return Err(Error::corrupt(message).at(at).in_file(self.table.path()));
                }
                // The topmost level may have up to three blocks side by side.
                Ok(None) if at_root => {
                    let next = at + block.stride;
                    match self.table.kind_at(next)? {
                        Some(BlockKind::Index) => at = next,
                        _ => return Ok(None),
                    }
                }
                Ok(None) => {
                    let message = "an index block ends before the key its parent promises";
                    return Err(Error::corrupt(message).at(at).in_file(self.table.path()));
                }
                Err(error) => return Err(self.table.locate(error, &block)),
            }
        }
    }
}

impl Cursor<RefRecord> {
    /// Whether the reference at hand points at `id`, directly or peeled. Cheaper than asking its view.
    pub(crate) fn points_at(&self, id: &ObjectId) -> bool {
        let Some(block) = &self.block else { return false };
        self.span.points_at(self.table.data_of(block, &self.inflated), id.as_bytes())
    }
}
