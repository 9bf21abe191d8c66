//! A root of many names, for object stores that take one write a second to one name.
//!
//! The protocol reads and replaces one object. Here that object is the newest of a row: edition *n*
//! of the root is the object `root/0000...n`, which is written once, if there is none of this name.
//! Those who want to be the next race for the next name, and old ones are deleted, all but a few.
//!
//! A name that was deleted is free again, and that is the danger: a client that has slept since
//! edition *n* succeeds in writing *n + 1*, long after another *n + 1* was written, followed and
//! deleted. What is against it rests on two facts. The highest number is never deleted, because *k*
//! is deleted only by clients that have seen *k + kept*. And a client that writes *n + 1* has
//! seen *n*, so that the highest number grows by one at a time, and what is written late is never
//! the highest.
//!
//! Replacing:
//! 1. Write *n + 1* if there is none; meanwhile delete what is `kept` before *n*.
//! 2. Refused: another client was first.
//! 3. Carried out: list. If *n + 1* is the highest, it was never written before: it is the newest.
//! 4. If it is not, others have followed us, or it came late. The newest root tells which, as it
//!    does after every lost answer: the caller is told that nobody knows yet.
//!
//! Reading:
//! 1. List. The highest number *n* is the newest edition.
//! 2. Read it. If it is not there, it was followed by many, and deleted: start over.
//! 3. List again. As long as nothing is `kept` ahead of *n*, nobody had begun to delete *n* when it
//!    was read, so that it was the one which was listed, and not one that came late in its place.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future::zip;

use crate::backend::{Bucket, Read, Swap, Tag};
use crate::error::{Error, ErrorKind, Result};
use crate::mutant::{self, Mutant};

/// Stands where the root of other stores is, so that nobody makes one there.
const MARKER: &[u8] = b"reftable root numbered\n";

/// So many editions may follow one that is read until it is started over.
const KEPT: u64 = 8;

/// A bucket in which each edition of a root is an object of its own: `root/` and a number.
///
/// For object stores that limit how often the object of one name is written, such as Google Cloud
/// Storage and R2 (once a second). A commit costs a write and a list, a read two lists and a read,
/// or one list if nothing has changed. All who share a store must use it, or all must not: those
/// who do not are refused, and the other way round.
///
/// A place must not be used for another store as long as handles of the first are open: the numbers
/// begin again.
#[derive(Debug)]
pub struct Numbered<B> {
    bucket: B,
    kept: u64,
}

impl<B: Bucket> Numbered<B> {
    /// The same objects, with roots that have numbers.
    pub fn new(bucket: B) -> Numbered<B> {
        Numbered { bucket, kept: KEPT }
    }

    /// How many editions are kept beside the newest, on which all who share a store must agree: for
    /// tests, in which what is deleted early is found sooner.
    #[doc(hidden)]
    #[must_use]
    pub fn keeping(mut self, editions: u64) -> Numbered<B> {
        self.kept = editions.max(1);
        self
    }

    /// The bucket within.
    pub fn inner(&self) -> &B {
        &self.bucket
    }

    /// The numbers that are there, in order.
    async fn numbers(&self, key: &str) -> Result<Vec<u64>> {
        let prefix = format!("{key}/");
        let keys = self.bucket.list(&prefix).await?;
        let mut numbers: Vec<u64> = keys.iter().filter_map(|key| number_of(key.strip_prefix(&prefix)?)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    async fn read_newest(&self, key: &str, known: Option<&Tag>) -> Result<Read> {
        loop {
            let Some(newest) = self.numbers(key).await?.pop() else {
                return self.is_marked(key).await.map(|_| Read::Missing);
            };
            if known == Some(&tag(newest)) {
                return Ok(Read::Unchanged);
            }
            let Read::Object { bytes, .. } = self.bucket.read(&name(key, newest), None).await? else { continue };
            let is_still_there = |later: u64| later.saturating_sub(newest) < self.kept;
            if mutant::is_on(Mutant::BelieveOneListing) || self.numbers(key).await?.pop().is_some_and(is_still_there) {
                return Ok(Read::Object { bytes, tag: tag(newest) });
            }
        }
    }

    async fn replace(&self, key: &str, bytes: Bytes, base: Option<&Tag>) -> Result<Swap> {
        let base = match base {
            None => 0,
            Some(tag) => {
                number_of(tag.as_str()).ok_or_else(|| invalid("a version that is no number").in_object(key))?
            }
        };
        if base == 0 && !self.is_marked(key).await? {
            self.mark(key).await?;
        }
        let number = base.checked_add(1).ok_or_else(|| invalid("there is no number left").in_object(key))?;
        let key_of_next = name(key, number);
        let put = self.bucket.swap(&key_of_next, bytes, None);
        let old = base.checked_sub(self.kept).filter(|old| *old > 0);
        match zip(put, self.forget(key, old)).await.0? {
            Swap::Done(_) if mutant::is_on(Mutant::BelieveLateCreations) => Ok(Swap::Done(tag(number))),
            Swap::Done(_) => Ok(self.confirmed(key, number).await),
            answer => Ok(answer),
        }
    }

    /// What was written as `number` counts if that is the highest.
    async fn confirmed(&self, key: &str, number: u64) -> Swap {
        let numbers = match self.numbers(key).await {
            Ok(numbers) => numbers,
            Err(error) => return Swap::Unknown(error.to_string()),
        };
        if numbers.last() != Some(&number) {
            return Swap::Unknown("others have followed, or were there long before".to_owned());
        }
        // What others could not delete.
        self.forget(key, numbers.into_iter().filter(|old| old.saturating_add(self.kept) < number)).await;
        Swap::Done(tag(number))
    }

    async fn forget(&self, key: &str, old: impl IntoIterator<Item = u64>) {
        for number in old {
            let _ = self.bucket.delete(&name(key, number)).await;
        }
    }

    /// Whether the place is marked.
    ///
    /// # Errors
    /// `Invalid` if there is a store whose root has one name.
    async fn is_marked(&self, key: &str) -> Result<bool> {
        match self.bucket.read(key, None).await? {
            Read::Missing | Read::Unchanged => Ok(false),
            Read::Object { bytes, .. } if bytes == MARKER => Ok(true),
            Read::Object { .. } => {
                Err(invalid("the root of this store has one name: open the store without numbers").in_object(key))
            }
        }
    }

    async fn mark(&self, key: &str) -> Result<()> {
        match self.bucket.swap(key, Bytes::from_static(MARKER), None).await? {
            Swap::Done(_) => Ok(()),
            Swap::Refused => self.is_marked(key).await.map(|_| ()),
            Swap::Unknown(why) => Err(Error::unavailable(why)),
        }
    }
}

/// Whether this is the object that the protocol replaces.
fn is_root(key: &str) -> bool {
    key.rsplit('/').next() == Some("root")
}

fn name(key: &str, number: u64) -> String {
    format!("{key}/{number:020}")
}

/// Of a name or a tag.
fn number_of(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn tag(number: u64) -> Tag {
    Tag::new(number.to_string())
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

impl<B: Bucket> Bucket for Numbered<B> {
    async fn read(&self, key: &str, known: Option<&Tag>) -> Result<Read> {
        if is_root(key) { self.read_newest(key, known).await } else { self.bucket.read(key, known).await }
    }

    async fn read_range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>> {
        self.bucket.read_range(key, range).await
    }

    async fn swap(&self, key: &str, bytes: Bytes, base: Option<&Tag>) -> Result<Swap> {
        if is_root(key) { self.replace(key, bytes, base).await } else { self.bucket.swap(key, bytes, base).await }
    }

    /// A root goes with all its numbers, the newest last.
    async fn delete(&self, key: &str) -> Result<()> {
        if is_root(key) {
            for number in self.numbers(key).await? {
                self.bucket.delete(&name(key, number)).await?;
            }
        }
        self.bucket.delete(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.bucket.list(prefix).await
    }

    async fn sleep(&self, time: Duration) {
        self.bucket.sleep(time).await;
    }

    fn now(&self) -> Duration {
        self.bucket.now()
    }

    fn random(&self) -> Result<u64> {
        self.bucket.random()
    }
}
