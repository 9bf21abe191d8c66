//! One session with a driver: chooses what is to be done, has it done, and writes down what it was
//! told.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::args::RefFormat;
use super::dialect::{Change, Dialect, Reply, list};
use super::program::{Program, Silence, shown};
use super::slot::Slot;
use super::{Bench, Driver, locks};
use crate::judge::claims::Claim;
use crate::judge::event::{Kind, MicroOp};
use crate::names::{ACCOUNTS, PREFIX, account, own};
use crate::object::Mint;
use crate::pack::write_loose;

/// References of its own.
const OWN: u32 = 8;
/// A program is ended after so many transactions at most, and another one started.
const LONGEST: u32 = 64;
/// A session that was refused tries again so much later.
const AGAIN: Duration = Duration::from_millis(2);
/// A driver that was never heard is given up after so many starts; one that is silent counts for
/// [`SILENT`].
const HOPELESS: u32 = 50;
/// See [`HOPELESS`].
const SILENT: u32 = 25;

/// What references point at, as far as is known; those that are missing are absent.
type Known = BTreeMap<String, String>;

/// See the module.
pub(crate) struct Session<'a> {
    bench: &'a Bench,
    driver: &'a Driver,
    slot: &'a Slot,
    rng: fastrand::Rng,
    mint: Mint,
    process: u64,
    program: Option<Program>,
    /// Transactions until the program is ended.
    left: u32,
    /// What its own references point at; `None` where it has to look.
    known: Option<Known>,
    hopeless: u32,
}

impl<'a> Session<'a> {
    pub(crate) fn new(bench: &'a Bench, driver: &'a Driver, slot: &'a Slot, seed: u64) -> Session<'a> {
        Session {
            bench,
            driver,
            slot,
            rng: fastrand::Rng::with_seed(seed),
            mint: Mint::new(bench.hash, &slot.name),
            process: bench.recorder.client(),
            program: None,
            left: 0,
            known: None,
            hopeless: 0,
        }
    }

    /// Works until the time is over.
    pub(crate) fn work(mut self) -> Result<()> {
        while Instant::now() < self.bench.end && !self.bench.is_given_up() {
            match self.rng.u32(..10) {
                0..=3 => self.transfer()?,
                4..=7 => self.own_change()?,
                _ => drop(self.read()?),
            }
        }
        self.end_program()
    }

    /// Reads all accounts and its own references.
    fn read(&mut self) -> Result<Option<Known>> {
        let names: Vec<String> = (0..ACCOUNTS).map(account).chain((0..OWN).map(|number| self.own(number))).collect();
        let read = |value: &dyn Fn(&str) -> Option<String>| -> Vec<MicroOp> {
            names.iter().map(|name| MicroOp::Read { name: name.clone(), value: value(name) }).collect()
        };
        let before = self.process;
        let was_heard = self.driver.was_heard.load(Ordering::Relaxed);
        self.record(Kind::Invoke, read(&|_| None), None)?;
        match self.list() {
            Ok(found) => {
                if !was_heard && !(0..ACCOUNTS).map(account).any(|name| found.contains_key(&name)) {
                    self.sees_nothing();
                }
                self.bench.recorder.transaction(
                    Kind::Ok,
                    (before, &self.slot.name),
                    read(&|name| found.get(name).cloned()),
                    None,
                )?;
                let mine = own(&self.slot.name, "");
                self.known = Some(found.iter().filter(|(name, _)| name.starts_with(&mine)).map(owned).collect());
                Ok(Some(found))
            }
            Err(error) => {
                let reads = read(&|_| None);
                self.bench.recorder.transaction(Kind::Fail, (before, &self.slot.name), reads, Some(error))?;
                thread::sleep(AGAIN);
                Ok(None)
            }
        }
    }

    /// The first that is heard of a driver is that it has none of the references that it has found.
    /// It has a store elsewhere: whatever it does there would be judged as loss.
    fn sees_nothing(&self) {
        let command = &self.driver.command;
        self.bench.give_up(match self.bench.ref_format {
            RefFormat::Own => format!(
                "`{command}` does not see what `opening` was told is there: all sessions need one store, below \
                 STRESS_GIT_DIR"
            ),
            _ => format!(
                "`{command}` does not see the references that git has made in the repository. A store of its own, \
                 which git does not read, is judged with --ref-format own"
            ),
        });
    }

    /// All references, by whatever reads for this driver.
    fn list(&mut self) -> Result<Known, String> {
        if self.driver.dialect == Dialect::UpdateRef {
            let found = self.driver.reader.list(self.bench);
            return found.inspect_err(|error| self.bench.broken(Claim::Sound, format!("a reading failed: {error}")));
        }
        self.start().map_err(|error| format!("{error:#}"))?;
        let until = Instant::now() + self.bench.patience;
        let Some(program) = &mut self.program else { return Err("nothing runs".to_owned()) };
        let found = list(program, PREFIX, until);
        if let Err(said) = &found {
            let said = said.clone();
            if self.end_after(&format!("list: {said}")).map_err(|error| format!("{error:#}"))? {
                return Err("killed".to_owned());
            }
            self.bench.broken(Claim::Sound, format!("{}: a reading failed: {said}", self.slot.name));
        } else {
            self.heard();
        }
        found
    }

    /// Takes two accounts further at once, from where they were read.
    fn transfer(&mut self) -> Result<()> {
        let Some(found) = self.read()? else { return Ok(()) };
        let one = self.rng.u8(..ACCOUNTS);
        let other = (one + self.rng.u8(1..ACCOUNTS)) % ACCOUNTS;
        let mut changes = Vec::new();
        for name in [account(one), account(other)] {
            // What is missing is found by the judge.
            let Some(old) = found.get(&name).cloned() else { return Ok(()) };
            changes.push(Change { name, old: Some(old), new: Some(self.mint()?) });
        }
        self.transact(changes)
    }

    /// Creates, moves or deletes one of its own references, or three at once.
    fn own_change(&mut self) -> Result<()> {
        if self.known.is_none() && self.read()?.is_none() {
            return Ok(());
        }
        let known = self.known.clone().unwrap_or_default();
        let (first, count) = (self.rng.u32(..OWN), if self.rng.u32(..4) == 0 { 3 } else { 1 });
        let mut changes = Vec::new();
        for number in (first..).take(count) {
            let name = self.own(number % OWN);
            let old = known.get(&name).cloned();
            let deletes = old.is_some() && self.rng.u32(..4) == 0;
            let new = if deletes { None } else { Some(self.mint()?) };
            changes.push(Change { name, old, new });
        }
        self.transact(changes)
    }

    fn transact(&mut self, changes: Vec<Change>) -> Result<()> {
        let swaps = || changes.iter().map(swap).collect::<Vec<_>>();
        if let Err(error) = self.start() {
            self.bench.give_up(format!("{error:#}"));
            return Ok(());
        }
        let Some(program) = &mut self.program else { return Ok(()) };
        let (slot, until) = (self.slot, Instant::now() + self.bench.patience);
        self.bench.recorder.transaction(Kind::Invoke, (self.process, &slot.name), swaps(), None)?;
        let dialect = self.driver.dialect;
        let reply = dialect.transact(program, &changes, until, |phase| slot.is_at(phase));
        self.left = self.left.saturating_sub(1);
        match reply {
            Reply::Done => {
                self.record(Kind::Ok, swaps(), None)?;
                self.heard();
                self.remember(&changes);
                if self.left == 0 { self.end_program() } else { Ok(()) }
            }
            Reply::Refused(said) => {
                self.heard();
                self.refused(&changes, Some(said))
            }
            Reply::NeverTold(silence) => {
                let said = if silence == Silence::TooLong { "no answer" } else { "ended" };
                let was_killed = self.end_after(said)?;
                self.refused(&changes, was_killed.then(|| "killed".to_owned()))
            }
            Reply::Unknown(silence) => {
                let said = if silence == Silence::TooLong { "no answer" } else { "ended" };
                let was_killed = self.end_after(said)?;
                self.unknown(swaps(), if was_killed { "killed" } else { said })
            }
            Reply::Unsure(said) => {
                self.heard();
                self.unknown(swaps(), &format!("unknown {said}"))
            }
            Reply::Nonsense(line) => {
                let said = format!("{line:?} is no answer");
                self.end_after(&said)?;
                self.unknown(swaps(), &said)
            }
        }
    }

    /// Nothing was done. Why is not taken from words: it is looked.
    fn refused(&mut self, changes: &[Change], why: Option<String>) -> Result<()> {
        let killed = why.as_deref() == Some("killed");
        // Its completion comes before the reading that follows, for which it is the same process.
        let lock = locks::locks(self.bench).into_keys().next();
        let swaps = changes.iter().map(swap).collect();
        let why = if killed { "killed".to_owned() } else { self.look(changes, lock.is_some()) };
        self.record(Kind::Fail, swaps, Some(why))?;
        thread::sleep(AGAIN);
        Ok(())
    }

    /// Whether what was expected still holds, or another process had a lock.
    fn look(&mut self, changes: &[Change], was_locked: bool) -> String {
        let Ok(found) = self.list() else { return "refused".to_owned() };
        let differs = changes.iter().any(|change| found.get(&change.name) != change.old.as_ref());
        if differs && changes.iter().all(|change| change.name.starts_with(&own(&self.slot.name, ""))) {
            self.known = None;
        }
        match (differs, was_locked) {
            (true, _) => "conflict",
            (false, true) => "locked",
            (false, false) => "refused",
        }
        .to_owned()
    }

    fn unknown(&mut self, swaps: Vec<MicroOp>, why: &str) -> Result<()> {
        self.record(Kind::Info, swaps, Some(why.to_owned()))?;
        // In histories a process ends with what nobody knows.
        self.process = self.bench.recorder.client();
        self.slot.works_for(self.process);
        self.known = None;
        Ok(())
    }

    fn record(&self, kind: Kind, micro_ops: Vec<MicroOp>, error: Option<String>) -> Result<()> {
        self.bench.recorder.transaction(kind, (self.process, &self.slot.name), micro_ops, error)
    }

    fn remember(&mut self, changes: &[Change]) {
        let Some(known) = &mut self.known else { return };
        for change in changes {
            match &change.new {
                Some(new) => drop(known.insert(change.name.clone(), new.clone())),
                None => drop(known.remove(&change.name)),
            }
        }
    }

    /// A new id, of a commit that is there.
    fn mint(&mut self) -> Result<String> {
        let minted = self.mint.plain();
        write_loose(&self.bench.git_dir(), self.bench.hash, &minted.text)?;
        Ok(minted.id.to_string())
    }

    fn own(&self, number: u32) -> String {
        own(&self.slot.name, &format!("counter-{number}"))
    }

    /// It has answered, and nothing is in flight any more.
    fn heard(&mut self) {
        self.hopeless = 0;
        self.driver.was_heard.store(true, Ordering::Relaxed);
        self.slot.is_over();
    }

    /// Has a program run, if none does.
    fn start(&mut self) -> Result<()> {
        if self.program.is_none() {
            let errors = self.bench.errors_of(&self.slot.name);
            let repository = self.bench.layout.work_tree();
            let program = Program::start(&self.driver.command, &self.slot.name, &repository, &errors)?;
            if let Some(group) = program.group() {
                self.slot.fill(group, self.process);
            }
            self.left = self.rng.u32(1..=LONGEST);
            self.program = Some(program);
        }
        Ok(())
    }

    fn end_program(&mut self) -> Result<()> {
        self.slot.empty();
        if let Some(program) = self.program.take() {
            program.end()?;
        }
        Ok(())
    }

    /// Ends a program that did not answer. Returns whether chaos has killed it. One that ends so
    /// again and again before it has answered anything is no driver.
    fn end_after(&mut self, said: &str) -> Result<bool> {
        if said.contains("no answer")
            && let Some(program) = &self.program
        {
            program.kill();
        }
        // It is in its slot until here: a kill of it cannot meet another process.
        let was_killed = self.slot.empty();
        let Some(program) = self.program.take() else { return Ok(was_killed) };
        let status = program.end()?;
        if was_killed {
            return Ok(true);
        }
        if !said.contains("no answer") && status.code().is_none() {
            let name = &self.slot.name;
            self.bench.broken(Claim::Sound, format!("{name} ended with {}, which nobody here sent", shown(status)));
        }
        self.hopeless += if said.contains("no answer") { SILENT } else { 1 };
        if self.hopeless >= HOPELESS && !self.driver.was_heard.load(Ordering::Relaxed) {
            let last = self.bench.last_words(&self.slot.name);
            let (command, status) = (&self.driver.command, shown(status));
            self.bench.give_up(format!("`{command}` is no driver: {said} ({status}). It said: {last}"));
        }
        Ok(false)
    }
}

fn owned((name, id): (&String, &String)) -> (String, String) {
    (name.clone(), id.clone())
}

fn swap(change: &Change) -> MicroOp {
    MicroOp::Swap { name: change.name.clone(), old: change.old.clone(), new: change.new.clone() }
}
