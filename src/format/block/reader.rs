//! Reading a block: its shape is validated once, then records are searched and walked in place.

use memchr::memmem::Finder;

use crate::error::{Error, Result};
use crate::format::header::{BLOCK_HEADER_LEN, BlockKind};
use crate::format::record::{ByteRange, Context, Head, KeyBuf, Record, common_prefix, next_record, next_shared};
use crate::format::varint::Reader;

/// The validated outline of a block. All positions count from the start of the block, which for the
/// first block of a table is the start of the file: its header belongs to the block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) kind: BlockKind,
    /// Where the first record starts.
    first: u8,
    restarts: u16,
    /// Where the restart table starts, which is where records end.
    restart_table: u32,
    /// The length that the block states: inflated, without padding.
    len: u32,
}

/// The first record whose key is at least the one that was sought.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hit<Span> {
    pub(crate) span: Span,
    /// Its key: this many bytes of the one that was sought, and these.
    pub(crate) shared: usize,
    pub(crate) suffix: ByteRange,
    /// Whether its key is the one that was sought.
    pub(crate) is_equal: bool,
    /// Where the record after it starts.
    pub(crate) next: usize,
}

/// Type and stated length of the block at the start of `data`, whose file header takes `header_off`
/// bytes.
pub(crate) fn kind_and_len(data: &[u8], header_off: usize) -> Result<(BlockKind, usize)> {
    let mut r = Reader::new(data, header_off);
    let letter = r.u8()?;
    let Some(kind) = BlockKind::from_letter(letter) else {
        return Err(Error::corrupt(format!("a block has the unknown type {letter:#04x}")).at(header_off as u64));
    };
    let len = r.be24()? as usize;
    if len < header_off + BLOCK_HEADER_LEN + 2 {
        return Err(Error::corrupt(format!("a block claims a length of only {len}")).at(r.pos() as u64 - 3));
    }
    Ok((kind, len))
}

impl Shape {
    /// Validates the block that `data` starts with. For log blocks `data` is inflated already.
    pub(crate) fn parse(data: &[u8], header_off: usize) -> Result<Shape> {
        let (kind, len) = kind_and_len(data, header_off)?;
        let first = header_off + BLOCK_HEADER_LEN;
        if len > data.len() {
            let message = format!("a block claims {len} bytes, {} are left", data.len());
            return Err(Error::corrupt(message).at(header_off as u64 + 1));
        }
        let restarts = Reader::new(data, len - 2).be16()?;
        let restart_table =
            (len - 2).checked_sub(3 * usize::from(restarts)).filter(|&table| table >= first).ok_or_else(|| {
                Error::corrupt(format!("{restarts} restarts do not fit into the block")).at(len as u64 - 2)
            })?;
        if restarts == 0 && restart_table > first {
            return Err(Error::corrupt("a block with records has no restarts").at(len as u64 - 2));
        }
        let shape = Shape { kind, first: first as u8, restarts, restart_table: restart_table as u32, len: len as u32 };
        shape.check_order(data)?;
        Ok(shape)
    }

    /// Restarts ascend from the first record, and none is after the last.
    fn check_order(&self, data: &[u8]) -> Result<()> {
        // One below the only place that the first may have.
        let (mut last, mut at_most) = (self.first() - 1, self.first());
        for (index, restart) in self.restart_bytes(data).iter().enumerate() {
            let offset = be24(restart);
            if offset <= last || offset > at_most || offset >= self.restart_table() {
                let place = self.restart_table() + 3 * index;
                let message = format!("restart {index} points to {offset}, outside its turn");
                return Err(Error::corrupt(message).at(place as u64));
            }
            (last, at_most) = (offset, usize::MAX);
        }
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn first(&self) -> usize {
        usize::from(self.first)
    }

    #[inline(always)]
    pub(crate) fn restarts(&self) -> usize {
        usize::from(self.restarts)
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// Where the records end.
    #[inline(always)]
    pub(crate) fn restart_table(&self) -> usize {
        self.restart_table as usize
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first() == self.restart_table()
    }

    fn restart_bytes<'a>(&self, data: &'a [u8]) -> &'a [[u8; 3]] {
        let table = data.get(self.restart_table()..).and_then(|rest| rest.get(..3 * self.restarts()));
        table.unwrap_or_default().as_chunks().0
    }

    /// Where restart number `index` points; at the first record if there is none of that number.
    pub(crate) fn restart(&self, data: &[u8], index: usize) -> usize {
        self.restart_bytes(data).get(index).map_or(self.first(), be24)
    }

    /// The records of the block, without the restart table.
    #[inline(always)]
    fn records<'a>(&self, data: &'a [u8]) -> &'a [u8] {
        data.get(..self.restart_table()).unwrap_or_default()
    }

    /// The whole key of the restart at `start`, in place.
    pub(crate) fn restart_key<'a>(&self, data: &'a [u8], start: usize) -> Result<&'a [u8]> {
        let mut r = self.reader(data, start);
        let head = Head::read(&mut r, 0)?;
        r.bytes(head.len)
    }

    /// Checks that each restart is at a record, as `is_record` knows, and that its key stands
    /// alone.
    pub(crate) fn check_restarts(&self, data: &[u8], is_record: impl Fn(u64) -> bool) -> Result<()> {
        for start in self.restart_bytes(data).iter().map(be24) {
            if !is_record(start as u64) {
                return Err(Error::corrupt("a restart points into the middle of a record").at(start as u64));
            }
            self.restart_key(data, start)?;
        }
        Ok(())
    }

    /// The last restart whose key is not above `key`, or the first: walking from there finds `key`.
    pub(crate) fn restart_before(&self, data: &[u8], key: &[u8]) -> Result<usize> {
        let (mut low, mut high) = (0, self.restarts());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.restart_key(data, self.restart(data, middle))? <= key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low.checked_sub(1).map_or(self.first(), |index| self.restart(data, index)))
    }

    /// Reads the records of `data` from `pos` on.
    pub(crate) fn reader<'a>(&self, data: &'a [u8], pos: usize) -> Reader<'a> {
        Reader::new(self.records(data), pos)
    }

    /// Checks the records of a block that is to be copied as it is, as closely as if they were read
    /// and written again: keys ascend, values are whole, restarts are at records. Calls `each` with
    /// every record, for more checks; it ends the walk by `false`. Returns how many records there
    /// are, and leaves the last key in `key`; `None` if the walk was ended.
    #[inline(always)]
    pub(crate) fn validate<R: Record>(
        &self,
        data: &[u8],
        cx: &Context,
        key: &mut KeyBuf,
        mut each: impl FnMut(&[u8], &R::Span, usize) -> Result<bool>,
    ) -> Result<Option<u64>> {
        let mut r = self.reader(data, self.first());
        let mut restarts = self.restart_bytes(data).iter().map(be24);
        let (mut restart, mut count) = (restarts.next(), 0);
        key.clear();
        while !r.is_at_end() {
            let start = r.pos();
            let head = key.read_ascending(&mut r)?;
            if restart.is_some_and(|restart| restart <= start) {
                if restart != Some(start) || head.shared > 0 {
                    return Err(Error::corrupt("a restart is not at a record with a whole key").at(start as u64));
                }
                restart = restarts.next();
            }
            R::check_key(key.as_slice(), r.pos())?;
            let span = R::decode(&mut r, head.value_type, cx)?;
            if !each(key.as_slice(), &span, start)? {
                return Ok(None);
            }
            count += 1;
        }
        match restart {
            None => Ok(Some(count)),
            Some(restart) => Err(Error::corrupt("a restart points past the last record").at(restart as u64)),
        }
    }

    /// How many records there are, and whether restarts are where [`super::BlockWriter`] would set
    /// them: at every `interval`th record, and wherever a key shares nothing with the one before.
    pub(crate) fn layout_stats<R: Record>(&self, data: &[u8], cx: &Context, interval: usize) -> Result<(u64, bool)> {
        let (mut r, mut key) = (self.reader(data, self.first()), KeyBuf::default());
        let mut restarts = self.restart_bytes(data).iter().map(be24).peekable();
        let (mut records, mut is_usual) = (0, true);
        loop {
            let start = r.pos();
            let Some((_, shared)) = next_shared::<R>(&mut r, &mut key, cx)? else {
                return Ok((records as u64, is_usual));
            };
            let is_restart = restarts.next_if_eq(&start).is_some();
            is_usual &= is_restart == (records % interval.max(1) == 0 || shared == 0);
            records += 1;
        }
    }

    /// Calls `found` with the key and the span of each record in which `bytes` begin. Only those
    /// records are read, and the ones before them from a restart on.
    pub(crate) fn search<R: Record>(
        &self,
        data: &[u8],
        cx: &Context,
        bytes: &Finder<'_>,
        mut found: impl FnMut(&[u8], &R::Span),
    ) -> Result<()> {
        let records = self.records(data);
        let (mut r, mut key) = (self.reader(data, self.first()), KeyBuf::default());
        while let Some(after) = bytes.find(r.rest()) {
            let at = records.len() - r.rest().len() + after;
            let restart = self.restart_at_or_before(data, at);
            if restart > r.pos() {
                (r, key) = (self.reader(data, restart), KeyBuf::default());
            }
            // Each record is read at most once, however often the bytes are found.
            while let Some(span) = next_record::<R>(&mut r, &mut key, cx)? {
                if r.pos() > at {
                    found(key.as_slice(), &span);
                    break;
                }
            }
        }
        Ok(())
    }

    /// The last restart that is not after `position`.
    fn restart_at_or_before(&self, data: &[u8], position: usize) -> usize {
        let restarts = self.restart_bytes(data);
        let after = restarts.partition_point(|restart| be24(restart) <= position);
        after.checked_sub(1).and_then(|index| restarts.get(index)).map_or(self.first(), be24)
    }

    /// The first record whose key is at least `target`; `None` when all are below.
    pub(crate) fn seek<R: Record>(&self, data: &[u8], target: &[u8], cx: &Context) -> Result<Option<Hit<R::Span>>> {
        self.walk::<R>(data, self.restart_before(data, target)?, target, cx)
    }

    /// Walks from the restart at `start` to the first record whose key is at least `target`.
    /// `None` when all are.
    ///
    /// Keys are not put together on the way: what a key shares with the one before says mostly how
    /// the two compare to `target`.
    #[inline]
    pub(crate) fn walk<R: Record>(
        &self,
        data: &[u8],
        start: usize,
        target: &[u8],
        cx: &Context,
    ) -> Result<Option<Hit<R::Span>>> {
        let mut r = self.reader(data, start);
        // Of the key before, which is below `target`: its length, and how many bytes of `target` it
        // begins with.
        let (mut before, mut matched) = (0, 0);
        while !r.is_at_end() {
            let head = Head::read(&mut r, before)?;
            let suffix = r.bytes(head.len)?;
            let behind_key = r.pos();
            let span = R::decode(&mut r, head.value_type, cx)?;
            before = head.shared + head.len;
            if head.shared > matched {
                // Like the key before, it falls after `target` at the byte that follows those.
                continue;
            }
            let wanted = target.get(head.shared..).unwrap_or_default();
            let common = common_prefix(suffix, wanted);
            let (found, wanted_next) = (suffix.get(common), wanted.get(common));
            if found < wanted_next {
                matched = head.shared + common;
                continue;
            }
            return Ok(Some(Hit {
                span,
                shared: head.shared,
                suffix: ByteRange::before(behind_key, head.len),
                is_equal: found.is_none() && wanted_next.is_none(),
                next: r.pos(),
            }));
        }
        Ok(None)
    }
}

#[inline(always)]
fn be24(bytes: &[u8; 3]) -> usize {
    let [a, b, c] = *bytes;
    u32::from_be_bytes([0, a, b, c]) as usize
}
