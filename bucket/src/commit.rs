//! Committing: one of those who wait leads, with the changes of all of them.
//!
//! A verdict counts only if the state that it was reached upon was the newest at some moment after
//! its caller had asked. A swap that is carried out proves that for all who were judged with it,
//! also for those who are refused; where there is nothing to swap, a read does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use reftable::engine::Changeset;

use crate::backend::{Bucket, Swap, Tag};
use crate::error::{Error, ErrorKind, Result};
use crate::history::Writer;
use crate::mutant::{self, Mutant};
use crate::plan::{self, Plan};
use crate::read::{LONGEST_PAUSE, Pauses, jittered};
use crate::root::{Author, Root};
use crate::state::State;
use crate::store::Inner;

/// How many commit together at most.
const MOST_MEMBERS: usize = 512;

/// After another machine was met, so many turns are followed by a pause.
const TURNS_WITH_PAUSE: u32 = 20;

/// What a commit has done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Commit {
    /// The update index of its records; the store's if it changed nothing.
    pub update_index: u64,
    /// How many times the root was to be replaced until that succeeded; 0 if nothing was written.
    pub rounds: u32,
    /// Whether an answer was lost, and the store was asked what had become of it.
    pub rescued: bool,
}

/// One that waits: a follower.
pub(crate) struct Member {
    pub(crate) changes: Changeset,
    progress: Mutex<Progress>,
}

enum Progress {
    Waiting,
    /// A request may be under way that carries it.
    Swapping,
    Done(Result<Commit>),
    /// Nobody waits any more, and nothing was begun.
    Withdrawn,
}

impl Member {
    pub(crate) fn new(changes: Changeset) -> Arc<Member> {
        Arc::new(Member { changes, progress: Mutex::new(Progress::Waiting) })
    }

    fn result(&self) -> Option<Result<Commit>> {
        match &*self.progress.lock() {
            Progress::Done(result) => Some(result.clone()),
            _ => None,
        }
    }

    fn is_waiting(&self) -> bool {
        matches!(*self.progress.lock(), Progress::Waiting)
    }

    /// Whether it may be carried by a request now: nobody has withdrawn it.
    fn begin(&self) -> bool {
        let mut progress = self.progress.lock();
        let is_waiting = matches!(*progress, Progress::Waiting);
        if is_waiting {
            *progress = Progress::Swapping;
        }
        is_waiting
    }

    /// The request that carried it was not carried out.
    fn wait_again(&self) {
        let mut progress = self.progress.lock();
        if matches!(*progress, Progress::Swapping) {
            *progress = Progress::Waiting;
        }
    }

    fn finish(&self, result: Result<Commit>) {
        let mut progress = self.progress.lock();
        if matches!(*progress, Progress::Waiting | Progress::Swapping) {
            *progress = Progress::Done(result);
        }
    }

    /// What its caller is told who does not wait any longer.
    pub(crate) fn give_up(&self) -> Result<Commit> {
        let mut progress = self.progress.lock();
        match &*progress {
            Progress::Done(result) => result.clone(),
            Progress::Swapping if !mutant::is_on(Mutant::DenyWhatIsUnderWay) => {
                let message = "a request is under way, and its answer has not come until the time-out";
                Err(Error::new(ErrorKind::Indeterminate, message))
            }
            Progress::Waiting | Progress::Swapping | Progress::Withdrawn => {
                *progress = Progress::Withdrawn;
                Err(Error::new(ErrorKind::Locked, "others had their turns until the time-out; nothing was changed"))
            }
        }
    }
}

/// What the leader works on. It is here, not in the leader's future, so that the next leader
/// goes on when the leader's caller has dropped that.
#[derive(Default)]
pub(crate) struct Lead {
    /// Those that this turn is for.
    members: Vec<Arc<Member>>,
    flight: Option<Flight>,
    /// Objects that nothing needs any more since the last swap.
    replaced: Vec<String>,
    /// What was drawn for the last swap that was carried out.
    settled: Option<u64>,
    rounds: u32,
    /// What this handle has seen last is known to be old.
    must_read: bool,
    /// Turns that are still followed by a pause.
    pauses_left: u32,
    last_turn: Duration,
    not_before: Duration,
}

/// A swap that may be under way.
struct Flight {
    base: Option<Tag>,
    root: Root,
    body: Bytes,
    id: u64,
    tables: plan::Tables,
    verdicts: Vec<(Arc<Member>, Result<u64>)>,
    replaced: Vec<String>,
    /// Whether an answer was lost.
    in_doubt: bool,
    began: Duration,
}

impl Flight {
    fn new(
        base: &State,
        id: u64,
        next: plan::Next,
        verdicts: Vec<(Arc<Member>, Result<u64>)>,
        began: Duration,
    ) -> Flight {
        let (base, body) = (base.tag().cloned(), next.root.print());
        let plan::Next { root, tables, replaced, .. } = next;
        Flight { base, root, body, id, tables, verdicts, replaced, in_doubt: false, began }
    }
}

/// How a swap has ended.
enum Landed {
    /// It was carried out; the version is that of its root, unless others have followed already.
    Ours(Option<Tag>),
    /// Another machine was first.
    Lost,
    /// Nothing was carried out.
    Failed(Error),
    /// Nobody can know.
    Unknown(Error),
}

impl<B: Bucket> Inner<B> {
    /// Waits until `member` is done, and leads when nobody else does.
    pub(crate) async fn drive(&self, member: &Member) -> Result<Commit> {
        let mut lead = self.lead.lock().await;
        loop {
            if let Some(result) = member.result() {
                return result;
            }
            self.turn(&mut lead).await;
        }
    }

    /// One swap for all who wait, or the end of the one that another leader has begun.
    async fn turn(&self, lead: &mut Lead) {
        if lead.flight.is_none() {
            let now = self.bucket.now();
            if now < lead.not_before {
                // Clocks may be set: a pause is no longer for that.
                self.bucket.sleep(lead.not_before.saturating_sub(now).min(LONGEST_PAUSE)).await;
            }
            self.claim(lead);
            if let Err(error) = self.prepare(lead).await {
                lead.members.drain(..).for_each(|member| member.finish(Err(error.clone())));
            }
        }
        if lead.flight.is_some() {
            let _ = self.resolve_swap(lead).await;
        }
    }

    fn claim(&self, lead: &mut Lead) {
        lead.members.retain(|member| member.is_waiting());
        let mut queue = self.queue.lock();
        while lead.members.len() < MOST_MEMBERS {
            let Some(member) = queue.pop_front() else { break };
            if member.is_waiting() {
                lead.members.push(member);
            }
        }
    }

    /// Judges all members. Those that change something are in flight then; if none does, all are
    /// done.
    async fn prepare(&self, lead: &mut Lead) -> Result<()> {
        let mut is_fresh = false;
        let mut state = if lead.must_read { None } else { self.cached() };
        loop {
            let base = match state.take() {
                Some(state) => state,
                None => {
                    is_fresh = true;
                    let state = self.refresh().await?;
                    lead.must_read = false;
                    state
                }
            };
            let began = self.bucket.now();
            let id = self.bucket.random()?;
            let changes: Vec<&Changeset> = lead.members.iter().map(|member| &member.changes).collect();
            let Plan { verdicts, next } = plan::plan(&base, &changes, &self.context(lead, id))?;
            let verdicts = lead.members.iter().cloned().zip(verdicts);
            let Some(mut next) = next else {
                if !is_fresh && !mutant::is_on(Mutant::RefuseUponOldStates) {
                    continue;
                }
                for (member, verdict) in verdicts {
                    let commit = |update_index| Commit { update_index, rounds: lead.rounds, rescued: false };
                    member.finish(verdict.map(commit));
                }
                lead.members.clear();
                return Ok(());
            };
            let verdicts: Vec<_> = verdicts.collect();
            self.put_apart(&mut next).await?;
            // From here on a caller that gives up cannot know. One that has given up by now was
            // told that nothing happens: judge again, without it.
            let begun: Vec<bool> = verdicts.iter().map(|(member, _)| member.begin()).collect();
            if begun.contains(&false) {
                verdicts.iter().for_each(|(member, _)| member.wait_again());
                lead.members.retain(|member| member.is_waiting());
                if lead.members.is_empty() {
                    return Ok(());
                }
                state = Some(base);
                continue;
            }
            lead.members.clear();
            lead.flight = Some(Flight::new(&base, id, next, verdicts, began));
            return Ok(());
        }
    }

    /// What a plan needs to know beside the state.
    pub(crate) fn context(&self, lead: &Lead, id: u64) -> plan::Context<'_> {
        let author = Author { id, settled: lead.settled, now: self.bucket.now(), keep: self.options.keep() };
        plan::Context { place: &self.place, options: &self.options, author }
    }

    /// Writes the tables that are not inline. A name is never used twice: where there is an object
    /// already, be it our own whose answer was lost, the table gets another name.
    pub(crate) async fn put_apart(&self, next: &mut plan::Next) -> Result<()> {
        let mut pauses = Pauses::new();
        while let Some(table) = next.apart.first() {
            let key = self.place.key(&table.name);
            match self.bucket.swap(&key, table.bytes.clone(), None).await {
                Ok(Swap::Done(_)) => {
                    next.apart.remove(0);
                    next.written.push(key);
                }
                Ok(Swap::Refused) => next.rename_first(&self.place, self.bucket.random()?)?,
                Ok(Swap::Unknown(why)) => {
                    self.note_trouble(&Error::unavailable(why));
                    pauses.wait(&*self.bucket).await;
                    next.rename_first(&self.place, self.bucket.random()?)?;
                }
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    self.note_trouble(&error);
                    pauses.wait(&*self.bucket).await;
                }
                Err(error) => return Err(error.in_object(&key)),
            }
        }
        Ok(())
    }

    /// Sends the swap until it is known what became of it, and tells every member. Whether it was
    /// carried out, also if others have followed it since.
    async fn resolve_swap(&self, lead: &mut Lead) -> Result<bool> {
        let landed = self.land(lead).await;
        let Some(flight) = lead.flight.take() else { return Ok(false) };
        lead.rounds = lead.rounds.saturating_add(1);
        let now = self.bucket.now();
        self.trouble_is_over();
        lead.last_turn = now.saturating_sub(flight.began);
        match landed {
            Landed::Ours(tag) => {
                lead.settled = Some(flight.id);
                let is_followed = tag.is_none();
                let rounds = std::mem::take(&mut lead.rounds);
                let in_doubt = flight.in_doubt;
                self.written.fetch_max(flight.root.edition, Ordering::Release);
                for (member, verdict) in flight.verdicts {
                    let commit = |update_index| Commit { update_index, rounds, rescued: in_doubt };
                    member.finish(verdict.map(commit));
                }
                lead.replaced.extend(flight.replaced);
                let state = tag.and_then(|tag| {
                    let tables = flight.tables.0;
                    State::new(flight.root, tag, tables, self.options.hash, flight.began).ok()
                });
                match state {
                    Some(state) => drop(self.keep(state)),
                    None => lead.must_read = true,
                }
                if lead.pauses_left > 0 {
                    lead.pauses_left -= 1;
                    let turn = lead.last_turn.min(LONGEST_PAUSE);
                    let pause = jittered(turn, self.bucket.random().unwrap_or_default());
                    lead.not_before = now.saturating_add(pause);
                }
                Ok(!(is_followed && mutant::is_on(Mutant::TakeFollowedForLost)))
            }
            Landed::Lost => {
                lead.pauses_left = TURNS_WITH_PAUSE;
                lead.must_read = true;
                for (member, _) in flight.verdicts {
                    member.wait_again();
                    lead.members.push(member);
                }
                Ok(false)
            }
            Landed::Failed(error) | Landed::Unknown(error) => {
                lead.rounds = 0;
                lead.must_read = true;
                for (member, _) in flight.verdicts {
                    member.finish(Err(error.clone()));
                }
                Err(error)
            }
        }
    }

    /// Ends what an earlier leader has begun.
    pub(crate) async fn finish_flight(&self, lead: &mut Lead) {
        while lead.flight.is_some() {
            let _ = self.resolve_swap(lead).await;
        }
    }

    /// Replaces the root for nobody's commit, such as a compaction's; whether it was carried out.
    /// The caller holds `lead`, in which nothing is in flight.
    pub(crate) async fn swap(&self, lead: &mut Lead, base: &State, id: u64, next: plan::Next) -> Result<bool> {
        lead.flight = Some(Flight::new(base, id, next, Vec::new(), self.bucket.now()));
        self.resolve_swap(lead).await
    }

    /// How the swap ends.
    ///
    /// An answer that is lost, and what may have happened:
    /// 1. We send edition *n* upon version *v* of the root, and hear nothing.
    /// 2. It was carried out, or will be, or never will. Another machine may have followed it with
    ///    *n + 1*, which merged our table away, or may have been first with its own *n*.
    /// 3. We send the same bytes again. At most one of all those requests finds version *v*.
    /// 4. Refused: the root is of another version, and no request of this process can find *v* any
    ///    more. It tells which committer has written *n*.
    async fn land(&self, lead: &mut Lead) -> Landed {
        let key = self.place.root();
        let mut pauses = Pauses::new();
        loop {
            let replaced = std::mem::take(&mut lead.replaced);
            let Some(flight) = &mut lead.flight else { return Landed::Lost };
            let swap = self.bucket.swap(&key, flight.body.clone(), flight.base.as_ref());
            let was_in_doubt = std::mem::replace(&mut flight.in_doubt, true);
            let (answer, ()) = futures_lite::future::zip(swap, self.delete_all(&replaced)).await;
            match answer {
                Ok(Swap::Done(tag)) => {
                    flight.in_doubt = was_in_doubt;
                    return Landed::Ours(Some(tag));
                }
                Ok(Swap::Refused) => {
                    flight.in_doubt = was_in_doubt;
                    match self.who_was_it(flight).await {
                        Ok(Some(landed)) => return landed,
                        Ok(None) => {}
                        Err(error) if error.kind() == ErrorKind::Unavailable => self.note_trouble(&error),
                        Err(error) if was_in_doubt => return Landed::Unknown(unknown(&error)),
                        Err(error) => return Landed::Failed(error),
                    }
                }
                Ok(Swap::Unknown(_)) if mutant::is_on(Mutant::RepeatWithOtherBytes) => return Landed::Lost,
                Ok(Swap::Unknown(why)) => self.note_trouble(&Error::unavailable(why)),
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    flight.in_doubt = was_in_doubt;
                    self.note_trouble(&error);
                }
                Err(error) if was_in_doubt => return Landed::Unknown(unknown(&error)),
                Err(error) => return Landed::Failed(error.in_object(&key)),
            }
            pauses.wait(&*self.bucket).await;
        }
    }

    /// After a refusal: whether the edition in flight is there all the same. `None` if the root is
    /// as if nothing had been sent, which a store that refuses does not do: then it is sent again.
    async fn who_was_it(&self, flight: &Flight) -> Result<Option<Landed>> {
        if mutant::is_on(Mutant::TrustRefusal) {
            return Ok(Some(Landed::Lost));
        }
        let Some((root, tag)) = self.newest_root().await? else {
            return match flight.base {
                None => Ok(None),
                Some(_) => Err(Error::new(ErrorKind::Missing, "the store was there, and is gone")),
            };
        };
        match (&flight.base, root.store == flight.root.store) {
            // The number of a store is that of its first edition: it is ours.
            (None, true) => return Ok(Some(Landed::Ours((root.edition == 1).then_some(tag)))),
            // Another machine has made the store meanwhile.
            (None, false) => return Ok(Some(Landed::Lost)),
            (Some(_), false) => {
                let cause = Error::corrupt("another store was put into its place");
                return Ok(Some(Landed::Unknown(unknown(&cause))));
            }
            (Some(_), true) => {}
        }
        if mutant::is_on(Mutant::LookAtTablesOnly) {
            let is_listed = flight.root.tables.last().is_some_and(|ours| root.tables.contains(ours));
            return Ok(Some(if is_listed { Landed::Ours(None) } else { Landed::Lost }));
        }
        Ok(match root.history.writer_of(flight.root.edition, flight.id) {
            Writer::Oneself => {
                let is_newest = root.edition == flight.root.edition;
                Some(Landed::Ours(is_newest.then_some(tag)))
            }
            Writer::Another => Some(Landed::Lost),
            Writer::NotYet => None,
            Writer::Forgotten => {
                Some(Landed::Unknown(unknown(&Error::corrupt("the store remembers its past too shortly"))))
            }
        })
    }

    /// Deletes objects that no root names any more. What fails is left for cleaning.
    pub(crate) async fn delete_all(&self, keys: &[String]) {
        for key in keys {
            let _ = self.bucket.delete(key).await;
        }
    }
}

fn unknown(cause: &Error) -> Error {
    let message = format!("an answer was lost, and it cannot be known whether the commit has happened: {cause}");
    Error::new(ErrorKind::Indeterminate, message)
}
