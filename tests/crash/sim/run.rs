//! Runs what processes do, and checks at every change what readers see: either what they saw
//! before, or that with exactly one transaction more, one that the changing process is at. So the
//! order of transactions is found, not assumed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use reftable::compact::{Compact, Compaction, Expiry};
use reftable::{Commit, Durability, Error, ErrorKind, Options, Replaced, Snapshot, Stack, Transaction};
use reftable_crash::{Entry, Name, Op, Pid, Tree};

use super::check::{self, Broken, Seen, State, broken};
use super::dir::SimDir;
use super::mend::Damage;
use super::mutants;
use super::world::{self, World};
use crate::support;
use crate::support::model::{Change, Model};
use reftable::merge::{Merged, Tombstones};

/// The process that only reads.
const READER: Pid = 80;
/// Simulated git processes have numbers from here on.
pub(crate) const GIT: Pid = 50;

/// A run, to be crashed anywhere.
pub(crate) struct Recording {
    pub(crate) base: Tree,
    /// The run of the machine in which it was made.
    pub(crate) boot: u64,
    pub(crate) log: Vec<Entry>,
    /// All states that were published, the first one first.
    pub(crate) history: Vec<State>,
    /// What went wrong without any power failure, and after how many changes.
    pub(crate) broken: Vec<(usize, Broken)>,
    /// Crashes come only where at least this state was acknowledged: of what is lost before,
    /// nothing can be said.
    pub(crate) least_acknowledged: usize,
    /// The store is damaged, and until a repair was acknowledged a process that finds it may have
    /// to repair it (again).
    pub(crate) damage: Option<Damage>,
    /// Tables that no list names, and that must stay.
    pub(crate) must_stay: Vec<(Name, Arc<Vec<u8>>)>,
    /// Calls have failed, perhaps that of a successor who would have proven that nobody needs a
    /// table.
    pub(crate) may_leave_tables: bool,
}

/// What a process is at.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    Commit(Vec<Change>),
    /// Several transactions at once. At least one of them fits.
    Group(Vec<Vec<Change>>),
    Compact(Expiry),
}

impl Deed {
    pub(super) fn applied_to(&self, model: &Model) -> Option<Model> {
        let mut model = model.clone();
        self.apply(&mut model).map(|_| model)
    }

    /// Returns the update index that a commit has then.
    fn apply(&self, model: &mut Model) -> Option<u64> {
        match self {
            Deed::Commit(changes) => return model.commit(changes, Some(&reflog())).ok(),
            Deed::Group(group) => group.iter().for_each(|changes| drop(model.commit(changes, Some(&reflog())))),
            Deed::Compact(expiry) => model.expire(expiry.before_time, expiry.before_update_index),
        }
        Some(model.update_index)
    }
}

/// What a deed led to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    /// The number of the state.
    state: usize,
    /// That of the deed, if it is a commit.
    update_index: u64,
}

fn reflog() -> (reftable::Ident, Vec<u8>) {
    (support::ident(), b"reflog".to_vec())
}

#[derive(Default)]
struct Record {
    history: Vec<State>,
    /// The deed of each process, and what it led to.
    under_way: BTreeMap<Pid, (Deed, Option<Done>)>,
    /// What each process has found when its deed was done.
    before: BTreeMap<Pid, Model>,
    /// The processes whose commits others may do along with their own.
    asking: BTreeSet<Pid>,
    /// The processes whose calls fail, or who cannot be told what became of what they asked for.
    failing: BTreeSet<Pid>,
    broken: Vec<(usize, Broken)>,
    kept: Vec<(Snapshot, Seen)>,
}

impl Record {
    /// The processes whose deeds one change of `pid` may be, in their order: its own, and those of
    /// any who ask.
    fn may_be_done_by(&self, pid: Pid) -> Vec<Vec<Pid>> {
        let is_open = |pid: &Pid| matches!(self.under_way.get(pid), Some((_, None)));
        if !is_open(&pid) {
            return Vec::new();
        }
        let others: Vec<Pid> = self.asking.iter().copied().filter(|other| *other != pid && is_open(other)).collect();
        // Its own may be refused, and theirs not.
        let (mut groups, mut from) = (vec![vec![pid], Vec::new()], 0);
        while from < groups.len() {
            let group = groups[from].clone();
            let more = others.iter().filter(|other| !group.contains(other));
            groups.extend(more.map(|other| [group.as_slice(), &[*other]].concat()));
            from += 1;
        }
        groups.retain(|group| !group.is_empty());
        groups
    }

    /// Notes what each of these processes, in their order, found: the first of them `model`.
    fn note_before(&mut self, pids: &[Pid], mut model: Model) {
        for pid in pids {
            self.before.insert(*pid, model.clone());
            self.under_way[pid].0.apply(&mut model);
        }
    }

    /// The state after the deeds of these processes, if all of them fit, and the update index of
    /// each.
    fn applied(&self, pids: &[Pid], model: &Model) -> Option<(Model, Vec<u64>)> {
        let mut model = model.clone();
        let indexes = pids.iter().map(|pid| self.under_way[pid].0.apply(&mut model)).collect::<Option<_>>()?;
        Some((model, indexes))
    }
}

/// A run that is going on.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) world: World,
    base: Arc<Tree>,
    record: Arc<Mutex<Record>>,
}

impl Run {
    /// Starts from a tree that is durable as a whole.
    pub(crate) fn start(base: &(Tree, Model)) -> Run {
        Self::start_in(base, 1)
    }

    /// The same in another run of the machine.
    pub(crate) fn start_in(base: &(Tree, Model), boot: u64) -> Run {
        let world = World::new(base.0.clone(), boot);
        let history = vec![State::new(base.1.clone())];
        let record = Arc::new(Mutex::new(Record { history, ..Record::default() }));
        let run = Run { world, base: Arc::new(base.0.clone()), record };
        let reader = check::open(&run.world.process(READER), check::options()).unwrap();
        let watching = run.clone();
        run.world.watch(Some(Arc::new(move |pid, op| watching.saw(pid, op, &reader))));
        mutants::activate();
        run
    }

    pub(crate) fn finish(self) -> Recording {
        mutants::deactivate();
        self.world.watch(None);
        let mut record = std::mem::take(&mut *self.record());
        let log = self.world.log();
        for (snapshot, seen) in &record.kept {
            if Seen::of(snapshot).ok().as_ref() != Some(seen) {
                record.broken.push((log.len(), broken('C', "a snapshot has changed")));
            }
        }
        let Record { history, broken, failing, .. } = record;
        Recording {
            base: (*self.base).clone(),
            boot: self.world.boot(),
            log,
            history,
            broken,
            least_acknowledged: 0,
            damage: None,
            must_stay: Vec::new(),
            may_leave_tables: !failing.is_empty(),
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn report(&self, broken: Broken) {
        let so_far = self.world.log().len();
        self.record().broken.push((so_far, broken));
    }

    /// Checks what readers see after a change, and returns the number of the newest published
    /// state.
    fn saw(&self, pid: Pid, op: &Op, reader: &Stack) -> usize {
        if world::matters_to_readers(op) {
            if let Err(found) = self.compare(pid, check::read(&self.world)) {
                self.report(found);
            }
            self.look_again(reader);
        }
        self.record().history.len() - 1
    }

    fn compare(&self, pid: Pid, seen: Result<Seen, Error>) -> Result<(), Broken> {
        let seen = seen.map_err(|error| broken('B', format!("a reader fails: {error}")))?;
        let mut record = self.record();
        let last = record.history.last().unwrap();
        if last.seen == seen {
            return Ok(());
        }
        let last = last.clone();
        for pids in record.may_be_done_by(pid) {
            if let Some((model, indexes)) = record.applied(&pids, &last.model)
                && Seen::of_model(&model) == seen
            {
                let state = record.history.len();
                record.note_before(&pids, last.model);
                for (pid, update_index) in pids.iter().zip(indexes) {
                    record.under_way.get_mut(pid).unwrap().1 = Some(Done { state, update_index });
                }
                record.history.push(State::new(model));
                return Ok(());
            }
        }
        let last = last.seen.summary();
        Err(broken('B', format!("a reader saw [{last}], and then [{}]", seen.summary())))
    }

    /// What a reader sees that was there before.
    fn look_again(&self, reader: &Stack) {
        let expected = self.record().history.last().unwrap().seen.clone();
        let snapshot = reader.snapshot();
        match snapshot.as_ref().map(|snapshot| (snapshot.clone(), Seen::of(snapshot))) {
            Ok((snapshot, Ok(seen))) if seen == expected => self.record().kept.push((snapshot, seen)),
            Ok((_, Ok(seen))) => self.report(broken('D', format!("a reader went back to [{}]", seen.summary()))),
            Ok((_, Err(error))) => self.report(broken('B', format!("an old reader fails: {error}"))),
            Err(error) => self.report(broken('B', format!("an old reader fails: {error}"))),
        }
    }

    /// From now on what the process does may fail, or be of unknown outcome.
    pub(crate) fn may_fail(&self, pid: Pid) {
        self.record().failing.insert(pid);
    }

    pub(crate) fn model(&self) -> Model {
        self.record().history.last().unwrap().model.clone()
    }

    /// A process with its own handle.
    pub(crate) fn actor(&self, pid: Pid, durability: Durability, options: Options) -> Actor {
        self.actor_with(pid, durability, options, check::open)
    }

    /// As [`Self::actor`], with a handle that `open` opens.
    pub(crate) fn actor_with(
        &self,
        pid: Pid,
        durability: Durability,
        options: Options,
        open: fn(&Arc<SimDir>, Options) -> Result<Stack, Error>,
    ) -> Actor {
        let dir = self.world.process(pid);
        let stack = open(&dir, options.durability(durability)).unwrap();
        let is_durable = durability == Durability::Full;
        Actor { run: self.clone(), pid, dir, stack, is_durable, may_be_locked: false, is_told_values: false }
    }

    /// Runs a deed of a process, and judges its outcome. Returns the state it led to besides.
    pub(crate) fn perform<T>(
        &self,
        pid: Pid,
        deed: &Deed,
        (is_durable, may_be_locked): (bool, bool),
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Option<(T, Option<Done>)> {
        self.record().under_way.insert(pid, (deed.clone(), None));
        let result = work();
        let (_, done) = self.record().under_way.remove(&pid).unwrap();
        if self.world.is_dead(pid) {
            return None;
        }
        let published = self.world.log().last().map_or(0, |last| last.published);
        match result {
            Ok(value) => {
                let state = done.map(|done| done.state);
                let state = match deed {
                    Deed::Commit(_) | Deed::Group(_) => state,
                    Deed::Compact(_) => state.or(Some(published)),
                };
                if state.is_none() {
                    self.report(broken('A', "a commit returned Ok, and readers do not see it"));
                }
                self.world.acknowledge(pid, name_of(deed), state.filter(|_| is_durable));
                Some((value, done))
            }
            Err(error) => {
                self.judge(pid, deed, &error, done.is_some(), may_be_locked);
                None
            }
        }
    }

    fn judge(&self, pid: Pid, deed: &Deed, error: &Error, is_published: bool, may_be_locked: bool) {
        let may_fail = self.record().failing.contains(&pid);
        if may_fail && error.kind() == ErrorKind::Indeterminate {
            return;
        }
        if is_published {
            self.report(broken('B', format!("published, and then: {error}")));
        }
        let is_refused = || deed.applied_to(&self.model()).is_none();
        let is_fine = match error.kind() {
            // A compaction may come second, but never lose what it has locked.
            ErrorKind::Locked => may_be_locked && !error.to_string().contains("in spite of their locks"),
            ErrorKind::Conflict => is_refused(),
            ErrorKind::Io => may_fail,
            _ => false,
        };
        if !is_fine {
            let claim = if error.kind() == ErrorKind::Conflict { 'C' } else { 'E' };
            self.report(broken(claim, format!("an operation failed: {error}")));
        }
    }
}

fn name_of(deed: &Deed) -> &'static str {
    match deed {
        Deed::Commit(_) => "commit",
        Deed::Group(_) => "commit together",
        Deed::Compact(_) => "compact",
    }
}

/// A process of this library.
pub(crate) struct Actor {
    run: Run,
    pub(crate) pid: Pid,
    dir: Arc<SimDir>,
    pub(crate) stack: Stack,
    is_durable: bool,
    /// Another process may hold a lock and not move.
    may_be_locked: bool,
    /// It asks for the values that its commits replace.
    is_told_values: bool,
}

impl Actor {
    /// For a process that runs while another stands still.
    pub(crate) fn beside_others(mut self) -> Actor {
        self.may_be_locked = true;
        self
    }

    /// For a process whose calls fail, or that may be a follower of one with such calls. What it is
    /// told must be true all the same.
    pub(crate) fn failing(self) -> Actor {
        self.run.may_fail(self.pid);
        self
    }

    /// For a process that may ask others to commit for it.
    pub(crate) fn asking(self) -> Actor {
        self.run.record().asking.insert(self.pid);
        self.beside_others()
    }

    /// For a process whose commits must be told which values they have replaced.
    pub(crate) fn told_values(mut self) -> Actor {
        self.is_told_values = true;
        self
    }

    pub(crate) fn commit(&self, changes: Vec<Change>) {
        let tx = self.transaction(&changes);
        let Some((commit, done)) = self.perform(&Deed::Commit(changes.clone()), || tx.commit()) else { return };
        self.judge_values(&changes, commit.replaced.as_deref());
        if let Some(done) = done.filter(|done| done.update_index != commit.update_index) {
            let (told, expected) = (commit.update_index, done.update_index);
            self.run.report(broken('C', format!("a commit was told {told} instead of {expected}")));
        }
        self.judge_compaction(commit.compaction);
    }

    /// Several transactions at once, each of which gets what the model says.
    pub(crate) fn commit_all(&self, group: Vec<Vec<Change>>) {
        let transactions: Vec<_> = group.iter().map(|changes| self.transaction(changes)).collect();
        let work = || unless_all_failed(self.stack.commit_all(transactions));
        let done = self.perform(&Deed::Group(group.clone()), work);
        let Some((results, Some(Done { state, .. }))) = done else { return };
        let mut model = self.run.record().history[state - 1].model.clone();
        for (changes, result) in group.iter().zip(results) {
            let expected = model.commit(changes, Some(&reflog())).ok();
            let told = result.as_ref().ok().map(|commit| commit.update_index);
            if told != expected {
                self.run.report(broken('C', format!("a member was told {told:?} instead of {expected:?}")));
            }
            self.judge_compaction(result.ok().and_then(|commit| commit.compaction));
        }
    }

    fn transaction(&self, changes: &[Change]) -> Transaction {
        let mut tx = self.stack.transaction();
        for change in changes.iter().cloned() {
            match change {
                Change::Set(name, expect, target) => tx.set(name, expect, target),
                Change::Delete(name, expect) => tx.delete(name, expect),
                Change::Verify(name, expect) => tx.verify(name, expect),
                Change::AppendLog(name, entry) => tx.append_log(name, entry),
                Change::DeleteLogEntry(name, update_index) => tx.delete_log_entry(name, update_index),
                Change::DeleteLog(name) => tx.delete_log(name),
            };
        }
        let (ident, message) = reflog();
        tx.reflog(ident, message);
        if self.is_told_values {
            tx.report_replaced();
        }
        tx
    }

    fn judge_values(&self, changes: &[Change], told: Option<&[Replaced]>) {
        let before = self.run.record().before.get(&self.pid).cloned();
        let Some(before) = before.filter(|_| self.is_told_values) else { return };
        let target = |name: &Vec<u8>| before.refs.get(name).map(|(_, target)| target.clone());
        let mut expected: Vec<_> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Set(name, ..) | Change::Delete(name, _) => Some((name.clone(), target(name))),
                _ => None,
            })
            .collect();
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        let told = told.map(|told| told.iter().map(|one| (one.name.clone(), one.target.clone())).collect::<Vec<_>>());
        if told.as_ref() != Some(&expected) {
            self.run
                .report(broken('C', format!("a commit was told to have replaced {told:?} instead of {expected:?}")));
        }
    }

    fn judge_compaction(&self, compaction: Option<Result<Compaction, Error>>) {
        if let Some(Err(error)) = compaction
            && !self.run.world.is_dead(self.pid)
        {
            self.run.report(broken('E', format!("the automatic compaction failed: {error}")));
        }
    }

    pub(crate) fn compact(&self, expiry: Expiry) {
        let done = self.perform(&Deed::Compact(expiry.clone()), || self.stack.compact(Compact::All { expiry }));
        let Some(done) = done.and_then(|(done, _)| done) else { return };
        if !done.leftovers.is_empty() {
            self.run.report(broken('F', format!("left over: {:?}", done.leftovers)));
        }
        if has_tombstones(&self.stack).unwrap_or(false) {
            self.run.report(broken('F', "a tombstone is left, and nothing lies below it"));
        }
    }

    fn perform<T>(&self, deed: &Deed, work: impl FnOnce() -> Result<T, Error>) -> Option<(T, Option<Done>)> {
        self.run.perform(self.pid, deed, (self.is_durable, self.may_be_locked), work)
    }
}

/// Whether the oldest table has any.
fn has_tombstones(stack: &Stack) -> Result<bool, Error> {
    let oldest = Merged::new(stack.snapshot()?.tables().iter().take(1).cloned().collect());
    let (mut refs, mut logs) = (oldest.refs(b"", Tombstones::Show)?, oldest.logs(b"", Tombstones::Show)?);
    while let Some(record) = refs.next()? {
        if record.target.is_none() {
            return Ok(true);
        }
    }
    while let Some(record) = logs.next()? {
        if record.entry.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A conflict is one member's; any other error is that of all members.
fn unless_all_failed(results: Vec<Result<Commit, Error>>) -> Result<Vec<Result<Commit, Error>>, Error> {
    match results.iter().position(|r| r.as_ref().is_err_and(|error| error.kind() != ErrorKind::Conflict)) {
        Some(failed) => results.into_iter().nth(failed).unwrap().map(|_| Vec::new()),
        None => Ok(results),
    }
}
