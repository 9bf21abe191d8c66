//! What a plan has for one store.

use std::borrow::Cow;
use std::collections::BTreeMap;

use reftable::engine::Changeset;
use reftable::{Expect, LogEntry};

use super::{Action, Change};

/// What the transaction of one store will have.
#[derive(Debug, Default)]
pub(super) struct Side<'a> {
    pub(super) updates: BTreeMap<Cow<'a, [u8]>, Update<'a>>,
    pub(super) logs: Vec<(Vec<u8>, LogEntry)>,
    pub(super) deleted_logs: Vec<Vec<u8>>,
}

#[derive(Debug)]
pub(super) struct Update<'a> {
    /// `None` if something is only expected.
    change: Option<&'a Change>,
    /// In the place of what the change says. There may be millions of changes, so that what most of
    /// them do not have is in a box.
    expect: Option<Box<Expect>>,
    action: Option<Box<Action>>,
    /// The expectation is ours, not the caller's.
    pinned: bool,
}

impl<'a> Update<'a> {
    pub(super) fn of(change: &'a Change, expect: Option<Expect>) -> Update<'a> {
        Update { change: Some(change), expect: expect.map(Box::new), action: None, pinned: false }
    }

    /// Expects something, and changes nothing.
    pub(super) fn pin(expect: Expect) -> Update<'a> {
        Update { change: None, expect: Some(Box::new(expect)), action: None, pinned: true }
    }

    pub(super) fn expect(&self) -> &Expect {
        self.expect.as_deref().or(self.change.map(|change| &change.expect)).unwrap_or(&Expect::Any)
    }

    pub(super) fn action(&self) -> &Action {
        self.action.as_deref().or(self.change.map(|change| &change.action)).unwrap_or(&Action::Verify)
    }

    /// Expects what is there, if the caller expects nothing.
    pub(super) fn pin_to(&mut self, expect: Expect) {
        if *self.expect() == Expect::Any {
            self.expect = Some(Box::new(expect));
            self.pinned = true;
        }
    }

    pub(super) fn do_only(&mut self, action: Action) {
        self.action = Some(Box::new(action));
    }
}

impl Side<'_> {
    /// The names of which something is expected that the caller does not expect.
    pub(super) fn pinned(&self) -> impl Iterator<Item = &[u8]> {
        self.updates.iter().filter(|(_, update)| update.pinned).map(|(name, _)| name.as_ref())
    }

    pub(super) fn add_to(&self, changes: &mut Changeset) {
        for (name, update) in &self.updates {
            let expect = update.expect().clone();
            match update.action() {
                Action::Set(target) => changes.set(name, expect, target.clone()),
                Action::Delete => changes.delete(name, expect),
                _ => changes.verify(name, expect),
            };
        }
        for name in &self.deleted_logs {
            changes.delete_log(name);
        }
        for (name, entry) in &self.logs {
            changes.append_log(name, entry.clone());
        }
    }
}
