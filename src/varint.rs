//! Checked readers and writers of the format's integers. A reader knows its offset.

use crate::error::{Error, Result};

/// Reads integers and byte strings from a slice, front to back. Every read is checked.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    data: &'a [u8],
    pos: usize,
}

impl<'a> Reader<'a> {
    /// Starts at `pos` and never reads beyond `data`.
    pub(crate) fn new(data: &'a [u8], pos: usize) -> Self {
        Reader { data, pos }
    }

    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    #[cold]
    fn truncated(&self, what: &str) -> Error {
        Error::corrupt(format!("{what} is cut off")).at(self.pos as u64)
    }

    #[inline]
    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let end = self.pos.checked_add(len);
        match end.and_then(|end| self.data.get(self.pos..end)) {
            Some(bytes) => {
                self.pos += len;
                Ok(bytes)
            }
            None => Err(self.truncated("a byte string")),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let found = self.data.get(self.pos..).and_then(|rest| rest.first_chunk::<N>());
        match found {
            Some(bytes) => {
                self.pos += N;
                Ok(*bytes)
            }
            None => Err(self.truncated("an integer")),
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
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64> {
        let start = self.pos;
        let Some(&first) = self.data.get(self.pos) else {
            return Err(self.truncated("a variable-length integer"));
        };
        self.pos += 1;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        self.varint_rest(u64::from(first & 0x7f), start)
    }

    fn varint_rest(&mut self, mut value: u64, start: usize) -> Result<u64> {
        loop {
            let Some(&byte) = self.data.get(self.pos) else {
                return Err(self.truncated("a variable-length integer"));
            };
            self.pos += 1;
            value = match value.checked_add(1) {
                Some(next) if next.leading_zeros() >= 7 => (next << 7) | u64::from(byte & 0x7f),
                _ => {
                    return Err(Error::corrupt("a variable-length integer exceeds 64 bits").at(start as u64));
                }
            };
            if byte < 0x80 {
                return Ok(value);
            }
        }
    }

    /// A variable-length integer that counts bytes or items in memory.
    #[inline]
    pub(crate) fn varint_len(&mut self) -> Result<usize> {
        let start = self.pos;
        usize::try_from(self.varint()?)
            .map_err(|_| Error::corrupt("a length exceeds the address space").at(start as u64))
    }
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
