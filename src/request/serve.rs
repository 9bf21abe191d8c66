//! The side of who has the lock.

use std::sync::Arc;

use super::{MAX_LEN, RECORD, Record, State, parse};
use crate::dir::{Dir, DirFile};
use crate::list::Temporary;
use crate::mutant::{self, Mutant};

/// More than any request with its log.
const MAX_FILE: u64 = MAX_LEN as u64 + 64 * RECORD as u64;

/// The request of another process that is open to us.
#[derive(Debug)]
pub(crate) struct Found {
    file: Box<dyn DirFile>,
    wanted: Vec<u8>,
}

impl Found {
    /// What is wanted.
    pub(crate) fn wanted(&self) -> &[u8] {
        &self.wanted
    }
}

/// The request files among `names`.
fn requests(names: &[String]) -> impl Iterator<Item = &String> {
    names.iter().filter(|name| Temporary::of(name) == Some(Temporary::Request))
}

/// Opens a request of another process for reading and answering. `None` for what is not one, or of another user. If its asker is
/// dead it is removed.
fn open(dir: &Arc<dyn Dir>, name: &str) -> Option<(Box<dyn DirFile>, Vec<u8>)> {
    // Before opening it: opening a pipe would wait for a reader.
    let there = dir.stamp(name).ok()?;
    if !there.is_file || there.size > MAX_FILE {
        return None;
    }
    let file = dir.open_to_append(name).ok()?;
    if !file.stamp().ok()?.is_same_file(&there) {
        return None;
    }
    if file.try_lock().ok()? && !mutant::is_on(Mutant::ServeTheDead) {
        // For the next one to remove, if we cannot.
        let _ = dir.remove(name);
        return None;
    }
    let contents = file.contents().ok()?.to_vec();
    Some((file, contents))
}

/// The requests that are open, under `terms`, to whoever holds the list lock. What is wrong with a request is for its asker to
/// find out.
pub(crate) fn find(dir: &Arc<dyn Dir>, terms: &[u8], limit: usize) -> Vec<Found> {
    let Ok(mut names) = dir.names() else { return Vec::new() };
    // So that models can repeat a run.
    names.sort_unstable();
    let open = requests(&names).filter_map(|name| {
        let (file, contents) = open(dir, name)?;
        let parsed = parse(&contents).filter(|parsed| parsed.state == State::Open && parsed.terms == terms)?;
        Some(Found { wanted: parsed.wanted.to_vec(), file })
    });
    open.take(limit).collect()
}

/// Writes down what a dead leader has done, while we hold the lock that we have inherited from it, and before anybody changes the
/// list it left. `update_index` is that of the list.
pub(crate) fn settle(dir: &Arc<dyn Dir>, update_index: u64) {
    if mutant::is_on(Mutant::LeaveUnsettled) {
        return;
    }
    let Ok(names) = dir.names() else { return };
    for name in requests(&names) {
        let Some((mut file, contents)) = open(dir, name) else { continue };
        let Some(State::Claimed { base, planned }) = parse(&contents).map(|parsed| parsed.state) else { continue };
        let record = match planned {
            Some(planned) if update_index > base => Record::Published(planned),
            _ => Record::Void,
        };
        // If it cannot be written the asker is left with what it cannot know, and says so.
        let _ = file.write(&record.print());
    }
}

/// Requests that we have claimed. Dropping it before they are published leaves them to their askers.
#[derive(Debug, Default)]
pub(crate) struct Served {
    claimed: Vec<Claimed>,
    published: bool,
}

#[derive(Debug)]
struct Claimed {
    file: Box<dyn DirFile>,
    /// Once that is known.
    update_index: Option<u64>,
}

impl Served {
    /// Claims a request, to be done upon the state with the update index `base`. False if its asker was faster and
    /// has withdrawn it.
    pub(crate) fn claim(&mut self, found: Found, base: u64) -> bool {
        let Found { mut file, .. } = found;
        if file.write(&Record::Claimed(base).print()).is_err() {
            return false;
        }
        let state = file.contents().ok().and_then(|contents| parse(&contents).map(|parsed| parsed.state));
        let is_ours = state == Some(State::Claimed { base, planned: None }) || mutant::is_on(Mutant::ClaimUnread);
        if is_ours {
            self.claimed.push(Claimed { file, update_index: None });
        }
        is_ours
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.claimed.len()
    }

    /// Says which update index each will have, in the order in which they were claimed. Those without one do not fit, and are void.
    pub(crate) fn plan(&mut self, results: impl IntoIterator<Item = Option<u64>>) {
        let mut results = results.into_iter();
        self.claimed.retain_mut(|claimed| match results.next().flatten() {
            Some(planned) => {
                // If the plan cannot be written there will be no answer: the asker says then that it does not know.
                let is_written = claimed.file.write(&Record::Planned(planned).print()).is_ok();
                claimed.update_index = is_written.then_some(planned);
                true
            }
            None => {
                claimed.void();
                false
            }
        });
    }

    /// Says that all are published.
    pub(crate) fn publish(&mut self) {
        self.published = true;
        self.claimed.iter_mut().for_each(|claimed| claimed.tell(Record::Published));
        if mutant::is_on(Mutant::AnswerBeforeSync) {
            self.claimed.iter_mut().for_each(|claimed| claimed.tell(Record::Durable));
        }
    }

    /// Says that all are durable.
    pub(crate) fn make_durable(mut self) {
        self.claimed.iter_mut().for_each(|claimed| claimed.tell(Record::Durable));
    }
}

impl Claimed {
    fn tell(&mut self, record: impl Fn(u64) -> Record) {
        if let Some(update_index) = self.update_index {
            let _ = self.file.write(&record(update_index).print());
        }
    }

    fn void(&mut self) {
        let _ = self.file.write(&Record::Void.print());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if !self.published {
            self.claimed.iter_mut().for_each(Claimed::void);
        }
    }
}
