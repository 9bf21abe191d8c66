//! Offset-value coding (Conner 1977; Graefe and Do 2023): the order of the cursors of a merge, and
//! how little it takes to keep it. The cursors stand in a row, in place of a heap or a loser tree.
//!
//! Keys are seen as rows of words of four bytes. Of every cursor it is known how its key follows
//! the key of the cursor before it: how many words they have in common, and the first word of its
//! own, in one number ([`OffsetValueCode`]). A cursor that has stepped knows the same of its new
//! key and its old one. So both it and the next one follow one key, and of two keys that do so the
//! one with the smaller number comes first. The other follows that one then, and its number stays
//! as it is: where it differs from the key that both followed, it differs from the other in the
//! same word. Keys themselves are looked at only where the numbers are equal.

use std::cmp::Ordering;

use crate::format::record::{KeyBuf, Record, common_prefix};
use crate::table::Cursor;

/// How a key follows another one that is not above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OffsetValueCode(u64);

/// Bits of a [`OffsetValueCode`] for a word. Those before it are for the number of words in common:
/// fewer than a block has bytes.
const WORD_BITS: u32 = 32;
/// Bytes of a word.
const WORD: usize = 4;
/// More words than any keys have in common.
const MOST: u64 = 1 << 24;

impl OffsetValueCode {
    /// The two keys are equal.
    pub(super) const SAME: OffsetValueCode = OffsetValueCode(0);

    /// Of `key`, which has `shared` bytes in common with the one it follows.
    #[inline(always)]
    pub(super) fn new(key: &KeyBuf, shared: usize) -> OffsetValueCode {
        let words = shared / WORD;
        OffsetValueCode(MOST.saturating_sub(words as u64) << WORD_BITS | key.word(words * WORD) >> WORD_BITS)
    }

    /// How many bytes the two keys have in common at least.
    fn shared(self) -> usize {
        MOST.saturating_sub(self.0 >> WORD_BITS) as usize * WORD
    }
}

/// A cursor in the order of a merge.
#[derive(Debug, Clone, Copy)]
pub(super) struct Runner {
    pub(super) cursor: usize,
    /// How its key follows that of the cursor before it.
    pub(super) code: OffsetValueCode,
}

/// The codes of cursors that were put in order: the first is last, as in a [`super::Merge`].
pub(super) fn sort_runners<R: Record>(runners: &mut [Runner], cursors: &[Cursor<R>]) {
    let key = |runner: &Runner| cursors.get(runner.cursor).map(Cursor::key).unwrap_or_default();
    runners.sort_by(|a, b| key(b).cmp(key(a)).then(a.cursor.cmp(&b.cursor)));
    for at in 1..runners.len() {
        if let Some([next, before]) = runners.get_mut(at - 1..=at) {
            next.code = compare(cursors, before.cursor, next.cursor, 0).0;
        }
    }
}

/// Gives the last its place. `code` says how its key follows the key that was left.
#[inline(always)]
pub(super) fn replace_last<R: Record>(runners: &mut [Runner], cursors: &[Cursor<R>], mut code: OffsetValueCode) {
    let Some(mut at) = runners.len().checked_sub(1) else { return };
    let Some(cursor) = runners.get(at).map(|runner| runner.cursor) else { return };
    while let Some([next, place]) = at.checked_sub(1).and_then(|before| runners.get_mut(before..=at)) {
        match code.cmp(&next.code) {
            Ordering::Less => break,
            Ordering::Greater => {}
            Ordering::Equal => {
                let (second, order) = compare(cursors, cursor, next.cursor, code.shared());
                if order.then(next.cursor.cmp(&cursor)) == Ordering::Less {
                    next.code = second;
                    break;
                }
                code = second;
            }
        }
        *place = *next;
        at -= 1;
    }
    if let Some(place) = runners.get_mut(at) {
        *place = Runner { cursor, code };
    }
}

/// How the keys of two cursors compare that have `shared` bytes in common, and the code of the one
/// that comes second.
#[inline(never)]
fn compare<R: Record>(cursors: &[Cursor<R>], a: usize, b: usize, shared: usize) -> (OffsetValueCode, Ordering) {
    let (Some(a), Some(b)) = (cursors.get(a), cursors.get(b)) else { return (OffsetValueCode::SAME, Ordering::Equal) };
    let shared = shared.min(a.key().len()).min(b.key().len());
    let shared =
        shared + common_prefix(a.key().get(shared..).unwrap_or_default(), b.key().get(shared..).unwrap_or_default());
    match a.key().get(shared).cmp(&b.key().get(shared)) {
        Ordering::Equal => (OffsetValueCode::SAME, Ordering::Equal),
        Ordering::Less => (OffsetValueCode::new(b.key_buf(), shared), Ordering::Less),
        Ordering::Greater => (OffsetValueCode::new(a.key_buf(), shared), Ordering::Greater),
    }
}
