//! A client for real object stores, of S3's or Azure's dialect, by the crate `object_store`.
//!
//! Requests run on a runtime of their own, so that their futures may be polled by any executor, and
//! by none but a thread that waits. Each is sent once: what became of a write whose answer is lost
//! is for the protocol to find out, not for a client that repeats it.

mod address;
mod answers;

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_lite::StreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, PutMode, PutOptions, PutPayload, PutResult, UpdateVersion};
use tokio::runtime::{Builder, Runtime};

use crate::backend::{Bucket, Read, Swap, Tag};
use crate::error::{Error, ErrorKind, Result};
use crate::patience::Patience;
use answers::Failed;

/// An object store behind HTTP. Cheap to clone; clones share connections.
///
/// Credentials come from the environment, and are in no text that this type gives.
#[derive(Clone)]
pub struct Client {
    store: Arc<dyn ObjectStore>,
    name: String,
    most: Duration,
    reads: Arc<Patience>,
    writes: Arc<Patience>,
    runtime: &'static Runtime,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Client {
    /// The object store of an address, `s3://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`, and the
    /// prefix. Sends nothing.
    ///
    /// Credentials, region and endpoint are those of the environment: `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL` and so on, or
    /// `AZURE_STORAGE_ACCOUNT_NAME`, `AZURE_STORAGE_ACCOUNT_KEY` and so on, as the crate
    /// `object_store` reads them. HTTP without TLS is spoken with this machine only, unless
    /// `AWS_ALLOW_HTTP` or `AZURE_ALLOW_HTTP` is `true`.
    ///
    /// # Errors
    /// `Invalid` for another address; `Denied` if the environment lacks what the store needs;
    /// `Unavailable` if the system has no threads.
    pub fn open(address: &str) -> Result<(Client, String)> {
        let (store, name, prefix) = address::open(address, None)?;
        Ok((Client::new(store, name)?, prefix))
    }

    /// The same with these variables in the place of the environment's: for programs that work with
    /// several accounts.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with<'a>(
        address: &str,
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(Client, String)> {
        let variables: Vec<_> = variables.into_iter().collect();
        let (store, name, prefix) = address::open(address, Some(&variables))?;
        Ok((Client::new(store, name)?, prefix))
    }

    /// Any store of the crate `object_store` that has conditional writes. `name` is for messages.
    /// It must have been made with `max_retries: 0`: see [`Bucket`].
    ///
    /// # Errors
    /// `Unavailable` if the system has no threads.
    pub fn new(store: Arc<dyn ObjectStore>, name: impl Into<String>) -> Result<Client> {
        let most = Duration::from_secs(3);
        let (reads, writes) = (Arc::new(Patience::new(most)), Arc::new(Patience::new(most)));
        Ok(Client { store, name: name.into(), most, reads, writes, runtime: runtime()? })
    }

    /// How long to wait at most for the answer to a small request, before it is sent again; less
    /// where answers usually come sooner (see [`Patience`]). Writes get a second more for each MiB;
    /// of a read each piece has to come within this time. Default 3 s.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Client {
        self.most = time;
        (self.reads, self.writes) = (Arc::new(Patience::new(time)), Arc::new(Patience::new(time)));
        self
    }

    /// What it was made with: for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Carries out one request, whose answer must come within `limit`.
    async fn send<T: Send + 'static>(
        &self,
        limit: Duration,
        request: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> Result<T, Failed> {
        self.run(async move { in_time(limit, request).await }).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failed>> + Send + 'static,
    ) -> Result<T, Failed> {
        match self.runtime.spawn(work).await {
            Ok(answer) => answer,
            // The runtime is never shut down. A request that panics has no answer, and may have
            // been carried out.
            Err(error) => Err(Failed::Lost(error.to_string())),
        }
    }

    async fn get(&self, key: &str, options: GetOptions) -> Result<Read, Failed> {
        let (store, path) = (Arc::clone(&self.store), path(key).map_err(Failed::Useless)?);
        let (most, limit, patience) = (self.most, self.reads.limit(), Arc::clone(&self.reads));
        let read = async move {
            let began = Instant::now();
            let found = in_time(limit, store.get_opts(&path, options)).await;
            note(&patience, began, &found);
            let found = found?;
            let tag = found.meta.e_tag.clone().ok_or_else(|| Failed::Useless(no_tag()))?;
            let mut bytes = BytesMut::new();
            let mut pieces = found.into_stream();
            while let Some(piece) = in_time(most, async { Ok(pieces.next().await) }).await? {
                bytes.extend_from_slice(&piece.map_err(Failed::Store)?);
            }
            Ok(Read::Object { bytes: bytes.freeze(), tag: Tag::new(tag) })
        };
        self.run(read).await
    }
}

async fn in_time<T>(limit: Duration, request: impl Future<Output = object_store::Result<T>>) -> Result<T, Failed> {
    match tokio::time::timeout(limit, request).await {
        Ok(answer) => answer.map_err(Failed::Store),
        Err(_) => Err(Failed::Silent(limit)),
    }
}

/// Errors are answers, too, unless nothing came.
fn note<T>(patience: &Patience, began: Instant, answer: &Result<T, Failed>) {
    match answer {
        Err(Failed::Silent(_)) => patience.silent(),
        _ => patience.answered(began.elapsed()),
    }
}

impl Bucket for Client {
    async fn read(&self, key: &str, known: Option<&Tag>) -> Result<Read> {
        let if_none_match = known.map(|tag| tag.as_str().to_owned());
        let read = self.get(key, GetOptions { if_none_match, ..GetOptions::default() }).await;
        read.or_else(|failed| failed.of_read(&self.name))
    }

    async fn read_range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>> {
        let range = Some(GetRange::Bounded(range));
        match self.get(key, GetOptions { range, ..GetOptions::default() }).await {
            Ok(Read::Object { bytes, .. }) => Ok(Some(bytes)),
            Ok(Read::Missing | Read::Unchanged) => Ok(None),
            // It is shorter: nothing of it is there.
            Err(failed) if failed.is_beyond() => Ok(Some(Bytes::new())),
            Err(failed) => failed.of_read(&self.name).map(|_| None),
        }
    }

    async fn swap(&self, key: &str, bytes: Bytes, base: Option<&Tag>) -> Result<Swap> {
        let (store, path, len) = (Arc::clone(&self.store), path(key)?, bytes.len() as u64);
        let mode = match base {
            None => PutMode::Create,
            Some(tag) => PutMode::Update(UpdateVersion { e_tag: Some(tag.as_str().to_owned()), version: None }),
        };
        let options = PutOptions { mode, ..PutOptions::default() };
        let (began, more) = (Instant::now(), Duration::from_secs(len >> 20));
        let limit = self.writes.limit().saturating_add(more);
        let put = self.send(limit, async move { store.put_opts(&path, PutPayload::from(bytes), options).await }).await;
        // What large writes take says nothing of small ones.
        if more.is_zero() {
            note(&self.writes, began, &put);
        }
        match put {
            Ok(PutResult { e_tag: Some(tag), .. }) => Ok(Swap::Done(Tag::new(tag))),
            Ok(_) => Err(no_tag()),
            Err(failed) => failed.of_swap(&self.name),
        }
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let (store, path) = (Arc::clone(&self.store), path(key)?);
        let path = futures_lite::stream::once(Ok(path)).boxed();
        let deleted = self.send(self.most, async move {
            let mut deleted = store.delete_stream(path);
            while let Some(one) = deleted.next().await {
                one?;
            }
            Ok(())
        });
        match deleted.await {
            Ok(()) => Ok(()),
            // One that is not there is no error; a bucket that is not there is.
            Err(failed) => failed.of_read(&self.name).map(|_| ()),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        // The crate lists by whole parts of a path.
        let dir = prefix.rsplit_once('/').map(|(dir, _)| path(dir)).transpose()?;
        let store = Arc::clone(&self.store);
        // Page after page.
        let listed = self.send(self.most.saturating_add(LISTING), async move {
            let mut keys = Vec::new();
            let mut objects = store.list(dir.as_ref());
            while let Some(object) = objects.next().await {
                keys.push(String::from(object?.location));
            }
            Ok(keys)
        });
        match listed.await {
            Ok(keys) => Ok(keys.into_iter().filter(|key| key.starts_with(prefix)).collect()),
            Err(failed) => failed.of_read(&self.name).map(|_| Vec::new()),
        }
    }
}

fn path(key: &str) -> Result<Path> {
    Path::parse(key).map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()).in_object(key))
}

fn no_tag() -> Error {
    Error::new(ErrorKind::Unfit, "the object store cannot be used: it gives no ETag with an object")
}

/// What a list may take more, whose pages come one after the other.
const LISTING: Duration = Duration::from_secs(64);

/// Where requests of all clients run: two threads that are started with the first one.
fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let built = Builder::new_multi_thread().worker_threads(2).thread_name("reftable-bucket").enable_all().build();
    let built = built.map_err(|error| Error::unavailable(format!("cannot start threads: {error}")))?;
    Ok(RUNTIME.get_or_init(|| built))
}
