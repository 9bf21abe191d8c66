//! `update` of a store in a bucket, with git's semantics as far as they need no repository.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use reftable::{Expect, HashKind, Target};
use reftable_bucket::{Blocking, Client, ErrorKind};
use reftable_git::{Action, Batch, Change, Command, Config, Fields, LogPolicy, Records, Revisions, View, ident};

use super::commands::Place;
use crate::cli::{any_name, ref_name};
use crate::commands::update::{Update, Words};
use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::output::Out;

/// An open store, what is changed with one reason, and for how long it may take.
struct Session<'a> {
    store: Blocking<Client>,
    place: &'a Place,
    update: &'a Update,
    patience: Option<Duration>,
    view: View,
}

impl Update {
    /// Does it to a store in a bucket.
    pub(super) fn run_in_bucket(&self, place: &Place, out: &mut Out) -> Result<Code, Failure> {
        let patience = self.changing.writing.patience();
        let store = place.store(patience)?;
        let view = place.newest(&store)?;
        let mut session = Session { store, place, update: self, patience, view };
        match self.words()? {
            Words::Input if self.input.batch_updates => Err(Failure::usage("--batch-updates is for directories only")),
            Words::Input => session.converse(self.input.fields(), out),
            Words::Change { name, new, old } => {
                let id = |word| session.id(word);
                let new = id(new)?.ok_or_else(|| not_an_id(new))?;
                let expect = match old {
                    None => Expect::Any,
                    Some(old) if old.is_empty() => Expect::Absent,
                    Some(old) => id(old)?
                        .ok_or_else(|| not_an_id(old))
                        .map(|id| if id.is_null() { Expect::Absent } else { Expect::Is(Target::Id(id)) })?,
                };
                let action = match &self.peeled {
                    _ if new.is_null() => Action::Delete,
                    None => Action::Set(Target::Id(new)),
                    Some(peeled) => Action::Set(Target::Tag { id: new, peeled: peeled.parse()? }),
                };
                let name = if new.is_null() { any_name(name)? } else { ref_name(name)? };
                let change = Change::new(name, expect, action).following(!self.changing.no_deref);
                session.commit(vec![change])?;
                Ok(Code::Done)
            }
        }
    }
}

fn not_an_id(word: &std::ffi::OsString) -> Failure {
    let word = reftable::escape::escaped(word.as_encoded_bytes());
    Failure::usage(format!("'{word}' is neither an id nor a reference of the store"))
}

impl Session<'_> {
    /// Where there is no repository a word is an id, or a reference.
    fn revisions(&self) -> Revisions {
        Revisions::without_objects(self.view.hash().unwrap_or(HashKind::Sha1))
    }

    fn id(&self, word: &std::ffi::OsString) -> Result<Option<reftable::ObjectId>, Failure> {
        Ok(self.revisions().id(word.as_encoded_bytes(), &self.view)?)
    }

    /// Commits, upon newer states as long as nothing but the way to the references has changed.
    fn commit(&mut self, changes: Vec<Change>) -> Result<(), Failure> {
        let reason = (ident::committer(Some(&Config::without_repository()?))?, self.update.changing.message()?);
        let forces_logs = self.update.logging.create_reflog;
        let batch = Batch { changes, reason: Some(reason), forces_logs, ..Batch::default() };
        let end = self.patience.and_then(|patience| Instant::now().checked_add(patience));
        loop {
            let planned = batch.plan(&self.view, LogPolicy::Always)?;
            match self.store.commit(planned.changeset()) {
                Err(error)
                    if error.kind() == ErrorKind::Conflict
                        && planned.is_outdated_by(error.conflicts())
                        && end.is_none_or(|end| Instant::now() < end) =>
                {
                    self.view = self.place.newest(&self.store)?;
                }
                done => return Ok(done.map(|_| ())?),
            }
        }
    }

    /// Reads commands as `update-ref --stdin` does. There is no `prepare`: nothing can be held.
    fn converse(&mut self, fields: Fields, out: &mut Out) -> Result<Code, Failure> {
        let mut records = Records::new(fields, self.update.changing.no_deref);
        let (mut changes, mut phase) = (Vec::new(), Phase::Open);
        let mut input = io::stdin().lock();
        loop {
            let mut revisions = self.revisions();
            let command = records.next(&mut input, |word| revisions.id(word, &self.view))?;
            let Some(command) = command else { break };
            if phase == Phase::Closed && !matches!(command, Command::Start) {
                return Err(Failure::usage("transaction is closed"));
            }
            match command {
                Command::Change(change) => changes.push(change),
                Command::Start if phase == Phase::Started => {
                    return Err(Failure::usage("cannot restart ongoing transaction"));
                }
                Command::Start => {
                    changes.clear();
                    phase = Phase::Started;
                    answer("start", out)?;
                }
                Command::Commit => {
                    self.commit(std::mem::take(&mut changes))?;
                    self.view = self.place.newest(&self.store)?;
                    phase = Phase::Closed;
                    answer("commit", out)?;
                }
                Command::Abort => {
                    changes.clear();
                    phase = Phase::Closed;
                    answer("abort", out)?;
                }
                _ => {
                    let message = "'prepare' is for directories only: in a bucket nothing can be held until 'commit'";
                    return Err(Failure::usage(message));
                }
            }
        }
        if phase == Phase::Open && !changes.is_empty() {
            self.commit(changes)?;
        }
        Ok(Code::Done)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing was said of transactions: all happens at the end of the input.
    Open,
    Started,
    Closed,
}

fn answer(word: &str, out: &mut Out) -> Result<(), Failure> {
    match out.wants_json() {
        true => out.json(&Object::of("done").put("command", word).build())?,
        false => writeln!(out, "{word}: ok")?,
    }
    // The writer of the input waits for it before the next line.
    Ok(out.flush()?)
}
