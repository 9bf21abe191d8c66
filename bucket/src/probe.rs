//! Whether an object store keeps the rules that the protocol needs.

use bytes::Bytes;
use futures_lite::future::zip;

use crate::backend::{Bucket, Read, Swap, Tag};
use crate::error::{Error, ErrorKind, Result};
use crate::place::Place;

/// How many times four writers race. A store that checks conditions and writes without holding
/// anything in between lets two of them win in nearly every round.
const ROUNDS: u32 = 16;

/// Tries the rules of [`Bucket`] on objects below `prefix`, and deletes them: one writer first,
/// then four at a time. Costs some 150 requests; once for a bucket is enough, and after a change of
/// its provider or settings.
///
/// # Errors
/// `Unfit` with the rule that is broken: commits would be lost there, or reported wrongly. Whatever
/// kept the probe from its verdict: `Denied`, `Unavailable`.
pub async fn probe(bucket: &impl Bucket, prefix: &str) -> Result<()> {
    // Called as a root is: what makes roots of its own kind is tried with them.
    let key = Place::new(prefix)?.key(&format!("probe-{:016x}/root", bucket.random()?));
    let verdict = try_rules(bucket, &key).await;
    let deleted = bucket.delete(&key).await;
    verdict.map_err(|error| error.in_object(&key))?;
    deleted
}

async fn try_rules(bucket: &impl Bucket, key: &str) -> Result<()> {
    one_writer(bucket, key).await?;
    for round in 0..ROUNDS {
        race(bucket, key, round).await?;
    }
    conditional_read(bucket, key).await?;
    bucket.delete(key).await?;
    match bucket.read(key, None).await? {
        Read::Missing => Ok(()),
        _ => Err(unfit("an object was deleted, and is there")),
    }
}

async fn one_writer(bucket: &impl Bucket, key: &str) -> Result<()> {
    let Read::Missing = bucket.read(key, None).await? else {
        return Err(unfit("an object is there that nobody has written"));
    };
    let first = written(bucket.swap(key, Bytes::from_static(b"first"), None).await?, "the first write")?;
    if bucket.swap(key, Bytes::from_static(b"again"), None).await? != Swap::Refused {
        return Err(unfit("an object was written as a new one although there was one"));
    }
    let second = written(bucket.swap(key, Bytes::from_static(b"second"), Some(&first)).await?, "a write in turn")?;
    if first == second {
        return Err(unfit("two versions of an object have one tag"));
    }
    if bucket.swap(key, Bytes::from_static(b"late"), Some(&first)).await? != Swap::Refused {
        return Err(unfit("a version was replaced that was not the newest"));
    }
    expect(bucket, key, b"second", &second).await?;
    if !bucket.list(key).await?.iter().any(|listed| listed == key) {
        return Err(unfit("an object is not listed"));
    }
    Ok(())
}

/// Four writers replace one version; the odd rounds begin without an object.
async fn race(bucket: &impl Bucket, key: &str, round: u32) -> Result<()> {
    if round % 2 == 1 {
        bucket.delete(key).await?;
    }
    let base = match bucket.read(key, None).await? {
        Read::Object { tag, .. } => Some(tag),
        _ => None,
    };
    let bytes = |writer: u32| Bytes::from(format!("round {round}, writer {writer}"));
    let swap = |writer| bucket.swap(key, bytes(writer), base.as_ref());
    let ((a, b), (c, d)) = zip(zip(swap(0), swap(1)), zip(swap(2), swap(3))).await;
    let answers = [a?, b?, c?, d?];
    let winners: Vec<(u32, &Tag)> = (0..)
        .zip(&answers)
        .filter_map(|(writer, answer)| match answer {
            Swap::Done(tag) => Some((writer, tag)),
            _ => None,
        })
        .collect();
    let is_known = !answers.iter().any(|answer| matches!(answer, Swap::Unknown(_)));
    match winners.as_slice() {
        [(writer, tag)] => expect(bucket, key, &bytes(*writer), tag).await,
        [] if is_known => Err(unfit("of four writers that replace one version none was carried out")),
        [] => Ok(()),
        _ => {
            let (count, round) = (winners.len(), round + 1);
            Err(unfit(&format!("{count} writers have replaced one version of an object, in round {round} of {ROUNDS}")))
        }
    }
}

/// Nothing would be lost without it, but each look at a store would cost all of its root.
async fn conditional_read(bucket: &impl Bucket, key: &str) -> Result<()> {
    let Read::Object { tag, .. } = bucket.read(key, None).await? else { return Ok(()) };
    if matches!(bucket.read(key, Some(&tag)).await?, Read::Unchanged) {
        return Ok(());
    }
    let rule = "a conditional read does not say that nothing has changed";
    Err(Error::new(ErrorKind::Unfit, format!("the object store cannot be used: {rule}; each look would cost a read")))
}

async fn expect(bucket: &impl Bucket, key: &str, wanted: &[u8], wanted_tag: &Tag) -> Result<()> {
    match bucket.read(key, None).await? {
        Read::Object { bytes, tag } if bytes == wanted && tag == *wanted_tag => Ok(()),
        _ => Err(unfit("a read does not give what was written and acknowledged before it")),
    }
}

fn written(answer: Swap, what: &str) -> Result<Tag> {
    match answer {
        Swap::Done(tag) => Ok(tag),
        Swap::Refused => Err(unfit(&format!("{what} was refused although its condition holds"))),
        Swap::Unknown(why) => Err(Error::unavailable(why)),
    }
}

fn unfit(rule: &str) -> Error {
    let message = format!("the object store cannot be used: {rule}; commits would be lost");
    Error::new(ErrorKind::Unfit, message)
}
