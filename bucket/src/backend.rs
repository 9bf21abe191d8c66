//! The seam to an object store: six calls, and what their answers mean.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::error::Result;

/// What names one version of an object: an `ETag`, or a generation. Two versions of an object that
/// differ in a byte have different tags.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tag(String);

impl Tag {
    /// The tag, as the store writes it.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Tag {
        Tag(text.into())
    }

    /// As the store writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a read gives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Read {
    /// There is no such object.
    Missing,
    /// It is still the version that the caller knows.
    Unchanged,
    /// The object, and the tag of this version.
    Object {
        /// All of its bytes.
        bytes: Bytes,
        /// Which version it is.
        tag: Tag,
    },
}

/// What became of a conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Swap {
    /// It was carried out; the new version has this tag.
    Done(Tag),
    /// The object is not the version that it was to follow. This says nothing about an earlier
    /// request of the same bytes whose answer was lost.
    Refused,
    /// No answer, or one that leaves open whether it was carried out, or will be: time-outs, broken
    /// connections, 500 and 503.
    Unknown(String),
}

/// An object store with conditional writes, and a clock. Keys are paths of `/`-separated parts in
/// one bucket.
///
/// No call repeats a request by itself: a request that is repeated below this seam, after its
/// answer was lost, comes back as [`Swap::Refused`] although it was carried out. With
/// the crate `object_store` that means `max_retries: 0`.
///
/// Errors are of kind [`crate::ErrorKind::Unavailable`] if the same call may succeed later, and of
/// any other if not.
pub trait Bucket: Send + Sync + 'static {
    /// The newest version of the object `key`, unless that is `known`. Sees every write that was
    /// answered before the call.
    fn read(&self, key: &str, known: Option<&Tag>) -> impl Future<Output = Result<Read>> + Send;

    /// The bytes in `range` of the object `key`, which is never written again; `None` if it is not
    /// there. Fewer bytes if it is shorter. The default reads all of it.
    fn read_range(&self, key: &str, range: Range<u64>) -> impl Future<Output = Result<Option<Bytes>>> + Send {
        async move {
            let Read::Object { bytes, .. } = self.read(key, None).await? else { return Ok(None) };
            let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(bytes.len());
            let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
            Ok(Some(bytes.slice(start..end)))
        }
    }

    /// Writes the object `key` if its version is `base`, or if there is none for `None`. Atomic:
    /// of two with one base at most one is carried out.
    ///
    /// # Errors
    /// Only if it was not carried out, and never will be.
    fn swap(&self, key: &str, bytes: Bytes, base: Option<&Tag>) -> impl Future<Output = Result<Swap>> + Send;

    /// Deletes the object `key`; one that is not there is no error.
    fn delete(&self, key: &str) -> impl Future<Output = Result<()>> + Send;

    /// The keys that begin with `prefix`, in any order.
    fn list(&self, prefix: &str) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// Returns after this time. As it is, whatever the runtime.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        futures_timer::Delay::new(time)
    }

    /// Time since the Unix epoch, as well as this machine knows it. Nothing that is promised
    /// depends on it; it says when to give up, and what is old enough to be forgotten.
    fn now(&self) -> Duration {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
    }

    /// A number that nobody else draws.
    ///
    /// # Errors
    /// `Unavailable` if the system has none.
    fn random(&self) -> Result<u64> {
        getrandom::u64().map_err(|error| crate::Error::unavailable(format!("no random numbers: {error}")))
    }
}

impl<B: Bucket> Bucket for Arc<B> {
    async fn read(&self, key: &str, known: Option<&Tag>) -> Result<Read> {
        (**self).read(key, known).await
    }

    async fn read_range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>> {
        (**self).read_range(key, range).await
    }

    async fn swap(&self, key: &str, bytes: Bytes, base: Option<&Tag>) -> Result<Swap> {
        (**self).swap(key, bytes, base).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        (**self).delete(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        (**self).list(prefix).await
    }

    async fn sleep(&self, time: Duration) {
        (**self).sleep(time).await;
    }

    fn now(&self) -> Duration {
        (**self).now()
    }

    fn random(&self) -> Result<u64> {
        (**self).random()
    }
}
