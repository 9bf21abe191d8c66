//! The store as it was left, read once through the library.

use std::collections::BTreeMap;

use anyhow::Result;
use reftable::Snapshot;

/// A log entry as histories put it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its update index.
    pub(super) index: u64,
    /// The id before; `None` for null.
    pub(super) old: Option<String>,
    /// The id after.
    pub(super) new: String,
    /// The message, without its newline.
    pub(super) message: String,
}

/// Everything in the store.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Where each reference points, as it displays, and its update index.
    pub(super) refs: BTreeMap<String, (String, u64)>,
    /// The log of each name, oldest entry first.
    pub(super) logs: BTreeMap<String, Vec<Entry>>,
}

impl State {
    /// Reads all of it.
    pub(super) fn read(snapshot: &Snapshot) -> Result<State> {
        let mut state = State::default();
        for found in snapshot.refs()? {
            let found = found?;
            state.refs.insert(found.name_lossy().into_owned(), (found.target.to_string(), found.update_index));
        }
        for log in snapshot.logs()? {
            let log = log?;
            let entry = Entry {
                index: log.update_index,
                old: (!log.entry.old.is_null()).then(|| log.entry.old.to_string()),
                new: log.entry.new.to_string(),
                message: String::from_utf8_lossy(&log.entry.message).trim_end().to_owned(),
            };
            state.logs.entry(String::from_utf8_lossy(&log.refname).into_owned()).or_default().push(entry);
        }
        for log in state.logs.values_mut() {
            log.reverse();
        }
        Ok(state)
    }
}
