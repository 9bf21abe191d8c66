//! A conversation as `update-ref --stdin` has it: records come in, answers go out.

use std::io::BufRead;

use reftable::{Commit, Ident};

use super::protocol::{self, Command, Fields};
use super::{Batch, Change, Prepared, Refusal, refusal};
use crate::error::{Error, ErrorKind, Result};
use crate::rev::Revisions;
use crate::stores::Stores;
use crate::view::View;

/// How a [`Session`] reads, and what holds for all that it changes.
#[derive(Debug)]
#[non_exhaustive]
pub struct SessionOptions {
    /// How the fields of the input end.
    pub fields: Fields,
    /// Whether names are meant themselves, be they symbolic.
    pub no_deref: bool,
    /// Whether what stands in the way of a change stops only that change.
    pub allows_refusals: bool,
    /// As [`Batch::reason`].
    pub reason: Option<(Ident, Vec<u8>)>,
    /// As [`Batch::forces_logs`].
    pub forces_logs: bool,
}

impl Default for SessionOptions {
    fn default() -> SessionOptions {
        let fields = Fields::Lines;
        SessionOptions { fields, no_deref: false, allows_refusals: false, reason: None, forces_logs: false }
    }
}

/// What a [`Session`] has to say about a record.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Answer {
    /// `start`, `prepare`, `commit` or `abort`, if that was the record, and is done.
    pub done: Option<&'static str>,
    /// What the stores had to tell of a commit.
    pub commits: Vec<Commit>,
    /// What was not done, each with the change; only if that is allowed.
    pub refused: Vec<(Change, Refusal)>,
    /// What should be known of a record that was understood all the same.
    pub warnings: Vec<String>,
}

/// Where the conversation is.
#[derive(Debug)]
enum Phase {
    /// Nothing was said about transactions: the end of the input commits.
    Open,
    Started,
    Prepared(Prepared),
    Closed,
}

/// A conversation.
#[derive(Debug)]
pub struct Session<'a> {
    stores: &'a Stores,
    revisions: Revisions,
    options: SessionOptions,
    batch: Batch,
    refused: Vec<(Change, Refusal)>,
    phase: Phase,
    /// `option no-deref` was given for the next change.
    no_deref: bool,
    /// What words are resolved by; gone after a commit.
    view: Option<View>,
    record: Vec<u8>,
    /// How many records were read.
    line: u64,
    is_over: bool,
}

impl<'a> Session<'a> {
    /// A conversation about `stores`.
    #[must_use]
    pub fn new(stores: &'a Stores, revisions: Revisions, options: SessionOptions) -> Session<'a> {
        let (phase, batch, record) = (Phase::Open, Batch::default(), Vec::new());
        let (refused, no_deref, view) = (Vec::new(), options.no_deref, None);
        let mut session = Session {
            stores,
            revisions,
            options,
            batch,
            refused,
            phase,
            no_deref,
            view,
            record,
            line: 0,
            is_over: false,
        };
        session.begin();
        session
    }

    /// Which record of the input the last answer, or error, was about; from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Reads a record, does what it says, and answers; `None` after the end of the input.
    ///
    /// # Errors
    /// If the record cannot be understood, or what it asks for not be done. Nothing has changed for
    /// the transaction then, and the conversation is over.
    pub fn next(&mut self, input: &mut dyn BufRead) -> Result<Option<Answer>> {
        if self.is_over {
            return Ok(None);
        }
        let mut record = std::mem::take(&mut self.record);
        self.is_over = true;
        let at = |error: Error, line: u64| match error.kind() {
            ErrorKind::Invalid => error.with_advice(&format!("line {line}")),
            _ => error,
        };
        if !protocol::read(input, self.options.fields, &mut record).map_err(|error| at(error, self.line + 1))? {
            return self.end().map(Some);
        }
        self.line += 1;
        let mut answer = Answer::default();
        let command = self.parse(&record, &mut answer.warnings).map_err(|error| at(error, self.line))?;
        match command {
            Command::NoDeref => self.no_deref = true,
            Command::Change(change) => {
                self.no_deref = self.options.no_deref;
                self.add(change, &mut answer)?;
            }
            turn => self.turn(&turn, &mut answer)?,
        }
        (self.record, self.is_over) = (record, false);
        Ok(Some(answer))
    }

    /// Takes a change into the batch, if what it writes may be written.
    fn add(&mut self, mut change: Change, answer: &mut Answer) -> Result<()> {
        let view = self.take_view()?;
        super::check_written(&change, &view)?;
        let refused = refusal::check_object(self.batch.changes.len(), &mut change, &view, &mut self.revisions)?;
        self.view = Some(view);
        match refused {
            None => self.batch.changes.push(change),
            Some(refusal) if self.options.allows_refusals => answer.refused.push((change, refusal)),
            Some(refusal) => return Err(Error::invalid(refusal.text)),
        }
        Ok(())
    }

    fn take_view(&mut self) -> Result<View> {
        match self.view.take() {
            Some(view) => Ok(view),
            None => self.stores.view(),
        }
    }

    fn parse(&mut self, record: &[u8], warnings: &mut Vec<String>) -> Result<Command> {
        // What is said about a phase comes before what is said about the rest of a record.
        if let Some(name) = protocol::name_of(record, self.options.fields) {
            self.check_phase(name)?;
        }
        let view = self.take_view()?;
        let revisions = &mut self.revisions;
        let mut resolve = |word: &[u8]| revisions.id(word, &view);
        let mut warn = |warning| warnings.push(warning);
        let command = protocol::parse(record, self.options.fields, self.no_deref, &mut resolve, &mut warn);
        self.view = Some(view);
        command
    }

    fn check_phase(&self, command: &str) -> Result<()> {
        let problem = match (&self.phase, command) {
            (Phase::Started, "start") => "cannot restart ongoing transaction",
            (Phase::Prepared(_), "commit" | "abort") => return Ok(()),
            (Phase::Prepared(_), _) => "prepared transactions can only be closed",
            (Phase::Closed, "start") => return Ok(()),
            (Phase::Closed, _) => "transaction is closed",
            _ => return Ok(()),
        };
        Err(Error::invalid(problem))
    }

    fn begin(&mut self) {
        let reason = self.options.reason.clone();
        self.batch = Batch { reason, forces_logs: self.options.forces_logs, ..Batch::default() };
        self.refused.clear();
    }

    fn turn(&mut self, command: &Command, answer: &mut Answer) -> Result<()> {
        let (word, phase) = match command {
            Command::Start => {
                // Changes from before a first 'start' are a part of it.
                if matches!(self.phase, Phase::Closed) {
                    self.begin();
                }
                ("start", Phase::Started)
            }
            Command::Prepare => {
                let prepared = self.attempt(Batch::prepare).map_err(|error| error.within("prepare"))?;
                ("prepare", Phase::Prepared(prepared))
            }
            Command::Commit => {
                let done = match std::mem::replace(&mut self.phase, Phase::Closed) {
                    Phase::Prepared(prepared) => prepared.commit(),
                    _ => self.attempt(Batch::commit),
                };
                answer.commits = done.map_err(|error| error.within("commit"))?;
                answer.refused = std::mem::take(&mut self.refused);
                ("commit", Phase::Closed)
            }
            _ => {
                self.abort()?;
                ("abort", Phase::Closed)
            }
        };
        self.view = None;
        self.phase = phase;
        answer.done = Some(word);
        Ok(())
    }

    fn abort(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.phase, Phase::Closed) {
            // Dropping it rolls back.
            Phase::Prepared(_) | Phase::Closed => Ok(()),
            Phase::Open | Phase::Started => self.batch.abort(self.stores),
        }
    }

    /// Without a word about transactions all is committed, else what is not committed is forgotten.
    fn end(&mut self) -> Result<Answer> {
        let mut answer = Answer::default();
        match self.phase {
            Phase::Open => {
                answer.commits = self.attempt(Batch::commit)?;
                answer.refused = std::mem::take(&mut self.refused);
            }
            _ => self.abort()?,
        }
        Ok(answer)
    }

    /// Does something with the batch, or with those of its changes that it can be done with, if
    /// that is allowed.
    fn attempt<T>(&mut self, act: fn(&Batch, &Stores) -> Result<T>) -> Result<T> {
        if self.options.allows_refusals {
            let (done, refused) = self.batch.act_on_possible(self.stores, act, refusal::refusals)?;
            self.refused.extend(refused);
            return Ok(done);
        }
        match act(&self.batch, self.stores) {
            Ok(done) => Ok(done),
            Err(error) => Err(refusal::told(&self.batch, error, &self.stores.view()?)),
        }
    }
}
