//! Writing objects for git: loose ones while it runs, and all the rest as one pack.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use reftable::HashKind;

use crate::object::{Hasher, commit_body, commit_id};

/// The type numbers of a pack.
const COMMIT: u8 = 1;
const TREE: u8 = 2;

/// A pack with the empty tree and the commits that have these messages.
pub(crate) fn pack<'a>(hash: HashKind, texts: impl ExactSizeIterator<Item = &'a str>) -> Result<Vec<u8>> {
    let count = u32::try_from(texts.len() + 1).context("too many objects for a pack")?;
    let mut out = b"PACK\0\0\0\x02".to_vec();
    out.extend_from_slice(&count.to_be_bytes());
    entry(&mut out, TREE, b"")?;
    for text in texts {
        entry(&mut out, COMMIT, &commit_body(hash, text))?;
    }
    let mut hasher = Hasher::new(hash);
    hasher.update(&out);
    out.extend_from_slice(hasher.finish().as_bytes());
    Ok(out)
}

/// The size with the type in its first byte, then the deflated body.
fn entry(out: &mut Vec<u8>, kind: u8, body: &[u8]) -> io::Result<()> {
    let mut byte = kind << 4 | (body.len() & 0xf) as u8;
    let mut size = body.len() >> 4;
    while size > 0 {
        out.push(byte | 0x80);
        byte = (size & 0x7f) as u8;
        size >>= 7;
    }
    out.push(byte);
    deflate(out, body)
}

fn deflate(out: impl Write, body: &[u8]) -> io::Result<()> {
    let mut encoder = ZlibEncoder::new(out, Compression::fast());
    encoder.write_all(body)?;
    encoder.finish().map(drop)
}

/// Writes the commit whose message is `text` as a file of its own, so that git accepts its id at
/// once.
pub(crate) fn write_loose(git_dir: &Path, hash: HashKind, text: &str) -> Result<()> {
    let body = commit_body(hash, text);
    let hex = commit_id(hash, text).to_string();
    let (fan, rest) = hex.split_at_checked(2).context("an id is too short")?;
    let dir = git_dir.join("objects").join(fan);
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let mut whole = format!("commit {}\0", body.len()).into_bytes();
    whole.extend_from_slice(&body);
    // Nobody looks for the object before it is complete, so it needs no other name at first.
    let path = dir.join(rest);
    let file = fs::File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    deflate(file, &whole).with_context(|| format!("cannot write {}", path.display()))
}
