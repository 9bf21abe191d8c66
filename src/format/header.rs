//! Header, footer, block types and the limits of the format.
//!
//! Rules come from git's technical documentation of the format (`reftable.adoc`) and, where that is
//! silent, from what git 2.47 writes; `docs/format.md` tells them in order.

use crate::error::{Error, ErrorKind, Result};
use crate::format::varint::{Reader, be24};
use crate::oid::HashKind;

/// The first bytes of header and footer.
const MAGIC: &[u8; 4] = b"REFT";
/// The hash id of SHA-1 in a version 2 header.
const ID_SHA1: u32 = u32::from_be_bytes(*b"sha1");
/// The hash id of SHA-256 in a version 2 header.
const ID_SHA256: u32 = u32::from_be_bytes(*b"s256");
/// Block sizes and lengths are 24-bit numbers.
pub const MAX_BLOCK_SIZE: u32 = (1 << 24) - 1;
/// The number of restarts is a 16-bit number.
pub(crate) const MAX_RESTARTS: usize = 0xffff;
/// Abbreviated ids in the object section have at least this many bytes; the length is a 5-bit
/// number.
pub(crate) const MIN_OBJECT_ID_LEN: usize = 2;
/// Type byte and length.
pub(crate) const BLOCK_HEADER_LEN: usize = 4;

/// What a block holds, by the letter it starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BlockKind {
    /// `r`: references.
    Ref,
    /// `g`: reflog entries, deflated.
    Log,
    /// `o`: abbreviated object ids and the reference blocks they appear in.
    Obj,
    /// `i`: last keys and offsets of other blocks.
    Index,
}

impl BlockKind {
    /// The letter in the file.
    #[must_use]
    pub const fn letter(self) -> u8 {
        match self {
            BlockKind::Ref => b'r',
            BlockKind::Log => b'g',
            BlockKind::Obj => b'o',
            BlockKind::Index => b'i',
        }
    }

    /// The kind with this letter.
    #[must_use]
    pub const fn from_letter(letter: u8) -> Option<Self> {
        match letter {
            b'r' => Some(BlockKind::Ref),
            b'g' => Some(BlockKind::Log),
            b'o' => Some(BlockKind::Obj),
            b'i' => Some(BlockKind::Index),
            _ => None,
        }
    }

    /// The word for messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            BlockKind::Ref => "ref",
            BlockKind::Log => "log",
            BlockKind::Obj => "object",
            BlockKind::Index => "index",
        }
    }
}

/// The start of every table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// 1 (SHA-1 implied) or 2 (hash named).
    pub version: u8,
    /// The size that blocks are padded to; 0 in tables that are not padded.
    pub block_size: u32,
    /// The smallest update index a reference may have. libgit2's C library writes tables of log
    /// entries alone in which it is above the largest: `verify` reports them.
    pub min_update_index: u64,
    /// The largest update index a record may have.
    pub max_update_index: u64,
    /// The hash function of all ids.
    pub hash: HashKind,
}

/// Bytes in a header of this version.
pub(crate) const fn header_len(version: u8) -> usize {
    if version == 1 { 24 } else { 28 }
}

/// Bytes in a footer of this version.
pub(crate) const fn footer_len(version: u8) -> usize {
    header_len(version) + 5 * 8 + 4
}

/// The version that a table of this hash is written with.
pub(crate) const fn version_for(hash: HashKind) -> u8 {
    match hash {
        HashKind::Sha1 => 1,
        HashKind::Sha256 => 2,
    }
}

impl Header {
    /// The range of update indexes, if it is one.
    pub(crate) fn runs_backwards(&self) -> bool {
        self.min_update_index > self.max_update_index
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        out.push(self.version);
        out.extend_from_slice(&be24(self.block_size));
        out.extend_from_slice(&self.min_update_index.to_be_bytes());
        out.extend_from_slice(&self.max_update_index.to_be_bytes());
        if self.version >= 2 {
            let id = match self.hash {
                HashKind::Sha1 => ID_SHA1,
                HashKind::Sha256 => ID_SHA256,
            };
            out.extend_from_slice(&id.to_be_bytes());
        }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Header> {
        let start = r.pos() as u64;
        if r.bytes(MAGIC.len())? != MAGIC {
            return Err(Error::corrupt("not a reftable: it does not start with REFT").at(start));
        }
        let version = r.u8()?;
        if version != 1 && version != 2 {
            let message = format!("format version {version} is not known, 1 and 2 are");
            return Err(Error::new(ErrorKind::Unsupported, message).at(start + 4));
        }
        let block_size = r.be24()?;
        let min_update_index = r.be64()?;
        let max_update_index = r.be64()?;
        let hash = match version {
            1 => HashKind::Sha1,
            _ => match r.be32()? {
                ID_SHA1 => HashKind::Sha1,
                ID_SHA256 => HashKind::Sha256,
                other => {
                    let message = format!("hash id {other:#010x} is not known");
                    return Err(Error::new(ErrorKind::Unsupported, message).at(start + 24));
                }
            },
        };
        Ok(Header { version, block_size, min_update_index, max_update_index, hash })
    }
}

/// Where the sections of a table are. An offset of 0 means "there is none", except for the section
/// that begins the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Footer {
    /// Root of the index over the reference blocks.
    pub ref_index: u64,
    /// First object block.
    pub obj: u64,
    /// Bytes of each id kept in the object section: 0 to 31.
    pub obj_id_len: u8,
    /// Root of the index over the object blocks.
    pub obj_index: u64,
    /// First log block.
    pub log: u64,
    /// Root of the index over the log blocks.
    pub log_index: u64,
}

impl Footer {
    /// Appends the footer: the header once more, the offsets, a checksum over both.
    pub(crate) fn encode(&self, header: &Header, out: &mut Vec<u8>) {
        let start = out.len();
        header.encode(out);
        let obj = (self.obj << 5) | u64::from(self.obj_id_len);
        for field in [self.ref_index, obj, self.obj_index, self.log, self.log_index] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        let crc = crc32fast::hash(out.get(start..).unwrap_or_default());
        out.extend_from_slice(&crc.to_be_bytes());
    }

    /// Reads the footer that is all of `footer`; offsets in errors count from its start.
    pub(crate) fn decode(footer: &[u8], header: &Header) -> Result<Footer> {
        let mut repeated = Vec::new();
        header.encode(&mut repeated);
        if !footer.starts_with(&repeated) {
            let message = "the file does not end with a footer that repeats its header: it is cut off or damaged";
            return Err(Error::corrupt(message).at(0));
        }
        let mut r = Reader::new(footer, repeated.len());
        let ref_index = r.be64()?;
        let obj = r.be64()?;
        let obj_index = r.be64()?;
        let log = r.be64()?;
        let log_index = r.be64()?;
        let checked = r.pos();
        let stored = r.be32()?;
        let computed = crc32fast::hash(footer.get(..checked).unwrap_or_default());
        if stored != computed {
            let message = format!("the footer's checksum is {stored:08x}, its bytes give {computed:08x}");
            return Err(Error::corrupt(message).at(checked as u64));
        }
        Ok(Footer { ref_index, obj: obj >> 5, obj_id_len: (obj & 31) as u8, obj_index, log, log_index })
    }
}
