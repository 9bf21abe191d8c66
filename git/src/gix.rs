//! Types of gix, both ways, and its edits as a [`Batch`].
//!
//! With the feature `gix`. The versions are those that [`gix_hash`] and [`gix_ref`] here name.
//!
//! ```
//! use gix_ref::transaction::{PreviousValue, RefEdit};
//! use reftable_git::gix::{batch, gix_ref, to_object_id};
//!
//! let id = to_object_id(&reftable::ObjectId::null(reftable::HashKind::Sha1));
//! let (name, before) = ("refs/heads/main".try_into()?, PreviousValue::MustNotExist);
//! let edit = RefEdit::update(name, id, before, "made");
//! assert!(batch([edit], None).is_err(), "the null id is no object");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use gix_ref::transaction::{Change as Edit, PreviousValue, RefEdit, RefLog};
use reftable::escape::escaped;
use reftable::{Expect, Ident};

use crate::batch::{Action, Batch, Change};
pub use crate::convert::{
    from_object_id, from_reference, from_target, to_full_name, to_hash, to_object_id, to_reference, to_target,
};
use crate::error::{Error, Result};
pub use {gix_hash, gix_ref};

/// Edits of gix as changes that happen together. Log entries are written if there is a `committer`;
/// whose reference has no log gets one by `core.logAllRefUpdates`, or if the edit says so.
///
/// What is expected of a symbolic reference that is not followed is compared as git does it: an id
/// with what it leads to.
///
/// # Errors
/// For edits that cannot be: one that deletes what must not exist, that sets a reference to the
/// null id, or that writes only to the log and has no id for it.
pub fn batch(edits: impl IntoIterator<Item = RefEdit>, committer: Option<Ident>) -> Result<Batch> {
    let reason = committer.map(|committer| (committer, Vec::new()));
    let changes = edits.into_iter().map(|edit| change(&edit)).collect::<Result<_>>()?;
    Ok(Batch { changes, reason, ..Batch::default() })
}

fn change(edit: &RefEdit) -> Result<Change> {
    let name = edit.name.as_bstr().to_vec();
    let refused = |why: &str| Error::invalid(format!("the edit of '{}' {why}", escaped(&name)));
    let change = match &edit.change {
        Edit::Delete { expected: PreviousValue::MustNotExist, .. } => {
            return Err(refused("deletes what must not exist"));
        }
        Edit::Delete { expected, log: RefLog::AndReference } => Change::delete(name, expect(expected)),
        Edit::Delete { expected, log: RefLog::Only } => Change::new(name, expect(expected), Action::DeleteLog),
        Edit::Update { log, expected, new } => {
            let target = from_target(new);
            let action = match (log.mode, target.id()) {
                (_, Some(id)) if id.is_null() => return Err(refused("sets it to the null id")),
                (RefLog::AndReference, _) => Action::Set(target),
                (RefLog::Only, Some(id)) => Action::Log(id),
                (RefLog::Only, None) => return Err(refused("writes only to the log, and has no id for it")),
            };
            let change = Change::new(name, expect(expected), action).with_message(log.message.to_vec());
            if log.force_create_reflog { change.force_log() } else { change }
        }
    };
    Ok(change.following(edit.deref))
}

fn expect(expected: &PreviousValue) -> Expect {
    match expected {
        PreviousValue::Any => Expect::Any,
        PreviousValue::MustExist => Expect::Exists,
        PreviousValue::MustNotExist => Expect::Absent,
        PreviousValue::MustExistAndMatch(target) => Expect::Is(from_target(target)),
        PreviousValue::ExistingMustMatch(target) => Expect::AbsentOr(from_target(target)),
    }
}
