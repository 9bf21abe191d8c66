//! Bytes of tables that are objects of their own: from the disk, or in parts side by side.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;

use crate::backend::{Bucket, Read};
use crate::error::{Error, Result};
use crate::root::TableLine;
use crate::store::Inner;

/// A table that is larger is read in parts of so many bytes.
const PART: u64 = 8 << 20;

/// How many parts are asked for at once.
const LANES: usize = 8;

impl<B: Bucket> Inner<B> {
    /// The bytes of a table of the store that has drawn this number; `None` if it is not there.
    pub(crate) async fn table_bytes(&self, store: u64, key: &str, line: &TableLine) -> Result<Option<Bytes>> {
        if let Some(inline) = &line.inline {
            return Ok(Some(inline.clone()));
        }
        if let Some(bytes) = self.options.cache.as_ref().and_then(|cache| cache.get(store, line)) {
            return Ok(Some(bytes));
        }
        let bytes = if line.len > PART {
            self.read_parts(key, line.len).await?
        } else {
            let asked = self.opening.ask(line.len);
            let read = self.read(key, None).await?;
            // Tables that others commit one after the other are no reason to wait for ever.
            if self.cached().is_none() {
                asked.came();
            }
            match read {
                Read::Object { bytes, .. } => Some(bytes),
                Read::Missing | Read::Unchanged => None,
            }
        };
        if let (Some(cache), Some(bytes)) = (&self.options.cache, &bytes)
            && crc32fast::hash(bytes) == line.crc
        {
            cache.put(store, line, bytes, self.bucket.random()?);
        }
        Ok(bytes)
    }

    /// Parts go through a few lanes: each asks for its next when it has one.
    async fn read_parts(&self, key: &str, len: u64) -> Result<Option<Bytes>> {
        let lane = |lane: u64| async move {
            let mut parts: Vec<Bytes> = Vec::new();
            let mut start = lane.saturating_mul(PART);
            while start < len {
                let Some(part) = self.read_part(key, start, len).await? else { return Ok::<_, Error>(None) };
                let is_short = (part.len() as u64) < PART;
                parts.push(part);
                // The last one, or the table is shorter than the root says, which its checksum will
                // tell.
                if is_short {
                    break;
                }
                start = start.saturating_add(PART.saturating_mul(LANES as u64));
            }
            Ok(Some(parts))
        };
        let mut lanes = Vec::new();
        for parts in all((0..LANES as u64).map(lane)).await {
            let Some(parts) = parts? else { return Ok(None) };
            lanes.push(parts.into_iter());
        }
        let mut bytes = Vec::new();
        loop {
            for lane in &mut lanes {
                let Some(part) = lane.next() else { return Ok(Some(bytes.into())) };
                bytes.extend_from_slice(&part);
            }
        }
    }

    async fn read_part(&self, key: &str, start: u64, len: u64) -> Result<Option<Bytes>> {
        let range = start..start.saturating_add(PART).min(len);
        let asked = self.opening.ask(range.end.saturating_sub(start));
        let part = self.patiently(key, || self.bucket.read_range(key, range.clone())).await?;
        asked.came();
        Ok(part)
    }
}

/// A future, and what it has given.
type Awaited<F> = (Pin<Box<F>>, Option<<F as Future>::Output>);

/// Waits for all of a few futures.
async fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<Awaited<F>> = futures.map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        let mut is_done = true;
        for (future, output) in waiting.iter_mut().filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(context) {
                Poll::Ready(ready) => *output = Some(ready),
                Poll::Pending => is_done = false,
            }
        }
        if is_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    waiting.into_iter().filter_map(|(_, output)| output).collect()
}
