//! Checked readers and writers of the format's integers. A reader knows its offset.

use crate::error::{Error, Result};

/// Reads integers and byte strings from a slice, front to back. Every read is checked.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// Where `rest` ends.
    end: usize,
}

impl<'a> Reader<'a> {
    /// Starts at `pos` and never reads beyond `data`.
    #[inline(always)]
    pub(crate) fn new(data: &'a [u8], pos: usize) -> Self {
        Reader { rest: data.get(pos..).unwrap_or_default(), end: data.len().max(pos) }
    }

    /// Reads all of `rest`, whose end counts as the offset `end`.
    #[inline(always)]
    pub(crate) fn ending_at(rest: &'a [u8], end: usize) -> Self {
        Reader { rest, end: end.max(rest.len()) }
    }

    #[inline(always)]
    pub(crate) fn pos(&self) -> usize {
        self.end - self.rest.len()
    }

    #[inline(always)]
    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// What has not been read.
    #[inline(always)]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline(always)]
    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        match self.rest.split_at_checked(len) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => Err(truncated("a byte string", self.pos())),
        }
    }

    /// The next two bytes as numbers, if both are single digits. Takes nothing otherwise.
    #[inline(always)]
    pub(crate) fn two_small(&mut self) -> Option<(u8, u8)> {
        match *self.rest {
            [first, second, ref rest @ ..] if (first | second) < 0x80 => {
                self.rest = rest;
                Some((first, second))
            }
            _ => None,
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.rest.split_first_chunk::<N>() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(*bytes)
            }
            None => Err(truncated("an integer", self.pos())),
        }
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn be16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn be24(&mut self) -> Result<u32> {
        self.array().map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    pub(crate) fn be32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn be64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A variable-length integer as in pack files: seven bits a byte, most significant first, each
    /// continuation adding one so that every number has exactly one encoding.
    #[inline(always)]
    pub(crate) fn varint(&mut self) -> Result<u64> {
        match *self.rest {
            [first, ref rest @ ..] if first < 0x80 => {
                self.rest = rest;
                Ok(u64::from(first))
            }
            _ => {
                let (value, rest) = long_varint(self.rest, self.end)?;
                self.rest = rest;
                Ok(value)
            }
        }
    }

    /// A variable-length integer that counts bytes or items in memory.
    #[inline(always)]
    pub(crate) fn varint_len(&mut self) -> Result<usize> {
        let start = self.pos();
        usize::try_from(self.varint()?)
            .map_err(|_| Error::corrupt("a length exceeds the address space").at(start as u64))
    }
}

// These take numbers and not the reader, whose fields can stay in registers then.

#[cold]
fn truncated(what: &str, pos: usize) -> Error {
    Error::corrupt(format!("{what} is cut off")).at(pos as u64)
}

/// A variable-length integer of more than one byte, and what follows it; `data` ends at the offset
/// `end`.
#[inline(never)]
fn long_varint(data: &[u8], end: usize) -> Result<(u64, &[u8])> {
    let (mut value, mut rest) = (0u64, data);
    while let [byte, after @ ..] = rest {
        rest = after;
        value |= u64::from(byte & 0x7f);
        if *byte < 0x80 {
            return Ok((value, rest));
        }
        value = match value.checked_add(1) {
            Some(next) if next.leading_zeros() >= 7 => next << 7,
            _ => {
                let start = (end - data.len()) as u64;
                return Err(Error::corrupt("a variable-length integer exceeds 64 bits").at(start));
            }
        };
    }
    Err(truncated("a variable-length integer", end))
}

/// Appends `value` as [`Reader::varint`] reads it: 1 to 10 bytes.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 {
        out.push(value as u8);
        return;
    }
    let mut digits = [0u8; 10];
    let mut at = digits.len() - 1;
    let mut rest = value;
    let mut more = 0;
    loop {
        if let Some(digit) = digits.get_mut(at) {
            *digit = (rest & 0x7f) as u8 | more;
        }
        rest >>= 7;
        if rest == 0 {
            break;
        }
        rest -= 1;
        more = 0x80;
        at = at.saturating_sub(1);
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// Appends a byte string preceded by its length.
pub(crate) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The low 24 bits, most significant byte first. Callers have checked that nothing is lost.
pub(crate) fn be24(value: u32) -> [u8; 3] {
    let [_, a, b, c] = value.to_be_bytes();
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_survives_a_round_trip() {
        let edges = (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        for value in edges.chain([16511, 16512, u64::MAX - 1, u64::MAX]) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(Reader::new(&out, 0).varint().unwrap(), value);
        }
    }

    #[test]
    fn an_overflowing_integer_is_an_error() {
        let mut out = Vec::new();
        put_varint(&mut out, u64::MAX);
        // One more than the largest number: the last digit of the maximum, carried.
        *out.last_mut().unwrap() |= 0x80;
        out.push(0);
        assert!(Reader::new(&out, 0).varint().is_err());
        assert!(Reader::new(&[0xff; 30], 0).varint().is_err());
        assert!(Reader::new(&[0x80], 0).varint().is_err());
    }
}
