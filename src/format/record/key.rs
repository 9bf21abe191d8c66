//! Keys: prefix-compressed (front coding) in blocks, whole in a buffer that is used again.

use crate::error::{Error, Result};
use crate::format::varint::{Reader, put_varint};

/// Suffixes of up to this many bytes are copied by one load and one store, where both sides have
/// room.
const CHUNK: usize = 16;

/// What a record starts with: how many bytes its key shares with the one before, how many of its
/// own follow, and three bits of type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) shared: usize,
    pub(crate) len: usize,
    pub(crate) value_type: u8,
}

impl Head {
    /// Reads the head at `r`, after a key of `before` bytes. The rest of the key follows.
    #[inline(always)]
    pub(crate) fn read(r: &mut Reader<'_>, before: usize) -> Result<Head> {
        let start = r.pos();
        let (shared, tail) = match r.two_small() {
            Some((shared, tail)) => (usize::from(shared), u64::from(tail)),
            None => (r.varint_len()?, r.varint()?),
        };
        let len = usize::try_from(tail >> 3).unwrap_or(usize::MAX);
        if shared > before || (shared | len) == 0 {
            return Err(Self::wrong(shared, before, start));
        }
        Ok(Head { shared, len, value_type: (tail & 7) as u8 })
    }

    #[cold]
    fn wrong(shared: usize, before: usize, start: usize) -> Error {
        let message = match (shared, before) {
            (0, _) => "a record has an empty key",
            (_, 0) => "a restart shares bytes with the record before it",
            _ => "a key shares more bytes than the key before it has",
        };
        Error::corrupt(message).at(start as u64)
    }
}

/// A whole key, in a buffer that grows and never shrinks.
#[derive(Debug, Default)]
pub(crate) struct KeyBuf {
    /// Has room after the key, so that short copies need not be exact.
    bytes: Vec<u8>,
    len: usize,
}

impl KeyBuf {
    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The eight bytes of the key from `at` on, most significant first; zeros after its end.
    #[inline(always)]
    pub(crate) fn word(&self, at: usize) -> u64 {
        let Some(bytes) = self.bytes.get(at..).and_then(|rest| rest.first_chunk()) else { return self.last_word(at) };
        let surplus = (at + 8).saturating_sub(self.len).min(8) as u32;
        // What is after the end of the key is left over from others.
        u64::from_be_bytes(*bytes).checked_shr(8 * surplus).map_or(0, |word| word << (8 * surplus))
    }

    #[cold]
    fn last_word(&self, at: usize) -> u64 {
        let rest = self.as_slice().get(at..).unwrap_or_default();
        rest.iter().zip((0..8u32).rev()).fold(0, |word, (byte, place)| word | u64::from(*byte) << (8 * place))
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    pub(crate) fn set(&mut self, key: &[u8]) {
        self.put(0, key);
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.put(self.len, bytes);
    }

    /// Reads the key at `r`, which is compressed against the current one, and returns its type.
    #[inline(always)]
    pub(crate) fn read(&mut self, r: &mut Reader<'_>) -> Result<u8> {
        let head = Head::read(r, self.len)?;
        self.replace(r, &head)?;
        Ok(head.value_type)
    }

    /// As [`Self::read`]; returns the type and how many bytes the two keys really share, which may
    /// be more than is stated: a restart states none.
    #[inline(always)]
    pub(crate) fn read_shared(&mut self, r: &mut Reader<'_>) -> Result<(u8, usize)> {
        let head = Head::read(r, self.len)?;
        let old = self.as_slice().get(head.shared..).unwrap_or_default();
        let shared = match (old.first(), r.rest().first()) {
            // All that is shared is stated, mostly.
            (Some(old), Some(new)) if old != new && head.len > 0 => head.shared,
            _ => head.shared + common_prefix(old, r.rest().get(..head.len).unwrap_or_default()),
        };
        self.replace(r, &head)?;
        Ok((head.value_type, shared))
    }

    /// As [`Self::read`], of a key that must be above the current one.
    #[inline(always)]
    pub(crate) fn read_ascending(&mut self, r: &mut Reader<'_>) -> Result<Head> {
        let start = r.pos();
        let head = Head::read(r, self.len)?;
        let suffix = r.rest().get(..head.len).unwrap_or_default();
        let old = self.as_slice().get(head.shared..).unwrap_or_default();
        // Writers state all that is shared, so the first bytes differ, but at a restart.
        let ascends = match (old.first(), suffix.first()) {
            (Some(old), Some(new)) if old != new => old < new,
            _ => old < suffix,
        };
        if !ascends {
            return Err(Error::corrupt("a key is not above the one before it").at(start as u64));
        }
        self.replace(r, &head)?;
        Ok(head)
    }

    /// Keeps what is shared and takes the rest from `r`.
    #[inline(always)]
    fn replace(&mut self, r: &mut Reader<'_>, head: &Head) -> Result<()> {
        let window = r.rest().first_chunk::<CHUNK>();
        let suffix = r.bytes(head.len)?;
        match (window, self.chunk_at(head.shared)) {
            (Some(from), Some(to)) if head.len <= CHUNK => {
                *to = *from;
                self.len = head.shared + head.len;
            }
            _ => self.put(head.shared, suffix),
        }
        Ok(())
    }

    #[inline(always)]
    fn chunk_at(&mut self, at: usize) -> Option<&mut [u8; CHUNK]> {
        self.bytes.get_mut(at..)?.first_chunk_mut()
    }

    /// Keeps `shared` bytes and appends `suffix`.
    #[cold]
    fn put(&mut self, shared: usize, suffix: &[u8]) {
        let len = shared + suffix.len();
        if self.bytes.len() < len + CHUNK {
            self.bytes.resize(2 * len + CHUNK, 0);
        }
        if let Some(to) = self.bytes.get_mut(shared..len) {
            to.copy_from_slice(suffix);
        }
        self.len = len;
    }
}

/// How many bytes `a` and `b` begin with in common.
#[inline]
pub(crate) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    const WORD: usize = 8;
    let mut shared = 0;
    let (words_a, words_b) = (a.as_chunks::<WORD>().0, b.as_chunks::<WORD>().0);
    for (word_a, word_b) in words_a.iter().zip(words_b) {
        let differing = u64::from_le_bytes(*word_a) ^ u64::from_le_bytes(*word_b);
        if differing != 0 {
            return shared + differing.trailing_zeros() as usize / 8;
        }
        shared += WORD;
    }
    let rest = |key: &'_ [u8]| -> usize { key.len().saturating_sub(shared) };
    let left = rest(a).min(rest(b));
    let (a, b) = (a.get(shared..).unwrap_or_default(), b.get(shared..).unwrap_or_default());
    shared + a.iter().zip(b).take(left).take_while(|(a, b)| a == b).count()
}

/// Appends `key`, compressed against `before`. Returns whether nothing was shared, which makes it a
/// restart.
#[inline]
pub(crate) fn encode_key(out: &mut Vec<u8>, before: &[u8], key: &[u8], value_type: u8) -> bool {
    let shared = common_prefix(before, key);
    let suffix = key.get(shared..).unwrap_or_default();
    put_varint(out, shared as u64);
    put_varint(out, ((suffix.len() as u64) << 3) | u64::from(value_type & 7));
    out.extend_from_slice(suffix);
    shared == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_prefixes_of_all_lengths() {
        for len in 0..40 {
            for longer in 0..20 {
                let a = vec![7u8; len + longer];
                let mut b = vec![7u8; len];
                assert_eq!(common_prefix(&a, &b), len);
                b.push(8);
                assert_eq!(common_prefix(&a, &b), len);
                assert_eq!(common_prefix(&b, &a), len);
            }
        }
    }

    #[test]
    fn a_key_is_what_was_encoded_whatever_its_length() {
        let keys: Vec<Vec<u8>> = (1..200u8).map(|n| vec![n.min(100); usize::from(n)]).collect();
        let mut out = Vec::new();
        let mut before: &[u8] = &[];
        for key in &keys {
            encode_key(&mut out, before, key, 3);
            before = key;
        }
        let (mut r, mut exact) = (Reader::new(&out, 0), Reader::new(&out, 0));
        let (mut buf, mut other) = (KeyBuf::default(), KeyBuf::default());
        let mut before: &[u8] = &[];
        for key in &keys {
            assert_eq!(buf.read(&mut r).unwrap(), 3);
            assert_eq!(other.read_shared(&mut exact).unwrap(), (3, common_prefix(before, key)));
            assert_eq!((buf.as_slice(), other.as_slice()), (key.as_slice(), key.as_slice()));
            before = key;
        }
    }

    #[test]
    fn impossible_heads_are_errors() {
        assert!(KeyBuf::default().read(&mut Reader::new(&[0, 0], 0)).is_err());
        assert!(KeyBuf::default().read(&mut Reader::new(&[1, 8, b'a'], 0)).is_err());
        assert!(KeyBuf::default().read(&mut Reader::new(&[0, 16, b'a'], 0)).is_err());
        assert!(KeyBuf::default().read(&mut Reader::new(&[0], 0)).is_err());
    }
}
