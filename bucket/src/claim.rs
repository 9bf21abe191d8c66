//! Who merges large tables: a claim that spares doing it twice.
//!
//! Nothing rests on it. Where two machines hold it at once, because an answer was lost or a clock
//! is wrong, both merge, and the swap of one of them finds that the tables are gone; where one dies
//! with it, others wait for no longer than it says.

use std::time::Duration;

use bytes::Bytes;

use crate::backend::{Bucket, Read, Swap};
use crate::error::{ErrorKind, Result};
use crate::store::Inner;

const WORD: &str = "reftable compaction until ";

/// How long a claim holds beside the time-out and the time that its bytes take.
const SPARE: Duration = Duration::from_secs(60);

/// Whether to merge.
pub(crate) enum Claim {
    /// Nobody else does; this object says so to others.
    Ours(String),
    /// Perhaps another machine does, and it is not known.
    Unclear,
    /// Another machine is at it.
    Theirs,
}

impl<B: Bucket> Inner<B> {
    /// Claims the merging of so many bytes. Costs a request, and one or two more where there is a
    /// claim already.
    ///
    /// # Errors
    /// `Denied`; `Unfit`.
    pub(crate) async fn claim_compaction(&self, bytes: u64) -> Result<Claim> {
        let key = self.place.key("compaction");
        let length = self.options.timeout.min(SPARE).saturating_add(SPARE) + Duration::from_secs(bytes >> 19);
        let now = self.bucket.now();
        let until = now.saturating_add(length).as_secs();
        let body = Bytes::from(format!("{WORD}{until} {:016x}\n", self.bucket.random()?));
        let first = match self.bucket.swap(&key, body.clone(), None).await {
            Ok(Swap::Refused) => match self.bucket.read(&key, None).await {
                Ok(Read::Object { bytes, tag }) => match until_of(&bytes) {
                    Some(until) if is_current(until, now, length) => return Ok(Claim::Theirs),
                    // One whose machine has died, or whose clock is wrong.
                    Some(_) => self.bucket.swap(&key, body, Some(&tag)).await,
                    None => return Ok(Claim::Unclear),
                },
                Ok(_) => return Ok(Claim::Unclear),
                Err(error) => Err(error),
            },
            first => first,
        };
        match first {
            Ok(Swap::Done(_)) => Ok(Claim::Ours(key)),
            Ok(Swap::Refused) => Ok(Claim::Theirs),
            Ok(Swap::Unknown(_)) => Ok(Claim::Unclear),
            Err(error) if error.kind() == ErrorKind::Unavailable => Ok(Claim::Unclear),
            Err(error) => Err(error.in_object(&key)),
        }
    }

    /// Lets others merge. One that cannot be deleted ends by its time.
    pub(crate) async fn release_compaction(&self, claim: Claim) {
        if let Claim::Ours(key) = claim {
            let _ = self.bucket.delete(&key).await;
        }
    }
}

/// Until when a claim holds, in seconds since the Unix epoch; `None` for what is no claim.
fn until_of(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?.strip_prefix(WORD)?;
    text.split(' ').next()?.parse().ok()
}

/// A claim that is much longer than one of this machine would be is that of a clock that runs
/// ahead.
fn is_current(until: u64, now: Duration, length: Duration) -> bool {
    let left = Duration::from_secs(until).saturating_sub(now);
    !left.is_zero() && left <= length.saturating_mul(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_end_by_their_time_and_by_clocks_that_run_ahead() {
        let (now, length) = (Duration::from_secs(1000), Duration::from_secs(100));
        for (until, expected) in [(1100, true), (1001, true), (1000, false), (7, false), (1200, true), (1201, false)] {
            assert_eq!(is_current(until, now, length), expected, "{until}");
        }
        assert_eq!(until_of(b"reftable compaction until 77 0123\n"), Some(77));
        for other in [&b"notes"[..], b"", b"reftable compaction until x", b"\xff"] {
            assert_eq!(until_of(other), None);
        }
    }
}
