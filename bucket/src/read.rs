//! Reading: the newest root, and the tables that are not open yet.

use std::sync::Arc;
use std::time::Duration;

use reftable::table::Table;

use crate::backend::{Bucket, Read, Tag};
use crate::error::{Error, ErrorKind, Result};
use crate::root::Root;
use crate::state::{self, State};
use crate::store::Inner;

/// The first pause after an answer that did not come; each that follows is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Pauses between requests of the same, jittered so that machines do not meet again and again.
pub(crate) struct Pauses(Duration);

impl Pauses {
    pub(crate) fn new() -> Pauses {
        Pauses(FIRST_PAUSE)
    }

    pub(crate) async fn wait(&mut self, bucket: &impl Bucket) {
        bucket.sleep(jittered(self.0, bucket.random().unwrap_or_default())).await;
        self.0 = self.0.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

/// Half to one and a half of `time`.
pub(crate) fn jittered(time: Duration, random: u64) -> Duration {
    let thousandths = 500 + u32::try_from(random % 1001).unwrap_or_default();
    time.saturating_mul(thousandths) / 1000
}

/// What opening the tables of a root has come to.
enum Opened {
    All(Vec<Arc<Table>>),
    /// An object that the root names is not there: usually others have replaced it since.
    Gone(String),
}

impl<B: Bucket> Inner<B> {
    /// Asks about an object, again and again while the object store does not answer.
    pub(crate) async fn patiently<T, F>(&self, key: &str, ask: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut pauses = Pauses::new();
        loop {
            match ask().await {
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    self.note_trouble(&error);
                    pauses.wait(&*self.bucket).await;
                }
                answer => {
                    self.trouble_is_over();
                    return answer.map_err(|error| error.in_object(key));
                }
            }
        }
    }

    /// Reads an object, and goes on while the object store does not answer.
    pub(crate) async fn read(&self, key: &str, known: Option<&Tag>) -> Result<Read> {
        self.patiently(key, || self.bucket.read(key, known)).await
    }

    /// The newest root, without its tables; `None` where there is no store.
    pub(crate) async fn newest_root(&self) -> Result<Option<(Root, Tag)>> {
        let key = self.place.root();
        match self.read(&key, None).await? {
            Read::Object { bytes, tag } => Ok(Some((Root::parse(&bytes).map_err(|error| error.in_object(&key))?, tag))),
            Read::Missing | Read::Unchanged => Ok(None),
        }
    }

    /// The newest state. Costs one conditional request if nothing has changed, one request for a
    /// small store, and one for each table that is not inline and not open yet.
    ///
    /// A race, and how it ends:
    /// 1. We read the root.
    /// 2. Another machine merges tables, replaces the root, and deletes the merged ones.
    /// 3. We ask for one of those, and it is not there. We start over with the new root; the same
    ///    root a second time means that the table is missing.
    pub(crate) async fn refresh(&self) -> Result<Arc<State>> {
        let key = self.place.root();
        let mut gone: Option<(Tag, String)> = None;
        loop {
            let known = self.cached();
            let asked_at = self.bucket.now();
            let tag = known.as_ref().and_then(|state| state.tag());
            let (bytes, tag) = match (self.read(&key, tag).await?, &known) {
                (Read::Unchanged, Some(known)) => {
                    let edition = known.edition.clone();
                    let state = State { edition, snapshot: known.snapshot.clone(), asked_at };
                    return Ok(self.keep(state));
                }
                (Read::Object { bytes, tag }, _) => (bytes, tag),
                (Read::Missing, Some(known)) if known.edition.is_some() => {
                    return Err(Error::new(ErrorKind::Missing, "the store was there, and is gone").in_object(&key));
                }
                (Read::Missing | Read::Unchanged, _) => {
                    return Ok(self.keep(State::of_nothing(self.options.hash, asked_at)?));
                }
            };
            if let Some((_, table)) = gone.take_if(|(before, _)| *before == tag) {
                let message = "the root names this table, and it is not there";
                return Err(Error::new(ErrorKind::Missing, message).in_object(&table));
            }
            let root = Root::parse(&bytes).map_err(|error| error.in_object(&key))?;
            match self.open_tables(&root, known.as_deref()).await? {
                Opened::All(tables) => {
                    return Ok(self.keep(State::new(root, tag, tables, self.options.hash, asked_at)?));
                }
                Opened::Gone(table) => gone = Some((tag, table)),
            }
        }
    }

    async fn open_tables(&self, root: &Root, known: Option<&State>) -> Result<Opened> {
        let mut tables = Vec::with_capacity(root.tables.len());
        for line in &root.tables {
            let key = self.place.key(&line.name);
            match known.and_then(|known| known.table(line)) {
                Some(table) => tables.push(table),
                None => match self.table_bytes(root.store, &key, line).await? {
                    Some(bytes) => tables.push(state::open(&key, line, &bytes)?),
                    None => return Ok(Opened::Gone(key)),
                },
            }
        }
        Ok(Opened::All(tables))
    }
}
