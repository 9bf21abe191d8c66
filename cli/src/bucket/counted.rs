//! An object store that tells a person what has been moved, while it takes long.

use std::io;
use std::ops::Range;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reftable_bucket::{Bucket, Client, Read, Result, Swap, Tag};

/// Counts bytes that were read and written.
pub(super) struct Counted {
    client: Client,
    bar: ProgressBar,
}

impl Counted {
    /// Shows a bar only if standard error is a terminal, and `is_quiet` is not asked for.
    pub(super) fn new(client: Client, what: &'static str, is_quiet: bool) -> Counted {
        let target = if is_quiet || !io::IsTerminal::is_terminal(&io::stderr()) {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(None, target).with_message(what);
        let style = ProgressStyle::with_template("{msg} {spinner} {bytes}, {bytes_per_sec}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(Duration::from_millis(200));
        Counted { client, bar }
    }

    /// Shows how much of so many bytes is done.
    pub(super) fn progress(&self, done: u64, total: u64) {
        if self.bar.length().is_none() {
            let style = ProgressStyle::with_template("{msg} {bar:30} {bytes} of {total_bytes}, {eta} to go");
            self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            self.bar.set_length(total);
        }
        self.bar.set_position(done);
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn count(&self, bytes: usize) {
        if self.bar.length().is_none() {
            self.bar.inc(bytes as u64);
        }
    }
}

impl Bucket for Counted {
    async fn read(&self, key: &str, known: Option<&Tag>) -> Result<Read> {
        let read = self.client.read(key, known).await?;
        if let Read::Object { bytes, .. } = &read {
            self.count(bytes.len());
        }
        Ok(read)
    }

    async fn read_range(&self, key: &str, range: Range<u64>) -> Result<Option<bytes::Bytes>> {
        let read = self.client.read_range(key, range).await?;
        self.count(read.as_ref().map_or(0, bytes::Bytes::len));
        Ok(read)
    }

    async fn swap(&self, key: &str, bytes: bytes::Bytes, base: Option<&Tag>) -> Result<Swap> {
        self.client.swap(key, bytes, base).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.client.delete(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.client.list(prefix).await
    }
}
