//! Object ids that carry an amount, each used once.
//!
//! An id is the hash of a real commit, so that git can be content with it in the end. The amount is
//! the last byte of the id: the commit's message has a number that is tried until the hash comes
//! out right, about 256 times.

use anyhow::{Result, bail};
use reftable::{HashKind, ObjectId};
use sha1::{Digest, Sha1};
use sha2::Sha256;

/// How often a number may be tried; the chance to fail is e^-4096.
const MAX_TRIES: u32 = 1 << 20;

/// A new id, and the message from which its commit can be made again.
#[derive(Debug, Clone)]
pub(crate) struct Minted {
    /// The id.
    pub(crate) id: ObjectId,
    /// The message; see [`commit_body`].
    pub(crate) text: String,
}

/// Makes ids that nobody else makes.
#[derive(Debug)]
pub(crate) struct Mint {
    hash: HashKind,
    process: String,
    made: u64,
}

impl Mint {
    /// A source of ids for one process.
    pub(crate) fn new(hash: HashKind, process: &str) -> Mint {
        Mint { hash, process: process.to_owned(), made: 0 }
    }

    /// An id that carries no amount.
    pub(crate) fn plain(&mut self) -> Minted {
        self.made += 1;
        let text = format!("{} {:08x} {:08x}", self.process, self.made, 0);
        Minted { id: commit_id(self.hash, &text), text }
    }

    /// An id that carries `amount`.
    pub(crate) fn with_amount(&mut self, amount: u8) -> Result<Minted> {
        self.made += 1;
        let start = format!("{} {:08x} ", self.process, self.made);
        let whole = commit_body(self.hash, &format!("{start}00000000"));
        let prefix = whole.get(..whole.len().saturating_sub("00000000\n".len())).unwrap_or_default();
        let mut hasher = Hasher::new(self.hash);
        hasher.update(format!("commit {}\0", whole.len()).as_bytes());
        hasher.update(prefix);
        for number in 0..MAX_TRIES {
            let tail = format!("{number:08x}\n");
            let mut attempt = hasher.clone();
            attempt.update(tail.as_bytes());
            let id = attempt.finish();
            if amount_of(&id) == amount {
                return Ok(Minted { id, text: format!("{start}{number:08x}") });
            }
        }
        bail!("no commit of this process carries the amount {amount}")
    }
}

/// The amount that an id carries.
pub(crate) fn amount_of(id: &ObjectId) -> u8 {
    id.as_bytes().last().copied().unwrap_or_default()
}

/// The id of the tree without entries.
pub(crate) fn empty_tree(hash: HashKind) -> ObjectId {
    object_id(hash, "tree", b"")
}

/// The commit whose message is `text`.
pub(crate) fn commit_body(hash: HashKind, text: &str) -> Vec<u8> {
    let who = "stress <stress@example.org> 1700000000 +0000";
    format!("tree {}\nauthor {who}\ncommitter {who}\n\n{text}\n", empty_tree(hash)).into_bytes()
}

/// The id of the commit whose message is `text`.
pub(crate) fn commit_id(hash: HashKind, text: &str) -> ObjectId {
    object_id(hash, "commit", &commit_body(hash, text))
}

/// The id of any object.
pub(crate) fn object_id(hash: HashKind, kind: &str, body: &[u8]) -> ObjectId {
    let mut hasher = Hasher::new(hash);
    hasher.update(format!("{kind} {}\0", body.len()).as_bytes());
    hasher.update(body);
    hasher.finish()
}

/// The hash function of a repository.
#[derive(Clone)]
pub(crate) enum Hasher {
    /// For `sha1` repositories.
    Sha1(Sha1),
    /// For `sha256` repositories.
    Sha256(Sha256),
}

impl Hasher {
    /// A hash of nothing so far.
    pub(crate) fn new(hash: HashKind) -> Hasher {
        match hash {
            HashKind::Sha1 => Hasher::Sha1(Sha1::new()),
            _ => Hasher::Sha256(Sha256::new()),
        }
    }

    /// Adds bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha1(hasher) => hasher.update(bytes),
            Hasher::Sha256(hasher) => hasher.update(bytes),
        }
    }

    /// The hash.
    pub(crate) fn finish(self) -> ObjectId {
        let id = match self {
            Hasher::Sha1(hasher) => ObjectId::from_bytes(hasher.finalize().as_slice()),
            Hasher::Sha256(hasher) => ObjectId::from_bytes(hasher.finalize().as_slice()),
        };
        // Both lengths are lengths of ids.
        id.unwrap_or(ObjectId::null(HashKind::Sha1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_tree_is_the_one_git_knows() {
        assert_eq!(empty_tree(HashKind::Sha1).to_string(), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
    }

    #[test]
    fn an_id_carries_its_amount_and_can_be_made_again() {
        for hash in [HashKind::Sha1, HashKind::Sha256] {
            let mut mint = Mint::new(hash, "test");
            let (a, b) = (mint.with_amount(77).unwrap(), mint.with_amount(77).unwrap());
            assert_ne!(a.id, b.id);
            for minted in [a, b] {
                assert_eq!(amount_of(&minted.id), 77);
                assert_eq!(commit_id(hash, &minted.text), minted.id);
            }
        }
    }
}
