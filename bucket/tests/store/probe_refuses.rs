//! The probe tells an honest object store from one that breaks a rule.

use bytes::Bytes;
use futures_lite::future::{block_on, yield_now};
use reftable_bucket::{Bucket, ErrorKind, Memory, Read, Result, Swap, Tag, probe};

/// How a store breaks the rules.
#[derive(Clone, Copy, PartialEq)]
enum Lie {
    None,
    /// The condition is checked, and then the object is written.
    ChecksFirst,
    IgnoresNew,
    IgnoresBase,
    OneTag,
    OldReads,
    /// Gives all of an object to those who know it already.
    IgnoresKnown,
}

struct Liar(Memory, Lie);

impl Bucket for Liar {
    async fn read(&self, key: &str, known: Option<&Tag>) -> Result<Read> {
        let known = known.filter(|_| self.1 != Lie::IgnoresKnown);
        match (self.1, self.0.read(key, known).await?) {
            (Lie::OldReads, Read::Object { tag, .. }) => Ok(Read::Object { bytes: Bytes::from_static(b"old"), tag }),
            (Lie::OneTag, Read::Object { .. }) if known.is_some() => Ok(Read::Unchanged),
            (Lie::OneTag, Read::Object { bytes, .. }) => Ok(Read::Object { bytes, tag: Tag::new("same") }),
            (_, read) => Ok(read),
        }
    }

    async fn swap(&self, key: &str, bytes: Bytes, base: Option<&Tag>) -> Result<Swap> {
        let newest = match self.0.read(key, None).await? {
            Read::Object { tag, .. } => Some(tag),
            _ => None,
        };
        let is_ignored = match self.1 {
            Lie::IgnoresNew => base.is_none(),
            Lie::IgnoresBase => base.is_some(),
            Lie::OneTag => base.is_some(),
            _ => false,
        };
        if self.1 == Lie::ChecksFirst {
            if newest.as_ref() != base {
                return Ok(Swap::Refused);
            }
            yield_now().await;
        }
        if !is_ignored && self.1 != Lie::ChecksFirst {
            return Ok(match self.0.swap(key, bytes, base).await? {
                Swap::Done(_) if self.1 == Lie::OneTag => Swap::Done(Tag::new("same")),
                answer => answer,
            });
        }
        self.0.set(key, bytes);
        match self.0.read(key, None).await? {
            Read::Object { tag, .. } => Ok(Swap::Done(if self.1 == Lie::OneTag { Tag::new("same") } else { tag })),
            _ => unreachable!("it was just written"),
        }
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.0.delete(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.0.list(prefix).await
    }
}

#[test]
fn an_honest_store_passes_and_nothing_stays() {
    let bucket = Liar(Memory::new(), Lie::None);
    block_on(probe(&bucket, "probe")).unwrap();
    assert!(bucket.0.keys().is_empty());
}

#[test]
fn every_lie_is_named() {
    for (lie, rule) in [
        (Lie::ChecksFirst, "writers have replaced one version"),
        (Lie::IgnoresNew, "as a new one although there was one"),
        (Lie::IgnoresBase, "that was not the newest"),
        (Lie::OneTag, "two versions of an object have one tag"),
        (Lie::OldReads, "a read does not give what was written"),
        (Lie::IgnoresKnown, "a conditional read does not say that nothing has changed; each look would cost a read"),
    ] {
        let bucket = Liar(Memory::new(), lie);
        let error = block_on(probe(&bucket, "probe")).unwrap_err();
        assert!(error.kind() == ErrorKind::Unfit && error.to_string().contains(rule), "{error}");
        assert!(bucket.0.keys().is_empty(), "nothing stays");
    }
}
