//! Object ids, stored inline: one type for both hashes.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

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
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "sha1" => Ok(HashKind::Sha1),
            "sha256" => Ok(HashKind::Sha256),
            _ => Err(Error::invalid(format!("'{name}' is not a hash function: sha1 and sha256 are"))),
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
        // Arrays of a known length: the copies are a few instructions, and every reference read makes one.
        if let Ok(sha1) = <&[u8; 20]>::try_from(bytes) {
            let mut id = ObjectId::null(HashKind::Sha1);
            *id.bytes.first_chunk_mut()? = *sha1;
            return Some(id);
        }
        let sha256 = <[u8; 32]>::try_from(bytes).ok()?;
        Some(ObjectId { bytes: sha256, kind: HashKind::Sha256 })
    }

    /// The all-zero id, which stands for "no object" in reflogs.
    #[must_use]
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
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.split_at(self.kind.len()).0
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
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ObjectId {
    type Err = Error;

    fn from_str(hex: &str) -> Result<Self> {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let bytes: Option<Vec<u8>> = hex
            .as_bytes()
            .chunks(2)
            .map(|pair| match *pair {
                [high, low] => Some((digit(high)? << 4) | digit(low)?),
                _ => None,
            })
            .collect();
        bytes
            .as_deref()
            .and_then(ObjectId::from_bytes)
            .ok_or_else(|| Error::invalid(format!("'{hex}' is not an object id: 40 or 64 hexadecimal digits are")))
    }
}
