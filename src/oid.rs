//! Object ids, stored inline: one type for both hashes.

use std::fmt;
use std::str::FromStr;

use crate::escape::{escaped, printable};

/// The hash function of a repository. A stack, and so every table in it, has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum HashKind {
    /// 20 bytes; written as format version 1.
    #[default]
    Sha1,
    /// 32 bytes; written as format version 2.
    Sha256,
}

impl HashKind {
    /// Bytes in an id of this kind: 20 or 32.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no id is empty")]
    pub const fn len(self) -> usize {
        match self {
            HashKind::Sha1 => 20,
            HashKind::Sha256 => 32,
        }
    }

    /// The id that `bytes` start with; the null id if they are too few.
    #[inline(always)]
    pub(crate) fn leading_id(self, bytes: &[u8]) -> IdView<'_> {
        IdView(bytes.get(..self.len()).unwrap_or(self.null_bytes()))
    }

    #[cold]
    fn null_bytes(self) -> &'static [u8] {
        const NULL: [u8; 32] = [0; 32];
        NULL.split_at(self.len()).0
    }

    /// The name git gives it in `extensions.objectFormat`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            HashKind::Sha1 => "sha1",
            HashKind::Sha256 => "sha256",
        }
    }
}

impl fmt::Display for HashKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for HashKind {
    type Err = ParseIdError;

    fn from_str(name: &str) -> Result<Self, ParseIdError> {
        match name {
            "sha1" => Ok(HashKind::Sha1),
            "sha256" => Ok(HashKind::Sha256),
            _ => Err(ParseIdError::new(name, "a hash function: sha1 and sha256 are")),
        }
    }
}

/// The id of an object: 20 or 32 bytes, without allocation. Displays and parses as hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    bytes: [u8; 32],
    kind: HashKind,
}

impl ObjectId {
    /// The id with these bytes; `None` unless there are 20 or 32 of them.
    #[must_use]
    #[inline]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        // Arrays of a known length: the copies are a few instructions.
        if let Ok(sha1) = <&[u8; 20]>::try_from(bytes) {
            let mut id = ObjectId::null(HashKind::Sha1);
            *id.bytes.first_chunk_mut()? = *sha1;
            return Some(id);
        }
        let sha256 = <[u8; 32]>::try_from(bytes).ok()?;
        Some(ObjectId { bytes: sha256, kind: HashKind::Sha256 })
    }

    /// The id with these hexadecimal digits, of either case: 40 or 64 of them.
    ///
    /// # Errors
    /// For anything else.
    pub fn from_hex(hex: &[u8]) -> Result<Self, ParseIdError> {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let mut bytes = [0; 32];
        let (pairs, rest) = hex.as_chunks::<2>();
        let parsed = pairs.iter().zip(&mut bytes).try_for_each(|([high, low], byte)| {
            *byte = (digit(*high)? << 4) | digit(*low)?;
            Some(())
        });
        let id = bytes.get(..pairs.len()).filter(|_| rest.is_empty() && parsed.is_some());
        id.and_then(ObjectId::from_bytes).ok_or_else(|| {
            let text = escaped(hex).to_string();
            ParseIdError { text, wanted: "an object id: 40 or 64 hexadecimal digits are" }
        })
    }

    /// The all-zero id, which stands for "no object" in reflogs.
    #[must_use]
    #[inline]
    pub const fn null(kind: HashKind) -> Self {
        ObjectId { bytes: [0; 32], kind }
    }

    /// The hash function it belongs to.
    #[must_use]
    pub const fn kind(&self) -> HashKind {
        self.kind
    }

    /// Its 20 or 32 bytes.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.split_at(self.kind.len()).0
    }

    /// The same, borrowed.
    #[must_use]
    #[inline]
    pub fn as_view(&self) -> IdView<'_> {
        IdView(self.as_bytes())
    }

    /// Whether it is the all-zero id.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.bytes == [0; 32]
    }
}

impl AsRef<[u8]> for ObjectId {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_view(), f)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An object id, borrowed from a table or an [`ObjectId`]. Displays as hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdView<'a>(&'a [u8]);

impl<'a> IdView<'a> {
    /// The id with these bytes; `None` unless there are 20 or 32.
    #[must_use]
    pub fn from_bytes(bytes: &'a [u8]) -> Option<IdView<'a>> {
        [HashKind::Sha1, HashKind::Sha256].iter().any(|kind| kind.len() == bytes.len()).then_some(IdView(bytes))
    }

    /// Its 20 or 32 bytes.
    #[must_use]
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The hash function it belongs to.
    #[must_use]
    pub fn kind(self) -> HashKind {
        if self.0.len() == HashKind::Sha1.len() { HashKind::Sha1 } else { HashKind::Sha256 }
    }

    /// The same, owned.
    #[must_use]
    #[inline]
    pub fn to_id(self) -> ObjectId {
        ObjectId::from_bytes(self.0).unwrap_or(ObjectId::null(HashKind::Sha1))
    }

    /// Puts its hexadecimal digits into `buffer` and returns them. Faster than displaying it.
    pub fn hex(self, buffer: &mut [u8; 64]) -> &str {
        std::str::from_utf8(self.hex_bytes(buffer)).unwrap_or_default()
    }

    /// The same as bytes: for output, where nobody asks whether they are UTF-8.
    #[inline]
    pub fn hex_bytes(self, buffer: &mut [u8; 64]) -> &[u8] {
        for (to, byte) in buffer.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *to = HEX.get(usize::from(*byte)).copied().unwrap_or_default();
        }
        buffer.get(..2 * self.0.len()).unwrap_or_default()
    }
}

/// The two digits of each byte.
const HEX: &[[u8; 2]; 256] = &hex_digits();

#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it, and would refuse")]
const fn hex_digits() -> [[u8; 2]; 256] {
    let (mut pairs, mut byte) = ([[0; 2]; 256], 0);
    while byte < 256 {
        let digits = b"0123456789abcdef";
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
}

impl<'a> From<&'a ObjectId> for IdView<'a> {
    fn from(id: &'a ObjectId) -> Self {
        id.as_view()
    }
}

impl PartialEq<ObjectId> for IdView<'_> {
    fn eq(&self, other: &ObjectId) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Display for IdView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hex(&mut [0; 64]))
    }
}

impl fmt::Debug for IdView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ObjectId {
    type Err = ParseIdError;

    fn from_str(hex: &str) -> Result<Self, ParseIdError> {
        ObjectId::from_hex(hex.as_bytes())
    }
}

/// A text that is neither an object id nor the name of a hash function. [`crate::Error`] takes it
/// in, with the kind `Invalid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseIdError {
    text: String,
    wanted: &'static str,
}

impl ParseIdError {
    fn new(text: &str, wanted: &'static str) -> Self {
        ParseIdError { text: printable(text.to_owned().into()).into_owned(), wanted }
    }
}

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is not {}", self.text, self.wanted)
    }
}

impl std::error::Error for ParseIdError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_every_byte() {
        for byte in 0..=255u8 {
            let id = ObjectId::from_bytes(&[byte; 20]).unwrap();
            assert_eq!(id.as_view().hex(&mut [0; 64]), format!("{byte:02x}").repeat(20));
            assert_eq!(id.as_view().hex_bytes(&mut [7; 64]), id.to_string().as_bytes());
            assert_eq!(ObjectId::from_hex(id.to_string().as_bytes()), Ok(id));
            assert_eq!(ObjectId::from_hex(id.to_string().to_uppercase().as_bytes()), Ok(id));
        }
    }

    #[test]
    fn ids_have_forty_or_sixty_four_digits() {
        for len in 0..140 {
            let hex = vec![b'a'; len];
            assert_eq!(ObjectId::from_hex(&hex).is_ok(), [40, 64].contains(&len), "{len}");
            for odd in [b'g', b'/', b':', b'`', b'@', b' ', 0, 0xff] {
                let mut hex = hex.clone();
                if let Some(last) = hex.last_mut() {
                    *last = odd;
                    ObjectId::from_hex(&hex).unwrap_err();
                }
            }
        }
        let error = ObjectId::from_hex(b"\x1b\xff").unwrap_err();
        assert_eq!(error.to_string(), r"'\033\377' is not an object id: 40 or 64 hexadecimal digits are");
    }

    #[test]
    fn what_is_no_id_is_named_without_control_characters() {
        let error = "12\n".parse::<ObjectId>().unwrap_err();
        assert_eq!(error.to_string(), "'12\\n' is not an object id: 40 or 64 hexadecimal digits are");
        let error = crate::Error::from("md5".parse::<HashKind>().unwrap_err());
        assert_eq!(error.kind(), crate::ErrorKind::Invalid);
        assert_eq!(error.message(), "'md5' is not a hash function: sha1 and sha256 are");
    }
}
