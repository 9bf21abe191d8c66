//! An object store in memory: for tests and examples, and what a real one must do, in few lines.

use std::collections::BTreeMap;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::backend::{Bucket, Read, Swap, Tag};
use crate::error::Result;

/// Objects in memory. Every call is carried out at once, and none fails.
#[derive(Debug, Default)]
pub struct Memory {
    objects: Mutex<Objects>,
}

#[derive(Debug, Default)]
struct Objects {
    by_key: BTreeMap<String, (u64, Bytes)>,
    /// How many writes there were: no two versions have one number.
    writes: u64,
}

impl Memory {
    /// No objects.
    #[must_use]
    pub fn new() -> Memory {
        Memory::default()
    }

    /// The keys of all objects, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.objects.lock().by_key.keys().cloned().collect()
    }

    /// The bytes of an object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Bytes> {
        self.objects.lock().by_key.get(key).map(|(_, bytes)| bytes.clone())
    }

    /// Writes an object, whatever is there.
    pub fn set(&self, key: &str, bytes: impl Into<Bytes>) {
        let _ = self.objects.lock().write(key, bytes.into());
    }
}

impl Objects {
    fn write(&mut self, key: &str, bytes: Bytes) -> Tag {
        self.writes += 1;
        self.by_key.insert(key.to_owned(), (self.writes, bytes));
        tag(self.writes)
    }
}

fn tag(version: u64) -> Tag {
    Tag::new(version.to_string())
}

impl Bucket for Memory {
    async fn read(&self, key: &str, known: Option<&Tag>) -> Result<Read> {
        Ok(match self.objects.lock().by_key.get(key) {
            None => Read::Missing,
            Some((version, _)) if known == Some(&tag(*version)) => Read::Unchanged,
            Some((version, bytes)) => Read::Object { bytes: bytes.clone(), tag: tag(*version) },
        })
    }

    async fn swap(&self, key: &str, bytes: Bytes, base: Option<&Tag>) -> Result<Swap> {
        let mut objects = self.objects.lock();
        let now = objects.by_key.get(key).map(|(version, _)| tag(*version));
        Ok(if now.as_ref() == base { Swap::Done(objects.write(key, bytes)) } else { Swap::Refused })
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.objects.lock().by_key.remove(key);
        Ok(())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let objects = self.objects.lock();
        Ok(objects.by_key.keys().filter(|key| key.starts_with(prefix)).cloned().collect())
    }
}
