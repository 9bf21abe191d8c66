//! What of a changeset can be checked without a state: names, targets, messages.

use super::{Action, Changeset, LogChange, Update};
use crate::error::{Error, Result};
use crate::escape::escaped;
use crate::log_line::check_identity;
use crate::name;
use crate::value::Target;

impl Changeset {
    /// Checks what can be checked without looking at the store, and puts everything into the order
    /// of a table.
    ///
    /// # Errors
    /// `Invalid` for names, targets, messages and committers that cannot be, and for a name that
    /// is there twice.
    pub(crate) fn check(&mut self) -> Result<()> {
        order(&mut self.updates)?;
        self.logs.iter_mut().try_for_each(check_log)?;
        if let Some((committer, message)) = &mut self.reflog {
            check_identity(&committer.name, &committer.email)?;
            one_line(message)?;
        }
        Ok(())
    }
}

/// Names are valid and appear once. Sorts the updates by name, as the table needs them. What is
/// there under a name that is not valid must go somehow: only a state tells whether there is
/// something to delete.
fn order(updates: &mut [Update]) -> Result<()> {
    for update in updates.iter() {
        if matches!(update.action, Action::Set(_)) || update.name.is_empty() {
            name::check(&update.name)?;
        }
        if let Action::Set(target) = &update.action {
            if name::is_pseudo_ref(&update.name) {
                let message = format!("'{}' is no reference: git keeps it in a file", escaped(&update.name));
                return Err(Error::invalid(message));
            }
            check_target(&update.name, target)?;
        }
    }
    updates.sort_by(|a, b| a.name.cmp(&b.name));
    for pair in updates.windows(2) {
        if let [a, b] = pair
            && a.name == b.name
        {
            let shown = escaped(&a.name);
            return Err(Error::invalid(format!("the transaction names '{shown}' twice")));
        }
    }
    Ok(())
}

/// Symbolic targets are names; the null id stands for "no object" and is no target.
fn check_target(name: &[u8], target: &Target) -> Result<()> {
    match target {
        Target::Symbolic(other) => name::check(other),
        Target::Id(id) if !id.is_null() => Ok(()),
        Target::Tag { id, peeled } if !id.is_null() && !peeled.is_null() => Ok(()),
        _ => {
            let shown = escaped(name);
            Err(Error::invalid(format!("'{shown}' cannot point at the null id")).way_out("delete it instead"))
        }
    }
}

/// Makes a log change fit to be stored.
///
/// # Errors
/// `Invalid` for names, messages and committers that cannot be.
fn check_log(change: &mut LogChange) -> Result<()> {
    match change {
        LogChange::Create { refname } => crate::name::check(refname),
        LogChange::Append { refname, entry } => {
            crate::name::check(refname)?;
            if entry.as_view().is_marker() {
                return Err(Error::invalid(
                    "a log entry from no object to none would be taken for an empty log's marker",
                )
                .way_out("create the log instead"));
            }
            check_identity(&entry.committer.name, &entry.committer.email)?;
            one_line(&mut entry.message)
        }
        LogChange::DeleteEntry { refname, .. } | LogChange::DeleteAll { refname } => check_log_name(refname),
    }
}

/// Makes a message what git stores: one line, ended by one newline.
fn one_line(message: &mut Vec<u8>) -> Result<()> {
    while message.last() == Some(&b'\n') {
        message.pop();
    }
    if message.contains(&b'\n') || message.contains(&0) {
        return Err(Error::invalid("a reflog message must be one line, without zero bytes"));
    }
    message.push(b'\n');
    Ok(())
}

/// Names of logs that are to be deleted need not be valid, only possible: odd ones must go somehow.
fn check_log_name(name: &[u8]) -> Result<()> {
    if name.is_empty() || name.contains(&0) {
        return Err(Error::invalid("the name of a reflog must not be empty or have zero bytes"));
    }
    Ok(())
}
